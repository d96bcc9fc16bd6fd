"""What transports do with protocols: changing them, buffers of their own, callbacks that fail."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import Recorder, raw_pair, read_all, soon, transport_and_peer

if TYPE_CHECKING:
    from collections.abc import Callable

BIG = 8 * 1024 * 1024


def test_the_protocol_can_be_changed(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            before: Any = transport.get_protocol()
            assert before is protocol
            other = Recorder()
            transport.set_protocol(other)
            now: Any = transport.get_protocol()
            assert now is other
            peer.sendall(b"for the other")
            assert await other.received(13) == b"for the other"
            transport.close()
            await soon(other.lost)
            assert protocol.events == ["made"]
            protocol.lost.set_result(None)

    loop.run_until_complete(main())


class Buffered(asyncio.BufferedProtocol):
    """A BufferedProtocol with a small buffer, used again and again."""

    def __init__(self) -> None:
        self.buffer = bytearray(1000)
        self.data = bytearray()
        self.hints: list[int] = []
        self.eof = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint: int) -> bytearray:
        self.hints.append(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self.buffer)
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.eof.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


def test_a_buffered_protocol_is_given_its_own_buffer(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer(Buffered) as (_, protocol, peer):
            data = bytes(range(256)) * 1000
            await soon(loop.sock_sendall(peer, data))
            peer.shutdown(socket.SHUT_WR)
            await soon(protocol.eof)
            assert protocol.data == data
            assert protocol.hints

    loop.run_until_complete(main())


@pytest.mark.parametrize("has_both", [False, True])
def test_a_protocol_of_no_class_is_known_by_its_methods(
    loop: asyncio.AbstractEventLoop, native: None, has_both: bool
) -> None:
    # asyncio goes by the class alone, and finds no data_received in one that has only the others.
    buffer = bytearray(10)

    class Duck(asyncio.BaseProtocol):
        received = b""

        def __init__(self) -> None:
            self.lost: asyncio.Future[Any] = loop.create_future()
            if has_both:
                self.data_received = self.add

        def add(self, data: bytes) -> None:
            self.received += b"whole " + data

        def get_buffer(self, hint: int) -> bytearray:
            return buffer

        def buffer_updated(self, count: int) -> None:
            self.received += buffer[:count]

        def eof_received(self) -> None:
            pass

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(exc)

    async def main() -> None:
        async with transport_and_peer(Duck) as (_, protocol, peer):
            peer.send(b"data")
            peer.shutdown(socket.SHUT_WR)
            assert await soon(protocol.lost) is None
            assert protocol.received == (b"whole data" if has_both else b"data")

    loop.run_until_complete(main())


def test_changing_between_buffered_and_plain(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, plain, peer):
            buffered = Buffered()
            peer.sendall(b"plain")
            await plain.received(5)
            transport.set_protocol(buffered)
            peer.sendall(b"buffered")
            while len(buffered.data) < 8:
                await asyncio.sleep(0)
            transport.set_protocol(plain)
            peer.sendall(b" again")
            assert await plain.received(11) == b"plain again"
            assert buffered.data == b"buffered"

    loop.run_until_complete(main())


def failing(method: str) -> Callable[[], Any]:
    """Makes protocols whose `method` raises."""

    def fail(self: Any, *args: Any) -> Any:
        raise ValueError(f"in {method}")

    base: Any = Buffered if method in ("get_buffer", "buffer_updated") else Recorder
    return type("Failing", (base,), {method: fail})


MESSAGES = {
    "data_received": "Fatal error: protocol.data_received() call failed.",
    "eof_received": "Fatal error: protocol.eof_received() call failed.",
    "get_buffer": "Fatal error: protocol.get_buffer() call failed.",
    "buffer_updated": "Fatal error: protocol.buffer_updated() call failed.",
}


@pytest.mark.parametrize("method", MESSAGES)
def test_an_exception_in_a_protocol_callback_ends_the_connection(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]], method: str
) -> None:
    async def main() -> None:
        async with transport_and_peer(failing(method)) as (transport, protocol, peer):
            peer.sendall(b"data" if method != "eof_received" else b"")
            peer.shutdown(socket.SHUT_WR)
            exc = await soon(asyncio.shield(protocol.lost))
            assert str(exc) == f"in {method}"
            (report,) = reports
            assert report["message"] == MESSAGES[method]
            assert report["exception"] is exc
            assert report["transport"] is transport
            assert report["protocol"] is protocol

    loop.run_until_complete(main())


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
def test_an_exception_in_flow_control_is_reported_and_survived(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]], method: str
) -> None:
    async def main() -> None:
        async with transport_and_peer(failing(method)) as (transport, protocol, peer):
            transport.write(bytes(BIG))
            assert len(await read_all(peer, BIG)) == BIG
            while not reports:
                await asyncio.sleep(0)
            assert reports[0]["message"] == f"protocol.{method}() failed"
            assert reports[0]["transport"] is transport
            assert reports[0]["protocol"] is protocol
            transport.write(b"still works")
            assert await read_all(peer, 11) == b"still works"

    loop.run_until_complete(main())


def test_an_exception_in_connection_lost_is_reported_and_the_socket_closed(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    class Failing(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            raise ValueError("in connection_lost")

    async def main() -> None:
        async with transport_and_peer(Failing) as (transport, _, peer):
            transport.close()
            assert await read_all(peer) == b""
            while not reports:
                await asyncio.sleep(0)
        assert str(reports[0]["exception"]) == "in connection_lost"

    loop.run_until_complete(main())


def test_get_buffer_that_gives_nothing(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    class Empty(Buffered):
        def get_buffer(self, sizehint: int) -> bytearray:
            return bytearray()

    async def main() -> None:
        async with transport_and_peer(Empty) as (_, protocol, peer):
            peer.sendall(b"data")
            exc = await soon(asyncio.shield(protocol.lost))
            assert str(exc) == "get_buffer() returned an empty buffer"

    loop.run_until_complete(main())
    assert reports[0]["message"] == MESSAGES["get_buffer"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_data_received_leaves_the_loop(
    loop: asyncio.AbstractEventLoop, kind: type[BaseException]
) -> None:
    class Interrupting(Recorder):
        def data_received(self, data: bytes) -> None:
            raise kind("in data_received")

    mine, peer = raw_pair()
    with peer:
        connecting = loop.create_connection(Interrupting, sock=mine)
        transport, protocol = loop.run_until_complete(connecting)
        peer.sendall(b"data")
        with pytest.raises(kind, match="in data_received"):
            loop.run_forever()
        transport.abort()
        loop.run_until_complete(soon(protocol.lost))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("recorder", [Recorder, Buffered])
def test_an_end_whose_telling_is_interrupted_is_told_in_the_next_run(
    loop: asyncio.AbstractEventLoop, kind: type[BaseException], recorder: Any
) -> None:
    interrupts = 2

    class Interrupting(recorder):  # type: ignore[misc]
        def eof_received(self) -> Any:
            nonlocal interrupts
            if interrupts:
                interrupts -= 1
                raise kind("in eof_received")
            return super().eof_received()

    mine, peer = raw_pair()
    with peer:
        connecting = loop.create_connection(Interrupting, sock=mine)
        _transport, protocol = loop.run_until_complete(connecting)
        peer.sendall(b"last words")
        peer.shutdown(socket.SHUT_WR)
        for _ in range(2):
            with pytest.raises(kind, match="in eof_received"):
                loop.run_forever()
        assert protocol.data == b"last words"
        assert loop.run_until_complete(soon(protocol.lost)) is None
