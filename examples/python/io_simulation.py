"""A client that tries again, tested against a server that a partition hides for an hour: many runs,
each in another order, in a moment. A seed brings its run back."""

from blitzio.io import Deterministic, Io

SERVER, CLIENT = "10.0.0.1", "10.0.0.2"


async def serve(io: Io) -> None:
    async with io.net.listen(f"{SERVER}:80") as listener:
        async for stream in listener:
            async with stream:
                await stream.write_all(b"welcome")


async def fetch(io: Io) -> tuple[bytes, int]:
    """What is tested. It knows nothing of the simulation."""
    attempts = 0
    while True:
        attempts += 1
        try:
            async with io.timeout(10):
                async with await io.net.connect(f"{SERVER}:80") as stream:
                    return await stream.read_exact(7), attempts
        except OSError:  # which TimeoutError is, too
            await io.sleep(300)


async def scenario(io: Io, world: Deterministic) -> tuple[bytes, int]:
    world.partition(SERVER, CLIENT)
    server = io.async_(serve, world.host(SERVER))
    answer = io.async_(fetch, world.host(CLIENT))
    await io.sleep(3600)
    world.heal(SERVER, CLIENT)
    result: tuple[bytes, int] = await answer
    await server.cancel()
    return result


if __name__ == "__main__":
    runs = set()
    for seed in range(30):
        with Deterministic(seed=seed) as world:
            answer, attempts = world.run(scenario, world)
            assert answer == b"welcome" and attempts >= 10, f"seed {seed}"
            runs.add(world.fingerprint)
    print(len(runs), "different runs of an hour each went well")
