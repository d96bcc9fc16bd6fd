"""blitzio.time: Duration, Instant, sleeping, intervals, time limits."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest

from blitzio.sync import Event
from blitzio.time import (
    Deadline,
    Duration,
    Instant,
    blocking_sleep,
    deadline,
    interval,
    now,
    sleep,
    sleep_until,
    timeout,
)
from tests.python.runtime.runtime_support import forever, interrupted

MILLISECOND = Duration.from_millis(1)


# ---- values ----------------------------------------------------------------------------------


def test_durations_convert_between_units() -> None:
    assert Duration.from_secs(2) == Duration.from_millis(2_000) == Duration.from_micros(2_000_000)
    span = Duration.from_nanos(1_500_000_001)
    assert (span.as_secs(), span.as_millis(), span.as_micros()) == (1, 1_500, 1_500_000)
    assert span.as_secs_f64() == 1.500000001
    assert Duration.from_nanos(-1_500_000_001).as_secs() == -1  # As in C++: toward zero.
    assert Duration.from_mins(90) == Duration.from_secs(5_400)
    assert Duration.from_hours(2).as_mins() == 120
    assert (Duration.from_mins(-119).as_hours(), Duration.from_secs(-119).as_mins()) == (-1, -1)
    assert Duration.from_hours(10**9) == Duration.MAX
    for make in (
        Duration.from_micros,
        Duration.from_millis,
        Duration.from_secs,
        Duration.from_mins,
    ):
        for wrong in ("1", 1.5, True, None):
            with pytest.raises(TypeError, match="must be an int"):
                make(wrong)  # type: ignore[arg-type]
    assert abs(Duration.from_secs(-2)) == abs(Duration.from_secs(2)) == Duration.from_secs(2)
    assert Duration.from_nanos(-1).is_negative()
    assert not Duration.ZERO.is_negative()
    assert Duration.of(0.25) == Duration.of(timedelta(milliseconds=250))
    assert Duration.of(3) == Duration.from_secs(3)
    # A wait is never shorter than asked.
    assert Duration.from_secs_f64(1e-10) == Duration.from_nanos(1)


def test_durations_saturate_at_both_ends() -> None:
    assert Duration.MAX + Duration.from_nanos(1) == Duration.MAX
    assert Duration.MIN - Duration.from_nanos(1) == Duration.MIN
    assert Duration.from_secs(2**62) * 2 == Duration.MAX
    assert -Duration.MIN == Duration.MAX
    assert Duration.of(float("inf")).is_forever()
    assert Duration.of(1e300).is_forever()
    assert Duration.of(-1e300) == Duration.MIN
    assert Instant.MAX + Duration.from_secs(1) == Instant.MAX


def test_durations_calculate_and_compare() -> None:
    assert (MILLISECOND * 3) / 2 == Duration.from_nanos(1_500_000)
    assert 2 * MILLISECOND - MILLISECOND == MILLISECOND
    assert MILLISECOND > Duration.ZERO
    assert MILLISECOND >= MILLISECOND
    assert not Duration.ZERO
    assert Duration.ZERO.is_zero()
    assert len({MILLISECOND, Duration.from_micros(1_000), Duration.ZERO}) == 2
    assert MILLISECOND != 1_000_000
    with pytest.raises(TypeError):
        _ = MILLISECOND + 1  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = MILLISECOND < 1  # type: ignore[operator]
    with pytest.raises(AttributeError, match="immutable"):
        MILLISECOND.nanos = 1


def test_durations_divide_as_in_cpp() -> None:
    second = Duration.from_secs(1)
    for nanos in (2_500_000_000, -2_500_000_000):
        span = Duration(nanos)
        sign = 1 if nanos > 0 else -1
        assert (span // second, span % second) == (2 * sign, Duration(sign * 500_000_000))
        assert span / second == 2.5 * sign
        assert span // second == span.as_secs()
        assert (span // second) * second + span % second == span
        assert (span // 3, span / 3) == (Duration(sign * 833_333_333),) * 2
    assert (Duration.MIN // Duration(-1), Duration.MIN % Duration(-1)) == (2**63, Duration.ZERO)
    for divide in (lambda: second // Duration.ZERO, lambda: second % Duration.ZERO):
        with pytest.raises(ZeroDivisionError):
            divide()
    with pytest.raises(ZeroDivisionError):
        second / Duration.ZERO
    with pytest.raises(TypeError):
        second % 2  # type: ignore[operator]
    with pytest.raises(TypeError):
        second // 1.5  # type: ignore[operator]


def test_a_deadline_is_a_point_that_several_steps_share(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        budget = Deadline.after(3600)
        assert not budget.is_expired()
        assert Duration.from_secs(3000) < budget.remaining() <= Duration.from_secs(3600)
        await deadline(budget, sleep(0))
        async with deadline(budget) as limit:
            assert limit.when == budget.at
        past = Deadline(now())
        await sleep_until(past)
        assert (past.is_expired(), past.remaining()) == (True, Duration.ZERO)
        with pytest.raises(TimeoutError):
            await deadline(past, sleep(60))
        assert await interval(60, start=past).tick() == past.at

    loop.run_until_complete(main())


def test_a_deadline_is_a_value() -> None:
    at = Instant(5)
    assert Deadline(at) == Deadline(at) != Deadline(Instant(6))
    assert len({Deadline(at), Deadline(at), at}) == 2
    assert repr(Deadline(at)) == "Deadline(Instant(5))"
    assert pickle.loads(pickle.dumps(Deadline(at))) == Deadline(at)
    assert Deadline.after(Duration.MAX).remaining() > Duration.from_hours(24 * 365 * 200)
    with pytest.raises(TypeError, match="at must be an Instant, not int"):
        Deadline(5)  # type: ignore[arg-type]


def test_durations_and_instants_have_a_readable_form_and_can_be_pickled() -> None:
    assert repr(Duration.from_millis(1500)) == "Duration(1500ms)"
    assert repr(Duration.from_nanos(5)) == "Duration(5ns)"
    assert (repr(Duration.MAX), str(MILLISECOND)) == ("Duration.MAX", "1ms")
    for value in (MILLISECOND, Duration.MAX, now()):
        assert pickle.loads(pickle.dumps(value)) == value


def test_instants_are_on_the_monotonic_clock() -> None:
    before = now()
    after = Instant.now()
    assert before <= after
    assert after - before >= Duration.ZERO
    assert (before + MILLISECOND) - MILLISECOND == before
    assert (before - MILLISECOND).elapsed() >= MILLISECOND
    assert before.as_secs_f64() == pytest.approx(before.as_nanos() / 1e9)
    assert len({before, Instant.from_nanos(before.as_nanos())}) == 1
    with pytest.raises(TypeError):
        before + 1.0  # type: ignore[operator]


@pytest.mark.parametrize("wrong", ["1", None, True, [1]])
def test_what_is_no_span_of_time_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a duration must be seconds as a number"):
        Duration.of(wrong)
    with pytest.raises(TypeError, match="a duration must be seconds as a number"):
        interval(wrong)
    if wrong is not None:
        with pytest.raises(TypeError, match="a duration must be seconds as a number"):
            Event().blocking_wait(wrong)
    if not isinstance(wrong, list):
        with pytest.raises(TypeError, match="nanos must be an int"):
            Duration(wrong)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        Duration.of(float("nan"))


# ---- sleeping --------------------------------------------------------------------------------


def test_blocking_sleep_lets_time_pass_and_other_threads_run() -> None:
    begun = Instant.now()
    blocking_sleep(0.002)
    blocking_sleep(timedelta(milliseconds=2))
    assert begun.elapsed() >= Duration.from_millis(4)
    for nothing in (0, -1.0, Duration.ZERO):
        blocking_sleep(nothing)
    # This goes on, though another thread sleeps.
    threading.Thread(target=blocking_sleep, args=(Duration.from_secs(3600),), daemon=True).start()
    with pytest.raises(TypeError, match="a duration must be seconds as a number"):
        blocking_sleep("1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NaN"):
        blocking_sleep(float("nan"))


@pytest.mark.parametrize("span", [3_600, Duration.MAX])
def test_a_blocking_sleep_is_ended_by_what_a_signals_handler_raises(span: Any) -> None:
    main = threading.get_ident()

    def sleeps() -> bool:
        return sys._current_frames()[main].f_code is blocking_sleep.__code__

    with pytest.raises(KeyboardInterrupt), interrupted(sleeps):
        blocking_sleep(span)


def test_sleeping_takes_at_least_as_long_as_asked(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        for span in (0.002, timedelta(milliseconds=2), Duration.from_millis(2)):
            start = now()
            await sleep(span)
            assert start.elapsed() >= Duration.from_millis(2)
        when = now() + Duration.from_millis(2)
        await sleep_until(when)
        assert now() >= when
        await sleep_until(when)
        await sleep(-1)

    loop.run_until_complete(main())


def test_sleeping_for_ever_can_be_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(sleep(Duration.MAX))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TypeError, match="when must be an Instant"):
            await sleep_until(1.0)  # type: ignore[arg-type]

    loop.run_until_complete(main())


# ---- time limits -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["block", "await"])
def test_what_takes_too_long_is_cancelled_and_reported(
    loop: asyncio.AbstractEventLoop, form: str
) -> None:
    cleaned = []

    async def slow() -> None:
        try:
            await sleep(Duration.MAX)
        finally:
            cleaned.append(form)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            if form == "await":
                await timeout(0.001, slow())
            else:
                async with timeout(0.001) as limit:
                    await slow()
        if form == "block":
            assert limit.expired
        assert cleaned == [form]
        # The task goes on as if nothing had been.
        await asyncio.sleep(0)
        task = asyncio.current_task()
        if sys.version_info >= (3, 11):
            assert task is not None
            assert task.cancelling() == 0

    loop.run_until_complete(main())


def test_what_ends_in_time_gives_its_result(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        assert await timeout(60, asyncio.sleep(0, "value")) == "value"
        assert await deadline(now() + Duration.from_secs(60), asyncio.sleep(0, 1)) == 1
        assert await timeout(None, asyncio.sleep(0, 2)) == 2
        assert await timeout(Duration.MAX, asyncio.sleep(0, 3)) == 3
        with pytest.raises(KeyError):
            async with timeout(60):
                raise KeyError
        async with deadline(None) as limit:
            assert limit.when is None
            limit.reschedule(now() + Duration.from_secs(60))
        assert not limit.expired

    loop.run_until_complete(main())


def test_a_time_that_is_over_already_still_lets_the_block_begin(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        begun = False
        with pytest.raises(TimeoutError):
            async with timeout(0):
                begun = True
                await sleep(60)
        assert begun
        async with timeout(0):
            pass  # It did not wait: it is not too late.

    loop.run_until_complete(main())


def test_a_cancellation_from_elsewhere_goes_through(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(_limited())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def _limited() -> None:
        async with timeout(60):
            await sleep(60)

    loop.run_until_complete(main())


def test_limits_nest(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with timeout(0.001) as outer:
                async with timeout(60) as inner:
                    await sleep(60)
        assert (outer.expired, inner.expired) == (True, False)
        async with timeout(60) as outer:
            with pytest.raises(TimeoutError):
                async with timeout(0.001) as inner:
                    await sleep(60)
        assert (outer.expired, inner.expired) == (False, True)

    loop.run_until_complete(main())


def test_a_limit_used_wrongly_says_so(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        limit = timeout(60)
        with pytest.raises(RuntimeError, match="Cannot change state of created Timeout"):
            limit.reschedule(now())
        async with limit:
            with pytest.raises(RuntimeError, match="already been entered"):
                async with limit:
                    pass
        with pytest.raises(TypeError, match="an awaitable was expected"):
            timeout(1, 42)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="when must be an Instant or a Deadline"):
            deadline(1.0)  # type: ignore[call-overload]

    loop.run_until_complete(main())


@pytest.mark.parametrize("wrong", [5.0, "5", True])
def test_moving_a_limit_to_what_is_no_point_in_time_leaves_it(
    loop: asyncio.AbstractEventLoop, wrong: Any
) -> None:
    """Went wrong: there was no limit any more."""

    async def main() -> None:
        end = now() + MILLISECOND
        async with deadline(end) as limit:
            with pytest.raises(TypeError, match="when must be an Instant or a Deadline"):
                limit.reschedule(wrong)
            assert limit.when == end
            await forever()

    with pytest.raises(TimeoutError):
        loop.run_until_complete(main())


def test_a_limit_can_be_moved_to_a_deadline(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with timeout(None) as limit:
            point = Deadline.after(0)
            limit.reschedule(point)
            assert limit.when == point.at
            await forever()

    with pytest.raises(TimeoutError):
        loop.run_until_complete(main())
