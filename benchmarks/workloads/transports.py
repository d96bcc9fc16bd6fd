"""Protocols over TCP: round trips, gathered writes, large payloads."""

from __future__ import annotations

import asyncio
from typing import cast

from workloads import Bench, workload


class EchoServer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class SplitServer(EchoServer):
    """Answers each request with a header and a body, written apart, as HTTP frameworks do."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(data[:200])
        self.transport.write(data[200:])


class EchoClient(asyncio.Protocol):
    """Sends `payload`, waits until as much has come back, `rounds` times."""

    def __init__(self, payload: bytes, rounds: int) -> None:
        self.payload = payload
        self.rounds = rounds
        self.missing = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def start(self) -> None:
        self.missing = len(self.payload)
        self.transport.write(self.payload)

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing > 0:
            return
        self.rounds -= 1
        if self.rounds <= 0:
            self.done.set_result(None)
        else:
            self.missing = len(self.payload)
            self.transport.write(self.payload)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed"))


async def round_trips(
    bench: Bench, payload: bytes, connections: int, server_type: type[EchoServer] = EchoServer
) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(server_type, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients = [
        (
            await loop.create_connection(
                lambda: EchoClient(payload, bench.ops // connections), "127.0.0.1", port
            )
        )[1]
        for _ in range(connections)
    ]
    with bench.timed():
        for client in clients:
            client.start()
        for client in clients:
            await client.done
    for client in clients:
        client.transport.close()
    server.close()
    await server.wait_closed()


@workload("echo_1k", "1 KiB echo, one connection", "round trip", 6_000)
async def echo_1k(bench: Bench) -> None:
    await round_trips(bench, b"x" * 1024, 1)


@workload("echo_1k_100", "1 KiB echo, 100 connections", "round trip", 8_000)
async def echo_1k_100(bench: Bench) -> None:
    await round_trips(bench, b"x" * 1024, 100)


@workload("echo_10k_50", "10 KiB echo, 50 connections", "round trip", 3_000)
async def echo_10k_50(bench: Bench) -> None:
    await round_trips(bench, b"x" * 10 * 1024, 50)


@workload("header_body", "header and body written apart", "round trip", 6_000)
async def header_body(bench: Bench) -> None:
    await round_trips(bench, b"x" * 1200, 1, SplitServer)


@workload("echo_100k", "100 KiB echo", "round trip", 800)
async def echo_100k(bench: Bench) -> None:
    await round_trips(bench, b"x" * 100 * 1024, 1)


class Sink(asyncio.Protocol):
    expected = 0

    def __init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.received >= self.expected:
            self.done.set_result(None)


class Source(asyncio.Protocol):
    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


@workload("bulk", "bulk stream, 64 KiB writes", "64 KiB", 1_000)
async def bulk(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    chunk = b"x" * 65536
    sinks: list[Sink] = []

    def make_sink() -> Sink:
        sink = Sink()
        sink.expected = bench.ops * len(chunk)
        sinks.append(sink)
        return sink

    server = await loop.create_server(make_sink, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, source = await loop.create_connection(Source, "127.0.0.1", port)
    while not sinks:
        await asyncio.sleep(0)
    with bench.timed():
        for _ in range(bench.ops):
            transport.write(chunk)
            await source.writable.wait()
        await sinks[0].done
    transport.close()
    server.close()
    await server.wait_closed()
