"""Datagram endpoints: many at once, one at a time, and events that bring none."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from tests.python.loop.datagram_support import Datagrams, endpoint, name_of
from tests.python.loop.support import HOST

IP_RECVERR = 11  # linux/in.h; the socket module has no name for it.


def test_more_datagrams_than_a_turn_may_deliver(loop: Any) -> None:
    """They were there before reading began, so there is one edge for all of them."""

    async def main() -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        ):
            ours.bind((HOST, 0))
            for number in range(150):
                peer.sendto(b"%d" % number, ours.getsockname())
            async with endpoint(sock=ours) as (_, receiver):
                await receiver.until_received(150)
                assert receiver.payloads == [b"%d" % number for number in range(150)]

    loop.run_until_complete(main())


def test_a_busy_endpoint_lets_others_in(loop: Any, native: None) -> None:
    async def main() -> None:
        order: list[str] = []
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        ):
            ours.bind((HOST, 0))
            for _ in range(100):
                peer.sendto(b"x", ours.getsockname())

            class Busy(Datagrams):
                def datagram_received(self, data: bytes, addr: Any) -> None:
                    super().datagram_received(data, addr)
                    if len(self.received) == 1:
                        asyncio.get_running_loop().call_soon(order.append, "callback")
                    if len(self.received) == 100:
                        order.append("last")

            async with endpoint(Busy, sock=ours) as (_, receiver):
                await receiver.until_received(100)
        assert order == ["callback", "last"]

    loop.run_until_complete(main())


def test_bursts_and_single_datagrams_by_turns(loop: Any) -> None:
    """Whether the endpoint looks for a second one changes in between; none is left behind."""

    async def main() -> None:
        sizes = [*range(1, 12), 1, 1, 1, 40, *[1] * 20, 3, 2, 70, 1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            async with endpoint() as (server, receiver):
                sent: list[bytes] = []
                for size in sizes:
                    for _ in range(size):
                        sent.append(b"%d" % len(sent))
                        peer.sendto(sent[-1], name_of(server))
                    await receiver.until_received(len(sent))
                assert receiver.payloads == sent

    loop.run_until_complete(main())


def test_closing_in_the_middle_of_a_burst(loop: Any) -> None:
    class CloseAfterThree(Datagrams):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if len(self.received) == 3:
                self.transport.close()

    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            async with endpoint(CloseAfterThree) as (server, receiver):
                for number in range(10):
                    peer.sendto(b"%d" % number, name_of(server))
                await receiver.until(lambda: receiver.events[-1] == "lost")
                assert receiver.payloads == [b"0", b"1", b"2"]

    loop.run_until_complete(main())


def test_an_error_queue_of_the_users_does_not_keep_the_loop_busy(loop: Any, native: None) -> None:
    """The socket counts as ready until its owner has read that queue, which may be never."""
    if loop.backend == "poll":
        pytest.skip("poll(2) tells of what is there, and of nothing else")

    async def main() -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        ):
            peer.bind((HOST, 0))
            name = peer.getsockname()
            peer.close()
            ours.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            ours.connect(name)
            async with endpoint(sock=ours) as (client, protocol):
                client.sendto(b"refused")
                await protocol.until(lambda: protocol.errors)
                before = loop.metrics()["io_syscalls"]
                await asyncio.sleep(0.05)
                assert loop.metrics()["io_syscalls"] - before < 20
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind(name)
                    for number in range(100):
                        other.sendto(b"%d" % number, name_of(client))
                    await protocol.until_received(100)
                    assert protocol.payloads == [b"%d" % number for number in range(100)]
                queue = ours.recvmsg(100, 1000, socket.MSG_ERRQUEUE)
                assert queue[0] == b"refused"
                assert [type(error) for error in protocol.errors] == [ConnectionRefusedError]
                assert protocol.errors[0].errno == errno.ECONNREFUSED

    loop.run_until_complete(main())
