"""Ending in order: a signal stops the accepting, what is in progress is finished, then all ends."""

import asyncio
import os
import signal

import blitzio


async def work(number: int, stopping: asyncio.Event) -> str:
    """Works in small steps, and ends between two of them."""
    steps = 0
    while not stopping.is_set():
        await asyncio.sleep(0.01)
        steps += 1
    return f"worker {number} finished after {'some' if steps else 'no'} steps"


async def main() -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    # The callback runs in the loop like any other: it may touch what tasks touch.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    workers = [asyncio.create_task(work(number, stopping)) for number in range(3)]
    # What `kill <pid>` or an orchestrator would do.
    loop.call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
    for line in await asyncio.gather(*workers):
        print(line)


blitzio.run(main())
