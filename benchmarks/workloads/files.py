"""Unix sockets, and files that go out through a transport."""

from __future__ import annotations

import asyncio
import os
import tempfile

from workloads import Bench, workload
from workloads.transports import EchoClient, EchoServer

_FILE_BYTES = 1 << 20


@workload("unix_echo", "Unix socket echo 1 KiB", "round trip", 10_000)
async def unix_echo(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        server = await loop.create_unix_server(EchoServer, path)
        transport, client = await loop.create_unix_connection(
            lambda: EchoClient(b"x" * 1024, bench.ops), path
        )
        with bench.timed():
            client.start()
            await client.done
        transport.close()
        server.close()
        await server.wait_closed()


class _Counter(asyncio.Protocol):
    """Throws away what it receives, and tells when there was `missing` of it."""

    def __init__(self) -> None:
        self.missing = 0
        self.done: asyncio.Future[None] | None = None

    def expect(self, size: int) -> asyncio.Future[None]:
        self.missing += size
        self.done = asyncio.get_running_loop().create_future()
        return self.done

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing == 0 and self.done is not None:
            self.done.set_result(None)


@workload("sendfile", "sendfile 1 MiB", "file", 100)
async def sendfile(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    counter = _Counter()
    server = await loop.create_server(lambda: counter, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
    with tempfile.TemporaryFile() as file:
        file.write(bytes(_FILE_BYTES))
        file.flush()
        with bench.timed():
            for _ in range(bench.ops):
                received = counter.expect(_FILE_BYTES)
                await loop.sendfile(transport, file)
                await received
    transport.close()
    server.close()
    await server.wait_closed()
