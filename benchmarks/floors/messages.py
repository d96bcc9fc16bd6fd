"""Floors of what sends and receives: the protocols' methods and the system calls, in turn, on
bare_end.cpp; of streams with asyncio's tasks on bare_loop.cpp, of TLS with OpenSSL's calls."""

from __future__ import annotations

import _socket
import asyncio
import contextlib
import functools
import select
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from workloads.datagrams import EchoEndpoint
from workloads.tls import contexts
from workloads.transports import EchoServer, SplitServer

from floors.calls import Client, tcp_pair
from floors.loop import make_loop

if TYPE_CHECKING:
    from collections.abc import Callable


class Ends(NamedTuple):
    """What makes an end of a descriptor, by the kind of that."""

    of_stream: Any
    of_pipe: Any
    of_datagrams: Any
    of_writing: Any  # Nothing is to come: no one may watch it.


def floors(bare_loop: Any, bare_end: Any) -> dict[str, Callable[[int], float]]:
    """As those of floors.tasks."""
    ends = Ends(bare_end.End, bare_end.End, bare_end.DatagramEnd, bare_end.End)
    return {
        **with_one_connection(bare_loop, ends),
        "echo_1k_100": functools.partial(tcp_echo, ends, 100),
        "echo_100k": functools.partial(large_echo, ends, 100 * 1024),
        "bulk": functools.partial(bulk, ends, 64 * 1024),
        "tls_1k": functools.partial(tls_echo, bare_end.TlsEnd, 1024),
        "tls_bulk": functools.partial(tls_echo, bare_end.TlsEnd, 100 * 1024),
    }


def asked_floors(bare_loop: Any, bare_end: Any) -> dict[str, Callable[[int], float]]:
    """Those with one connection again, by a loop that asks epoll in each of its turns."""
    stream = functools.partial(asking_end, bare_end.End)
    datagrams = functools.partial(asking_end, bare_end.DatagramEnd)
    return with_one_connection(bare_loop, Ends(stream, stream, datagrams, bare_end.End))


def ring_floors(bare_loop: Any, bare_end: Any, bare_ring: Any) -> dict[str, Callable[[int], float]]:
    """Those again, by a loop on a ring."""
    ends = Ends(bare_ring.End, bare_ring.PolledEnd, bare_ring.DatagramEnd, bare_end.End)
    return with_one_connection(bare_loop, ends)


def with_one_connection(bare_loop: Any, ends: Ends) -> dict[str, Callable[[int], float]]:
    return {
        "echo_1k": functools.partial(tcp_echo, ends, 1),
        "udp_echo": functools.partial(udp_echo, ends),
        "header_body": functools.partial(header_body, ends),
        "streams_readline": functools.partial(streams_readline, bare_loop, ends),
        "child_pipe": functools.partial(child_pipe, ends),
    }


@functools.cache
def epoll_set() -> select.epoll:
    return select.epoll()


def asking_end(make_end: Any, fd: int) -> Any:
    """An end that asks the set of all of them. By edge: without another call for each message."""
    epoll_set().register(fd, select.EPOLLIN | select.EPOLLET)
    return make_end(fd, epoll_set().fileno())


class Gatherer:
    """A transport whose write() waits for the end's flush()."""

    def __init__(self, end: Any) -> None:
        self.write = end.gather


def tcp_echo(ends: Ends, connections: int, ops: int) -> float:
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
            ends.of_stream(end.fileno()) for end in (client_socket, server_socket)
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


def roomy_pair(size: int) -> tuple[Any, Any]:
    """Connected sockets that take `size` bytes in one call, though nobody reads."""
    ends = tcp_pair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * size)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * size)
    return ends


def large_echo(ends: Ends, size: int, ops: int) -> float:
    sockets = roomy_pair(size)
    client, server = Client(b"x" * size, ops), EchoServer()
    client.transport, server.transport = (ends.of_stream(end.fileno()) for end in sockets)
    to_client, to_server = client.data_received, server.data_received
    fill_client, fill_server = client.transport.fill, server.transport.fill  # type: ignore[attr-defined]
    started = time.perf_counter()
    client.start()
    for _ in range(ops):
        fill_server(to_server, size)
        fill_client(to_client, size)
    return time.perf_counter() - started


class Sink:
    """The workload's, without its future."""

    received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)


