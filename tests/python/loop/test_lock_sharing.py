"""A loop that always has something to do, and the other threads of its process."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from tests.python.loop.support import soon

ROUND_TRIPS = 300


async def turns_until(is_over: threading.Event) -> int:
    turns = 0
    while not is_over.is_set():
        turns += 1
        await asyncio.sleep(0)
    return turns


@pytest.mark.parametrize("others", [1, 3])
def test_threads_that_make_system_calls_get_on_beside_a_busy_loop(
    loop: asyncio.AbstractEventLoop, others: int
) -> None:
    """Each call gives the interpreter lock up, and the thread has to get it back after it."""
    over = [threading.Event() for _ in range(others)]

    def make_calls(is_over: threading.Event) -> None:
        read_end, write_end = os.pipe()
        for _ in range(ROUND_TRIPS):
            os.write(write_end, b"x")
            os.read(read_end, 1)
        os.close(read_end)
        os.close(write_end)
        is_over.set()

    threads = [threading.Thread(target=make_calls, args=(event,)) for event in over]

    async def main() -> None:
        for thread in threads:
            thread.start()
        for event in over:
            await turns_until(event)

    loop.run_until_complete(soon(main()))
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("native_only")
def test_a_thread_that_computes_leaves_a_busy_loop_its_share(
    loop: asyncio.AbstractEventLoop,
) -> None:
    over = threading.Event()

    def compute() -> None:
        number = 0
        while number < 3_000_000:
            number += 1
        over.set()

    thread = threading.Thread(target=compute)

    async def main() -> int:
        thread.start()
        return await turns_until(over)

    # Each 5 ms that the thread has are followed by as much, not by a turn.
    assert loop.run_until_complete(soon(main())) > 200
    thread.join()
