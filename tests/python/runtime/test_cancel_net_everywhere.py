"""Cancelling at every await: peeking, vectored reads and writes, Unix listeners, copying, names and
a child's whole output; see cancel_support."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net, process
from tests.python.runtime.cancel_support import (
    CANCELLED,
    KINDS,
    Make,
    Scenario,
    cancel_everywhere,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def pair() -> tuple[net.UnixStream, socket.socket]:
    """A stream, and a socket of Python's own for the other side: what it sends leaves at once and
    whole."""
    ours, theirs = socket.socketpair()
    return net.UnixStream.from_fd(ours.detach()), theirs


def reading(read: Callable[[net.UnixStream], Awaitable[bytes]]) -> Make:
    """`read` gives what came; whoever reads afterwards gets it all, once."""

    async def make() -> Scenario:
        ours, theirs = pair()

        async def work() -> bytes:
            return await read(ours)

        async def check(result: object) -> None:
            theirs.close()
            got = b"" if result is CANCELLED else result
            assert isinstance(got, bytes)
            assert b"da\nta\n".startswith(got)
            assert got + await ours.read_to_end() == b"da\nta\n"

        return Scenario(work, lambda: theirs.sendall(b"da\nta\n"), check, [ours.close])

    return make


async def into_one(stream: net.UnixStream) -> bytes:
    buffer = bytearray(3)
    count = await stream.read_into(buffer)
    return bytes(buffer[:count])


async def into_several(stream: net.UnixStream) -> bytes:
    buffers = bytearray(2), bytearray(3)
    count = await stream.read_vectored(buffers)
    return b"".join(buffers)[:count]


async def after_a_peek(stream: net.UnixStream) -> bytes:
    seen = await stream.peek(3)
    got = await stream.read(3)
    assert got.startswith(seen)
    return got


async def when_it_is_readable(stream: net.UnixStream) -> bytes:
    await stream.readable()
    return stream.try_read(4) or b""


async def peek_alone() -> Scenario:
    ours, theirs = pair()

    async def work() -> bytes:
        return await ours.peek()

    async def check(result: object) -> None:
        assert result in (CANCELLED, b"data")
        assert await ours.read() == b"data"

    return Scenario(work, lambda: theirs.sendall(b"data"), check, [ours.close, theirs.close])


async def peek_at_a_datagram() -> Scenario:
    ours, theirs = net.UnixDatagram.pair()
    sender = socket.socket(fileno=os.dup(theirs.fileno()))

    async def work() -> Any:
        return await ours.peek_from()

    async def check(result: object) -> None:
        assert result in (CANCELLED, (b"whole", None))
        assert await ours.recv() == b"whole"
        assert ours.try_recv() is None

    return Scenario(
        work, lambda: sender.send(b"whole"), check, [ours.close, theirs.close, sender.close]
    )


def writing(write: Callable[[net.UnixStream], Awaitable[int]]) -> Make:
    """Into a full socket: a cancelled write has written nothing."""

    async def make() -> Scenario:
        ours, theirs = pair()
        theirs.setblocking(False)
        filling = socket.socket(fileno=os.dup(ours.fileno()))
        filled = 0
        with suppress(BlockingIOError):
            while True:
                filled += filling.send(bytes(1024), socket.MSG_DONTWAIT)
        received = bytearray()

        def empty() -> None:
            with suppress(BlockingIOError):
                while piece := theirs.recv(65536):
                    received.extend(piece)

        async def work() -> int:
            return await write(ours)

        def check(result: Any) -> None:
            empty()
            written = 0 if result is CANCELLED else result
            assert received == bytes(filled) + b"datum"[:written]

        return Scenario(work, empty, check, [ours.close, theirs.close, filling.close])

    return make


async def when_it_is_writable(stream: net.UnixStream) -> int:
    await stream.writable()
    return stream.try_write(b"datum")


async def accept_unix() -> Scenario:
    name = f"\0blitzio-cancel-{os.getpid()}"
    listener = net.UnixListener.bind(net.Address.local(name))
    clients: list[socket.socket] = []

    async def work() -> net.UnixStream:
        stream, _ = await listener.accept()
        return stream

    async def check(result: Any) -> None:
        stream = (await listener.accept())[0] if result is CANCELLED else result
        clients[0].sendall(b"data")
        assert await stream.read_exact(4) == b"data"
        stream.close()
        assert listener.try_accept() is None
        clients[0].close()

    def let_go() -> None:
        client = socket.socket(socket.AF_UNIX)
        client.connect(name)
        clients.append(client)

    return Scenario(work, let_go, check, [listener.close])


async def names() -> Scenario:
    """Time lets it go by itself: a thread resolves the name."""

    async def work() -> list[net.Address]:
        return await net.resolve("localhost", 80)

    def check(result: Any) -> None:
        assert result is CANCELLED or all(address.is_loopback for address in result)

    return Scenario(work, lambda: None, check)


async def copying() -> Scenario:
    near, source = pair()
    target, far = pair()

    async def work() -> int:
        return await net.copy(near, target)

    async def check(result: object) -> None:
        # What was moved, and what was not, is all of it: the target had room.
        target.close()
        moved = b""
        while piece := far.recv(100):
            moved += piece
        assert moved + await near.read_to_end() == b"data"
        assert result in (CANCELLED, 4)
        assert result is CANCELLED or moved == b"data"

    def let_go() -> None:
        source.sendall(b"data")
        source.shutdown(socket.SHUT_WR)

    return Scenario(work, let_go, check, [near.close, source.close, far.close])


async def copying_both_ways() -> Scenario:
    a, client = pair()
    b, server = pair()

    async def work() -> tuple[int, int]:
        return await net.copy_bidirectional(a, b)

    async def check(result: object) -> None:
        assert result in (CANCELLED, (8, 6))
        # Neither stream was closed, and nobody reads from them any more.
        assert not a.is_closed
        assert not b.is_closed
        with suppress(OSError):
            a.shutdown("write")
        with suppress(OSError):
            b.shutdown("write")
        there, back = server.recv(100), client.recv(100)
        assert there + await a.read_to_end() == b"question"
        assert back + await b.read_to_end() == b"answer"

    def let_go() -> None:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        server.sendall(b"answer")
        server.shutdown(socket.SHUT_WR)

    return Scenario(work, let_go, check, [a.close, b.close, client.close, server.close])


async def whole_output() -> Scenario:
    """What was read of a child's output stays in its streams; its input is closed."""
    reader, writer = os.pipe()
    cat = process.spawn("cat", stdin=reader, stdout="pipe", stderr="pipe")
    os.close(reader)

    async def work() -> tuple[bytes, bytes]:
        return await cat.wait_with_output()

    async def check(result: object) -> None:
        if result is CANCELLED:
            result = await cat.wait_with_output()
        assert result == (b"data", b"")
        assert (await cat.wait()).is_success
        cat.close_pipes()

    def let_go() -> None:
        assert os.write(writer, b"data") == 4
        os.close(writer)

    return Scenario(work, let_go, check)


SCENARIOS: dict[str, Make] = {
    "read": reading(lambda stream: stream.read(3)),
    "read_exact": reading(lambda stream: stream.read_exact(5)),
    "read_until": reading(lambda stream: stream.read_until(b"\n")),
    "read_line": reading(lambda stream: stream.read_line()),
    "read_into": reading(into_one),
    "read_vectored": reading(into_several),
    "read_after_peek": reading(after_a_peek),
    "readable": reading(when_it_is_readable),
    "peek": peek_alone,
    "peek_from": peek_at_a_datagram,
    "write": writing(lambda stream: stream.write(b"datum")),
    "write_vectored": writing(lambda stream: stream.write_vectored([b"dat", b"um"])),
    "writable": writing(when_it_is_writable),
    "accept_unix": accept_unix,
    "names": names,
    "copying": copying,
    "copying_both_ways": copying_both_ways,
    "whole_output": whole_output,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_wherever_it_is_cancelled(name: str, kind: str) -> None:
    cancel_everywhere(SCENARIOS[name], kind)
