"""Callbacks and timers."""

from __future__ import annotations

import asyncio

from workloads import Bench, workload


def nothing() -> None:
    """What a callback does here."""


def nothing_of_two(_first: object, _second: object) -> None:
    """The same, with arguments."""


# Called as programs call it: with `*args` the interpreter would spend as much time on a list, a
# tuple and a bound method as the loop on the callback, whichever loop it is.
@workload("call_soon", "call_soon, no arguments", "callback", 100_000)
async def call_soon(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    batch = 100
    with bench.timed():
        for _ in range(bench.ops // batch):
            for _ in range(batch):
                loop.call_soon(nothing)
            await asyncio.sleep(0)


@workload("call_soon_2", "call_soon, two arguments", "callback", 100_000)
async def call_soon_2(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    batch = 100
    with bench.timed():
        for _ in range(bench.ops // batch):
            for _ in range(batch):
                loop.call_soon(nothing_of_two, 1, 2)
            await asyncio.sleep(0)


@workload("call_soon_threadsafe", "call_soon_threadsafe", "callback", 30_000)
async def call_soon_threadsafe(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    batch = 100
    with bench.timed():
        for _ in range(bench.ops // batch):
            for _ in range(batch):
                loop.call_soon_threadsafe(nothing)
            await asyncio.sleep(0)


@workload("timer_cancel", "timer scheduled and cancelled", "timer", 50_000)
async def timer_cancel(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    with bench.timed():
        for i in range(bench.ops):
            loop.call_later(10 + i % 50, nothing).cancel()
            if i % 1_000 == 0:
                await asyncio.sleep(0)


@workload("timer_fire", "timers firing", "timer", 20_000)
async def timer_fire(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = bench.ops

    def fired() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set_result(None)

    with bench.timed():
        # Due at once, in scrambled order: the cost of the queue, not the waiting.
        for i in range(bench.ops):
            loop.call_later((i * 7919 % bench.ops) * 1e-9, fired)
        await done
