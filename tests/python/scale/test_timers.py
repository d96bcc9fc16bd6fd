"""A million timers, half of them cancelled."""

from __future__ import annotations

import asyncio
import random
import time

TIMERS = 1_000_000
SECONDS = 2.0


def test_a_million_timers_half_of_them_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    """What is left fires once, in order to the clock's resolution, and none too early."""
    fired: list[float] = []
    earliest = 0.0

    def fire(when: float) -> None:
        nonlocal earliest
        fired.append(when)
        earliest = min(earliest, loop.time() - when)

    async def main() -> None:
        randomness = random.Random(7)
        start = loop.time()
        times = [start + randomness.random() * SECONDS for _ in range(TIMERS)]
        handles = [loop.call_at(when, fire, when) for when in times]
        order = list(range(TIMERS))
        randomness.shuffle(order)
        cancelled = set(order[: TIMERS // 2])
        for number in cancelled:
            handles[number].cancel()
        expected = sorted(times[number] for number in range(TIMERS) if number not in cancelled)

        done = asyncio.Event()
        loop.call_at(start + SECONDS, done.set)
        await done.wait()
        assert sorted(fired) == expected
        resolution = time.get_clock_info("monotonic").resolution
        disorder = max(map(float.__sub__, fired, fired[1:]))
        assert disorder <= resolution
        # asyncio, too, lets a timer fire a tick of the clock before its time.
        assert earliest >= -2 * resolution

    loop.run_until_complete(main())
