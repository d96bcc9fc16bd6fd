"""A server with a worker in the background, and an end in good order: no new work is taken, what is
under way is finished, and the worker flushes a last time.

It sends itself the signal; press Ctrl-C to be faster.
"""

import os
import signal
from collections import deque

import blitzio

written: list[str] = []
buffer: deque[str] = deque()  # safe between threads


def flush() -> None:
    """Blocks, so it runs in a thread that may."""
    while buffer:
        written.append(buffer.popleft())


async def flush_now_and_then(shutdown: blitzio.Shutdown) -> None:
    tick = blitzio.interval(0.005)
    while not shutdown.is_shutdown:
        await blitzio.race(shutdown.wait(), tick.tick())
        await blitzio.spawn_blocking(flush)


async def handle(number: int, guard: blitzio.WorkGuard) -> None:
    with guard:  # the shutdown waits for it
        await blitzio.sleep(0.01)
        buffer.append(f"request {number}")


async def serve(shutdown: blitzio.Shutdown) -> int:
    accepted = 0
    while not shutdown.is_shutdown:
        blitzio.spawn(handle, accepted, shutdown.start_work())
        accepted += 1
        if accepted == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        await blitzio.race(shutdown.wait(), blitzio.sleep(0.001))
    print("told to end, work is under way:", shutdown.pending_count > 0)
    print("drained:", await shutdown.wait_pending(timeout=10))
    return accepted


async def main() -> None:
    with blitzio.Shutdown() as shutdown:
        worker = blitzio.spawn(flush_now_and_then, shutdown)
        accepted = await serve(shutdown)
        await worker
    await blitzio.spawn_blocking(flush)
    print("every request was written:", len(written) == accepted)


blitzio.run(main())
