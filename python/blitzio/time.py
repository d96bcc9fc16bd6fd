"""Time: sleeping, intervals, time limits, on whatever asyncio loop the caller's task runs.

Spans are seconds as a number, a `datetime.timedelta` or a `Duration`; points in time are an
`Instant` of the monotonic clock, or a `Deadline`. Timers never fire early. Everything here costs
one timer of the running loop, and none once it is over.
"""

from __future__ import annotations

import asyncio
import time as _time
from typing import TYPE_CHECKING, Any, Literal, TypeVar, final, overload

from blitzio._duration import Duration, Instant, Seconds
from blitzio._time_limit import TimeLimit, Timeout
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import TypeAlias

    #: What an Interval does about ticks that nobody waited for in time.
    _MissedTicks = Literal["burst", "delay", "skip"]
    _Point: TypeAlias = "Instant | Deadline"

__all__ = (
    "Deadline",
    "Duration",
    "Instant",
    "Interval",
    "TimeLimit",
    "Timeout",
    "blocking_sleep",
    "deadline",
    "interval",
    "now",
    "sleep",
    "sleep_until",
    "timeout",
)

_T = TypeVar("_T")


def now() -> Instant:
    """The monotonic clock, read now.

    >>> now() <= now()
    True
    """
    return Instant.now()


async def sleep(duration: Seconds) -> None:
    """Lets `duration` pass; zero or less lets other tasks run once.

    >>> import blitzio
    >>> blitzio.run(sleep(0.001))

    Raises:
        TypeError: `duration` is no span of time.
        ValueError: it is NaN.

    Cancellation: ends at once; the timer is gone.
    """
    span = Duration.of(duration)
    if span.is_forever():
        await asyncio.get_running_loop().create_future()
    await asyncio.sleep(span.as_secs_f64())


async def sleep_until(when: _Point) -> None:
    """Sleeps until `when`; lets other tasks run once if that is past.

    >>> import blitzio
    >>> blitzio.run(sleep_until(now() + Duration.from_millis(1)))

    Raises:
        TypeError: `when` is no Instant and no Deadline.

    Cancellation: as sleep().
    """
    await sleep(_instant(when) - Instant.now())


#: Longer than any `time.sleep` takes on every platform.
_LONG_SLEEP = 86_400.0


def blocking_sleep(duration: Seconds) -> None:
    """Lets `duration` pass in a thread, which other threads use to run; zero or less returns at
    once. For threads without a loop: where one runs, nothing of it goes on meanwhile.

    >>> blocking_sleep(0.001)

    Raises:
        TypeError: `duration` is no span of time.
        ValueError: it is NaN.

    Signals: their handlers run when they come; what one raises, as KeyboardInterrupt, ends it.
    """
    span = Duration.of(duration)
    until = Instant.now() + span
    left = span
    while left > Duration.ZERO:
        _time.sleep(min(left.as_secs_f64(), _LONG_SLEEP))
        left = span if span.is_forever() else until - Instant.now()


def _instant(point: _Point) -> Instant:
    if isinstance(point, Deadline):
        return point.at
    if not isinstance(point, Instant):
        raise TypeError(f"when must be an Instant or a Deadline, not {type(point).__name__}")
    return point


@final
class Deadline:
    """A point in time by which several steps must be done: `deadline(budget, step)` for each.

    >>> import blitzio
    >>> async def main():
    ...     budget = Deadline.after(10)
    ...     await deadline(budget, sleep(0))
    ...     async with deadline(budget):
    ...         await sleep(0.001)
    ...     return budget.is_expired(), budget.remaining() < Duration.from_secs(10)
    >>> blitzio.run(main())
    (False, True)

    A value, immutable. Thread: any.
    """

    __slots__ = ("_at",)

    def __init__(self, at: Instant) -> None:
        if not isinstance(at, Instant):
            raise TypeError(f"at must be an Instant, not {type(at).__name__}")
        self._at = at

    @classmethod
    def after(cls, duration: Seconds) -> Deadline:
        """`duration` from now."""
        return cls(Instant.now() + Duration.of(duration))

    @property
    def at(self) -> Instant:
        """The point in time."""
        return self._at

    def is_expired(self) -> bool:
        """Whether it is now, or was."""
        return Instant.now() >= self._at

    def remaining(self) -> Duration:
        """What is left of it; zero if it is expired."""
        return max(self._at - Instant.now(), Duration.ZERO)

    def __eq__(self, other: object) -> bool:
        return self._at == other._at if isinstance(other, Deadline) else NotImplemented

    def __hash__(self) -> int:
        return hash((Deadline, self._at))

    def __repr__(self) -> str:
        return f"Deadline({self._at!r})"


