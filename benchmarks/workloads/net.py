"""blitzio.net, which runs on every loop: to be put beside the rows of asyncio's streams."""

from __future__ import annotations

import asyncio

from workloads import Bench, workload


@workload("net_readline", "blitzio.net read_line echo", "round trip", 3_000)
async def net_readline(bench: Bench) -> None:
    from blitzio import net

    async def serve(listener: net.TcpListener) -> None:
        stream, _ = await listener.accept()
        async with stream:
            while line := await stream.read_line():
                await stream.write_all(line)

    async with net.TcpListener.bind("127.0.0.1:0") as listener:
        server = asyncio.ensure_future(serve(listener))
        line = b"x" * 1023 + b"\n"
        async with await net.TcpStream.connect(listener.local_address) as stream:
            with bench.timed():
                for _ in range(bench.ops):
                    await stream.write_all(line)
                    if await stream.read_line() != line:
                        raise AssertionError("the echo differs")
        await server


@workload("net_bulk", "blitzio.net 100 KiB echo", "round trip", 500)
async def net_bulk(bench: Bench) -> None:
    from blitzio import net

    async def serve(listener: net.TcpListener) -> None:
        stream, _ = await listener.accept()
        async with stream:
            while data := await stream.read():
                await stream.write_all(data)

    async with net.TcpListener.bind("127.0.0.1:0") as listener:
        server = asyncio.ensure_future(serve(listener))
        block = bytes(100 * 1024)
        async with await net.TcpStream.connect(listener.local_address) as stream:
            with bench.timed():
                for _ in range(bench.ops):
                    await stream.write_all(block)
                    if len(await stream.read_exact(len(block))) != len(block):
                        raise AssertionError("the echo differs")
        await server
