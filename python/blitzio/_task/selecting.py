"""select, race: waiting for the first of several awaitables.

Exactly one effect. What the primitives of this package return (a receive, a lock, a send) is not
run but polled, one after the other in the order of the arguments, and the value of the first that
is ready is taken; the others are dropped as they are, with no message received, no lock held, no
item sent. Coroutines run in tasks of their own; one that has ended in the same turn as the winner
has had its effects, as with asyncio.wait().
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from blitzio._native import JoinHandle, _is_native_awaitable, _select_first
from blitzio._task.branches import (
    abandon,
    end,
    end_before_result,
    is_reference,
    let_cancellation_come,
    start,
    unpack,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Iterable

_T = TypeVar("_T")


@overload
async def select(*awaitables: Awaitable[_T]) -> tuple[_T, int]: ...
@overload
async def select(awaitables: Iterable[Awaitable[_T]], /) -> tuple[_T, int]: ...
async def select(*awaitables: Any) -> tuple[Any, int]:
    """Waits for the first of several.

    Args:
        awaitables: one after the other, or all in one iterable. If several are ready, the first in
            order wins.

    Returns:
        its result, and which it was: its index among the arguments.

    Raises:
        Exception: what the first to end raised.
        ValueError: there is none.
        TypeError: one is not awaitable.

    The others: handles and asyncio futures run on; coroutines are cancelled and have ended by then;
    what the primitives of this package return is dropped without effect.

    Cancellation: as for the others. Once the first is there, and while others are still ending, it
    waits for the caller's next await: what was received is not lost.

    >>> import blitzio
    >>> async def main():
    ...     return await select(blitzio.sleep(60), blitzio.spawn(pow, 2, 3))
    >>> blitzio.run(main())
    (8, 1)
    """
    branches = unpack(awaitables)
    del awaitables
    return await _first(branches)


@overload
async def race(*awaitables: Awaitable[_T]) -> _T: ...
@overload
async def race(awaitables: Iterable[Awaitable[_T]], /) -> _T: ...
async def race(*awaitables: Any) -> Any:
    """As select(), and cancels the others, whoever's they are.

    Returns:
        the result of the first to end.

    >>> import blitzio
    >>> async def main():
    ...     slow = blitzio.spawn(blitzio.sleep, 60)
    ...     value = await race(slow, blitzio.spawn(pow, 2, 3))
    ...     return value
    >>> blitzio.run(main())
    8
    """
    branches = unpack(awaitables)
    try:
        result, _ = await _first([*branches])
        return result
    finally:
        for branch in branches:
            if is_reference(branch):
                branch.cancel()
                if isinstance(branch, JoinHandle):
                    branch.detach()


async def _first(branches: list[Any]) -> tuple[Any, int]:
    """Empties the list, as end() does, and for the same reason."""
    await let_cancellation_come(branches)
    owned: list[asyncio.Future[Any]] = []
    try:
        waiting = _select_first([_entry(branch, owned) for branch in branches])
        branches.clear()
        first = await waiting
    except GeneratorExit:
        abandon(owned)
        raise
    except BaseException:
        await end(owned)
        raise
    await end_before_result(owned)
    return first


def _entry(branch: Any, owned: list[asyncio.Future[Any]]) -> Any:
    """What is polled for `branch`; if that is a new task, it is added to `owned`."""
    if isinstance(branch, JoinHandle):
        # Waiting for it can be dropped at any time; a task for that is not needed.
        branch = branch.join()
    if _is_native_awaitable(branch):
        return branch
    future = start(branch)
    if future is not branch:
        owned.append(future)
    return future
