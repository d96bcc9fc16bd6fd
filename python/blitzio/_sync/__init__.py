"""The primitives of `blitzio.sync` that are made of native ones: once_cell, condition."""
