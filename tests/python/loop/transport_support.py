"""What the tests of the native stream transport share."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

from blitzio import _native
from tests.python.fault_injection import LATE_TURNS, VARIABLE
from tests.python.loop.support import turns

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 10

# More than the kernel takes for a pair whose peer does not read.
BIG = 16 << 20


def run(loop: asyncio.AbstractEventLoop, coro: Any) -> Any:
    result = loop.run_until_complete(asyncio.wait_for(coro, TIMEOUT))
    if os.environ.get(VARIABLE):
        # What was in flight is let go of with its last completion, and that may be late.
        loop.run_until_complete(turns(LATE_TURNS))
    return result


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop turn until `condition()` is true."""
    async with asyncio.timeout(TIMEOUT) if hasattr(asyncio, "timeout") else _NoTimeout():
        while not condition():
            await asyncio.sleep(0)


class _NoTimeout:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


class Recorder(asyncio.Protocol):
    """Writes down what happens to it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.data = bytearray()
        self.transport: Any = None
        self.lost: asyncio.Future[BaseException | None] | None = None
        self.keep_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")
        self.transport = transport
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data += data

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.events.append(("lost", exc))
        assert self.lost is not None
        if not self.lost.done():
            self.lost.set_result(exc)


class Buffered(asyncio.BufferedProtocol):
    """Receives into a buffer of `size` bytes."""

    def __init__(self, size: int = 256) -> None:
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.hints: set[int] = set()
        self.lost: list[BaseException | None] = []

    def get_buffer(self, sizehint: int) -> bytearray:
        self.hints.add(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.append(exc)


def make_transport(
    loop: Any, sock: socket.socket, protocol: asyncio.BaseProtocol, **keywords: Any
) -> Any:
    options: dict[str, Any] = {"extra": None, "server": None, "waiter": None, **keywords}
    return _native.StreamTransport(loop, sock, protocol, **options)


Pair = tuple[socket.socket, socket.socket]


def connected(loop: Any, pair: Pair, protocol: Any = None, **keywords: Any) -> tuple[Any, Any]:
    """A transport over our end whose connection_made() has run."""
    protocol = Recorder() if protocol is None else protocol

    async def make() -> Any:
        waiter = loop.create_future()
        transport = make_transport(loop, pair[0], protocol, waiter=waiter, **keywords)
        await waiter
        return transport

    return run(loop, make()), protocol


def receive_all(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)
