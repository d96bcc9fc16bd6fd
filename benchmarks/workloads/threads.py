"""The default executor."""

from __future__ import annotations

import asyncio

from workloads import Bench, workload


@workload("executor", "run_in_executor(None, f)", "call", 1_500)
async def executor(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, int)
    with bench.timed():
        for _ in range(bench.ops):
            await loop.run_in_executor(None, int)
