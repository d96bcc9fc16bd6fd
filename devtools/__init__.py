"""What `./dev.py` does: set-up, builds, tests, checks. Standard library only."""
