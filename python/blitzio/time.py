"""Time: sleeping, intervals, time limits, on whatever asyncio loop the caller's task runs.

Spans are seconds as a number, a `datetime.timedelta` or a `Duration`; points in time are an
`Instant` of the monotonic clock. Timers never fire early. Everything here costs one timer of the
running loop, and none once it is over.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from blitzio._duration import Duration, Instant, Seconds
from blitzio._time_limit import TimeLimit, Timeout

if TYPE_CHECKING:
    from collections.abc import Awaitable

    #: What an Interval does about ticks that nobody waited for in time.
    _MissedTicks = Literal["burst", "delay", "skip"]

__all__ = (
    "Duration",
    "Instant",
    "Interval",
    "TimeLimit",
    "Timeout",
    "deadline",
    "interval",
    "now",
    "sleep",
    "sleep_until",
    "timeout",
)

_T = TypeVar("_T")


def now() -> Instant:
    """The monotonic clock, read now."""
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


async def sleep_until(when: Instant) -> None:
    """Sleeps until `when`; lets other tasks run once if that is past.

    Cancellation: as sleep().
    """
    if not isinstance(when, Instant):
        raise TypeError(f"when must be an Instant, not {type(when).__name__}")
    await sleep(when - Instant.now())


class Interval:
    """Ticks at fixed times; made by `interval()`. An asynchronous iterator without end.

    Threads: belongs to one task at a time.
    """

    __slots__ = ("_due", "_missed", "_period")

    def __init__(self, period: Duration, missed: _MissedTicks, start: Instant) -> None:
        self._period = period
        self._missed = missed
        self._due = start

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
        """Waits for the next tick.

        Returns:
            the time the tick was due at.

        Cancellation: the tick is not lost; the next call waits for it again.
        """
        due = self._due
        if Instant.now() < due:
            await sleep_until(due)
        self._due = self._after(due, Instant.now())
        return due

    def reset(self, after: Seconds | None = None) -> None:
        """The next tick comes a period from now, or `after` from now; counting starts there."""
        self._due = Instant.now() + (self._period if after is None else Duration.of(after))

    def __aiter__(self) -> Interval:
        return self

    async def __anext__(self) -> Instant:
        return await self.tick()

    def _after(self, due: Instant, at: Instant) -> Instant:
        following = due + self._period
        if following > at or self._missed == "burst":
            return following
        if self._missed == "delay":
            return at + self._period
        late = (at - due).as_nanos()
        period = self._period.as_nanos()
        return due + Duration.from_nanos(late - late % period + period)


def interval(
    period: Seconds, *, missed: _MissedTicks = "burst", start: Instant | None = None
) -> Interval:
    """Ticks every `period`, the first time at once (or at `start`).

    Args:
        period: between ticks; more than zero.
        missed: about ticks that passed while nobody waited: "burst" gives them one after the other
            until it has caught up, "delay" counts a period from the late one on, "skip" leaves
            them out and keeps to the original times.
        start: when the first tick is due; None: now.

    Raises:
        TypeError: `period` is no span of time.
        ValueError: it is not above zero; `missed` is no policy.
    """
    span = Duration.of(period)
    if span <= Duration.ZERO:
        raise ValueError(f"period must be above zero, not {span!r}")
    return Interval(span, _checked_policy(missed), Instant.now() if start is None else start)


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
def deadline(when: Instant | None, awaitable: None = None) -> Timeout: ...
@overload
def deadline(when: Instant | None, awaitable: Awaitable[_T]) -> TimeLimit[_T]: ...
def deadline(
    when: Instant | None, awaitable: Awaitable[Any] | None = None
) -> Timeout | TimeLimit[Any]:
    """As timeout(), up to a point in time."""
    if when is not None and not isinstance(when, Instant):
        raise TypeError(f"when must be an Instant or None, not {type(when).__name__}")
    return Timeout(when) if awaitable is None else TimeLimit(when, awaitable)
