"""`blitzio.time.interval`: ticks, those that are missed, and moving them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from blitzio.time import Deadline, Duration, Instant, interval, now, sleep, timeout
from tests.python.runtime.runtime_support import PATIENCE

MILLISECOND = Duration.from_millis(1)


def test_an_interval_ticks_at_its_times(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ticks = interval(MILLISECOND)
        assert (ticks.period, ticks.missed) == (MILLISECOND, "burst")
        first = await ticks.tick()
        seen = [first]
        async for due in ticks:
            assert now() >= due
            seen.append(due)
            if len(seen) == 4:
                break
        assert [due - first for due in seen] == [MILLISECOND * i for i in range(4)]

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("policy", "least"),
    [("burst", [1, 2, 3]), ("delay", [1, 11, 12]), ("skip", [1, 11, 12])],
)
def test_missed_ticks_follow_the_policy(
    loop: asyncio.AbstractEventLoop, policy: Any, least: list[int]
) -> None:
    async def main() -> None:
        start = now()
        ticks = interval(MILLISECOND, missed=policy, start=start)
        await ticks.tick()
        await sleep(MILLISECOND * 10)
        late = [await ticks.tick() - start for _ in range(3)]
        assert late[0] == MILLISECOND
        if policy == "burst":
            assert late == [MILLISECOND * number for number in least]
        else:
            assert all(due >= MILLISECOND * at for due, at in zip(late, least, strict=True))
        if policy == "skip":
            assert all(due.as_nanos() % 1_000_000 == 0 for due in late)

    loop.run_until_complete(main())


def test_ticks_that_are_due_let_others_run(loop: asyncio.AbstractEventLoop) -> None:
    """Went wrong: who was behind, as with a period shorter than what it does, kept the loop from
    everything else, a time limit too."""

    async def main() -> None:
        begin = now()
        others: list[bool] = []
        loop.call_soon(others.append, True)
        async for due in interval(Duration.from_nanos(1)):
            assert due <= now()
            if others or begin.elapsed().as_secs_f64() > PATIENCE:
                break
        assert others

    loop.run_until_complete(asyncio.wait_for(main(), PATIENCE))


def test_a_cancelled_wait_for_a_tick_that_is_due_leaves_it(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        start = now()
        ticks = interval(3600, start=start)
        waiting = asyncio.ensure_future(ticks.tick())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await ticks.tick() == start

    loop.run_until_complete(main())


def test_an_interval_tells_its_period_and_policy() -> None:
    assert repr(interval(0.25, missed="skip")) == "<Interval period=Duration(250ms) missed='skip'>"


def test_an_interval_can_be_reset_and_its_tick_outlives_a_cancellation(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        ticks = interval(3600)
        first = await ticks.tick()
        with pytest.raises(TimeoutError):
            await timeout(0.001, ticks.tick())
        ticks.reset_after(0.001)
        assert await ticks.tick() - first < Duration.from_secs(60)
        ticks.reset_immediately()
        assert await ticks.tick() <= now()
        soon = now() + MILLISECOND
        for at in (soon, Deadline(soon)):
            ticks.reset_at(at)
            assert await ticks.tick() == soon
        ticks.reset()
        with pytest.raises(TimeoutError):
            await timeout(0.001, ticks.tick())

    loop.run_until_complete(main())


def test_a_reset_moves_the_tick_that_is_waited_for(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ticks = interval(3600)
        await ticks.tick()
        waiting = asyncio.ensure_future(ticks.tick())
        await asyncio.sleep(0)
        ticks.reset_immediately()
        ticks.reset()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        at = now()
        ticks.reset_at(at)
        assert await waiting == at
        ticks.reset_after(float("inf"))
        waiting = asyncio.ensure_future(ticks.tick())
        await asyncio.sleep(0)
        ticks.reset_after(0.001)
        assert await waiting > at

    loop.run_until_complete(main())


@pytest.mark.parametrize(("policy", "following"), [("burst", 100), ("delay", 150), ("skip", 100)])
def test_a_tick_that_is_late_by_less_than_a_period_is_missed_too(
    monkeypatch: pytest.MonkeyPatch, policy: Any, following: int
) -> None:
    clock = 0
    monkeypatch.setattr("blitzio._duration._clock", lambda: clock)
    ticks = interval(Duration.from_millis(100), missed=policy)

    async def main() -> tuple[Instant, Instant]:
        nonlocal clock
        clock = 50_000_000
        first = await ticks.tick()
        clock = 200_000_000
        return first, await ticks.tick()

    assert asyncio.run(main()) == (Instant(0), Instant(following * 1_000_000))


def test_lateness_of_a_turn_misses_no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0
    monkeypatch.setattr("blitzio._duration._clock", lambda: clock)
    ticks = interval(MILLISECOND, missed="skip")

    async def main() -> list[Instant]:
        nonlocal clock
        clock = 5_000_000
        return [await ticks.tick() for _ in range(3)]

    assert asyncio.run(main()) == [Instant(n * 1_000_000) for n in range(3)]


def test_a_wrong_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="period must be above zero"):
        interval(0)
    with pytest.raises(ValueError, match="missed must be"):
        interval(1, missed="never")  # type: ignore[arg-type]
    ticks = interval(1)
    with pytest.raises(ValueError, match="missed must be"):
        ticks.missed = "never"  # type: ignore[assignment]
    ticks.missed = "skip"
