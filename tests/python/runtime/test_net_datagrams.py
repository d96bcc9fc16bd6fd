"""UdpSocket and UnixDatagram."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net
from blitzio.net import (
    UdpSocket,
)
from tests.python.runtime.net_support import settle

if TYPE_CHECKING:
    from tests.python.runtime.conftest import Run


@pytest.mark.no_faults("what is sent leaves at once", "again")
def test_udp(run: Run) -> None:
    async def main() -> None:
        async with UdpSocket.bind("127.0.0.1:0") as one, UdpSocket.bind("127.0.0.1:0") as two:
            receiving = asyncio.ensure_future(two.recv_from())
            await settle()
            assert await one.send_to(b"hello", two.local_address) == 5
            assert await receiving == (b"hello", one.local_address)
            assert two.try_recv() is None
            one.connect(two.local_address)
            two.connect(one.local_address)
            await one.send(b"")
            assert one.try_send(b"x") == 1
            assert await two.recv() == b""
            assert await two.recv() == b"x"
            with pytest.raises(OSError) as too_long:
                await one.send(bytes(70_000))
            assert too_long.value.errno == errno.EMSGSIZE

    run(main())


def test_unix_datagrams(run: Run) -> None:
    async def main() -> None:
        one, other = net.UnixDatagram.pair()
        async with one, other:
            await one.send(b"a")
            assert await other.recv_from() == (b"a", None)

    run(main())


def test_datagrams_that_are_always_there_leave_room_for_others(run: Run) -> None:
    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            async with UdpSocket.bind("127.0.0.1:0") as receiver:
                sender.connect(("127.0.0.1", receiver.local_address.port))
                for _ in range(500):
                    sender.send(b"x")
                    assert await receiver.recv() == b"x"
        assert turns > 1
        counting.cancel()

    run(main())


def test_a_unix_datagram_is_whole_or_an_error(run: Run) -> None:
    longest = 256 * 1024

    async def main() -> None:
        one, other = net.UnixDatagram.pair()
        async with one, other:
            one.set_send_buffer_bytes(2 * longest)
            if one.send_buffer_bytes() <= longest + 1_000:
                pytest.skip("the system has no such large datagrams")
            for size in (64 * 1024, 64 * 1024 + 1, longest):
                data = os.urandom(size)
                await one.send(data)
                assert await other.peek() == data
                assert await other.recv_from() == (data, None)
                await one.send(data)
                assert other.try_peek_from() == (data, None)
                assert other.try_recv() == data
            for receive in (other.recv, other.recv_from, other.try_recv, other.try_recv_from):
                await one.send(bytes(longest + 1))
                await one.send(b"next")
                with pytest.raises(OSError) as too_long:
                    got: Any = receive()
                    await got
                assert too_long.value.errno == errno.EMSGSIZE
                assert await other.recv() == b"next"

    run(main())
