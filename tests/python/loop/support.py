"""What the loop tests share: a protocol that records, and socket pairs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
from typing import TYPE_CHECKING, Any, TypeVar

from soak.certificate import CERTIFICATE as CERTIFICATE
from soak.certificate import KEY as KEY
from soak.certificate import client_context as client_context
from soak.certificate import server_context as server_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

_T = TypeVar("_T")

HOST = "127.0.0.1"

# How long a test waits for something that is bound to happen. Long: it is spent by failures only.
PATIENCE = 30.0


async def soon(awaitable: Awaitable[_T]) -> _T:
    """Awaits what must happen; a test that is wrong fails instead of hanging."""
    return await asyncio.wait_for(awaitable, PATIENCE)


def others_that_hold(thing: object) -> list[object]:
    """What refers to a local of the calling coroutine, but for the coroutine itself: from CPython
    3.14 on one that runs shows its locals to the collector (gh-124392)."""
    task = asyncio.current_task()
    own = None if task is None else task.get_coro()
    return [each for each in gc.get_referrers(thing) if each is not own]


async def turns(count: int = 3) -> None:
    """Lets the loop go round, for what must NOT happen."""
    for _ in range(count):
        await asyncio.sleep(0)


class Recorder(asyncio.Protocol):
    """Records what the transport says, as words and data, and tells when it happened."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.events: list[str] = []
        self.data = bytearray()
        self.transport: asyncio.Transport | None = None
        self.made: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[Exception | None] = loop.create_future()
        self.keep_open_after_eof = False
        self._grown = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.events.append("made")
        self.transport = transport
        self.made.set_result(None)

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        if not self.events or self.events[-1] != "data":
            self.events.append("data")
        self.data += data
        self._grown.set()

    def eof_received(self) -> bool | None:
        self.events.append("eof")
        self._grown.set()
        return self.keep_open_after_eof

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")
        self._grown.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self._grown.set()
        self.lost.set_result(exc)

    async def until(self, condition: Callable[[Recorder], bool]) -> None:
        """Waits until `condition(self)` holds, looking at each event."""

        async def wait() -> None:
            while not condition(self):
                self._grown.clear()
                await self._grown.wait()

        await soon(wait())

    async def received(self, size: int) -> bytes:
        await self.until(lambda self: len(self.data) >= size)
        return bytes(self.data)


@contextlib.contextmanager
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected non-blocking TCP sockets."""
    with socket.create_server((HOST, 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        client.setblocking(False)
        server.setblocking(False)
        yield client, server


def raw_pair() -> tuple[socket.socket, socket.socket]:
    """As socket_pair(), for a test that gives one of them away."""
    with socket.create_server((HOST, 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setblocking(False)
    server.setblocking(False)
    return client, server


def reset(sock: socket.socket) -> None:
    """Closes it so that the other end's connection is reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def unused_port() -> int:
    """A port that refuses connections."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def transport_and_peer(
    factory: Callable[[], Any] = Recorder,
) -> AsyncIterator[tuple[asyncio.Transport, Any, socket.socket]]:
    """A transport on one end of a connection, and the bare socket of the other end."""
    loop = asyncio.get_running_loop()
    mine, peer = raw_pair()
    with peer:
        transport, protocol = await loop.create_connection(factory, sock=mine)
        try:
            yield transport, protocol, peer
        finally:
            lost = getattr(protocol, "lost", None)
            if lost is None:
                transport.abort()
                await turns()
            elif not lost.done():
                transport.abort()
                await soon(asyncio.wait([lost]))


def fill(peer_writer: socket.socket) -> int:
    """Writes until the kernel takes no more; the number of bytes."""
    sent = 0
    block = bytes(65536)
    try:
        while True:
            sent += peer_writer.send(block)
    except BlockingIOError:
        return sent


async def read_all(peer: socket.socket, size: int | None = None) -> bytes:
    """Reads `size` bytes, or to the end, from the bare socket."""
    loop = asyncio.get_running_loop()
    received = bytearray()
    while size is None or len(received) < size:
        wanted = 65536 if size is None else min(size - len(received), 65536)
        block = await soon(loop.sock_recv(peer, wanted))
        if not block:
            break
        received += block
    return bytes(received)
