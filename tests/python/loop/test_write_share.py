"""A connection that has sent its share of a turn is asked to pause, and goes on in the next one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    Recorder,
    read_all,
    soon,
    transport_and_peer,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CHUNK = 64 * 1024
#: The share, in writes of CHUNK.
SHARE = 3


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


async def has_arrived(peer: socket.socket, size: int) -> bool:
    """Whether so much is in the peer's hands, or the kernel's, without a turn of the loop."""
    peer.setblocking(True)
    peer.settimeout(5)
    try:
        return len(peer.recv(size, socket.MSG_PEEK | socket.MSG_WAITALL)) == size
    finally:
        peer.setblocking(False)


@pytest.mark.no_faults("what the kernel refuses pauses the protocol, too", "short", "again")
def test_who_writes_on_is_asked_to_pause_until_the_next_turn(loop: Any, native: None) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            written = 0
            for pause in range(1, 6):
                for _ in range(SHARE):
                    transport.write(chunk_of(written))
                    written += 1
                assert protocol.events.count("pause") == pause
                assert protocol.events.count("resume") == pause - 1
                await protocol.until(
                    lambda protocol, pause=pause: protocol.events.count("resume") == pause
                )
            expected = b"".join(map(chunk_of, range(written)))
            assert await read_all(peer, len(expected)) == expected
            assert protocol.events == ["made", *["pause", "resume"] * 5]

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_the_first_write_of_a_turn_is_sent_at_once_and_all_by_its_end(
    loop: Any, native: None
) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            transport.write(chunk_of(0))
            assert await has_arrived(peer, CHUNK)
            transport.write(chunk_of(1))
            await asyncio.sleep(0)
            assert await has_arrived(peer, 2 * CHUNK)
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_a_single_write_that_the_kernel_takes_pauses_nobody(loop: Any) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            transport.write(bytes(4 * SHARE * CHUNK))
            assert await has_arrived(peer, 4 * SHARE * CHUNK)
            await turns()
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


def test_who_does_not_pause_loses_nothing(loop: Any) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
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


@pytest.mark.no_faults("what the kernel refuses pauses the protocol, too", "short", "again")
def test_a_high_water_mark_above_the_share_is_respected(loop: Any, native: None) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            transport.set_write_buffer_limits(high=8 * SHARE * CHUNK)
            for number in range(2 * SHARE):
                transport.write(chunk_of(number))
            assert protocol.events == ["made"]
            await read_all(peer, 2 * SHARE * CHUNK)
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_the_end_comes_behind_the_share(loop: Any, end: str) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            for number in range(2 * SHARE):
                transport.write(chunk_of(number))
            events = list(protocol.events)
            getattr(transport, end)()
            assert protocol.events == events, "nothing is told in the middle of a call"
            expected = b"".join(map(chunk_of, range(2 * SHARE)))
            assert await read_all(peer) == expected
            peer.close()
            await soon(protocol.lost)
            assert protocol.events.count("pause") == protocol.events.count("resume")
            assert protocol.events[-1] == "lost"

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_nothing_is_left_behind_when_the_run_ends(loop: Any, native: None) -> None:
    """As with asyncio, what the kernel would take it has."""

    async def main() -> tuple[Any, Any]:
        pair = roomy_transport()
        transport, _, peer = await pair.__aenter__()
        for number in range(2 * SHARE):
            transport.write(chunk_of(number))
        return pair, peer

    pair, peer = loop.run_until_complete(main())

    async def end() -> None:
        await pair.__aexit__(None, None, None)

    peer.setblocking(True)
    peer.settimeout(5)
    size = 2 * SHARE * CHUNK
    assert len(peer.recv(size, socket.MSG_WAITALL)) == size
    loop.run_until_complete(end())


def test_what_is_gathered_is_not_told_as_queued(loop: Any) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            reading = loop.create_task(read_all(peer, 2 * SHARE * CHUNK))
            await turns()
            for number in range(2 * SHARE - 1):
                transport.write(chunk_of(number))
            while transport.get_write_buffer_size() > 0:
                await asyncio.sleep(0)
            transport.write(chunk_of(2 * SHARE - 1))
            await soon(reading)
            await protocol.until(
                lambda protocol: protocol.events.count("pause") == protocol.events.count("resume")
            )

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
@pytest.mark.parametrize("what", ["abort", "raise", "write more", "close"])
def test_whatever_the_protocol_does_when_asked(
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
        async with roomy_transport(Wilful) as (transport, protocol, peer):
            for number in range(SHARE):
                if transport.is_closing():
                    break
                transport.write(chunk_of(number))
            expected = b"".join(map(chunk_of, range(SHARE)))
            if what == "write more":
                expected += b"more"
            if what != "abort":
                assert await read_all(peer, len(expected)) == expected
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


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_it_ends_with_the_turn_though_nobody_reads(loop: Any) -> None:
    """A Unix socket counts as writable only when most of it is free again."""

    async def main() -> None:
        mine, peer = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=mine)
        with peer:
            peer.setblocking(False)
            for number in range(6):
                writer.write(bytes([number]) * 20 * 1024)
            await soon(writer.drain())
            writer.close()
            await soon(writer.wait_closed())
            assert len(await read_all(peer)) == 6 * 20 * 1024

    loop.run_until_complete(main())


def test_another_protocol_is_not_told_of_it(loop: Any) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            for number in range(SHARE):
                transport.write(chunk_of(number))
            other = Recorder()
            transport.set_protocol(other)
            await read_all(peer, SHARE * CHUNK)
            await turns()
            assert protocol.events.count("pause") == protocol.events.count("resume")
            assert other.events == []
            transport.set_protocol(protocol)

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_a_burst_of_some_time_ago_counts_no_more(loop: Any, native: None) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            for number in range(SHARE):
                transport.write(chunk_of(number))
            await read_all(peer, SHARE * CHUNK)
            await turns()
            protocol.events.clear()
            transport.write(bytes(5 * CHUNK))
            assert await has_arrived(peer, 5 * CHUNK)
            await turns()
            assert protocol.events == []

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_who_wants_nothing_to_wait_has_all_sent_at_once(loop: Any) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, _, peer):
            transport.set_write_buffer_limits(0)
            for _ in range(3):
                transport.write(b"x" * CHUNK)
            assert await has_arrived(peer, 3 * CHUNK)

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
@pytest.mark.parametrize("call", ["get_write_buffer_size", "abort", "close"])
def test_the_protocol_goes_on_in_a_turn_of_its_own(loop: Any, native: None, call: str) -> None:
    async def main() -> None:
        async with roomy_transport() as (transport, protocol, peer):
            for number in range(SHARE):
                transport.write(chunk_of(number))
            transport.write(b"tail")
            transport.close()
            getattr(transport, call)()
            assert protocol.events == ["made", "pause"]
            assert len(await read_all(peer)) == SHARE * CHUNK + 4
            assert await soon(protocol.lost) is None

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_between_two_runs_everything_is_sent_at_once(loop: Any) -> None:
    async def begin() -> tuple[Any, Any]:
        pair = roomy_transport()
        transport, _, peer = await pair.__aenter__()
        for number in range(SHARE):
            transport.write(chunk_of(number))
        return pair, (transport, peer)

    pair, (transport, peer) = loop.run_until_complete(begin())
    transport.write(bytes(CHUNK))
    assert transport.get_write_buffer_size() == 0
    peer.setblocking(True)
    peer.settimeout(5)
    size = (SHARE + 1) * CHUNK
    assert len(peer.recv(size, socket.MSG_WAITALL)) == size

    async def end() -> None:
        await pair.__aexit__(None, None, None)

    loop.run_until_complete(end())
