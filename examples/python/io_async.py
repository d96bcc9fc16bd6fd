"""One program on every implementation of Io: start two tasks, wait for both, cancel a third."""

from blitzio.io import ConcurrencyUnavailable, Deterministic, Evented, Io, Threaded


async def do_work(io: Io, number: int) -> int:
    await io.sleep(0.02)
    return number * 10


async def do_work_for_ever(io: Io) -> int:
    while True:
        await io.sleep(3600)


async def main(io: Io) -> str:
    start = io.now()
    # These may run at the same time.
    first = io.async_(do_work, io, 1)
    second = io.async_(do_work, io, 2)
    total = await first + await second
    # Awaiting again gives the same result again.
    again = await first
    took = (io.now() - start).as_secs_f64()

    # What must run while its starter goes on may not be to be had.
    try:
        endless = io.concurrent(do_work_for_ever, io)
        outcome = "cancelled" if await endless.cancel() is None else "finished"
    except ConcurrencyUnavailable:
        outcome = "not to be had"
    return f"{total}, again {again}, after {'0.02 s' if took >= 0.02 else took}; {outcome}"


if __name__ == "__main__":
    with Threaded() as threaded:
        print("threads:  ", threaded.io().run(main, threaded.io()))
    with Evented(workers=2) as evented:
        print("events:   ", evented.io().run(main, evented.io()))
    with Deterministic(seed=42) as world:
        print("simulated:", world.run(main))
