"""wait_for(): any awaitable as a coroutine; when_ended(): a callback at the end of a JoinHandle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from blitzio._native import JoinHandle

_T = TypeVar("_T")


async def wait_for(awaitable: Awaitable[_T]) -> _T:
    return await awaitable


def when_ended(handle: JoinHandle[Any], callback: Callable[[], object]) -> None:
    """Has `callback` called on the running loop when the work has ended, whatever its end is."""
    # Of the protocol by which a task waits for it the first half: once it is suspended, the
    # awaitable is a future, which the loop keeps.
    ended = handle._ended()
    try:
        future = ended.send(None)
    except StopIteration:
        asyncio.get_running_loop().call_soon(callback)
        return

    def end(_: object) -> None:
        ended.close()
        callback()

    future.add_done_callback(end)