def bulk(ends: Ends, size: int, ops: int) -> float:
    """Four writes by one call, and one read of that: more would leave the nearer caches."""
    at_once = 4
    sockets = roomy_pair(at_once * size)
    source, end = (ends.of_stream(end.fileno()) for end in sockets)
    data_received, chunk = Sink().data_received, b"x" * size
    started = time.perf_counter()
    for _ in range(ops // at_once):
        for _ in range(at_once):
            source.gather(chunk)
        source.flush()
        end.fill(data_received, at_once * size)
    return time.perf_counter() - started


class DatagramClient:
    """The workload's, without its future."""

    def __init__(self, payload: bytes, rounds: int, transport: Any) -> None:
        self.payload = payload
        self.rounds = rounds
        self.transport = transport

    def datagram_received(self, _data: bytes, _sender: Any) -> None:
        self.rounds -= 1
        if self.rounds > 0:
            self.transport.write(self.payload)


def udp_echo(ends: Ends, ops: int) -> float:
    sockets = [_socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    sockets[0].connect(sockets[1].getsockname())
    client_end, server_end = (ends.of_datagrams(sock.fileno()) for sock in sockets)
    client, server = DatagramClient(b"x" * 1024, ops, client_end), EchoEndpoint()
    server.transport = server_end
    to_client, to_server = client.datagram_received, server.datagram_received
    started = time.perf_counter()
    client_end.write(client.payload)
    for _ in range(ops):
        server_end.deliver(to_server)
        client_end.deliver(to_client)
    return time.perf_counter() - started


def tls_ends(make_tls_end: Any, sockets: tuple[Any, Any]) -> tuple[Any, Any]:
    """Ends that have shaken hands and got their tickets, in memory."""
    server_context, client_context = contexts()
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for step in (client.do_handshake, server.do_handshake) * 2 + (client.read,):
        with contextlib.suppress(ssl.SSLWantReadError):
            step()
    ends: list[Any] = []
    memories = [to_client, to_server]
    tls_objects: tuple[Any, Any] = (client, server)
    for end, file in zip(tls_objects, sockets, strict=True):
        # From here on records come from the descriptor and go to it.
        incoming, outgoing = memories
        calls = (end._sslobj.read, end._sslobj.write, incoming.write, outgoing.read)
        ends.append(make_tls_end(file.fileno(), *calls))
        memories.reverse()
    return ends[0], ends[1]


def tls_echo(make_tls_end: Any, size: int, ops: int) -> float:
    sockets = roomy_pair(size)
    client, server = Client(b"x" * size, ops), EchoServer()
    client.transport, server.transport = tls_ends(make_tls_end, sockets)
    to_client, to_server = client.data_received, server.data_received
    started = time.perf_counter()
    client.start()
    client.transport.flush()
    for _ in range(ops):
        server.transport.fill(to_server, size)  # type: ignore[attr-defined]
        client.transport.fill(to_client, size)
    return time.perf_counter() - started


def header_body(ends: Ends, ops: int) -> float:
    client_socket, server_socket = tcp_pair()
    client, server = Client(b"x" * 1200, ops), SplitServer()
    client_end = ends.of_stream(client_socket.fileno())
    server_end = ends.of_stream(server_socket.fileno())
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


def streams_readline(bare_loop: Any, ends: Ends, ops: int) -> float:
    loop = make_loop(bare_loop)
    sockets = tcp_pair()
    client, server = (ends.of_stream(end.fileno()) for end in sockets)
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
            # What comes wakes a task, which runs in the turn after.
            server.deliver(to_server)
            server.look()
            loop.run()
            client.deliver(to_client)
            client.look()
            loop.run()
        seconds = time.perf_counter() - started
        readers[1].feed_eof()
        loop.run()
        for task in tasks:
            task.result()
    finally:
        asyncio._set_running_loop(None)
    return seconds


def child_pipe(ends: Ends, ops: int) -> float:
    with subprocess.Popen(["cat"], bufsize=0, stdin=-1, stdout=-1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        client = Client(b"x" * 63 + b"\n", ops)
        client.transport = ends.of_writing(child.stdin.fileno())
        from_child = ends.of_pipe(child.stdout.fileno())
        data_received = client.data_received
        started = time.perf_counter()
        client.start()
        for _ in range(ops):
            from_child.deliver(data_received)
        return time.perf_counter() - started
