"""The parts of blitzio.fs that run once per directory or temporary file."""
