"""Floors of what sends and receives small messages: the protocols' methods and the system calls, in
turn, on bare_end.cpp; asyncio's streams with their tasks on bare_loop.cpp as well."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import time
from typing import TYPE_CHECKING, Any

from workloads.transports import EchoServer, SplitServer

from floors.calls import Client, tcp_pair

if TYPE_CHECKING:
    from collections.abc import Callable


def floors(bare_loop: Any, bare_end: Any) -> dict[str, Callable[[int], float]]:
    """As those of floors.tasks."""
    make_end = bare_end.End
    return {
        "echo_1k": functools.partial(tcp_echo, make_end, 1),
        "echo_1k_100": functools.partial(tcp_echo, make_end, 100),
        "header_body": functools.partial(header_body, make_end),
        "streams_readline": functools.partial(streams_readline, bare_loop, make_end),
        "child_pipe": functools.partial(child_pipe, make_end),
    }


class Gatherer:
    """A transport whose write() waits for the end's flush()."""

    def __init__(self, end: Any) -> None:
        self.write = end.gather


def tcp_echo(make_end: Any, connections: int, ops: int) -> float:
    """As a loop would meet them: all that the servers have to receive, then all the clients."""
    payload = b"x" * 1024
    rounds = ops // connections
    sockets = [tcp_pair() for _ in range(connections)]
    clients: list[Client] = []
    to_servers: list[tuple[Any, Any]] = []  # What delivers, and to whom.
    to_clients: list[tuple[Any, Any]] = []
    for client_socket, server_socket in sockets:
        client, server = Client(payload, rounds), EchoServer()
        client.transport, server.transport = (
            make_end(end.fileno()) for end in (client_socket, server_socket)
        )
        clients.append(client)
        to_servers.append((server.transport.deliver, server.data_received))  # type: ignore[attr-defined]
        to_clients.append((client.transport.deliver, client.data_received))
    started = time.perf_counter()
    for client in clients:
        client.start()
    for _ in range(rounds):
        for deliver, data_received in to_servers:
            deliver(data_received)
        for deliver, data_received in to_clients:
            deliver(data_received)
    return time.perf_counter() - started


def header_body(make_end: Any, ops: int) -> float:
    client_socket, server_socket = tcp_pair()
    client, server = Client(b"x" * 1200, ops), SplitServer()
    client_end, server_end = make_end(client_socket.fileno()), make_end(server_socket.fileno())
    client.transport = client_end
    server.transport = Gatherer(server_end)  # type: ignore[assignment]
    to_client, to_server = client.data_received, server.data_received
    started = time.perf_counter()
    client.start()
    for _ in range(ops):
        server_end.deliver(to_server)
        server_end.flush()
        client_end.deliver(to_client)
    return time.perf_counter() - started


def streams_readline(bare_loop: Any, make_end: Any, ops: int) -> float:
    loop = bare_loop.Loop(bare_loop.Handle(), asyncio.Task, asyncio.Future)
    sockets = tcp_pair()
    client, server = (make_end(end.fileno()) for end in sockets)
    readers = [asyncio.StreamReader(loop=loop) for _ in sockets]
    protocols = [asyncio.StreamReaderProtocol(reader, loop=loop) for reader in readers]
    writers = [
        asyncio.StreamWriter(end, protocol, reader, loop)
        for end, protocol, reader in zip((client, server), protocols, readers, strict=True)
    ]
    line = b"x" * 1023 + b"\n"

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(ops):
            writer.write(line)
            if await reader.readline() != line:
                raise AssertionError("the echo differs")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.readline():
            writer.write(data)

    asyncio._set_running_loop(loop)
    try:
        tasks = [
            loop.create_task(work(readers[i], writers[i])) for i, work in enumerate((ask, serve))
        ]
        to_client, to_server = (protocol.data_received for protocol in protocols)
        started = time.perf_counter()
        loop.run()  # Until both wait.
        for _ in range(ops):
            server.deliver(to_server)
            loop.run()
            client.deliver(to_client)
            loop.run()
        seconds = time.perf_counter() - started
        readers[1].feed_eof()
        loop.run()
        for task in tasks:
            task.result()
    finally:
        asyncio._set_running_loop(None)
    return seconds


def child_pipe(make_end: Any, ops: int) -> float:
    with subprocess.Popen(["cat"], bufsize=0, stdin=-1, stdout=-1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        client = Client(b"x" * 63 + b"\n", ops)
        client.transport = make_end(child.stdin.fileno())
        from_child = make_end(child.stdout.fileno())
        data_received = client.data_received
        started = time.perf_counter()
        client.start()
        for _ in range(ops):
            from_child.deliver(data_received)
        return time.perf_counter() - started
