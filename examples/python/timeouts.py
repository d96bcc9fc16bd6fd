"""Waiting no longer than one likes: a timeout, one deadline for several tries, a steady tick, and
many sleepers of which one is cancelled."""

import asyncio

import blitzio
from blitzio.channel import Channel
from blitzio.time import Deadline, Duration, Instant


async def retry(until: Deadline) -> int:
    """Tries again, later each time, until it works or the time is over."""
    tries = 0

    async def flaky() -> int:
        nonlocal tries
        tries += 1
        await blitzio.sleep(0.001)
        if tries < 3:
            raise ConnectionRefusedError("not yet")
        return 42

    pause = Duration.from_millis(1)
    while True:
        try:
            return await blitzio.deadline(until, flaky())
        except ConnectionRefusedError as error:
            print(f"try {tries}: {error}")
        await blitzio.sleep(pause)
        pause *= 2


async def nap(duration: Duration) -> bool:
    """Returns whether it woke too early."""
    until = Instant.now() + duration
    await blitzio.sleep_until(until)
    return Instant.now() < until


async def main() -> None:
    silent: Channel[int] = Channel(1)
    try:
        await blitzio.timeout(0.005, silent.recv())
    except TimeoutError:
        print("nothing was received")
    print("the answer is", await retry(Deadline.after(30)))

    ticks = blitzio.interval(0.002, missed="skip")
    first = await ticks.tick()
    for _ in range(4):
        await ticks.tick()
    print("five ticks of 2 ms:", first.elapsed() >= Duration.from_millis(8))

    slow = blitzio.spawn(nap, Duration.from_secs(3600))
    naps = [blitzio.spawn(nap, Duration.from_micros(i % 100 * 100)) for i in range(1000)]
    print("woke early:", sum(await blitzio.join_all(naps)))
    slow.cancel()
    try:
        await slow
    except asyncio.CancelledError:
        print("the slow one was cancelled")


if __name__ == "__main__":
    blitzio.run(main())
