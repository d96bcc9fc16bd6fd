"""call_later and call_at."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import soon

if TYPE_CHECKING:
    from collections.abc import Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]


def test_time_is_monotonic_seconds(loop: asyncio.AbstractEventLoop) -> None:
    before = time.monotonic()
    now = loop.time()
    assert isinstance(now, float)
    assert before <= now <= time.monotonic()


def test_timers_fire_in_the_order_of_their_times(loop: asyncio.AbstractEventLoop) -> None:
    order: list[int] = []
    base = loop.time()
    numbers = list(range(200))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        loop.call_at(base + number * 0.0002, order.append, number)
    loop.call_at(base + 0.06, loop.stop)
    loop.run_forever()
    assert order == sorted(order)
    assert len(order) == 200


def test_timers_of_one_millisecond_keep_their_order(loop: asyncio.AbstractEventLoop) -> None:
    order: list[int] = []
    base = loop.time() + 0.005
    for number in reversed(range(50)):
        loop.call_at(base + number * 1e-6, order.append, number)
    loop.call_at(base + 0.01, loop.stop)
    loop.run_forever()
    assert order == list(range(50))


def test_a_timer_is_never_early(loop: asyncio.AbstractEventLoop) -> None:
    resolution = time.get_clock_info("monotonic").resolution
    early: list[float] = []

    def check(when: float) -> None:
        if loop.time() < when - resolution:
            early.append(when - loop.time())

    base = loop.time()
    for number in range(100):
        when = base + number * 0.00037
        loop.call_at(when, check, when)
    loop.call_at(base + 0.04, loop.stop)
    loop.run_forever()
    assert early == []


def test_when_is_what_was_asked_for(loop: asyncio.AbstractEventLoop) -> None:
    handle = loop.call_at(12345.678, print)
    assert handle.when() == 12345.678
    handle.cancel()
    before = loop.time()
    later = loop.call_later(10, print)
    assert before + 10 <= later.when() <= loop.time() + 10
    later.cancel()


def test_a_delay_counts_from_its_call_however_long_the_callback_ran(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Also within the time for which the loop does not read the clock anew."""
    bounds: list[tuple[float, float, float]] = []

    def set_timers() -> None:
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            before = loop.time()
            handle = loop.call_later(10, print)
            bounds.append((before, handle.when() - 10, loop.time()))
            handle.cancel()
        loop.stop()

    loop.call_soon(set_timers)
    loop.run_forever()
    # What a double of that size cannot hold, there and back.
    slack = math.ulp(loop.time() + 10) * 2
    wrong = [times for times in bounds if not times[0] - slack <= times[1] <= times[2] + slack]
    assert not wrong
    whens = [when for _before, when, _after in bounds]
    assert whens == sorted(whens)


def test_timers_of_one_delay_fire_in_the_order_of_their_calls(
    loop: asyncio.AbstractEventLoop,
) -> None:
    order: list[int] = []
    for number in range(20_000):
        loop.call_later(0.001, order.append, number)
    loop.call_later(0.1, loop.stop)
    loop.run_forever()
    assert order == list(range(20_000))


def test_timers_compare_like_asyncios(loop: asyncio.AbstractEventLoop) -> None:
    first: Any = loop.call_at(1000.0, print)
    second: Any = loop.call_at(2000.0, print)
    assert first < second
    assert second > first
    assert first <= second
    assert first != second
    assert len({first, second, first}) == 2
    first.cancel()
    second.cancel()


@pytest.mark.parametrize("delay", [-1, -0.001, 0, -1e9, False])
def test_a_delay_that_is_over_fires_at_once(loop: asyncio.AbstractEventLoop, delay: float) -> None:
    fired = loop.create_future()
    loop.call_later(delay, fired.set_result, None)
    loop.run_until_complete(soon(fired))


def test_zero_delay_comes_after_what_is_ready(loop: asyncio.AbstractEventLoop) -> None:
    order: list[str] = []
    loop.call_later(0, order.append, "timer")
    loop.call_soon(order.append, "ready")
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    assert sorted(order) == ["ready", "timer"]


def test_far_away_timers_do_not_fire(loop: asyncio.AbstractEventLoop) -> None:
    handles = [loop.call_later(delay, print) for delay in (1e3, 1e6, 1e9, 1e12)]
    loop.run_until_complete(asyncio.sleep(0.001))
    assert not any(handle.cancelled() for handle in handles)
    for handle in handles:
        handle.cancel()


def test_a_cancelled_timer_lets_go_at_once(loop: asyncio.AbstractEventLoop) -> None:
    class Payload:
        def method(self) -> None:
            raise AssertionError("must not run")

    payload = Payload()
    gone = weakref.ref(payload)
    handle = loop.call_later(0.001, payload.method)
    handle.cancel()
    del payload
    gc.collect()
    assert gone() is None
    assert handle.cancelled()
    loop.run_until_complete(asyncio.sleep(0.003))


def test_a_timer_can_cancel_its_neighbour(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []
    when = loop.time() + 0.001
    handles: list[asyncio.TimerHandle] = []
    loop.call_at(when, lambda: handles[0].cancel())
    handles.append(loop.call_at(when + 1e-7, seen.append, "must not run"))
    loop.run_until_complete(asyncio.sleep(0.005))
    assert seen == []


def test_a_timer_can_schedule_itself_again(loop: asyncio.AbstractEventLoop) -> None:
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1
        if count == 10:
            loop.stop()
        else:
            loop.call_later(0, tick)

    loop.call_later(0, tick)
    loop.run_forever()
    assert count == 10


def test_many_timers_all_fire(loop: asyncio.AbstractEventLoop) -> None:
    generator = random.Random(2)
    fired = 0

    def fire() -> None:
        nonlocal fired
        fired += 1

    handles = [loop.call_later(generator.random() * 0.05, fire) for _ in range(20_000)]
    for handle in handles[::2]:
        handle.cancel()
    loop.call_later(0.06, loop.stop)
    loop.run_forever()
    assert fired == 10_000


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="3.10 raises what adding None to a float gives, or nothing"
)
@pytest.mark.parametrize("method", ["call_later", "call_at"])
def test_none_is_no_time(method: str, same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        if method == "call_at":
            loop.call_at(0, print).cancel()
        return getattr(loop, method)(None, print)

    assert same_as_asyncio(scenario)[1] is TypeError


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), float("-inf")])
def test_odd_numbers_do_not_break_the_loop(loop: asyncio.AbstractEventLoop, delay: float) -> None:
    handle = None
    try:
        handle = loop.call_later(delay, lambda: None)
    except (ValueError, OverflowError):
        pass
    loop.run_until_complete(asyncio.sleep(0.001))
    if handle is not None:
        handle.cancel()


def test_sleep_and_wait_for(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        assert await asyncio.sleep(0.001, "value") == "value"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loop.create_future(), 0.001)
        await asyncio.wait_for(asyncio.sleep(0), 1000)

    loop.run_until_complete(main())
