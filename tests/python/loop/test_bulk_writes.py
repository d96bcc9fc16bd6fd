"""Large writes of one turn: the first is sent at once, those behind it in pieces of 192 KiB."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    PATIENCE,
    Recorder,
    read_all,
    soon,
    transport_and_peer,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CHUNK = 64 * 1024
#: Of the writes behind the first so many are sent together.
PIECE = 3


def make_room(transport: asyncio.Transport, peer: socket.socket) -> None:
    """So that the kernel takes a megabyte at once."""
    sndbufforce, rcvbufforce = 32, 33  # asm-generic/socket.h; the socket module has no names.
    try:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, sndbufforce, 4 << 20)
        peer.setsockopt(socket.SOL_SOCKET, rcvbufforce, 4 << 20)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < 4 << 20:
            pytest.skip("the kernel allows no large buffers")


@contextlib.asynccontextmanager
async def roomy_transport(
    factory: Callable[[], Any] = Recorder,
) -> AsyncIterator[tuple[asyncio.Transport, Any, socket.socket]]:
    """As transport_and_peer(), of one for which the kernel takes a megabyte at once."""
    async with transport_and_peer(factory) as (transport, protocol, peer):
        make_room(transport, peer)
        yield transport, protocol, peer


def chunk_of(number: int) -> bytes:
    return bytes([number % 251]) * CHUNK


def has_arrived(peer: socket.socket, size: int) -> bool:
    """Whether so much is there, without a turn of the loop."""
    peer.setblocking(True)
    peer.settimeout(PATIENCE)
    try:
        return len(peer.recv(size, socket.MSG_PEEK | socket.MSG_WAITALL)) == size
    finally:
        peer.setblocking(False)


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_the_first_is_sent_at_once_and_the_others_together(loop: Any) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            transport.write(chunk_of(0))
            assert has_arrived(peer, CHUNK)
            for number in range(1, 1 + PIECE):
                transport.write(chunk_of(number))
            assert has_arrived(peer, (1 + PIECE) * CHUNK)
            transport.write(b"rest")
            await asyncio.sleep(0)
            assert has_arrived(peer, (1 + PIECE) * CHUNK + 4)
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_those_behind_the_first_wait_for_the_turns_end(loop: Any, native: None) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, _, peer):
            transport.write(chunk_of(0))
            transport.write(chunk_of(1))
            assert has_arrived(peer, CHUNK)
            with pytest.raises(BlockingIOError):
                peer.recv(2 * CHUNK)
                peer.recv(1)
            await asyncio.sleep(0)
            assert has_arrived(peer, CHUNK)

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_nobody_is_paused_for_what_the_kernel_takes(loop: Any) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            for number in range(12):
                transport.write(chunk_of(number))
            await turns()
            assert protocol.events == ["made"]
            expected = b"".join(map(chunk_of, range(12)))
            assert await read_all(peer, len(expected)) == expected
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
@pytest.mark.parametrize("ends_turn", [False, True])
def test_who_is_refused_is_paused_until_the_peer_reads(loop: Any, ends_turn: bool) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            written = 0
            for number in range(2_000):
                transport.write(chunk_of(number))
                written += 1
                if ends_turn:
                    await asyncio.sleep(0)
                if "pause" in protocol.events:
                    break
            _, high = transport.get_write_buffer_limits()
            assert transport.get_write_buffer_size() > high
            await turns(10)
            assert protocol.events == ["made", "pause"]
            expected = b"".join(map(chunk_of, range(written)))
            assert await read_all(peer, len(expected)) == expected
            await protocol.until(lambda protocol: "resume" in protocol.events)

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_what_is_refused_at_the_turns_end_pauses_as_well(loop: Any) -> None:
    async def main() -> None:
        mine, peer = socket.socketpair()
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
        transport, protocol = await loop.create_connection(Recorder, sock=mine)
        with peer:
            peer.setblocking(False)
            pieces = [bytes([number]) * 30_000 for number in range(6)]
            for piece in pieces:
                transport.write(piece)
            assert protocol.events == ["made"]
            await asyncio.sleep(0)
            assert protocol.events == ["made", "pause"]
            expected = b"".join(pieces)
            assert await read_all(peer, len(expected)) == expected
            await protocol.until(lambda protocol: "resume" in protocol.events)
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


def test_who_does_not_pause_loses_nothing(loop: Any) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            chunks = [chunk_of(number) for number in range(100)]
            reading = loop.create_task(read_all(peer, 100 * CHUNK))
            for chunk in chunks[:70]:
                transport.write(chunk)
            transport.write(memoryview(chunks[70]))
            transport.writelines(chunks[71:])
            assert await soon(reading) == b"".join(chunks)
            await protocol.until(
                lambda protocol: protocol.events.count("pause") == protocol.events.count("resume")
            )

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_who_wants_nothing_to_wait_has_all_sent_at_once(loop: Any) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, _, peer):
            transport.set_write_buffer_limits(0)
            for _ in range(3):
                transport.write(b"x" * CHUNK)
            assert has_arrived(peer, 3 * CHUNK)

    loop.run_until_complete(main())


@pytest.mark.no_faults("what the kernel did not take goes with the end", "short", "again")
@pytest.mark.parametrize("end", ["close", "write_eof", "abort"])
def test_what_was_written_leaves_before_the_end(loop: Any, end: str) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            for number in range(PIECE):
                transport.write(chunk_of(number))
            transport.write(b"tail")
            getattr(transport, end)()
            expected = b"".join(map(chunk_of, range(PIECE))) + b"tail"
            assert await read_all(peer) == expected
            peer.close()
            await soon(protocol.lost)
            assert protocol.events[-1] == "lost"

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_nothing_is_left_behind_when_a_run_ends_and_nothing_waits_between_two(loop: Any) -> None:
    async def begin() -> tuple[Any, Any, Any]:
        pair = roomy_transport()
        transport, _, peer = await pair.__aenter__()
        for number in range(PIECE):
            transport.write(chunk_of(number))
        return pair, transport, peer

    pair, transport, peer = loop.run_until_complete(begin())
    assert has_arrived(peer, PIECE * CHUNK)
    transport.write(bytes(CHUNK))
    transport.write(bytes(CHUNK))
    assert has_arrived(peer, (PIECE + 2) * CHUNK)

    async def end() -> None:
        await pair.__aexit__(None, None, None)

    loop.run_until_complete(end())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
@pytest.mark.parametrize("what", ["abort", "raise", "write more", "close"])
def test_whatever_the_protocol_does_when_it_is_refused(
    loop: Any, reports: list[dict[str, Any]], what: str
) -> None:
    class Wilful(Recorder):
        def pause_writing(self) -> None:
            super().pause_writing()
            assert self.transport is not None
            if what == "abort":
                self.transport.abort()
            elif what == "raise":
                raise ValueError("not now")
            elif what == "close":
                self.transport.close()
            else:
                self.transport.write(b"more")

    async def main() -> None:
        async with transport_and_peer(Wilful) as (transport, protocol, peer):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            transport.set_write_buffer_limits(high=CHUNK + CHUNK // 2)
            for number in range(3):
                transport.write(chunk_of(number))
            await asyncio.sleep(0)
            assert protocol.events[:2] == ["made", "pause"]
            expected = b"".join(map(chunk_of, range(3)))
            if what != "abort":
                extra = b"more" if what == "write more" else b""
                received = await read_all(peer, len(expected) + len(extra))
                assert received.replace(b"more", b"") == expected
            if what in {"abort", "close"}:
                assert await soon(protocol.lost) is None
            else:
                await protocol.until(lambda protocol: "resume" in protocol.events)
        assert [report["message"] for report in reports] == (
            ["protocol.pause_writing() failed"] if what == "raise" else []
        )

    loop.run_until_complete(main())


def test_streams_drain_in_order(loop: Any) -> None:
    async def main() -> None:
        done: asyncio.Future[bytes] = loop.create_future()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            done.set_result(await reader.read())
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for number in range(100):
            writer.write(chunk_of(number))
            if number % 7 == 0:
                await writer.drain()
        writer.close()
        assert await soon(done) == b"".join(map(chunk_of, range(100)))
        await soon(writer.wait_closed())
        server.close()

    loop.run_until_complete(main())