class Interval:
    """Ticks at fixed times; made by `interval()`. An asynchronous iterator without end.

    A tick that is taken more than 5 ms late has been missed; see `interval()` for what then.

    Threads: belongs to one task at a time.
    """

    __slots__ = ("_due", "_missed", "_period", "_wait")
    __reduce__ = refuse_copy

    def __init__(self, period: Duration, missed: _MissedTicks, start: Instant) -> None:
        self._period = period
        self._missed = missed
        self._due = start
        # While a tick is waited for, until it is moved.
        self._wait: asyncio.Future[None] | None = None

    @property
    def period(self) -> Duration:
        return self._period

    @property
    def missed(self) -> _MissedTicks:
        """The policy for missed ticks; may be set."""
        return self._missed

    @missed.setter
    def missed(self, policy: _MissedTicks) -> None:
        self._missed = _checked_policy(policy)

    async def tick(self) -> Instant:
        """Waits for the next tick. Others run meanwhile, also if it is due: who is behind keeps the
        loop from nothing.

        Returns:
            the time the tick was due at.

        Cancellation: the tick is not lost; the next call waits for it again.
        """
        if (left := self._due - Instant.now()) <= Duration.ZERO:
            await asyncio.sleep(0)
            left = self._due - Instant.now()
        while left > Duration.ZERO:
            if not await self._is_moved_within(left):
                break
            left = self._due - Instant.now()
        due = self._due
        self._due = self._after(due, Instant.now())
        return due

    async def _is_moved_within(self, span: Duration) -> bool:
        loop = asyncio.get_running_loop()
        wait = self._wait = loop.create_future()
        timer = None
        if not span.is_forever():
            timer = loop.call_later(span.as_secs_f64(), _finish, wait)
        try:
            await wait
            return self._wait is not wait
        finally:
            self._wait = None
            if timer is not None:
                timer.cancel()

    def reset(self) -> None:
        """The next tick is a period from now, and those after it a period apart; so for the
        others. A tick that is waited for on the same loop is moved, too."""
        self._move(Instant.now() + self._period)

    def reset_immediately(self) -> None:
        """The next tick is at once."""
        self._move(Instant.now())

    def reset_after(self, duration: Seconds) -> None:
        """The next tick is after `duration`."""
        self._move(Instant.now() + Duration.of(duration))

    def reset_at(self, at: _Point) -> None:
        """The next tick is at `at`."""
        self._move(_instant(at))

    def _move(self, due: Instant) -> None:
        self._due = due
        if self._wait is not None:
            _finish(self._wait)
            self._wait = None

    def __aiter__(self) -> Interval:
        return self

    async def __anext__(self) -> Instant:
        return await self.tick()

    def __repr__(self) -> str:
        return f"<Interval period={self._period!r} missed={self._missed!r}>"

    def _after(self, due: Instant, at: Instant) -> Instant:
        late = at - due
        if late > _LATE:
            if self._missed == "delay":
                return at + self._period
            if self._missed == "skip":
                return at + self._period - late % self._period
        return due + self._period


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


#: Lateness that a loop's turn explains; no tick counts as missed for it. As Interval::kLate.
_LATE = Duration.from_millis(5)


def interval(
    period: Seconds, *, missed: _MissedTicks = "burst", start: _Point | None = None
) -> Interval:
    """Ticks every `period`, the first time at once (or at `start`).

    Args:
        period: between ticks; more than zero.
        missed: about ticks that passed while nobody waited: "burst" gives them one after the other
            until it has caught up, "delay" counts a period from the late one on, "skip" leaves
            them out and keeps to the original times.
        start: when the first tick is due; None: now.

    >>> import blitzio
    >>> async def main():
    ...     ticks = interval(0.001, missed="skip")
    ...     return await ticks.tick() < await ticks.tick()
    >>> blitzio.run(main())
    True

    Raises:
        TypeError: `period` is no span of time.
        ValueError: it is not above zero; `missed` is no policy.
    """
    span = Duration.of(period)
    if span <= Duration.ZERO:
        raise ValueError(f"period must be above zero, not {span!r}")
    first = Instant.now() if start is None else _instant(start)
    return Interval(span, _checked_policy(missed), first)


def _checked_policy(policy: _MissedTicks) -> _MissedTicks:
    if policy not in ("burst", "delay", "skip"):
        raise ValueError(f"missed must be 'burst', 'delay' or 'skip', not {policy!r}")
    return policy


@overload
def timeout(duration: Seconds | None, awaitable: None = None) -> Timeout: ...
@overload
def timeout(duration: Seconds | None, awaitable: Awaitable[_T]) -> TimeLimit[_T]: ...
def timeout(
    duration: Seconds | None, awaitable: Awaitable[Any] | None = None
) -> Timeout | TimeLimit[Any]:
    """Limits what is awaited to `duration`; None is no limit.

    Two forms:

    >>> async def main():
    ...     async with timeout(1):                  # around a block
    ...         await sleep(0)
    ...     return await timeout(1, sleep(0))       # around one awaitable, which it returns
    >>> import blitzio
    >>> blitzio.run(main())

    Raises:
        TimeoutError: (from the block, or the await) the time was over first; what was awaited has
            been cancelled, and has ended.

    Cancellation: of the task from elsewhere goes through unchanged.
    """
    when = None if duration is None else Instant.now() + Duration.of(duration)
    return Timeout(when) if awaitable is None else TimeLimit(when, awaitable)


@overload
def deadline(when: _Point | None, awaitable: None = None) -> Timeout: ...
@overload
def deadline(when: _Point | None, awaitable: Awaitable[_T]) -> TimeLimit[_T]: ...
def deadline(
    when: _Point | None, awaitable: Awaitable[Any] | None = None
) -> Timeout | TimeLimit[Any]:
    """As timeout(), up to a point in time; see `Deadline` for one that several share.

    >>> import blitzio
    >>> async def main():
    ...     await deadline(now() + Duration.from_secs(1), sleep(0))
    >>> blitzio.run(main())

    Raises:
        TypeError: `when` is no point in time and not None.
        TimeoutError: as timeout().
    """
    at = None if when is None else _instant(when)
    return Timeout(at) if awaitable is None else TimeLimit(at, awaitable)
