"""Floors of what asyncio's C code and the interpreter do: the workload itself, on the bare loop."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from workloads import Bench, load_all

from floors.loop import make_loop

if TYPE_CHECKING:
    from collections.abc import Callable

BY_PROGRAMS = ("call_soon", "call_soon_2", "timer_cancel", "timeout")
BY_TASKS = ("sleep_0", "task", "queue")


def floors(bare_loop: Any) -> dict[str, Callable[[int], float]]:
    """By workload: a function that runs so many operations and returns the seconds they took."""
    works = load_all()  # On 3.10 there is no asyncio.timeout().
    names = (*BY_PROGRAMS, *BY_TASKS)
    return {name: functools.partial(run, bare_loop, name) for name in names if name in works}


def run(bare_loop: Any, name: str, ops: int) -> float:
    loop = make_loop(bare_loop, for_tasks=name in BY_TASKS)
    bench = Bench(ops)

    async def main() -> None:
        await load_all()[name].run(bench)
        loop.stop()

    asyncio._set_running_loop(loop)
    try:
        task = loop.create_task(main())
        loop.run()
        task.result()
    finally:
        asyncio._set_running_loop(None)
    return bench.seconds
