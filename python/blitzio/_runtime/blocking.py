"""The process's threads for spawn_blocking() outside runtimes."""

from __future__ import annotations

import os

from blitzio._native import ThreadPool

# By process: a forked child has no threads of its parent's.
_pools: dict[int, ThreadPool] = {}


def blocking_pool() -> ThreadPool:
    """Called natively."""
    process = os.getpid()
    pool = _pools.get(process)
    if pool is None:
        pool = _pools.setdefault(process, ThreadPool(512, 10.0, "blitzio-blocking"))
    return pool
