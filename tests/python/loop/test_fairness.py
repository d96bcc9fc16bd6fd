"""A connection that never runs dry shares the loop: with other connections, callbacks and timers.

Told by turns and bytes, not by time: a callback that schedules itself sees how much each turn
delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import raw_pair, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.no_faults("counts turns")

#: In all, many turns' worth.
FLOOD_BYTES = {"tcp": 64 << 20, "unix": 64 << 20, "pipe": 12 << 20}
#: What a connection gets in a turn beside others that want more, and a last read beyond it.
SHARE_BYTES = 768 * 1024
#: The same while no other does. Time, too, bounds that.
ALONE_BYTES = {"tcp": (8 << 20) + 256 * 1024, "unix": (8 << 20) + 256 * 1024, "pipe": 512 * 1024}
F_SETPIPE_SZ = 1031


class Source:
    """The bare end of a stream, filled until the kernel takes no more."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.sent = 0
        self.block = bytes(256 * 1024)

    def refill(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.sent += os.write(self.fd, self.block)


class Flooded(asyncio.Protocol):
    """Fills the other end again whenever something has come out of it: reading on until nothing is
    left would never end."""

    def __init__(
        self, source: Source, on_first: Callable[[], object], in_all: int = FLOOD_BYTES["pipe"]
    ) -> None:
        self.source = source
        self.on_first = on_first
        self.in_all = in_all
        self.bytes = 0
        self.done = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if self.bytes == 0:
            self.on_first()
        self.bytes += len(data)
        if self.bytes < self.in_all:
            self.source.refill()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class BufferedFlooded(Flooded, asyncio.BufferedProtocol):
    """The same, with the program's own buffer."""

    buffer = bytearray(64 * 1024)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.buffer[:nbytes]))


@contextlib.contextmanager
def ends(kind: str) -> Iterator[tuple[Any, Any]]:
    """What the transport reads from, and the bare end that writes."""
    reader: Any
    writer: Any
    if kind == "pipe":
        read_fd, write_fd = os.pipe()
        fcntl.fcntl(write_fd, F_SETPIPE_SZ, 1 << 20)
        os.set_blocking(write_fd, False)
        reader, writer = open(read_fd, "rb", 0), open(write_fd, "wb", 0)
    else:
        reader, writer = raw_pair() if kind == "tcp" else socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
    with reader, writer:
        yield reader, writer


def of_each_turn(delivered: list[int]) -> list[int]:
    """What each turn delivered, of how much it was in all when each began."""
    return [now - before for before, now in zip(delivered, delivered[1:], strict=False)]


class Note(asyncio.Protocol):
    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note

    def data_received(self, data: bytes) -> None:
        self.note("connection")


@pytest.mark.parametrize("factory", [Flooded, BufferedFlooded])
@pytest.mark.parametrize("kind", ["tcp", "unix", "pipe"])
def test_a_stream_that_never_runs_dry_lets_others_in(
    loop: asyncio.AbstractEventLoop, kind: str, factory: type[Flooded]
) -> None:
    if kind == "pipe" and factory is BufferedFlooded:
        pytest.skip("pipes know no such protocol")

    async def main() -> None:
        delivered: list[int] = []  # When each turn's callbacks ran.
        noted: dict[str, int] = {}

        def note(what: str) -> None:
            noted[what] = len(delivered)

        def tick() -> None:
            delivered.append(flooded.bytes)
            if not flooded.done.done():
                loop.call_soon(tick)

        def on_first() -> None:
            other_peer.send(b"x")
            loop.call_soon(note, "callback")
            loop.call_at(0, note, "timer")
            note("first")

        other, other_peer = raw_pair()
        transport: Any
        with ends(kind) as (reader, writer), other_peer:
            source = Source(writer.fileno())
            source.refill()
            flooded = factory(source, on_first, FLOOD_BYTES[kind])
            loop.call_soon(tick)
            beside, _ = await loop.create_connection(lambda: Note(note), sock=other)
            await turns()
            if kind == "pipe":
                transport, _ = await loop.connect_read_pipe(lambda: flooded, reader)
            else:
                transport, _ = await loop.create_connection(lambda: flooded, sock=reader)
            await soon(flooded.done)
            transport.close()
            beside.close()
            await soon(flooded.lost)
            await turns()

        each = of_each_turn(delivered)
        assert max(each) <= ALONE_BYTES[kind]
        # The flood was one: hardly a turn went by without.
        busy = each[noted["first"] :]
        assert sum(count > 0 for count in busy) >= len(busy) * 0.9
        # In the turn after, or what that found.
        first = noted.pop("first")
        assert set(noted) == {"callback", "timer", "connection"}
        assert max(noted.values()) - first <= 2

    loop.run_until_complete(main())


def test_a_flood_whose_bytes_take_time_gets_a_share_alone(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    class Slow(Flooded):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            time.sleep(0.002)  # More than what it may take beyond its share.

    async def main() -> None:
        delivered: list[int] = []

        def tick() -> None:
            delivered.append(flooded.bytes)
            if not flooded.done.done():
                loop.call_soon(tick)

        with ends("unix") as (reader, writer):
            source = Source(writer.fileno())
            source.refill()
            flooded = Slow(source, bool)
            loop.call_soon(tick)
            transport, _ = await loop.create_connection(lambda: flooded, sock=reader)
            await soon(flooded.done)
            transport.close()
            await soon(flooded.lost)
        each = of_each_turn(delivered)
        assert max(each) <= SHARE_BYTES + 256 * 1024  # A read, which tells that it takes too long.

    loop.run_until_complete(main())


def test_floods_share_a_turn(loop: asyncio.AbstractEventLoop, native: None) -> None:
    """None of several waits for another's end, or gets more than the others for long."""

    async def main() -> None:
        with contextlib.ExitStack() as stack:
            floods: list[Flooded] = []
            transports: list[Any] = []
            delivered: list[list[int]] = []

            def tick() -> None:
                delivered.append([flooded.bytes for flooded in floods])
                if not any(flooded.done.done() for flooded in floods):
                    loop.call_soon(tick)

            for _ in range(3):
                reader, writer = stack.enter_context(ends("unix"))
                source = Source(writer.fileno())
                floods.append(Flooded(source, bool, FLOOD_BYTES["unix"]))
                transport, _ = await loop.create_connection(lambda: floods[-1], sock=reader)
                transports.append(transport)
            loop.call_soon(tick)
            for flooded in floods:
                flooded.source.refill()
            for flooded in floods:
                await soon(flooded.done)
            for transport in transports:
                transport.close()
            for flooded in floods:
                await soon(flooded.lost)
        # One may take the first turn for itself.
        begun = [turn for turn in delivered if min(turn) > 0]
        each = [
            now - before
            for turn, then in zip(begun[1:], begun[2:], strict=False)
            for before, now in zip(turn, then, strict=True)
        ]
        assert max(each) <= SHARE_BYTES
        assert all(max(turn) - min(turn) <= ALONE_BYTES["unix"] + SHARE_BYTES for turn in delivered)

    loop.run_until_complete(main())
