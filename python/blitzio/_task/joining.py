"""join_all, try_join_all: waiting for several awaitables at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, overload

from blitzio._task.branches import Branches, has_succeeded, result_of, wait_for_results

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

_T = TypeVar("_T")
_A = TypeVar("_A")
_B = TypeVar("_B")
_C = TypeVar("_C")


@overload
async def join_all(a: Awaitable[_A], b: Awaitable[_B], /) -> tuple[_A, _B]: ...
@overload
async def join_all(
    a: Awaitable[_A], b: Awaitable[_B], c: Awaitable[_C], /
) -> tuple[_A, _B, _C]: ...
@overload
async def join_all(*awaitables: Awaitable[_T]) -> tuple[_T, ...]: ...
@overload
async def join_all(awaitables: Iterable[Awaitable[_T]], /) -> tuple[_T, ...]: ...
async def join_all(*awaitables: Any) -> tuple[Any, ...]:
    """Waits for all, at the same time; fails as soon as one of them does.

    Args:
        awaitables: one after the other, or all in one iterable.

    Returns:
        their results, in the order of the arguments.

    Raises:
        Exception: what the first that failed raised. Those that are owned (coroutines) have been
            cancelled and have ended by then; handles and futures run on.

    Cancellation: as a failure, and what some have given by then is gone with them. If all have
    ended well, it waits for the caller's next await, and nothing is lost.

    >>> import blitzio
    >>> async def main():
    ...     handle = blitzio.spawn(pow, 2, 3)
    ...     return await join_all(handle, blitzio.spawn_blocking(len, "four"))
    >>> blitzio.run(main())
    (8, 4)
    """
    async with Branches(awaitables) as branches:
        futures = branches.futures
        if futures:
            await wait_for_results(
                futures, asyncio.FIRST_EXCEPTION, lambda: all(map(has_succeeded, futures))
            )
        # All, or the one that failed is among them. The first that failed in time is not known any
        # more; the first in order is.
        return tuple(map(result_of, [future for future in futures if future.done()]))


@overload
async def try_join_all(*awaitables: Awaitable[_T]) -> tuple[_T | BaseException, ...]: ...
@overload
async def try_join_all(
    awaitables: Iterable[Awaitable[_T]], /
) -> tuple[_T | BaseException, ...]: ...
async def try_join_all(*awaitables: Any) -> tuple[Any, ...]:
    """Waits for all, whatever becomes of each.

    Args:
        awaitables: one after the other, or all in one iterable.

    Returns:
        for each, in the order of the arguments, its result, or the exception that it raised
        (CancelledError if it was cancelled).

    Cancellation: owned ones (coroutines) are cancelled; handles and futures run on. If all have
    ended, it waits for the caller's next await.

    >>> import blitzio
    >>> async def main():
    ...     return await try_join_all(blitzio.spawn(int, "1"), blitzio.spawn(int, "x"))
    >>> blitzio.run(main())
    (1, ValueError("invalid literal for int() with base 10: 'x'"))
    """
    async with Branches(awaitables) as branches:
        futures = branches.futures
        if futures:
            await wait_for_results(
                futures, asyncio.ALL_COMPLETED, lambda: all(future.done() for future in futures)
            )
        return tuple(_outcome(future) for future in futures)


def _outcome(future: asyncio.Future[Any]) -> Any:
    if future.cancelled():
        return asyncio.CancelledError()
    return future.exception() or future.result()
