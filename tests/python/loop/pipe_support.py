"""What the tests of pipe transports share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tty
from typing import IO, TYPE_CHECKING, Any

from tests.python.loop.support import soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator


class PipeRecorder(asyncio.Protocol):
    """Records what the transport says, and tells when it happened."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = bytearray()
        self.transport: Any = None
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._grown = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._note("made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        self.data += data
        if self.events[-1:] != ["data"]:
            self._note("data")
        self._grown.set()

    def eof_received(self) -> None:
        self._note("eof")

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost")
        self.lost.set_result(exc)

    def _note(self, event: str) -> None:
        self.events.append(event)
        self._grown.set()

    async def until(self, condition: Callable[[PipeRecorder], bool]) -> None:
        async def wait() -> None:
            while not condition(self):
                self._grown.clear()
                await self._grown.wait()

        await soon(wait())

    async def received(self, size: int) -> bytes:
        await self.until(lambda self: len(self.data) >= size)
        return bytes(self.data)


class Ends:
    """The two ends of something that a pipe transport takes: objects, and what they are."""

    def __init__(self, kind: str, reader: Any, writer: Any) -> None:
        self.kind = kind
        self.reader = reader
        self.writer = writer


KINDS = ("pipe", "fifo", "socket", "terminal")

# More than any pipe holds.
BIG = 1 << 20


@contextlib.contextmanager
def pipe_ends(kind: str, folder: Any) -> Iterator[Ends]:
    """Opens both ends of a pipe of `kind`; closed afterwards, whoever closed them before.

    Beside `KINDS` there is "packets", a pipe in packet mode: each write stays apart.
    """
    reader: IO[bytes] | socket.socket
    writer: IO[bytes] | socket.socket
    if kind == "socket":
        reader, writer = socket.socketpair()
    elif kind == "terminal":
        controller, terminal = os.openpty()
        tty.setraw(terminal)
        reader = open(controller, "rb", 0)
        writer = open(terminal, "wb", 0)
    elif kind == "fifo":
        path = folder / "fifo"
        os.mkfifo(path)
        reader = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", 0)
        writer = open(path, "wb", 0)
    else:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC | (os.O_DIRECT if kind == "packets" else 0))
        reader = open(read_fd, "rb", 0)
        writer = open(write_fd, "wb", 0)
    try:
        yield Ends(kind, reader, writer)
    finally:
        reader.close()
        writer.close()


@contextlib.asynccontextmanager
async def reading_end(
    kind: str, folder: Any, factory: Callable[[], PipeRecorder] = PipeRecorder
) -> AsyncIterator[tuple[Ends, asyncio.ReadTransport, PipeRecorder]]:
    """The ends of a pipe, a transport on the reading one, and its protocol.

    The transport is the caller's to end.
    """
    with pipe_ends(kind, folder) as ends:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_read_pipe(factory, ends.reader)
        yield ends, transport, protocol


@contextlib.asynccontextmanager
async def writing_end(
    kind: str, folder: Any, factory: Callable[[], PipeRecorder] = PipeRecorder
) -> AsyncIterator[tuple[Ends, asyncio.WriteTransport, PipeRecorder]]:
    """As reading_end(), with the transport on the writing end."""
    with pipe_ends(kind, folder) as ends:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(factory, ends.writer)
        yield ends, transport, protocol


def put(end: Any, data: bytes) -> None:
    """Writes all of a little `data` into the bare end."""
    assert os.write(end.fileno(), data) == len(data)


async def pass_blocks(writer: Any, protocol: PipeRecorder, sizes: Iterable[int]) -> None:
    """Writes a block of each size, which must have arrived before the next."""
    total = b""
    for size in sizes:
        block = os.urandom(size)
        put(writer, block)
        total += block
        assert await protocol.received(len(total)) == total


def fill_pipe(end: Any) -> int:
    """Writes until the bare end takes no more; the number of bytes."""
    os.set_blocking(end.fileno(), False)
    written = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            written += os.write(end.fileno(), bytes(4096))
    return written


async def take_all(loop: asyncio.AbstractEventLoop, end: Any, size: int | None = None) -> bytes:
    """Reads `size` bytes, or to the end, from the bare end."""
    os.set_blocking(end.fileno(), False)
    taken = bytearray()
    while size is None or len(taken) < size:
        readable = asyncio.Event()
        loop.add_reader(end.fileno(), readable.set)
        try:
            await soon(readable.wait())
        finally:
            loop.remove_reader(end.fileno())
        try:
            block = os.read(end.fileno(), 65536)
        except BlockingIOError:
            continue
        except OSError:  # A terminal's end.
            break
        if not block:
            break
        taken += block
    return bytes(taken)
