"""asyncio's tasks, timeouts and queues on the loop's call_soon, call_at and create_task."""

from __future__ import annotations

import asyncio
import sys

from workloads import Bench, workload


@workload("sleep_0", "sleep(0) switching, 10 tasks", "switch", 50_000)
async def sleep_0(bench: Bench) -> None:
    async def switch(times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    with bench.timed():
        await asyncio.gather(*(switch(bench.ops // 10) for _ in range(10)))


@workload("task", "create a task and await it", "task", 20_000)
async def task(bench: Bench) -> None:
    async def empty() -> None:
        pass

    with bench.timed():
        for _ in range(bench.ops):
            await asyncio.create_task(empty())


if sys.version_info >= (3, 11):

    @workload("timeout", "asyncio.timeout around sleep(0)", "timeout", 20_000)
    async def timeout(bench: Bench) -> None:
        with bench.timed():
            for _ in range(bench.ops):
                async with asyncio.timeout(10):
                    await asyncio.sleep(0)


@workload("queue", "asyncio.Queue ping-pong", "round trip", 10_000)
async def queue(bench: Bench) -> None:
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def answer() -> None:
        for _ in range(bench.ops):
            await back.put(await there.get())

    answering = asyncio.create_task(answer())
    with bench.timed():
        for i in range(bench.ops):
            await there.put(i)
            await back.get()
    await answering
