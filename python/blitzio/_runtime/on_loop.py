"""`spawn` where no Runtime is: on whatever asyncio loop runs in the calling thread."""

from __future__ import annotations

import asyncio
import functools
import os
from typing import Any

from blitzio._native import ThreadPool
from blitzio._runtime.handle import JoinHandle, Work, drop_call
from blitzio._runtime.worker import start_on

#: asyncio knows tasks by weak references only.
_tasks: set[asyncio.Task[Any]] = set()


def spawn(work: Work, name: str | None) -> JoinHandle[Any]:
    loop = asyncio._get_running_loop()
    if loop is None:
        drop_call(work[0], work[1])
        raise RuntimeError("spawn() needs a Runtime, or a running event loop")
    handle = JoinHandle[Any](work, name)
    start_soon(loop, handle)
    return handle


def start_soon(loop: asyncio.AbstractEventLoop, handle: JoinHandle[Any]) -> None:
    """Starts what the handle stands for on `loop`, which runs in this thread."""
    loop.call_soon(_start, loop, handle)


def _start(loop: asyncio.AbstractEventLoop, handle: JoinHandle[Any]) -> None:
    start_on(loop, handle, _tasks, functools.partial(_cancel, loop))


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """From any thread."""
    if asyncio._get_running_loop() is loop:
        task.cancel()
        return
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:
        if not loop.is_closed():
            raise


# By process: a forked child has no threads of its parent's.
_pools: dict[int, ThreadPool] = {}


def blocking_pool() -> ThreadPool:
    """The process's threads for spawn_blocking() outside runtimes."""
    process = os.getpid()
    pool = _pools.get(process)
    if pool is None:
        pool = _pools.setdefault(process, ThreadPool(512, 10.0, "blitzio-blocking"))
    return pool
