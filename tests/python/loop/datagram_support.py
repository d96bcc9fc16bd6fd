"""What the tests of datagram endpoints share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

from tests.python.loop.support import HOST, soon, turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class Datagrams(asyncio.DatagramProtocol):
    """Writes down what happens to it, and tells when."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.received: list[tuple[bytes, Any]] = []
        self.errors: list[Exception] = []
        self.transport: Any = None
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._happened = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.note("made")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert type(data) is bytes
        self.received.append((data, addr))
        self._happened.set()

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)
        self._happened.set()

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.note("lost")
        self.lost.set_result(exc)

    def note(self, event: Any) -> None:
        self.events.append(event)
        self._happened.set()

    @property
    def payloads(self) -> list[bytes]:
        return [data for data, _ in self.received]

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until `condition()` is true, looking at each event."""

        async def wait() -> None:
            while not condition():
                self._happened.clear()
                await self._happened.wait()

        await soon(wait())

    async def until_received(self, count: int) -> list[tuple[bytes, Any]]:
        await self.until(lambda: len(self.received) >= count)
        return self.received


class Echo(Datagrams):
    def datagram_received(self, data: bytes, addr: Any) -> None:
        super().datagram_received(data, addr)
        self.transport.sendto(data, addr)


@contextlib.asynccontextmanager
async def endpoint(
    factory: Callable[[], Any] = Datagrams, **options: Any
) -> AsyncIterator[tuple[Any, Any]]:
    """(transport, protocol), closed afterwards; bound to HOST unless the options say more."""
    loop: Any = asyncio.get_running_loop()
    if not options:
        options = {"local_addr": (HOST, 0)}
    transport, protocol = await loop.create_datagram_endpoint(factory, **options)
    try:
        yield transport, protocol
    finally:
        lost = getattr(protocol, "lost", None)
        if lost is None:
            transport.abort()
        elif not lost.done():
            transport.abort()
            await soon(asyncio.wait([lost]))
        await turns()


def name_of(transport: Any) -> Any:
    """The address that others send to."""
    return transport.get_extra_info("sockname")


@contextlib.contextmanager
def blocked_pair(folder: Path) -> Any:
    """A Unix datagram socket connected to one that nobody reads, so that sending soon blocks."""
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, peer:
        path = str(folder / "peer")
        peer.bind(path)
        peer.setblocking(False)
        ours.setblocking(False)
        ours.connect(path)
        yield ours, peer


def fill(transport: Any, size: int = 100) -> int:
    """Sends numbered datagrams until one has to be queued; their number."""
    count = 0
    while transport.get_write_buffer_size() == 0:
        transport.sendto(numbered(count, size))
        count += 1
    return count


def numbered(number: int, size: int = 100) -> bytes:
    return number.to_bytes(4, "big") + bytes(size - 4)


async def read_numbers(peer: socket.socket, count: int) -> list[int]:
    """The numbers of the next `count` datagrams at the bare socket."""
    loop = asyncio.get_running_loop()
    return [
        int.from_bytes((await soon(loop.sock_recv(peer, 65536)))[:4], "big") for _ in range(count)
    ]
