"""Floors of what the kernel, OpenSSL and the protocols do: their calls, one after the other.

Sockets are `_socket.socket`, the C type: the methods of `socket.socket` that are written in Python
are no loop's to call.
"""

from __future__ import annotations

import _socket
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from workloads.tls import contexts
from workloads.transports import EchoServer

if TYPE_CHECKING:
    from collections.abc import Callable

RECEIVE_BYTES = 64 * 1024


class Client:
    """EchoClient without its future."""

    def __init__(self, payload: bytes, rounds: int) -> None:
        self.payload = payload
        self.rounds = rounds
        self.missing = 0
        self.transport: Any = None

    def start(self) -> None:
        self.missing = len(self.payload)
        self.transport.write(self.payload)

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing > 0:
            return
        self.rounds -= 1
        if self.rounds > 0:
            self.start()


class Writer:
    """A transport whose write() is the system call, or OpenSSL's."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.write = write


def listening() -> Any:
    listener = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def tcp_pair() -> tuple[Any, Any]:
    listener = listening()
    client = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.connect(listener.getsockname())
    server = _socket.socket(fileno=listener._accept()[0])
    listener.close()
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


def echo(payload: bytes, client_end: Any, server_end: Any, ops: int) -> float:
    """`ops` round trips; an end is its read(size) and its write(data). What is asked for is what is
    to come, which no loop knows."""
    client, server = Client(payload, ops), EchoServer()
    client.transport = Writer(client_end[1])
    server.transport = Writer(server_end[1])  # type: ignore[assignment]
    to_client, to_server = client.data_received, server.data_received
    client_reads, server_reads = client_end[0], server_end[0]
    started = time.perf_counter()
    client.start()
    while client.rounds > 0:
        taken = 0
        while taken < len(payload):
            data = server_reads(min(len(payload) - taken, RECEIVE_BYTES))
            taken += len(data)
            to_server(data)
        returned = 0
        while returned < len(payload):
            data = client_reads(min(len(payload) - returned, RECEIVE_BYTES))
            returned += len(data)
            to_client(data)
    return time.perf_counter() - started


def tls_ends() -> tuple[Any, Any]:
    server_context, client_context = contexts()
    client, server = (socket.socket(fileno=end.detach()) for end in tcp_pair())
    client.setblocking(False)
    server.setblocking(False)
    ends = [
        client_context.wrap_socket(
            client, server_hostname="localhost", do_handshake_on_connect=False
        ),
        server_context.wrap_socket(server, server_side=True, do_handshake_on_connect=False),
    ]
    waiting = list(ends)
    while waiting:
        end = waiting.pop(0)
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(end)
    for end in ends:
        end.setblocking(True)
    return ends[0], ends[1]


def tls_echo(payload: bytes, ops: int) -> float:
    client, server = tls_ends()
    with client, server:
        # The C object below SSLSocket's methods, which are written in Python.
        ends: list[Any] = [client._sslobj, server._sslobj]
        return echo(payload, (ends[0].read, ends[0].write), (ends[1].read, ends[1].write), ops)


def connect_close(ops: int) -> float:
    listener = listening()
    address = listener.getsockname()
    payload = b"x" * 128
    started = time.perf_counter()
    for _ in range(ops):
        client = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.connect(address)
        server = _socket.socket(fileno=listener._accept()[0])
        client.send(payload)
        server.send(server.recv(RECEIVE_BYTES))
        server.close()
        client.recv(RECEIVE_BYTES)
        client.close()
    seconds = time.perf_counter() - started
    listener.close()
    return seconds


def spawn(ops: int) -> float:
    started = time.perf_counter()
    for _ in range(ops):
        os.waitpid(os.posix_spawnp("true", ["true"], os.environ), 0)
    return time.perf_counter() - started


FLOORS: dict[str, Callable[[int], float]] = {
    "connect_close": connect_close,
    "spawn": spawn,
    "tls_1k": lambda ops: tls_echo(b"x" * 1024, ops),
    "tls_bulk": lambda ops: tls_echo(b"x" * 100 * 1024, ops),
}
