"""The floor of a process, which is the kernel's calls, one after the other; and what floors of
messages share.

Sockets are `_socket.socket`, the C type: the methods of `socket.socket` that are written in Python
are no loop's to call.
"""

from __future__ import annotations

import _socket
import os
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


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


def spawn(ops: int) -> float:
    started = time.perf_counter()
    for _ in range(ops):
        os.waitpid(os.posix_spawnp("true", ["true"], os.environ), 0)
    return time.perf_counter() - started


FLOORS: dict[str, Callable[[int], float]] = {"spawn": spawn}
