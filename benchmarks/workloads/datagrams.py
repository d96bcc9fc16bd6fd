"""Datagrams over UDP: round trips."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from workloads import Bench, workload


class EchoEndpoint(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.transport.sendto(data, addr)


class Client(asyncio.DatagramProtocol):
    """Sends the next datagram when the answer to the last has come, `rounds` times."""

    def __init__(self, payload: bytes, rounds: int) -> None:
        self.payload = payload
        self.rounds = rounds
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.rounds -= 1
        if self.rounds <= 0:
            self.done.set_result(None)
        else:
            self.transport.sendto(self.payload)

    def error_received(self, exc: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(exc)


@workload("udp_echo", "1 KiB UDP echo", "round trip", 4_000)
async def udp_echo(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(EchoEndpoint, local_addr=("127.0.0.1", 0))
    payload = b"x" * 1024
    transport, client = await loop.create_datagram_endpoint(
        lambda: Client(payload, bench.ops), remote_addr=server.get_extra_info("sockname")
    )
    with bench.timed():
        transport.sendto(payload)
        await client.done
    transport.close()
    server.close()
    await asyncio.sleep(0)
