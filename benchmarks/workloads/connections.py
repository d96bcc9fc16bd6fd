"""Connections that live for one request."""

from __future__ import annotations

import asyncio

from workloads import Bench, workload
from workloads.transports import EchoClient, EchoServer


class OneShotServer(EchoServer):
    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


@workload("connect_close", "connect, request, close", "connection", 500)
async def connect_close(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(OneShotServer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    payload = b"x" * 128
    with bench.timed():
        for _ in range(bench.ops):
            transport, client = await loop.create_connection(
                lambda: EchoClient(payload, 1), "127.0.0.1", port
            )
            client.start()
            await client.done
            transport.close()
    server.close()
    await server.wait_closed()
