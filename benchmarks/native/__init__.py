"""Compares the C++ core with Tokio and with raw system calls: a program each, the same work."""
