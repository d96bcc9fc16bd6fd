"""Options of sockets, groups that they join, and what an address and a pool tell of themselves."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from typing import TYPE_CHECKING

import pytest

import blitzio
from blitzio import net

if TYPE_CHECKING:
    from pathlib import Path


def test_each_kind_of_socket_has_options(tmp_path: Path) -> None:
    ours, theirs = net.UnixStream.pair()
    datagrams, others = net.UnixDatagram.pair()
    listener = net.TcpListener.bind("127.0.0.1:0")
    stream = net.TcpStream.blocking_connect(listener.local_address, timeout=20)
    udp = net.UdpSocket.bind("127.0.0.1:0")
    unix = net.UnixListener.bind(str(tmp_path / "socket"))
    sockets = (ours, theirs, datagrams, others, listener, stream, udp, unix)
    for each in sockets:
        each.set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert each.option(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        each.close()
        with pytest.raises(OSError, match="EBADF|Bad file") as closed:
            each.set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert closed.value.errno == errno.EBADF


def test_a_group_is_joined_and_left() -> None:
    group = net.Address("224.0.0.251", 0)
    assert group.is_multicast
    with contextlib.closing(net.UdpSocket.bind("0.0.0.0:0")) as member:
        loopback = socket.if_nametoindex("lo")
        member.join_multicast(group, loopback)
        with pytest.raises(OSError, match="in use") as twice:
            member.join_multicast(group, loopback)
        assert twice.value.errno == errno.EADDRINUSE
        member.leave_multicast(group, loopback)
        with pytest.raises(OSError, match="assign") as left:
            member.leave_multicast(group, loopback)
        assert left.value.errno == errno.EADDRNOTAVAIL


def test_what_an_address_is() -> None:
    assert net.Address("0.0.0.0", 1).is_unspecified
    assert net.Address("::", 1).is_unspecified
    assert not net.Address("127.0.0.1", 1).is_unspecified
    assert not net.Address("127.0.0.1", 1).is_multicast
    assert net.Address("fe80::1%lo", 1).scope_id == socket.if_nametoindex("lo")
    assert net.Address("::1", 1).scope_id == 0


def test_a_pool_closes_what_was_idle_for_too_long() -> None:
    made: list[net.UnixStream] = []

    async def connect() -> net.UnixStream:
        ours, theirs = net.UnixStream.pair()
        made.extend((ours, theirs))
        return ours

    async def main() -> None:
        async with net.Pool(connect, idle_timeout=0) as pool:
            async with pool.acquire():
                pass
            assert pool.idle_count == 1
            await asyncio.sleep(0.001)
            pool.reap()
            assert pool.idle_count == 0

    blitzio.run(main())
    made[1].close()
    assert made[0].is_closed
