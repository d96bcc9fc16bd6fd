"""TLS: records on their way in and out."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import Recorder, soon, turns
from tests.python.loop.tls_support import tls_and_peer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("native")


class Filler(asyncio.BufferedProtocol):
    """Receives into buffers of a given size, made anew each time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = bytearray()
        self.buffer = bytearray()
        self.hints: list[int] = []
        self.updates: list[int] = []
        self.grown = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint: int) -> bytearray:
        self.hints.append(sizehint)
        self.buffer = bytearray(self.size)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert nbytes > 0
        self.updates.append(nbytes)
        self.data += self.buffer[:nbytes]
        self.grown.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)

    async def received(self, size: int) -> bytes:
        while len(self.data) < size:
            self.grown.clear()
            await soon(self.grown.wait())
        return bytes(self.data)


@pytest.mark.parametrize("server_side", [False, True])
def test_records_that_arrive_byte_by_byte(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, server_side: bool
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path, server_side=server_side) as (transport, protocol, peer):
            wire = peer.records(b"first") + peer.records(b"second")
            for position in range(len(wire)):
                await loop.sock_sendall(peer.sock, wire[position : position + 1])
                await turns(1)
            assert await protocol.received(11) == b"firstsecond"
            transport.write(b"answer")
            assert await peer.read(6) == b"answer"

    loop.run_until_complete(main())


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_many_records_in_one_read_are_one_delivery(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    deliveries: list[int] = []

    class Counting(Recorder):
        def data_received(self, data: bytes) -> None:
            deliveries.append(len(data))
            super().data_received(data)

    async def main() -> None:
        async with tls_and_peer(tmp_path, Counting) as (_, protocol, peer):
            data = bytes(range(200))
            wire = peer.records(data, 2)
            await loop.sock_sendall(peer.sock, wire)
            assert await protocol.received(200) == data
        # One send on loopback arrives as one read, whatever its records.
        assert len(deliveries) == 1

    loop.run_until_complete(main())


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 100, 16384 + 20, 16384 + 30])
def test_large_records_cut_anywhere(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, cut: int
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (_, protocol, peer):
            data = bytes(range(256)) * 200
            wire = peer.records(data)
            await loop.sock_sendall(peer.sock, wire[:cut])
            await turns()
            await loop.sock_sendall(peer.sock, wire[cut:])
            assert await protocol.received(len(data)) == data

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [1, 16 * 1024, 16 * 1024 + 1, 100_000, 3_000_000])
def test_writes_of_any_size_and_kind(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, size: int, kind: Any
) -> None:
    async def main() -> None:
        data = (bytes(range(251)) * (size // 251 + 1))[:size]
        async with tls_and_peer(tmp_path) as (transport, _, peer):
            transport.write(kind(data))
            assert await peer.read(size) == data
            await peer.send(data)
            assert transport.get_write_buffer_size() == 0

    loop.run_until_complete(main())


def test_a_mutable_buffer_may_change_after_write(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, _, peer):
            data = bytearray(b"a") * 2_000_000  # More than the kernel takes at once.
            transport.write(data)
            data[:] = b"b" * len(data)
            assert await peer.read(len(data)) == b"a" * len(data)

    loop.run_until_complete(main())


def test_writelines_joins_and_empty_writes_send_nothing(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, _, peer):
            transport.write(b"")
            transport.writelines([])
            transport.writelines((b"", b""))
            transport.writelines([b"", bytearray(b"one"), memoryview(b"two")])
            assert await peer.read(6) == b"onetwo"
            assert peer.incoming.pending == 0

    loop.run_until_complete(main())


def test_what_is_no_buffer_is_refused(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, _, peer):
            with pytest.raises(TypeError, match="data: expecting a bytes-like instance, got str"):
                transport.write("text")  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                transport.writelines([b"data", "text"])  # type: ignore[list-item]
            assert transport.can_write_eof() is False
            with pytest.raises(NotImplementedError):
                transport.write_eof()
            transport.write(b"good")
            assert await peer.read(4) == b"good"

    loop.run_until_complete(main())


@pytest.mark.parametrize("size", [1, 7, 1000, 16384, 40_000])
def test_a_buffered_protocol_gets_its_buffers_filled(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, size: int
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path, lambda: Filler(size)) as (_, protocol, peer):
            data = bytes(range(250)) * (80 if size > 1 else 4)
            await loop.sock_sendall(peer.sock, peer.records(data, 999))
            assert await protocol.received(len(data)) == data
            # A buffer comes back empty only if what had arrived was the session tickets.
            assert len(protocol.hints) - len(protocol.updates) <= 2
            assert sum(protocol.updates) == len(data)

    loop.run_until_complete(main())


def test_the_protocol_may_change_between_two_kinds(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            filler = Filler(3)
            await peer.send(b"to the first")
            await protocol.received(12)
            transport.set_protocol(filler)
            assert transport.get_protocol() is filler
            await peer.send(b"to the second")
            assert await filler.received(13) == b"to the second"
            transport.set_protocol(protocol)
            await peer.send(b"!")
            assert await protocol.received(13) == b"to the first!"

    loop.run_until_complete(main())


def test_nothing_arrives_while_paused_and_nothing_is_lost(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            transport.pause_reading()
            assert not transport.is_reading()
            await peer.send(b"early")
            await turns(10)
            assert "data" not in protocol.events
            transport.resume_reading()
            assert transport.is_reading()
            assert "data" not in protocol.events  # Not from within the call.
            assert await protocol.received(5) == b"early"

    loop.run_until_complete(main())


def test_pausing_in_data_received_holds_the_rest(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    class Pausing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            assert self.transport is not None
            self.transport.pause_reading()
            loop.call_soon(self.transport.resume_reading)

    async def main() -> None:
        data = bytes(range(256)) * 4000
        async with tls_and_peer(tmp_path, Pausing) as (_, protocol, peer):
            sending = loop.create_task(loop.sock_sendall(peer.sock, peer.records(data)))
            assert await protocol.received(len(data)) == data
            await soon(sending)

    loop.run_until_complete(main())


def test_a_paused_application_pauses_the_transport_below(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            tls: Any = transport
            assert tls.get_read_buffer_limits() == (64 * 1024, 256 * 1024)
            tls.set_read_buffer_limits(high=1000)
            assert tls.get_read_buffer_limits() == (250, 1000)
            below = tls._ssl_protocol._transport
            transport.pause_reading()
            # Below the mark with the session's tickets, if these have not been read yet.
            await peer.send(bytes(300))
            while tls.get_read_buffer_size() < 300:
                await turns(1)
            assert below.is_reading()
            await peer.send(bytes(900))
            # At the mark, with however little of the second piece.
            while tls.get_read_buffer_size() < 1000:
                await turns(1)
            assert not below.is_reading()
            transport.resume_reading()
            await protocol.received(1200)
            assert below.is_reading()
            assert tls.get_read_buffer_size() == 0
            with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\) must be >= 0"):
                tls.set_read_buffer_limits(high=1, low=2)

    loop.run_until_complete(main())


def test_the_application_is_paused_and_resumed(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
            transport.set_write_buffer_limits(high=100_000, low=1000)
            sent = 0
            while True:
                transport.write(bytes(50_000))
                sent += 50_000
                if "pause" in protocol.events:
                    break  # Before a turn in which some of it may leave.
                await turns(1)
            assert transport.get_write_buffer_size() >= 100_000
            assert transport._protocol_paused  # type: ignore[attr-defined]
            assert await peer.read(sent) == bytes(sent)
            await protocol.until(lambda self: "resume" in self.events)
            assert protocol.events[-2:] == ["pause", "resume"]
            assert transport.get_write_buffer_size() == 0
            with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\) must be >= 0"):
                transport.set_write_buffer_limits(high=1, low=2)

    loop.run_until_complete(main())


def test_all_that_was_written_arrives_though_the_kernel_is_full(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            data = bytes(range(256)) * 40_000
            transport.write(data)
            transport.close()
            reading = loop.create_task(peer.read_end())
            assert await soon(reading) == data
            await peer.close()
            assert await soon(protocol.lost) is None

    loop.run_until_complete(main())


def test_a_replaced_write_is_called(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, _, peer):
            below: Any = transport._ssl_protocol._transport  # type: ignore[attr-defined]
            seen: list[bytes] = []
            original = below.write

            def write(data: bytes) -> None:
                seen.append(data)
                original(data)

            below.write = write
            transport.write(b"through")
            assert await peer.read(7) == b"through"
            assert len(seen) == 1
            assert b"through" not in seen[0]
            del below.write
            written: list[bytes] = []
            transport.write = written.append  # type: ignore[method-assign, assignment]
            transport.write(b"caught")
            assert written == [b"caught"]

    loop.run_until_complete(main())


def test_an_ssl_object_class_of_the_user(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    calls: list[str] = []

    class Watching(ssl.SSLObject):
        def read(self, len: int = 1024, buffer: Any = None) -> Any:
            calls.append("read")
            return super().read(len, buffer) if buffer is not None else super().read(len)

        def write(self, data: Any) -> int:
            calls.append("write")
            return super().write(data)

    async def main() -> None:
        data = bytes(range(256)) * 1000
        async with tls_and_peer(tmp_path) as (transport, _, peer):
            assert type(transport.get_extra_info("ssl_object")) is Watching
            transport.write(data)
            assert await peer.read(len(data)) == data
            sending = loop.create_task(loop.sock_sendall(peer.sock, peer.records(data)))
            assert await transport.get_protocol().received(len(data)) == data  # type: ignore[attr-defined]
            await soon(sending)

    before = ssl.SSLContext.sslobject_class
    ssl.SSLContext.sslobject_class = Watching
    try:
        loop.run_until_complete(main())
    finally:
        ssl.SSLContext.sslobject_class = before
    assert {"read", "write"} <= set(calls)


def test_what_the_user_put_below_an_ssl_object_may_keep_what_it_is_given(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[memoryview] = []

    class Keeping:
        def __init__(self, below: Any) -> None:
            self._below = below

        def __getattr__(self, name: str) -> Any:
            return getattr(self._below, name)

        def read(self, *args: Any) -> Any:
            kept.extend(memoryview(each) for each in args if not isinstance(each, int))
            return self._below.read(*args)

        def write(self, data: Any) -> Any:
            kept.append(memoryview(data))
            return self._below.write(data)

    class Wrapped(ssl.SSLObject):
        @classmethod
        def _create(cls, *args: Any, **options: Any) -> Any:
            made = super()._create(*args, **options)  # type: ignore[misc]
            made._sslobj = Keeping(made._sslobj)
            return made

    async def main() -> None:
        data = bytes(range(256)) * 1000
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            transport.write(data)
            assert await peer.read(len(data)) == data
            sending = loop.create_task(loop.sock_sendall(peer.sock, peer.records(data)))
            assert await protocol.received(len(data)) == data
            await soon(sending)

    monkeypatch.setattr(ssl.SSLContext, "sslobject_class", Wrapped)
    loop.run_until_complete(main())
    assert {type(each.obj) for each in kept} <= {bytes, bytearray}
    assert b"".join(each[:1] for each in kept)


def test_garbage_after_good_records_ends_the_connection(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (_, protocol, peer):
            await loop.sock_sendall(peer.sock, peer.records(b"good") + b"\x00" * 40)
            assert await protocol.received(4) == b"good"
            assert isinstance(await soon(protocol.lost), ssl.SSLError)
            assert protocol.events.count("lost") == 1

    loop.run_until_complete(main())


@pytest.mark.no_faults("an alert is sent once, before the connection goes", "again", "short")
def test_a_forged_record_ends_the_connection(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (_, protocol, peer):
            wire = bytearray(peer.records(b"genuine"))
            wire[-1] ^= 1
            await loop.sock_sendall(peer.sock, wire)
            assert isinstance(await soon(protocol.lost), ssl.SSLError)
            assert protocol.data == b""
            # The peer is told why.
            with pytest.raises(ssl.SSLError, match="(?i)bad.record.mac"):
                await peer.read(1)

    loop.run_until_complete(main())
