"""select over three futures: whichever of file, network and timer comes first.

In a simulation the timer takes no time, and what happens is the same in every run.
"""

from blitzio.io import Deterministic, Faults, Io


async def load(io: Io, path: str) -> bytes:
    data: bytes = await io.fs.read_file(path)
    return data


async def fetch(io: Io, address: str) -> bytes:
    async with await io.net.connect(address) as stream:
        data: bytes = await stream.read_to_end()
        return data


async def serve(io: Io, address: str) -> None:
    async with io.net.listen(address) as listener:
        async for stream in listener:
            async with stream:
                await stream.write_all(b"packet")


async def main(io: Io) -> None:
    await io.fs.write_file("/config", b"from the disk")
    server = io.async_(serve, io, "127.0.0.1:80")
    await io.sleep(1)

    file = io.async_(load, io, "/config")
    network = io.async_(fetch, io, "127.0.0.1:80")
    for _ in range(3):
        pending = {
            name: future
            for name, future in (("file", file), ("network", network))
            if not future.is_finished()
        }
        name, value = await io.select(**pending, timer=io.sleep(5))
        if name == "timer":
            print("nothing for five seconds")
        else:
            print(f"{name}: {value.decode()}")
    await server.cancel()


if __name__ == "__main__":
    with Deterministic(seed=3) as world:
        world.set_faults(Faults(latency_min=0.5, latency_max=1.0))
        world.run(main)
        print("simulated seconds:", round(world.now().as_secs_f64()))
