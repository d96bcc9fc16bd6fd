"""Floors: how fast the workloads can be on any loop; see __main__.py."""
