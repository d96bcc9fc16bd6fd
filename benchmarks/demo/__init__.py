"""Real applications on each event loop, under load from a real HTTP client: `./dev.py demo`."""
