"""Stream transports: what asyncio's documentation promises a protocol.

One end is a transport under test, the other a bare socket, so that what is sent and when it is read
are the test's to decide.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    PATIENCE,
    Recorder,
    fill,
    raw_pair,
    read_all,
    reset,
    soon,
    transport_and_peer,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BIG = 8 * 1024 * 1024


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


@pytest.mark.no_faults("a full kernel buffer is what it counts on", "short", "again")
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
                await protocol.until(lambda self, had=had: len(self.data) > had)
                had = len(protocol.data)
                await turns(5)
                assert len(protocol.data) == had
                transport.resume_reading()

    loop.run_until_complete(main())


def test_reading_can_be_paused_in_connection_made(
    loop: asyncio.AbstractEventLoop, backend: str
) -> None:
    if backend == "asyncio" and sys.version_info < (3, 11):
        pytest.skip("3.10 begins to read nevertheless")

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
            with pytest.raises(
                RuntimeError, match="^Cannot call write\\(\\) after write_eof\\(\\)$"
            ):
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
            reset(peer)
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
            reset(peer)
            while not protocol.lost.done():
                transport.write(b"anybody?")
                await asyncio.sleep(0)
            assert isinstance(protocol.lost.result(), (ConnectionResetError, BrokenPipeError))
            for _ in range(10):
                transport.write(b"ignored")

    loop.run_until_complete(main())


@pytest.mark.parametrize("messages", [0, 3])
@pytest.mark.parametrize("how", ["task", "data_received", "eof_received", "full"])
def test_what_runs_behind_connection_lost_may_wait_for_the_peer_to_see_the_end(
    loop: asyncio.AbstractEventLoop, how: str, messages: int
) -> None:
    async def main() -> None:
        def end() -> None:
            protocol.transport.abort()
            loop.call_soon(look)

        def look() -> None:
            assert protocol.lost.done()
            peer.settimeout(PATIENCE)
            try:
                while peer.recv(BIG):
                    pass
                seen.set_result("the end")
            except OSError as exc:
                seen.set_exception(exc)

        class Last(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                if self.data.endswith(b"end"):
                    end()

            def eof_received(self) -> None:
                end()

        seen = loop.create_future()
        async with transport_and_peer(Last) as (transport, protocol, peer):
            for number in range(messages):  # Some, and it receives in another way.
                peer.send(b"x")
                await protocol.received(number + 1)
            if how == "data_received":
                peer.send(b"end")
            elif how == "eof_received":
                peer.shutdown(socket.SHUT_WR)
            else:
                if how == "full":
                    transport.write(bytes(BIG))
                    await turns()
                end()
            assert await soon(seen) == "the end"

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


@pytest.mark.parametrize("lines", [1, [b"good", "text"], [b"good", 1]])
def test_writelines_refuses_what_is_no_list_of_buffers_in_asyncios_words(
    same_as_asyncio: Callable[[Any], Any], lines: Any
) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> None:
        async def main() -> None:
            async with transport_and_peer() as (transport, _, __):
                transport.writelines(lines)

        loop.run_until_complete(main())

    assert same_as_asyncio(scenario)[:2] == ("raised", TypeError)


def test_the_socket_of_a_transport_that_has_ended_is_a_closed_one(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Nobody had asked for it before, and so there was none."""

    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, _):
            transport.close()
            await soon(asyncio.shield(protocol.lost))
            sock = transport.get_extra_info("socket")
            assert sock is transport.get_extra_info("socket")
            assert (sock.fileno(), sock.family) == (-1, socket.AF_INET)
            with pytest.raises(OSError, match="Bad file descriptor"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    loop.run_until_complete(main())


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
