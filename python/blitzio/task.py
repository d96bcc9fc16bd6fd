"""Tasks: spawning, joining, groups, cancelling.

Whatever is awaitable may be joined: a `JoinHandle` or an asyncio future, which is *somebody's
already* and runs on when the call ends, or a coroutine and the like, which is *owned* by the call:
it has ended when the call returns.

Everything here works on any asyncio loop.
"""

from __future__ import annotations

import asyncio

from blitzio._compute import compute, parallel_for, parallel_map
from blitzio._native import JoinHandle, spawn, spawn_blocking, spawn_future
from blitzio._task.cancel_token import CancelToken
from blitzio._task.concurrent import ConcurrencyUnavailable, concurrent
from blitzio._task.group import Group
from blitzio._task.joining import join_all, try_join_all
from blitzio._task.selecting import race, select
from blitzio.time import sleep

__all__ = (
    "CancelToken",
    "ConcurrencyUnavailable",
    "Group",
    "JoinHandle",
    "compute",
    "concurrent",
    "join_all",
    "parallel_for",
    "parallel_map",
    "race",
    "select",
    "sleep",
    "spawn",
    "spawn_blocking",
    "spawn_future",
    "try_join_all",
    "yield_now",
)


async def yield_now() -> None:
    """Lets every other ready task run once.

    >>> import blitzio
    >>> blitzio.run(yield_now())
    """
    await asyncio.sleep(0)
