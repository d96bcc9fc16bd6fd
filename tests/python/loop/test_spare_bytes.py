"""Messages whose memory is used again: what a program keeps of one stays as it was."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from tests.python.loop.tls_support import tls_and_peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = 400
#: About what is kept and what is not: below, at the edges of the powers of two, above.
SIZES = (1, 400, 511, 512, 513, 1023, 1024, 1025, 1500, 2047, 2048, 4096, 16_384, 16_385, 40_000)


def kept(data: bytes) -> object:
    return data


def viewed(data: bytes) -> object:
    return memoryview(data)


def closed_over(data: bytes) -> object:
    return lambda: data


def as_key(data: bytes) -> object:
    return {data: None}  # Its hash is kept as well.


def dropped(data: bytes) -> object:
    hash(data)  # The next one in its place has another.
    return None


WAYS: tuple[Callable[[bytes], object], ...] = (kept, viewed, closed_over, as_key, dropped)


def content(way: Callable[[bytes], object], found: object) -> bytes:
    if way is closed_over:
        return found()  # type: ignore[operator, no-any-return]
    if way is as_key:
        return next(iter(found))  # type: ignore[call-overload, no-any-return]
    return bytes(found)  # type: ignore[call-overload, no-any-return]


class Keeper(asyncio.Protocol):
    """Answers, with what came itself, and keeps it in one of the ways."""

    def __init__(self, copies: int) -> None:
        self.copies = copies
        self.rng = random.Random(7)
        self.bytes = 0
        self.came: list[tuple[Callable[[bytes], object], object, str]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        way = self.rng.choice(WAYS)
        self.bytes += len(data)
        self.came.append((way, way(data), hashlib.sha256(data).hexdigest()))
        assert hash(data) == hash(bytes(bytearray(data)))
        assert data[len(data) :] == b""
        assert sys.getsizeof(data) == sys.getsizeof(b"") + len(data)
        for _ in range(self.copies):
            self.transport.write(data)  # type: ignore[attr-defined]

    def check(self) -> int:
        for way, found, digest in self.came:
            if way is not dropped:
                assert hashlib.sha256(content(way, found)).hexdigest() == digest
        return len(self.came)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_what_is_kept_of_a_message_stays(
    loop: asyncio.AbstractEventLoop, kind: str, copies: int, tmp_path: Path
) -> None:
    async def main() -> None:
        keepers: list[Keeper] = []

        def factory() -> Keeper:
            keepers.append(Keeper(copies))
            return keepers[-1]

        if kind == "unix":
            server = await loop.create_unix_server(factory, tmp_path / "s")
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        else:
            server = await loop.create_server(factory, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        rng = random.Random(3)
        for _ in range(ROUNDS):
            message = rng.randbytes(rng.choice(SIZES))
            writer.write(message)
            back = await reader.readexactly(copies * len(message))
            assert copies > 1 or back == message  # A large one may have come in two parts.
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        assert keepers[0].check() >= ROUNDS

    loop.run_until_complete(main())


def test_what_waits_before_tls_or_comes_through_it_stays(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    """The peer reads late, so that plaintext waits: what the program has kept of it stays, what it
    has not is used for the next ones."""

    async def main() -> None:
        # Of all that it answers.
        expected = hashlib.sha256()
        received = hashlib.sha256()
        size = 0
        async with tls_and_peer(tmp_path, lambda: Keeper(1)) as (transport, keeper, peer):
            transport.set_write_buffer_limits(high=1 << 30)
            # Little that the kernel takes.
            ours = transport.get_extra_info("socket")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
            rng = random.Random(3)
            # More than the transport below takes: the rest is not encrypted yet.
            while transport.get_write_buffer_size() < 1 << 18:
                message = rng.randbytes(rng.choice(SIZES))
                expected.update(message)
                size += len(message)
                await peer.send(message)
                while keeper.bytes < size:
                    await asyncio.sleep(0)
            assert keeper.check() > 50
            while size:
                block = await peer.read(min(size, 1 << 16))
                received.update(block)
                size -= len(block)
            assert received.digest() == expected.digest()
            keeper.check()

    loop.run_until_complete(main())


def test_datagrams_too(loop: asyncio.AbstractEventLoop) -> None:
    class Endpoint(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.keeper = Keeper(1)
            self.arrived = asyncio.Event()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            self.keeper.transport = self  # type: ignore[assignment]

        def write(self, data: bytes) -> None:
            self.transport.sendto(data, self.peer)  # type: ignore[attr-defined]

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.peer = addr
            self.keeper.data_received(data)

    async def main() -> None:
        transport, endpoint = await loop.create_datagram_endpoint(
            Endpoint, local_addr=("127.0.0.1", 0)
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.setblocking(False)
            peer.connect(transport.get_extra_info("sockname"))
            rng = random.Random(3)
            for _ in range(ROUNDS):
                message = rng.randbytes(rng.choice(SIZES))
                await loop.sock_sendall(peer, message)
                assert await loop.sock_recv(peer, 65536) == message
        transport.close()
        assert endpoint.keeper.check() == ROUNDS

    loop.run_until_complete(main())


def test_a_pipe_too(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        read_end, write_end = os.pipe()
        keeper = Keeper(0)
        reading, _ = await loop.connect_read_pipe(lambda: keeper, os.fdopen(read_end, "rb", 0))
        writing, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(write_end, "wb", 0)
        )
        rng = random.Random(3)
        sent = 0
        for _ in range(ROUNDS):
            message = rng.randbytes(rng.choice(SIZES))
            sent += len(message)
            writing.write(message)
            await asyncio.sleep(0)
        writing.close()
        while not reading.is_closing():
            await asyncio.sleep(0.001)
        assert keeper.check() > 0
        assert keeper.bytes == sent

    loop.run_until_complete(main())


def count_messages(size: int) -> int:
    """How many `bytes` of `size` there are that were made since tracing began."""
    traces = tracemalloc.take_snapshot().traces
    return sum(trace.size == sys.getsizeof(b"") + size for trace in traces)


@pytest.mark.no_faults("counts messages that come in one piece")
def test_a_closed_loop_keeps_none(loop: asyncio.AbstractEventLoop) -> None:
    size, count = 3001, 12

    class Holder(asyncio.Protocol):
        def __init__(self) -> None:
            self.messages: list[bytes] = []
            self.arrived = asyncio.Event()

        def data_received(self, data: bytes) -> None:
            self.messages.append(data)
            self.arrived.set()

    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        transport, holder = await loop.create_connection(Holder, sock=ours)
        for number in range(count):  # None comes back, so that the loop is short of as many.
            holder.arrived.clear()
            await loop.sock_sendall(theirs, bytes([number]) * size)
            await holder.arrived.wait()
        for number in range(count):
            transport.write(bytes([number]) * size)
        left = count * size
        while left:
            left -= len(await loop.sock_recv(theirs, left))
        transport.abort()
        theirs.close()

    tracemalloc.start()
    try:
        loop.run_until_complete(main())
        loop.close()
        assert count_messages(size) == 0
    finally:
        tracemalloc.stop()
