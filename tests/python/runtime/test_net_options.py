"""Options of sockets, groups that they join, and what an address and a pool tell of themselves."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import shutil
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import net
from blitzio.net import KeepAlive
from blitzio.time import Duration
from tests.python.loop.support import client_context, server_context
from tests.python.process.support import program, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Run


@pytest.fixture(params=["127.0.0.1:0", "[::1]:0"])
def stream(request: pytest.FixtureRequest) -> Iterator[net.TcpStream]:
    """A connection over each family."""
    with contextlib.closing(net.TcpListener.bind(request.param)) as listener:
        client = net.TcpStream.blocking_connect(listener.local_address, timeout=20)
        server, _ = listener.blocking_accept(timeout=20)
    with contextlib.closing(client), contextlib.closing(server):
        yield client


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


def test_what_the_kernel_keeps_can_be_set(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for each in (
            *net.UnixStream.pair(),
            *net.UnixDatagram.pair(),
            net.TcpListener.bind("127.0.0.1:0"),
            net.UdpSocket.bind("127.0.0.1:0"),
            net.UnixListener.bind(str(tmp_path / "socket")),
        ):
            stack.callback(each.close)
            each.set_send_buffer_bytes(50_000)
            each.set_recv_buffer_bytes(60_000)
            assert each.send_buffer_bytes() >= 50_000
            assert each.recv_buffer_bytes() >= 60_000
            assert each.take_error() is None
            with pytest.raises(ValueError, match="bytes must be at least 0, got -1"):
                each.set_send_buffer_bytes(-1)
            with pytest.raises(OSError, match="Invalid") as beyond:
                each.set_recv_buffer_bytes(2**31)
            assert beyond.value.errno == errno.EINVAL
            with pytest.raises(TypeError):
                each.set_send_buffer_bytes("many")  # type: ignore[arg-type]
            each.close()
            for call in (each.take_error, each.send_buffer_bytes, each.recv_buffer_bytes):
                with pytest.raises(OSError, match="Bad file") as closed:
                    call()
                assert closed.value.errno == errno.EBADF


def test_the_error_that_a_socket_keeps_is_taken_once() -> None:
    with contextlib.closing(net.UdpSocket.bind("127.0.0.1:0")) as nobody:
        address = nobody.local_address
    with contextlib.closing(net.UdpSocket.bind("127.0.0.1:0")) as sender:
        sender.connect(address)
        sender.try_send(b"x")
        sender.blocking_readable(timeout=20)
        error = sender.take_error()
        assert isinstance(error, ConnectionRefusedError)
        assert error.errno == errno.ECONNREFUSED
        assert sender.take_error() is None


# ---- TCP -----------------------------------------------------------------------------------------


LONG_KEEPALIVE = """
import socket, sys
from blitzio import net
try:
    with open("/proc/sys/net/ipv4/tcp_keepalive_time", "w") as setting:
        setting.write("40000")
except OSError:
    sys.exit(77)
