"""Blocking: the process's threads for spawn_blocking() outside runtimes, and who may not."""

from __future__ import annotations

import asyncio
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


def check_may_block(name: str, instead: str) -> None:
    """Refuses a call that would stop a loop, even if it would not have to wait.

    Raises:
        RuntimeError: an event loop runs in this thread.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            f"{name}() would block the event loop of this thread; use `await {instead}`"
        )
