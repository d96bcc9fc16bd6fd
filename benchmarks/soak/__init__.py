"""The soak: everything at once for a long time, with every byte counted; `./dev.py soak`."""