stream = net.TcpStream.from_fd(socket.socket().detach())
stream.set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
print(stream.keepalive())
stream.close()
"""


def test_a_keepalive_is_read_that_could_not_be_set() -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("a network of its own takes unshare")
    told = subprocess.run(
        [unshare, "--map-root-user", "--net", sys.executable, "-c", LONG_KEEPALIVE],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if told.returncode == 77 or "unshare" in told.stderr:
        pytest.skip("this process may have no network of its own")
    assert told.stdout.startswith("KeepAlive(idle=Duration(40000s), "), told.stderr


def check_tcp_options(stream: net.TcpStream | net.TlsStream) -> None:
    stream.set_nodelay(False)
    assert not stream.nodelay()
    stream.set_nodelay(True)
    assert stream.nodelay()
    stream.set_ttl(7)
    assert stream.ttl() == 7
    assert stream.keepalive() is None
    stream.set_keepalive(KeepAlive(60, 1.5, 3))
    told = stream.keepalive()
    assert told == KeepAlive(60, 2, 3), "in whole seconds, rounded up"
    stream.set_keepalive(None)
    assert stream.keepalive() is None
    assert stream.linger() is None
    for linger in (0, 1.25, timedelta(seconds=3), Duration.from_mins(1)):
        stream.set_linger(linger)
        rounded = Duration.from_secs(math.ceil(Duration.of(linger).as_secs_f64()))
        assert stream.linger() == rounded
    stream.set_linger(None)
    assert stream.linger() is None
    stream.set_send_buffer_bytes(50_000)
    assert stream.send_buffer_bytes() >= 50_000
    stream.set_recv_buffer_bytes(50_000)
    assert stream.recv_buffer_bytes() >= 50_000
    assert stream.take_error() is None
    stream.set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert stream.option(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_options_of_tcp(stream: net.TcpStream) -> None:
    assert stream.nodelay(), "what connects and accepts sets it"
    check_tcp_options(stream)
    level = socket.IPPROTO_IPV6 if ":" in stream.local_address.host else socket.IPPROTO_IP
    name = socket.IPV6_UNICAST_HOPS if level == socket.IPPROTO_IPV6 else socket.IP_TTL
    assert stream.option(level, name) == 7, "of the family that it has"


def test_wrong_options_of_tcp_change_nothing(stream: net.TcpStream) -> None:
    stream.set_linger(5)
    stream.set_ttl(9)
    wrong: list[Any] = [
        (stream.set_linger, -1, ValueError, "takes None or seconds from 0 on, got -1"),
        (stream.set_linger, "5", TypeError, "a duration must be"),
        (stream.set_ttl, 0, ValueError, r"set_ttl\(\) takes 1 to 255, got 0"),
        (stream.set_ttl, 256, ValueError, "takes 1 to 255"),
        (stream.set_ttl, 2**70, ValueError, "takes 1 to 255"),
        (stream.set_ttl, 1.5, TypeError, "cannot be interpreted as an integer"),
        (stream.set_keepalive, True, TypeError, "takes a KeepAlive or None, got bool"),
    ]
    for setter, value, error, message in wrong:
        with pytest.raises(error, match=message):
            setter(value)
    assert (stream.linger(), stream.ttl()) == (Duration.from_secs(5), 9)
    assert stream.keepalive() is None
    stream.close()
    for getter in (stream.nodelay, stream.keepalive, stream.linger, stream.ttl):
        with pytest.raises(OSError, match="Bad file"):
            getter()


def test_a_connection_that_does_not_linger_is_reset() -> None:
    with contextlib.closing(net.TcpListener.bind("127.0.0.1:0")) as listener:
        client = net.TcpStream.blocking_connect(listener.local_address, timeout=20)
        server, _ = listener.blocking_accept(timeout=20)
    with contextlib.closing(server):
        client.set_linger(0)
        client.close()
        with pytest.raises(ConnectionResetError):
            server.blocking_read(timeout=20)


def test_keepalives_are_values() -> None:
    assert KeepAlive() == KeepAlive(idle=7200, interval=75, probes=9)
    assert KeepAlive(timedelta(minutes=1)) == KeepAlive(Duration.from_secs(60)) != KeepAlive(61)
    assert len({KeepAlive(5), KeepAlive(5.0)}) == 1
    assert repr(KeepAlive(5)) == "KeepAlive(idle=Duration(5s), interval=Duration(75s), probes=9)"
    for wrong in ({"idle": 0}, {"interval": -1}, {"idle": 32_768}, {"probes": 0}, {"probes": 128}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            KeepAlive(**wrong)
    for unfit in ({"idle": "5"}, {"probes": 1.0}, {"probes": True}):
        with pytest.raises(TypeError):
            KeepAlive(**unfit)
    with pytest.raises(AttributeError):
        KeepAlive().probes = 1  # type: ignore[misc]


def test_options_of_tls(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with net.TcpListener.bind("127.0.0.1:0") as listener:
            connecting = asyncio.ensure_future(
                net.connect(
                    "127.0.0.1",
                    listener.local_address.port,
                    ssl=client_context(),
                    server_hostname="localhost",
                )
            )
            accepted, _ = await listener.accept()
            server = await net.start_tls(accepted, server_context(tmp_path), server_side=True)
            client = await connecting
        async with client, server:
            assert client.fileno() >= 0
            check_tcp_options(client)
            await client.write_all(b"still there\n")
            assert await server.read_line() == b"still there\n"
        assert client.fileno() == -1
        for call in (client.nodelay, client.take_error):
            with pytest.raises(OSError, match="Bad file") as closed:
                call()
            assert closed.value.errno == errno.EBADF

    run(main())


def test_tls_over_a_unix_socket_has_no_options_of_tcp(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        ours, theirs = net.UnixStream.pair()
        server, client = await asyncio.gather(
            net.start_tls(theirs, server_context(tmp_path), server_side=True),
            net.start_tls(ours, client_context(), server_hostname="localhost"),
        )
        async with client, server:
            client.set_send_buffer_bytes(50_000)
            assert client.send_buffer_bytes() >= 50_000
            with pytest.raises(OSError, match="not supported") as refused:
                client.set_nodelay(True)
            assert refused.value.errno == errno.EOPNOTSUPP

    run(main())


# ---- UDP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
def test_options_of_udp(address: str) -> None:
    with contextlib.closing(net.UdpSocket.bind(address)) as udp:
        assert not udp.broadcast()
        udp.set_broadcast(True)
        assert udp.broadcast()
        udp.set_ttl(9)
        assert udp.ttl() == 9
        assert udp.multicast_ttl() == 1
        udp.set_multicast_ttl(0)
        assert udp.multicast_ttl() == 0
        assert udp.multicast_loop()
        udp.set_multicast_loop(False)
        assert not udp.multicast_loop()
        with pytest.raises(ValueError, match="takes 1 to 255"):
            udp.set_ttl(0)
        with pytest.raises(ValueError, match=r"set_multicast_ttl\(\) takes 0 to 255"):
            udp.set_multicast_ttl(-1)


def test_a_broadcast_must_be_allowed() -> None:
    with contextlib.closing(net.UdpSocket.bind("0.0.0.0:0")) as udp:
        with pytest.raises(PermissionError):
            udp.try_send_to(b"x", "127.255.255.255:9")
        udp.set_broadcast(True)
        assert udp.try_send_to(b"x", "127.255.255.255:9") == 1


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


def test_an_idle_connection_is_lent_now() -> None:
    made: list[net.UnixStream] = []

    def connect() -> net.UnixStream:
        made.extend(net.UnixStream.pair())
        return made[-2]

    async def nobody() -> net.UnixStream:
        raise AssertionError("in threads alone")

    with net.Pool(nobody, connections_max=1, blocking_connect=connect) as pool:
        with pool.try_acquire() as none:
            assert none is None
        with pool.blocking_acquire(), pool.try_acquire() as none:
            assert none is None, "as many are lent as may be"
        with pool.try_acquire() as idle:
            assert idle is made[0]
            assert (pool.lent_count, pool.idle_count) == (1, 0)
        assert (pool.lent_count, pool.idle_count) == (0, 1)
        with pytest.raises(KeyError), pool.try_acquire() as idle:
            raise KeyError
        assert made[0].is_closed
        assert (pool.lent_count, pool.idle_count) == (0, 0)
        with pool.blocking_acquire():
            pass
        made[-1].try_write(b"unasked for")
        with pool.try_acquire() as none:
            assert none is None, "it was not healthy"
    with pool.try_acquire() as none:
        assert none is None, "the pool is closed"
    for each in made:
        each.close()


def test_a_pool_asks_whether_a_connection_is_healthy_and_keeps_no_more_than_it_may() -> None:
    class Connection:
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

    made: list[Connection] = []
    asked: list[Connection] = []

    def connect() -> Connection:
        made.append(Connection())
        return made[-1]

    async def nobody() -> Connection:
        raise AssertionError("in threads alone")

    def is_healthy(connection: Connection) -> bool:
        asked.append(connection)
        return connection is not made[0]

    with net.Pool(nobody, idle_max=1, is_healthy=is_healthy, blocking_connect=connect) as pool:
        with pool.blocking_acquire() as first:
            assert not asked, "a new one is as it should be"
        with pool.blocking_acquire() as second:
            assert asked == [first]
            assert first.is_closed
            with pool.blocking_acquire():
                assert pool.lent_count == 2
            assert pool.idle_count == 1
        assert pool.idle_count == 1, "one is enough"
        assert second.is_closed
        with pool.blocking_acquire() as third:
            assert third is asked[-1] is made[2]
    assert all(each.is_closed for each in made)
    with pytest.raises(ValueError, match="idle_max must be at least 0, got -1"):
        net.Pool(nobody, idle_max=-1)


def test_sockets_of_ipv6_may_leave_ipv4_alone() -> None:
    listener = net.TcpListener.bind("[::]:0", v6_only=True)
    both = net.TcpListener.bind("[::]:0")
    udp = net.UdpSocket.bind("[::]:0", v6_only=True)
    default = int(Path("/proc/sys/net/ipv6/bindv6only").read_text(encoding="ascii"))
    for each, expected in ((listener, 1), (both, default), (udp, 1)):
        with contextlib.closing(each):
            assert each.option(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == expected


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


def test_closing_a_stream_that_lingers_holds_up_nobody() -> None:
    """close(2) waits until what is unsent is sent, also where nothing else blocks."""
    done = program("""
from blitzio import net

listener = net.TcpListener.bind("127.0.0.1:0")
stream = net.TcpStream.blocking_connect(listener.local_address)
peer, _ = listener.blocking_accept()
listener.close()
stream.set_linger(10_000)
size = 0
while count := stream.try_write(bytes(65536)):
    size += count
stream.close()
while data := peer.blocking_read(1 << 20):
    size -= len(data)
peer.close()
print(size)
""")
    assert silent(done, "0\n")
