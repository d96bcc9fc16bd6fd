"""What the functions that take several awaitables make of them.

Work that is somebody's already, a JoinHandle or an asyncio future, is a *reference*: it is watched,
and runs on when the call ends. Everything else, a coroutine for one, is *owned* by the call: it
runs in a task that has ended when the call returns, by cancellation if need be.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from blitzio._native import JoinHandle, _is_native_awaitable
from blitzio._runtime.interruption import Interruption
from blitzio._runtime.waiting import wait_for
from blitzio._time_limit import COUNTS_CANCELLATIONS, postponed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

_T = TypeVar("_T")
_Future = TypeVar("_Future", bound="asyncio.Future[Any]")


def unpack(awaitables: Sequence[Any]) -> list[Any]:
    """The arguments of f(a, b, c), or of f([a, b, c]).

    Raises:
        TypeError: one of them is not awaitable; coroutines among the others are closed.
    """
    if len(awaitables) == 1 and not inspect.isawaitable(awaitables[0]):
        try:
            awaitables = list(awaitables[0])
        except TypeError:
            raise TypeError(f"an awaitable was expected, got {awaitables[0]!r}") from None
    for wrong in awaitables:
        if not inspect.isawaitable(wrong):
            for awaitable in awaitables:
                drop(awaitable)
            raise TypeError(f"an awaitable was expected, got {wrong!r}")
    return list(awaitables)


def result_of(future: asyncio.Future[_T]) -> _T:
    """future.result(), whose exception is kept by no frame of this call."""
    try:
        return future.result()
    finally:
        del future


def drop(awaitable: Any) -> None:
    """Ends an owned awaitable that was never awaited, without a warning."""
    if inspect.iscoroutine(awaitable) or _is_native_awaitable(awaitable):
        awaitable.close()


def is_reference(awaitable: Any) -> bool:
    """Whether it is work that is somebody's already."""
    if isinstance(awaitable, JoinHandle):
        return True
    # What the primitives return looks like a future, and is whose call it is.
    return asyncio.isfuture(awaitable) and not _is_native_awaitable(awaitable)


def start(awaitable: Any) -> asyncio.Future[Any]:
    """A future of the running loop for `awaitable`: itself, or a new task that awaits it."""
    if asyncio.isfuture(awaitable) and is_reference(awaitable):
        return awaitable
    coroutine = awaitable if inspect.iscoroutine(awaitable) else wait_for(awaitable)
    return asyncio.get_running_loop().create_task(coroutine)


class Branches:
    """Starts all, and ends on exit what is owned and still runs."""

    def __init__(self, awaitables: Sequence[Any]) -> None:
        self._awaitables = unpack(awaitables)
        self.futures: list[asyncio.Future[Any]] = []
        self._owned: list[asyncio.Future[Any]] = []

    async def __aenter__(self) -> Branches:
        await let_cancellation_come(self._awaitables)
        for awaitable in self._awaitables:
            future = start(awaitable)
            self.futures.append(future)
            # The task that awaits a handle is ours, the work behind it is not.
            if future is not awaitable:
                self._owned.append(future)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.futures.clear()
        if isinstance(exc, GeneratorExit):
            abandon(self._owned)
        else:
            await end(self._owned)


async def end(owned: list[_Future]) -> None:
    """Cancels what still runs and waits for its end; another cancellation waits until then.

    The list is emptied: what one of them raised, and the caller raises, would be kept by its own
    traceback, whose frames have that list.
    """
    pending = [future for future in owned if not future.done()]
    for future in pending:
        future.cancel()
    interruption = Interruption()
    while pending:
        with interruption:
            await asyncio.wait(pending)
        pending = [future for future in pending if not future.done()]
    for future in owned:
        if not future.cancelled():
            # Told to whoever called, or overtaken by what ended the call: not lost unseen.
            future.exception()
    owned.clear()
    interruption.deliver()


def abandon(owned: list[_Future]) -> None:
    """end() where nothing may be awaited any more: the coroutine is being closed, its loop may be,
    too."""
    for future in owned:
        if not future.done() and not future.get_loop().is_closed():
            future.cancel()
    owned.clear()


async def end_before_result(owned: list[_Future]) -> None:
    """As end(), for a caller who has got something: a message or a lock, which would be lost with
    it if this raised. A cancellation meanwhile comes at the task's next await instead."""
    with _Postponing(lambda: True):
        await end(owned)


async def wait_for_results(
    futures: Sequence[asyncio.Future[Any]], return_when: str, has_result: Callable[[], bool]
) -> None:
    """As asyncio.wait(), for a caller whose results are there together with a cancellation: that
    comes at the task's next await then, as of end_before_result()."""
    with _Postponing(has_result):
        await asyncio.wait(futures, return_when=return_when)


def has_succeeded(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


async def let_cancellation_come(awaitables: Sequence[Any]) -> None:
    """Before anything begins: where one that was postponed comes. Otherwise calls of which each has
    its results at once, one after the other, would postpone it for ever."""
    if not _is_cancellation_due(asyncio.current_task()):
        return
    try:
        await asyncio.sleep(0)
    except BaseException:
        for awaitable in awaitables:
            drop(awaitable)
        raise


def _is_cancellation_due(task: Any) -> bool:
    """Whether the task's next await raises, or that of the next turn."""
    return task in postponed or getattr(task, "_must_cancel", False)


class _Postponing:
    """Lets a cancellation of the block come later, if `is_due` says so when it is there."""

    def __init__(self, is_due: Callable[[], bool]) -> None:
        self._is_due = is_due
        # Any: before Python 3.11 tasks do not count their cancellations.
        task: Any = asyncio.current_task()
        self._task = task
        self._before = 0
        if COUNTS_CANCELLATIONS:
            # One that has been counted and is still to come is not one that was before.
            self._before = task.cancelling() - _is_cancellation_due(task)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(exc, asyncio.CancelledError) or not self._is_due():
            return False
        task = self._task
        loop = task.get_loop()
        postponed[task] = loop.call_soon(_cancel_again, task, self._before, exc.args)
        return True


def _cancel_again(task: Any, before: int, message: tuple[Any, ...]) -> None:
    postponed.pop(task, None)
    if COUNTS_CANCELLATIONS:
        if task.cancelling() <= before:
            return  # Whoever cancelled has taken it back: a time limit whose block was left.
        task.uncancel()
    task.cancel(*message)
