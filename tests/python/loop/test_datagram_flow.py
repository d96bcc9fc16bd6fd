"""Datagram endpoints: what waits for a full kernel, flow control, and closing meanwhile.

A Unix socket whose peer does not read blocks after a few datagrams and loses none of them.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.datagram_support import (
    Datagrams,
    blocked_pair,
    endpoint,
    fill,
    numbered,
    read_numbers,
)
from tests.python.loop.support import soon, turns

if TYPE_CHECKING:
    from pathlib import Path

HEADER = 8 if sys.version_info >= (3, 13) else 0


def test_what_the_kernel_does_not_take_is_sent_later_in_order(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(sock=ours) as (client, protocol):
                count = fill(client)
                for number in range(count, count + 50):
                    client.sendto(numbered(number))
                assert client.get_write_buffer_size() == 51 * (100 + HEADER)
                assert "write=<polling, bufsize=" in repr(client)
                numbers = await read_numbers(peer, count + 50)
                assert numbers == list(range(count + 50))
                assert client.get_write_buffer_size() == 0
                assert protocol.events == ["made"]

    loop.run_until_complete(main())


def test_the_protocol_is_paused_and_resumed(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(sock=ours) as (client, protocol):
                assert client.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
                client.set_write_buffer_limits(high=1000)
                assert client.get_write_buffer_limits() == (250, 1000)
                count = fill(client)
                while "pause" not in protocol.events:
                    assert client.get_write_buffer_size() <= 1000
                    client.sendto(numbered(count))
                    count += 1
                client.sendto(numbered(count))  # Pausing is a request.
                count += 1
                assert protocol.events == ["made", "pause"]
                numbers = await read_numbers(peer, count)
                await protocol.until(lambda: "resume" in protocol.events)
                assert numbers == list(range(count))
                assert protocol.events == ["made", "pause", "resume"]
                assert client.get_write_buffer_size() <= 250

    loop.run_until_complete(main())


def test_limits_of_what_is_queued_already(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, _):
            async with endpoint(sock=ours) as (client, protocol):
                fill(client)
                client.set_write_buffer_limits(high=0)
                assert protocol.events == ["made", "pause"]
                for wrong in ({"high": -1}, {"high": 1, "low": 2}, {"low": -1}):
                    with pytest.raises(ValueError, match="must be >="):
                        client.set_write_buffer_limits(**wrong)
                assert client.get_write_buffer_limits() == (0, 0)

    loop.run_until_complete(main())


def test_ten_thousand_both_ways_with_flow_control(loop: Any, tmp_path: Path) -> None:
    """Nothing is lost, doubled or reordered while both sides pause and resume."""
    total = 10_000

    class Sender(Datagrams):
        next = 0
        is_writable = True

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=2000)

        def pause_writing(self) -> None:
            assert self.is_writable
            self.is_writable = False
            super().pause_writing()

        def resume_writing(self) -> None:
            assert not self.is_writable
            self.is_writable = True
            super().resume_writing()
            self.send()

        def send(self) -> None:
            while self.is_writable and self.next < total:
                self.transport.sendto(numbered(self.next))
                self.next += 1

    async def main() -> None:
        one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        two = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with one, two:
            for sock, name in ((one, "one"), (two, "two")):
                sock.bind(str(tmp_path / name))
            one.connect(two.getsockname())
            two.connect(one.getsockname())
            async with endpoint(Sender, sock=one) as (_, at_one):
                async with endpoint(Sender, sock=two) as (_, at_two):
                    at_one.send()
                    at_two.send()
                    await at_one.until_received(total)
                    await at_two.until_received(total)
                    expected = [numbered(number) for number in range(total)]
                    assert at_one.payloads == expected
                    assert at_two.payloads == expected
                    assert at_one.events.count("pause") == at_one.events.count("resume") > 10

    loop.run_until_complete(main())


def test_queued_data_is_a_copy(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(sock=ours) as (client, _):
                count = fill(client)
                changing = bytearray(numbered(count))
                client.sendto(changing)
                client.sendto(memoryview(changing))
                changing[:] = b"\xff" * len(changing)
                changing.clear()  # No buffer of it is held.
                numbers = await read_numbers(peer, count + 2)
                assert numbers[-2:] == [count, count]

    loop.run_until_complete(main())


def test_addresses_are_queued_with_their_datagrams(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with blocked_pair(tmp_path) as (_, peer):
            async with endpoint(family=socket.AF_UNIX) as (client, protocol):
                path = peer.getsockname()
                count = 0
                while client.get_write_buffer_size() == 0:
                    client.sendto(numbered(count), path)
                    count += 1
                client.sendto(b"x", str(tmp_path / "nowhere"))
                client.sendto(numbered(count), path)
                assert await read_numbers(peer, count + 1) == list(range(count + 1))
                await protocol.until(lambda: protocol.errors)
                assert [type(exc) for exc in protocol.errors] == [FileNotFoundError]

    loop.run_until_complete(main())


# ---- closing -----------------------------------------------------------------------------------


@pytest.mark.no_faults("a full kernel buffer is what it counts on", "again")
def test_close_sends_what_is_queued_first(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(sock=ours) as (client, protocol):
                count = fill(client)
                client.close()
                client.close()
                assert client.is_closing()
                client.sendto(numbered(count))  # Joins the queue, as in asyncio.
                await turns(5)
                assert protocol.events == ["made"]
                assert await read_numbers(peer, count + 1) == list(range(count + 1))
                assert await soon(protocol.lost) is None
                assert protocol.events == ["made", "lost"]
                assert ours.fileno() == -1

    loop.run_until_complete(main())


def test_a_closing_endpoint_hears_nothing(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            ours.bind(str(tmp_path / "ours"))
            async with endpoint(sock=ours) as (client, protocol):
                count = fill(client)
                client.close()
                peer.sendto(b"too late", ours.getsockname())
                await turns(5)
                await read_numbers(peer, count)
                await soon(protocol.lost)
                assert not protocol.received

    loop.run_until_complete(main())


def test_abort_drops_what_is_queued(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(sock=ours) as (client, protocol):
                client.set_write_buffer_limits(high=0)
                count = fill(client)
                client.abort()
                assert await soon(protocol.lost) is None
                numbers = await read_numbers(peer, count - 1)
                assert numbers == list(range(count - 1))
                await turns(5)
                # Nobody resumes a transport that is gone.
                assert protocol.events == ["made", "pause", "lost"]
                with pytest.raises(BlockingIOError):
                    peer.recv(1)

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_in_resume_writing(loop: Any, tmp_path: Path, end: str) -> None:
    class Ends(Datagrams):
        def resume_writing(self) -> None:
            super().resume_writing()
            getattr(self.transport, end)()

    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(Ends, sock=ours) as (client, protocol):
                client.set_write_buffer_limits(high=0)
                count = fill(client)
                assert await read_numbers(peer, count) == list(range(count))
                assert await soon(protocol.lost) is None
                assert protocol.events == ["made", "pause", "resume", "lost"]

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_in_pause_writing(loop: Any, tmp_path: Path, end: str) -> None:
    class Ends(Datagrams):
        def pause_writing(self) -> None:
            super().pause_writing()
            getattr(self.transport, end)()

    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(Ends, sock=ours) as (client, protocol):
                client.set_write_buffer_limits(high=0)
                count = 0
                while not client.is_closing():
                    client.sendto(numbered(count))
                    count += 1
                if end == "close":
                    await read_numbers(peer, count)
                assert await soon(protocol.lost) is None
                assert protocol.events[:2] == ["made", "pause"]
                assert protocol.events.count("lost") == 1

    loop.run_until_complete(main())


def test_sending_in_resume_writing(loop: Any, tmp_path: Path) -> None:
    class Sends(Datagrams):
        count = 0

        def resume_writing(self) -> None:
            super().resume_writing()
            if self.events.count("resume") < 4:
                self.count += fill_more(self.transport, self.count)

    def fill_more(transport: Any, first: int) -> int:
        count = 0
        while transport.get_write_buffer_size() == 0:
            transport.sendto(numbered(first + count))
            count += 1
        return count

    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(Sends, sock=ours) as (client, protocol):
                client.set_write_buffer_limits(high=0)
                protocol.count = fill(client)
                read = 0
                while protocol.events.count("resume") < 4:
                    [number] = await read_numbers(peer, 1)
                    assert number == read
                    read += 1
                    await turns()
                rest = await read_numbers(peer, protocol.count - read)
                assert rest == list(range(read, protocol.count))
                assert protocol.events.count("pause") == 4

    loop.run_until_complete(main())


def test_an_error_in_the_queue_concerns_one_datagram(loop: Any, tmp_path: Path) -> None:
    """The peer goes while datagrams wait for it: each is refused, and closing still comes to an
    end."""

    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(sock=ours) as (client, protocol):
                count = fill(client)
                client.sendto(numbered(count))
                client.close()
                peer.close()
                assert await soon(protocol.lost) is None
                assert isinstance(protocol.errors[0], ConnectionError)
                assert len(protocol.errors) == 2
                assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_in_error_received_of_a_queued_datagram(loop: Any, tmp_path: Path, end: str) -> None:
    class Ends(Datagrams):
        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            getattr(self.transport, end)()

    async def main() -> None:
        with blocked_pair(tmp_path) as (ours, peer):
            async with endpoint(Ends, sock=ours) as (client, protocol):
                count = fill(client)
                for number in range(count, count + 5):
                    client.sendto(numbered(number))
                peer.close()
                assert await soon(protocol.lost) is None
                assert protocol.events == ["made", "lost"]
                assert len(protocol.errors) >= 1

    loop.run_until_complete(main())


def test_closing_the_loop_with_datagrams_queued(new_loop: Any, tmp_path: Path) -> None:
    loop = new_loop()
    with blocked_pair(tmp_path) as (ours, _):

        async def main() -> Any:
            transport, protocol = await loop.create_datagram_endpoint(Datagrams, sock=ours)
            fill(transport)
            return transport, protocol

        transport, protocol = loop.run_until_complete(main())
        loop.close()
        assert protocol.events == ["made"]
        protocol.transport = None
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            del transport
            del protocol
            gc.collect()
        assert ours.fileno() == -1


@pytest.mark.no_faults("what is sent leaves at once", "again")
def test_sending_on_a_closed_loop(new_loop: Any, tmp_path: Path, native: None) -> None:
    loop = new_loop()
    with blocked_pair(tmp_path) as (ours, peer):
        transport, protocol = loop.run_until_complete(
            loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=ours)
        )
        loop.close()
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            fill(transport)
        assert peer.recv(100) == numbered(0)
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            del transport, protocol
