"""TLS over the loop's transports. The certificate is made for the run and trusted by it alone."""

from __future__ import annotations

import asyncio
import functools
import ssl

from workloads import Bench, workload
from workloads.transports import EchoClient, EchoServer


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Server's and client's; needs trustme."""
    import trustme

    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def tls_round_trips(bench: Bench, payload: bytes) -> None:
    loop = asyncio.get_running_loop()
    server_context, client_context = contexts()
    server = await loop.create_server(EchoServer, "127.0.0.1", 0, ssl=server_context)
    port = server.sockets[0].getsockname()[1]
    transport, client = await loop.create_connection(
        lambda: EchoClient(payload, bench.ops),
        "127.0.0.1",
        port,
        ssl=client_context,
        server_hostname="localhost",
    )
    with bench.timed():
        client.start()
        await client.done
    transport.close()
    server.close()
    await server.wait_closed()


@workload("tls_1k", "TLS 1 KiB echo", "round trip", 1_500)
async def tls_1k(bench: Bench) -> None:
    await tls_round_trips(bench, b"x" * 1024)


@workload("tls_bulk", "TLS 100 KiB echo", "round trip", 200)
async def tls_bulk(bench: Bench) -> None:
    await tls_round_trips(bench, b"x" * 100 * 1024)


class Visitor(asyncio.Protocol):
    """Either end of a connection that is closed as soon as it stands."""

    def __init__(self, lost: asyncio.Future[None]) -> None:
        self.lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)


@workload("tls_connect", "TLS connect, close", "connection", 100)
async def tls_connect(bench: Bench) -> None:
    """A full handshake, and both have said close_notify when it is over."""
    loop = asyncio.get_running_loop()
    server_context, client_context = contexts()
    accepted: list[Visitor] = []

    def accept() -> Visitor:
        accepted.append(Visitor(loop.create_future()))
        return accepted[-1]

    server = await loop.create_server(accept, "127.0.0.1", 0, ssl=server_context)
    port = server.sockets[0].getsockname()[1]
    with bench.timed():
        for _ in range(bench.ops):
            transport, client = await loop.create_connection(
                lambda: Visitor(loop.create_future()),
                "127.0.0.1",
                port,
                ssl=client_context,
                server_hostname="localhost",
            )
            transport.close()
            await client.lost
            await accepted.pop().lost
    server.close()
    await server.wait_closed()
