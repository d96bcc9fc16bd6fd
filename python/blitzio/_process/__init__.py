"""What `blitzio.process` is made of: the command, the child, how it ended."""
