"""asyncio's streams: StreamReader and StreamWriter over the loop's transports."""

from __future__ import annotations

import asyncio

from workloads import Bench, workload


@workload("streams_readline", "streams readline echo", "round trip", 3_000)
async def streams_readline(bench: Bench) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    line = b"x" * 1023 + b"\n"
    with bench.timed():
        for _ in range(bench.ops):
            writer.write(line)
            if await reader.readline() != line:
                raise AssertionError("the echo differs")
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
