"""Between the data and the end of a connection runs what data_received() has scheduled, as on
asyncio."""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import ssl
import struct
import termios
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import client_context, server_context, soon, turns
from tests.python.loop.tls_support import Peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Stepped(asyncio.Protocol):
    """Logs what it is told, and what runs that it scheduled when it was told of data."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.lost = asyncio.get_running_loop().create_future()

    def told(self) -> None:
        self.log.append("data")
        asyncio.get_running_loop().call_soon(self.log.append, "scheduled")

    def data_received(self, data: bytes) -> None:
        self.told()

    def eof_received(self) -> None:
        self.log.append("end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.log.append("lost" if exc is None else "failed")
        self.lost.set_result(None)


class SteppedBuffer(Stepped, asyncio.BufferedProtocol):
    def __init__(self) -> None:
        super().__init__()
        self.buffer = bytearray(4096)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.told()


def unix_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        return near, server.accept()[0]


@pytest.mark.parametrize("small_reads", [0, 8])
@pytest.mark.parametrize("pair", [unix_pair, tcp_pair])
@pytest.mark.parametrize("factory", [Stepped, SteppedBuffer])
def test_what_data_schedules_runs_before_the_end_is_told(
    loop: asyncio.AbstractEventLoop,
    factory: type[Stepped],
    pair: Callable[[], tuple[socket.socket, socket.socket]],
    small_reads: int,
) -> None:
    async def main() -> None:
        near, peer = pair()
        _, protocol = await loop.create_connection(factory, sock=near)
        for _ in range(small_reads):  # After some, the transport receives in its other mode.
            peer.send(b"x")
            while "scheduled" not in protocol.log:
                await asyncio.sleep(0)
            protocol.log.clear()
        peer.send(b"data")
        peer.close()
        await soon(protocol.lost)
        assert protocol.log[-3:] == ["scheduled", "end", "lost"]

    loop.run_until_complete(main())


def test_what_was_held_schedules_before_the_end_too(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        near, peer = tcp_pair()
        transport, protocol = await loop.create_connection(Stepped, sock=near)
        transport.pause_reading()
        peer.send(b"data")
        peer.close()
        await turns()
        transport.resume_reading()
        await soon(protocol.lost)
        assert protocol.log[-3:] == ["scheduled", "end", "lost"]

    loop.run_until_complete(main())


def test_who_closes_in_between_is_not_told_the_end(loop: asyncio.AbstractEventLoop) -> None:
    class Closes(Stepped):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def told(self) -> None:
            loop.call_soon(self.transport.close)

    async def main() -> None:
        near, peer = tcp_pair()
        _, protocol = await loop.create_connection(Closes, sock=near)
        peer.send(b"data")
        peer.close()
        await soon(protocol.lost)
        assert protocol.log == ["lost"]

    loop.run_until_complete(main())


def test_a_reset_behind_data_that_is_answered_is_told_as_one(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Not as the answer's failure, which leaves before the end is told."""

    class Answers(Stepped):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def told(self) -> None:
            super().told()
            self.transport.write(b"answer")

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(exc)

    async def main() -> None:
        near, peer = tcp_pair()
        _, protocol = await loop.create_connection(Answers, sock=near)
        peer.send(b"data")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert isinstance(await soon(protocol.lost), ConnectionResetError)

    loop.run_until_complete(main())


def count_unread(sock: socket.socket) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, count)
    return count[0]


given_turns = pytest.mark.no_faults("what is here is read in the turns that are given for it")


class Answering(Stepped):
    """Writes before it has read anything."""

    def __init__(self, answer: Any, when: str) -> None:
        super().__init__()
        self.answer = answer
        self.when = when
        self.got = 0
        self.end: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self.when == "made":
            transport.write(self.answer)

    def data_received(self, data: bytes) -> None:
        self.got += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end = exc
        super().connection_lost(exc)


async def answered(near: socket.socket, answer: Any, when: str) -> Answering:
    """What a connection over `near` told that answers, and was lost."""
    transport, protocol = await asyncio.get_running_loop().create_connection(
        lambda: Answering(answer, when), sock=near
    )
    if when == "after":
        transport.write(answer)
    await soon(protocol.lost)
    return protocol


def left_behind() -> socket.socket:
    """Has something to read of a peer that has closed."""
    near, peer = unix_pair()
    peer.send(b"data")
    peer.close()
    return near


@given_turns
@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("when", ["made", "after"])
@pytest.mark.parametrize("answer", [b"small", bytes(100_000), bytearray(100_000)], ids=len)
def test_a_write_that_fails_leaves_what_the_peer_had_sent(
    loop: asyncio.AbstractEventLoop, answer: Any, when: str
) -> None:
    """asyncio loses it, and uvloop if the write is in connection_made()."""

    async def main() -> None:
        protocol = await answered(left_behind(), answer, when)
        assert protocol.got == 4
        assert protocol.log[-1] == "failed"
        assert isinstance(protocol.end, BrokenPipeError)

    loop.run_until_complete(main())


