"""Stream transports: what asyncio's documentation promises a protocol.

One end is a transport under test, the other a bare socket, so that what is sent and when it is read
are the test's to decide.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    Recorder,
    fill,
    raw_pair,
    soon,
    transport_and_peer,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BIG = 8 * 1024 * 1024


async def read_all(peer: socket.socket, size: int | None = None) -> bytes:
    """Reads `size` bytes, or to the end, from the bare socket."""
    loop = asyncio.get_running_loop()
    received = bytearray()
    while size is None or len(received) < size:
        block = await soon(loop.sock_recv(peer, 65536))
        if not block:
            break
        received += block
    return bytes(received)


def test_data_of_every_size_arrives(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (_, protocol, peer):
            total = b""
            for size in (1, 100, 1024, 16_384, 16_385, 65_536, 300_000):
                block = bytes(range(256)) * (size // 256 + 1)
                await soon(loop.sock_sendall(peer, block[:size]))
                total += block[:size]
                assert await protocol.received(len(total)) == total

    loop.run_until_complete(main())


def test_writes_arrive_in_order_whatever_they_are(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, _, peer):
            expected = b""
            for number in range(200):
                block = bytes([number]) * (number * 50 + 1)
                kind: Any = (bytes, bytearray, memoryview)[number % 3]
                transport.write(kind(block))
                expected += block
            transport.writelines([b"a", bytearray(b"bc"), memoryview(b"def")])
            transport.write(b"")
            transport.writelines([])
            expected += b"abcdef"
            assert await read_all(peer, len(expected)) == expected

    loop.run_until_complete(main())


def test_a_mutable_buffer_may_be_changed_after_write(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    # asyncio promises it; its own transports keep a view of the buffer since 3.12.
    async def main() -> None:
        async with transport_and_peer() as (transport, _, peer):
            transport.write(bytes(BIG))  # What follows has to wait in the transport.
            buffer = bytearray(b"before")
            transport.write(buffer)
            transport.writelines([buffer, memoryview(buffer)])
            buffer[:] = b"AFTER!"
            assert (await read_all(peer, BIG + 18))[BIG:] == b"before" * 3

    loop.run_until_complete(main())


@pytest.mark.parametrize("data", ["text", None, 5, [b"a"], object()])
def test_write_wants_bytes(loop: asyncio.AbstractEventLoop, data: Any) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, _, peer):
            with pytest.raises(TypeError):
                transport.write(data)
            transport.write(b"still works")
            assert await read_all(peer, 11) == b"still works"

    loop.run_until_complete(main())


def test_flow_control(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            transport.set_write_buffer_limits(high=100_000, low=20_000)
            assert transport.get_write_buffer_limits() == (20_000, 100_000)
            sent = 0
            while "pause" not in protocol.events:
                transport.write(bytes(50_000))
                sent += 50_000
                await turns(1)
            assert transport.get_write_buffer_size() > 100_000
            assert protocol.events == ["made", "pause"]
            received = len(await read_all(peer, sent))
            await protocol.until(lambda self: "resume" in self.events)
            assert protocol.events == ["made", "pause", "resume"]
            assert transport.get_write_buffer_size() <= 20_000
            assert received == sent

    loop.run_until_complete(main())


def test_write_buffer_limits(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, _, __):
            assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
            transport.set_write_buffer_limits(high=100)
            assert transport.get_write_buffer_limits() == (25, 100)
            transport.set_write_buffer_limits(low=100)
            assert transport.get_write_buffer_limits() == (100, 400)
            transport.set_write_buffer_limits(high=0)
            assert transport.get_write_buffer_limits() == (0, 0)
            with pytest.raises(ValueError, match="must be >= low"):
                transport.set_write_buffer_limits(high=1, low=2)
            with pytest.raises(ValueError, match="must be >= 0"):
                transport.set_write_buffer_limits(high=1, low=-1)

    loop.run_until_complete(main())


def test_pause_reading_stops_the_data(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            assert transport.is_reading()
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            peer.sendall(b"while paused")
            await asyncio.sleep(0.01)
            assert protocol.data == b""
            transport.resume_reading()
            transport.resume_reading()
            assert transport.is_reading()
            assert await protocol.received(12) == b"while paused"

    loop.run_until_complete(main())


def test_a_paused_transport_pushes_back(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            transport.pause_reading()
            sent = fill(peer)
            await asyncio.sleep(0.01)
            with pytest.raises(BlockingIOError):
                while True:
                    sent += peer.send(bytes(65536))
                    await asyncio.sleep(0)
            assert protocol.data == b""
            transport.resume_reading()
            await protocol.received(sent)

    loop.run_until_complete(main())


def test_pausing_in_data_received_takes_effect_at_once(loop: asyncio.AbstractEventLoop) -> None:
    class Pausing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            assert self.transport is not None
            self.transport.pause_reading()

    async def main() -> None:
        async with transport_and_peer(Pausing) as (transport, protocol, peer):
            sent = fill(peer)
            while len(protocol.data) < sent:
                had = len(protocol.data)
                await protocol.until(lambda self: len(self.data) > had)
                had = len(protocol.data)
                await turns(5)
                assert len(protocol.data) == had
                transport.resume_reading()

    loop.run_until_complete(main())


def test_reading_can_be_paused_in_connection_made(loop: asyncio.AbstractEventLoop) -> None:
    class Pausing(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            assert self.transport is not None
            self.transport.pause_reading()

    async def main() -> None:
        mine, peer = raw_pair()
        with peer:
            peer.sendall(b"early")
            transport, protocol = await loop.create_connection(Pausing, sock=mine)
            await asyncio.sleep(0.005)
            assert protocol.data == b""
            transport.resume_reading()
            assert await protocol.received(5) == b"early"
            transport.abort()
            await soon(protocol.lost)

    loop.run_until_complete(main())


def test_eof_closes_unless_the_protocol_wants_to_go_on(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            peer.sendall(b"last words")
            peer.shutdown(socket.SHUT_WR)
            assert await soon(asyncio.shield(protocol.lost)) is None
            assert protocol.events == ["made", "data", "eof", "lost"]
            assert transport.is_closing()

        async with transport_and_peer() as (transport, protocol, peer):
            protocol.keep_open_after_eof = True
            peer.shutdown(socket.SHUT_WR)
            await protocol.until(lambda self: "eof" in self.events)
            await turns()
            assert not transport.is_closing()
            transport.write(b"answer")
            assert await read_all(peer, 6) == b"answer"
            assert protocol.events == ["made", "eof"]
            transport.close()
            assert await read_all(peer) == b""

    loop.run_until_complete(main())


def test_write_eof_half_closes_after_what_is_buffered(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            assert transport.can_write_eof()
            transport.write(bytes(BIG))
            transport.write_eof()
            transport.write_eof()
            with pytest.raises(RuntimeError, match="^Cannot call write\\(\\) after write_eof\\(\\)$"):
                transport.write(b"more")
            assert len(await read_all(peer)) == BIG
            peer.sendall(b"still heard")
            assert await protocol.received(11) == b"still heard"
            assert not transport.is_closing()

    loop.run_until_complete(main())


def test_close_sends_what_is_buffered(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            transport.write(bytes(BIG))
            transport.close()
            transport.close()
            assert transport.is_closing()
            assert not protocol.lost.done()
            assert len(await read_all(peer)) == BIG
            assert await soon(asyncio.shield(protocol.lost)) is None
            assert protocol.events[-1] == "lost"

    loop.run_until_complete(main())


def test_no_data_after_close(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            peer.sendall(b"unread")
            transport.close()
            assert await soon(asyncio.shield(protocol.lost)) is None
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_abort_drops_what_is_buffered(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            transport.write(bytes(BIG))
            transport.abort()
            transport.abort()
            assert transport.is_closing()
            assert await soon(asyncio.shield(protocol.lost)) is None
            received = 0
            try:
                while block := await soon(loop.sock_recv(peer, 1 << 20)):
                    received += len(block)
            except ConnectionResetError:
                pass  # The kernel may tell what was dropped.
            assert received < BIG

    loop.run_until_complete(main())


def test_connection_lost_is_called_later_and_once(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            transport.close()
            assert "lost" not in protocol.events
            transport.abort()
            peer.close()
            await soon(asyncio.shield(protocol.lost))
            transport.close()
            transport.abort()
            await turns(5)
            assert protocol.events.count("lost") == 1

    loop.run_until_complete(main())


def test_a_reset_reaches_connection_lost(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            exc = await soon(asyncio.shield(protocol.lost))
            assert isinstance(exc, ConnectionResetError)
            assert transport.is_closing()

    loop.run_until_complete(main())


def test_writing_to_a_peer_that_is_gone(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            protocol.keep_open_after_eof = True
            transport.pause_reading()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            while not protocol.lost.done():
                transport.write(b"anybody?")
                await asyncio.sleep(0)
            assert isinstance(protocol.lost.result(), (ConnectionResetError, BrokenPipeError))
            for _ in range(10):
                transport.write(b"ignored")

    loop.run_until_complete(main())


def test_writing_after_close_is_ignored(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            transport.close()
            await soon(asyncio.shield(protocol.lost))
            transport.write(b"ignored")
            assert await read_all(peer) == b""

    loop.run_until_complete(main())


def test_extra_info(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, _, peer):
            sock = transport.get_extra_info("socket")
            assert sock.getsockname() == transport.get_extra_info("sockname")
            assert transport.get_extra_info("peername") == peer.getsockname()
            assert sock.gettimeout() == 0
            assert sock.type == socket.SOCK_STREAM
            assert transport.get_extra_info("sslcontext") is None
            assert transport.get_extra_info("nothing", "default") == "default"

    loop.run_until_complete(main())


def test_the_protocol_can_be_changed(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            assert transport.get_protocol() is protocol
            other = Recorder()
            transport.set_protocol(other)
            assert transport.get_protocol() is other
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
        self.lost: asyncio.Future[Exception | None] = (
            asyncio.get_running_loop().create_future()
        )

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


def test_an_abandoned_transport_warns(loop: asyncio.AbstractEventLoop) -> None:
    with socket.create_server((HOST, 0)) as listener:
        # A closed loop keeps nothing alive, so nobody but the test holds the transport.
        connecting = loop.create_connection(asyncio.Protocol, *listener.getsockname())
        transport, _ = loop.run_until_complete(connecting)
        loop.close()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del transport, _
            gc.collect()
    # Its socket may be collected first, and then warns as well.
    assert any("unclosed transport <" in str(warning.message) for warning in caught)


def test_repr_tells_the_state(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, __):
            fd = transport.get_extra_info("socket").fileno()
            assert f"fd={fd}" in repr(transport)
            transport.close()
            assert "clos" in repr(transport)
            await soon(asyncio.shield(protocol.lost))
            assert "closed" in repr(transport)

    loop.run_until_complete(main())
