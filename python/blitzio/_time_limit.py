"""Time limits: `Timeout` around a block, `TimeLimit` around one awaitable.

asyncio.timeout() came with Python 3.11; here is one form for every version. When the time is over
the task is cancelled, and the block turns that cancellation, and no other, into TimeoutError:

    created ──enter──▶ active ──the time is over──▶ expiring ──exit──▶ expired (TimeoutError)
                         │
                         └──exit──▶ exited

A cancellation from elsewhere that comes with or after ours wins: from Python 3.11 on tasks count
their cancellations; before, one that arrives while the block unwinds cannot be told apart, as in
every such library there.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from blitzio._duration import Instant
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from types import TracebackType

    from blitzio.time import Deadline

_T = TypeVar("_T")
COUNTS_CANCELLATIONS = sys.version_info >= (3, 11)

#: By task: a cancellation that waits for its next await; see _task/branches.py.
postponed: weakref.WeakKeyDictionary[Any, asyncio.Handle] = weakref.WeakKeyDictionary()


class Timeout:
    """An asynchronous context manager; made by `timeout()` and `deadline()`."""

    __slots__ = ("_cancelling", "_expired", "_state", "_task", "_timer", "_when")
    __reduce__ = refuse_copy

    def __init__(self, when: Instant | None) -> None:
        self._when = when
        self._state = "created"
        self._expired = False
        # Any: before Python 3.11 tasks do not count their cancellations.
        self._task: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._cancelling = 0

    @property
    def when(self) -> Instant | None:
        """When the time is over; None: never."""
        return self._when

    @property
    def expired(self) -> bool:
        """Whether the time was over first."""
        return self._expired

    def reschedule(self, when: Instant | Deadline | None) -> None:
        """Moves the end.

        Raises:
            TypeError: `when` is no point in time and not None; the end is where it was.
            RuntimeError: the block has not begun, has ended or is being ended.
        """
        from blitzio.time import _instant

        at = None if when is None else _instant(when)
        if self._state != "active":
            raise RuntimeError(f"Cannot change state of {self._state} Timeout")
        self._when = at
        self._arm()

    async def __aenter__(self) -> Timeout:
        if self._state != "created":
            raise RuntimeError("Timeout has already been entered")
        task: Any = asyncio.current_task()
        if task is None:
            raise RuntimeError("Timeout should be used inside a task")
        self._state = "active"
        self._task = task
        if COUNTS_CANCELLATIONS:
            self._cancelling = task.cancelling()
        self._arm()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._disarm()
        if self._state != "expiring":
            self._state = "exited"
            return None
        self._state = "expired"
        assert self._task is not None
        if COUNTS_CANCELLATIONS and self._task.uncancel() > self._cancelling:
            return None  # Cancelled from elsewhere as well.
        if exc_type is None:
            # The cancellation was swallowed, or it has not been delivered: the block has its way.
            # What waits to be delivered is taken for ours where nobody counts.
            if not COUNTS_CANCELLATIONS and (handle := postponed.pop(self._task, None)) is not None:
                handle.cancel()
            return None
        if issubclass(exc_type, asyncio.CancelledError):
            raise TimeoutError from exc
        return None

    def __repr__(self) -> str:
        return f"<Timeout {self._state} when={self._when!r}>"

    def _arm(self) -> None:
        self._disarm()
        when = self._when
        if when is None or when == Instant.MAX:
            return
        loop = asyncio.get_running_loop()
        if when <= Instant.now():
            # Through the queue, so that the block begins: what it awaits is cancelled, not it.
            loop.call_soon(self._expire)
            return
        self._timer = loop.call_at(when.as_secs_f64(), self._expire)

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _expire(self) -> None:
        self._timer = None
        if self._state != "active" or self._when is None:
            return
        if Instant.now() < self._when:
            # A loop may fire within its clock's resolution; a limit is never shorter than asked.
            self._arm()
            return
        assert self._task is not None
        self._state = "expiring"
        self._expired = True
        self._task.cancel()


class TimeLimit(Generic[_T]):
    """An awaitable with a limit; made by `timeout(…, awaitable)` and `deadline(…, awaitable)`."""

    __slots__ = ("_awaitable", "_when")
    __reduce__ = refuse_copy

    def __init__(self, when: Instant | None, awaitable: Awaitable[_T]) -> None:
        if not hasattr(awaitable, "__await__"):
            raise TypeError(f"an awaitable was expected, got {awaitable!r}")
        self._when = when
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, None, _T]:
        return self._run().__await__()

    async def _run(self) -> _T:
        async with Timeout(self._when):
            return await self._awaitable