def fill(sock: socket.socket) -> int:
    """Sends until no more fits; returns how much."""
    sock.setblocking(False)
    sent = 0
    while True:
        try:
            sent += sock.send(bytes(10_000))
        except BlockingIOError:
            return sent


@given_turns
@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("small_ones", [0, 4])
def test_a_write_that_fails_leaves_more_than_a_turn_reads(
    loop: asyncio.AbstractEventLoop, small_ones: int
) -> None:
    """Also of a connection that had small messages, and reads in another way from here on."""

    async def main() -> None:
        near, peer = unix_pair()
        transport, protocol = await loop.create_connection(
            lambda: Answering(b"", "after"), sock=near
        )
        for number in range(small_ones):
            peer.send(b"x")
            while protocol.got == number:
                await asyncio.sleep(0)
        sent = small_ones + fill(peer)
        peer.close()
        transport.write(b"answer")
        await soon(protocol.lost)
        assert protocol.got == sent
        assert isinstance(protocol.end, BrokenPipeError)

    loop.run_until_complete(main())


@given_turns
@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("when", ["made", "after"])
@pytest.mark.parametrize("answer", [b"small", bytes(100_000)], ids=len)
def test_a_write_that_meets_a_reset_leaves_what_came_before_it(
    loop: asyncio.AbstractEventLoop, answer: Any, when: str
) -> None:
    """The kernel tells of a reset once: the write, and to who reads after that it looks as if the
    peer had ended its data."""

    async def main() -> None:
        near, peer = tcp_pair()
        peer.send(b"data")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        protocol = await answered(near, answer, when)
        assert protocol.got == 4
        assert protocol.log == ["failed"]
        assert isinstance(protocol.end, ConnectionResetError)

    loop.run_until_complete(main())


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("how", ["pause", "close", "abort"])
def test_a_write_that_failed_keeps_nobody_who_does_not_read(
    loop: asyncio.AbstractEventLoop, how: str
) -> None:
    async def main() -> None:
        near = left_behind()
        transport, protocol = await loop.create_connection(
            lambda: Answering(bytes(100_000), "after"), sock=near
        )
        transport.write(protocol.answer)
        getattr(transport, "pause_reading" if how == "pause" else how)()
        await soon(protocol.lost)
        assert protocol.got == 0
        assert protocol.log == ["failed"]

    loop.run_until_complete(main())


@given_turns
@pytest.mark.usefixtures("native")
def test_a_write_that_failed_waits_for_all_of_much_data(loop: asyncio.AbstractEventLoop) -> None:
    """More than a connection may deliver in the turns that it is given."""

    async def main() -> None:
        pairs = [tcp_pair() for _ in range(8)]
        for near, peer in pairs:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_000_000)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_000_000)
            peer.setblocking(False)
            peer.send(bytes(4_000_000))
            near.shutdown(socket.SHUT_WR)
        made = [
            loop.create_connection(lambda: Answering(b"small", "made"), sock=near)
            for near, _ in pairs
        ]
        # How much of it is here depends on the limits of the kernel.
        here = [count_unread(near) for near, _ in pairs]
        for (_, protocol), count in zip(await asyncio.gather(*made), here, strict=True):
            await soon(protocol.lost)
            assert protocol.got >= count
        for _, peer in pairs:
            peer.close()

    loop.run_until_complete(main())


@given_turns
@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("pair", [unix_pair, tcp_pair])
def test_what_a_client_sends_before_it_closes_its_tls_is_read(
    loop: asyncio.AbstractEventLoop,
    tmp_path: Path,
    pair: Callable[[], tuple[socket.socket, socket.socket]],
    answers: bool,
) -> None:
    """Of TLS 1.3 the server ends the handshake: it sends tickets, to nobody. The error of that was
    told to a StreamReader before who reads from it had the data."""

    class Protocol(asyncio.StreamReaderProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            if answers:
                transport.write(bytes(100_000))  # type: ignore[attr-defined]

    async def serve(near: socket.socket) -> list[bytes]:
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_accepted_socket(
            lambda: Protocol(reader), near, ssl=server_context(tmp_path)
        )
        try:
            return [await reader.read(10), await reader.read(10)]
        finally:
            transport.abort()
            await turns()

    async def main() -> None:
        near, other = pair()
        near.setblocking(False)
        other.setblocking(False)
        serving = asyncio.ensure_future(serve(near))
        with other:
            peer = Peer(other, client_context(), server_side=False)
            await peer.do(peer.tls.do_handshake)
            peer.tls.write(b"data")
            with pytest.raises(ssl.SSLWantReadError):
                peer.tls.unwrap()
            other.send(peer.outgoing.read())  # With the end of its handshake.
        assert await soon(serving) == [b"data", b""]

    loop.run_until_complete(main())
