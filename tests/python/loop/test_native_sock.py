"""sock_recv, sock_sendall and their siblings: what they do."""

from __future__ import annotations

import array
import asyncio
import os
import random
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import HOST, fill, raw_pair, socket_pair, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # The abstract class lacks what came with 3.11; asyncio's own loop has it under the same names.
    Loop = Any
    Pair = tuple[socket.socket, socket.socket]
    Compare = Callable[[Callable[[Loop], Any]], tuple[Any, ...]]


before_311 = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has it since 3.11")


@pytest.fixture
def datagram_pair() -> Iterator[Pair]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for sock in (one, other):
            sock.bind((HOST, 0))
            sock.setblocking(False)
        yield one, other


# ---- receiving and sending ---------------------------------------------------------------------


def test_recv_takes_what_is_there_at_once(loop: Loop, tcp_pair: Pair) -> None:
    client, server = tcp_pair
    client.send(b"hello")

    async def main() -> None:
        assert await loop.sock_recv(server, 1024) == b"hello"

    loop.run_until_complete(main())


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_recv_waits_for_data_and_sees_the_end(loop: Loop, tcp_pair: Pair) -> None:
    client, server = tcp_pair

    async def main() -> None:
        task = loop.create_task(loop.sock_recv(server, 3))
        await turns()
        assert not task.done()
        client.send(b"hello")
        assert await soon(task) == b"hel"
        assert await loop.sock_recv(server, 100) == b"lo"
        task = loop.create_task(loop.sock_recv(server, 100))
        await turns()
        client.shutdown(socket.SHUT_WR)
        assert await soon(task) == b""

    loop.run_until_complete(main())


@pytest.mark.parametrize("wanted", [1, 100, 4096, 16384, 16385, 100_000, 1 << 20])
def test_any_buffer_size_receives_every_byte(loop: Loop, tcp_pair: Pair, wanted: int) -> None:
    client, server = tcp_pair
    data = random.Random(wanted).randbytes(3000 if wanted < 100 else 700_000)

    async def main() -> None:
        sending = loop.create_task(loop.sock_sendall(client, data))
        received = bytearray()
        while len(received) < len(data):
            block = await soon(loop.sock_recv(server, wanted))
            assert type(block) is bytes
            assert 0 < len(block) <= wanted
            received += block
        assert received == data
        assert await soon(sending) is None

    loop.run_until_complete(main())


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_sendall_sends_any_buffer_through_full_pipes(
    loop: Loop, tcp_pair: Pair, make: Callable[[bytes], Any]
) -> None:
    client, server = tcp_pair
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    data = random.Random(7).randbytes(4_000_000)

    async def main() -> None:
        sending = loop.create_task(loop.sock_sendall(client, make(data)))
        await turns()
        assert not sending.done()
        received = bytearray()
        while len(received) < len(data):
            received += await soon(loop.sock_recv(server, 65536))
        assert received == data
        await soon(sending)

    loop.run_until_complete(main())


def test_sendall_counts_bytes_whatever_the_items_of_the_buffer_are(
    loop: Loop, tcp_pair: Pair, native: None
) -> None:
    client, server = tcp_pair
    data = array.array("i", range(1_000_000))

    async def main() -> None:
        sending = loop.create_task(loop.sock_sendall(client, data))
        received = bytearray()
        while len(received) < 4_000_000:
            received += await soon(loop.sock_recv(server, 65536))
        assert received == data.tobytes()
        await soon(sending)

    loop.run_until_complete(main())


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_recv_into_fills_a_buffer_that_may_be_resized_meanwhile(loop: Loop, tcp_pair: Pair) -> None:
    client, server = tcp_pair

    async def main() -> None:
        buffer = bytearray(8)
        client.send(b"abc")
        assert await loop.sock_recv_into(server, buffer) == 3
        assert buffer == b"abc\0\0\0\0\0"
        task = loop.create_task(loop.sock_recv_into(server, memoryview(buffer)[4:6]))
        await turns()
        client.send(b"wxyz")
        assert await soon(task) == 2
        assert buffer == b"abc\0wx\0\0"
        assert await loop.sock_recv(server, 10) == b"yz"

        task = loop.create_task(loop.sock_recv_into(server, buffer))
        await turns()
        buffer.clear()
        buffer += b"...."
        client.send(b"12")
        assert await soon(task) == 2
        assert buffer == b"12.."
        client.shutdown(socket.SHUT_WR)
        assert await soon(loop.sock_recv_into(server, buffer)) == 0

    loop.run_until_complete(main())


@before_311
def test_datagrams_come_with_their_sender(loop: Loop, datagram_pair: Pair) -> None:
    one, other = datagram_pair

    async def main() -> None:
        task = loop.create_task(loop.sock_recvfrom(other, 100))
        await turns()
        assert await loop.sock_sendto(one, b"first", other.getsockname()) == 5
        assert await soon(task) == (b"first", one.getsockname())
        assert await loop.sock_sendto(one, b"cut off", other.getsockname()) == 7
        assert await soon(loop.sock_recvfrom(other, 3)) == (b"cut", one.getsockname())
        big = bytes(60_000)
        assert await loop.sock_sendto(one, big, other.getsockname()) == len(big)
        assert await soon(loop.sock_recvfrom(other, 65_536)) == (big, one.getsockname())

        buffer = bytearray(10)
        await loop.sock_sendto(one, b"12345", other.getsockname())
        assert await soon(loop.sock_recvfrom_into(other, buffer)) == (5, one.getsockname())
        task = loop.create_task(loop.sock_recvfrom_into(other, buffer, 2))
        await turns()
        await loop.sock_sendto(one, b"xyz", other.getsockname())
        assert await soon(task) == (2, one.getsockname())
        assert buffer == b"xy345\0\0\0\0\0"
        await loop.sock_sendto(one, b"", other.getsockname())
        assert await soon(loop.sock_recvfrom(other, 10)) == (b"", one.getsockname())

    loop.run_until_complete(main())


@before_311
def test_unix_and_ipv6_senders_are_named_as_the_socket_module_names_them(
    loop: Loop, tmp_path: Any
) -> None:
    async def exchange(receiver: socket.socket, sender: socket.socket) -> None:
        receiver.setblocking(False)
        sender.setblocking(False)
        for _ in range(2):
            sender.sendto(b"x", receiver.getsockname())
        assert await soon(loop.sock_recvfrom(receiver, 10)) == receiver.recvfrom(10)

    async def main() -> None:
        for sender_name in (None, str(tmp_path / "named"), b"\0abstract-of-blitzio-tests"):
            with (
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
            ):
                receiver.bind(str(tmp_path / f"receiver-{type(sender_name).__name__}"))
                if sender_name is not None:
                    sender.bind(sender_name)
                await exchange(receiver, sender)
        if socket.has_ipv6:
            with (
                socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver,
                socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender,
            ):
                receiver.bind(("::1", 0))
                await exchange(receiver, sender)
        one, other = socket.socketpair()
        with one, other:
            one.send(b"xx")
            assert await loop.sock_recvfrom(other, 1) == other.recvfrom(1)
        with socket_pair() as (client, server):
            client.send(b"xx")
            assert await soon(loop.sock_recvfrom(server, 1)) == server.recvfrom(1)

    loop.run_until_complete(main())


def test_two_receivers_of_one_socket_share_what_comes(loop: Loop, tcp_pair: Pair) -> None:
    if not hasattr(loop, "backend"):
        pytest.skip("asyncio's loop forgets the first receiver")
    client, server = tcp_pair

    async def main() -> None:
        tasks = [loop.create_task(loop.sock_recv(server, 1)) for _ in range(5)]
        await turns()
        client.send(b"abcde")
        assert sorted(await soon(asyncio.gather(*tasks))) == [b"a", b"b", b"c", b"d", b"e"]

    loop.run_until_complete(main())


def test_receiving_and_a_reader_callback_coexist(loop: Loop, tcp_pair: Pair) -> None:
    if not hasattr(loop, "backend"):
        pytest.skip("asyncio's loop replaces the reader")
    client, server = tcp_pair
    seen: list[int] = []

    async def main() -> None:
        loop.add_reader(server, seen.append, 1)
        task = loop.create_task(loop.sock_recv(server, 10))
        await turns()
        client.send(b"x")
        assert await soon(task) == b"x"
        assert loop.remove_reader(server) is True

    loop.run_until_complete(main())


def test_receiving_and_sending_on_one_socket_coexist(loop: Loop, tcp_pair: Pair) -> None:
    client, server = tcp_pair

    async def main() -> None:
        fill(server)
        receiving = loop.create_task(loop.sock_recv(server, 10))
        sending = loop.create_task(loop.sock_sendall(server, b"tail"))
        await turns()
        client.send(b"x")
        assert await soon(receiving) == b"x"
        assert not sending.done()
        while not sending.done():
            await soon(loop.sock_recv(client, 1 << 20))
        await sending

    loop.run_until_complete(main())


# ---- accepting and connecting ------------------------------------------------------------------


@pytest.mark.parametrize("host", [HOST, "::1", "localhost", "unix"])
def test_connections_are_made_and_accepted(loop: Loop, host: str, tmp_path: Any) -> None:
    families = {"::1": socket.AF_INET6, "unix": socket.AF_UNIX}
    family = families.get(host, socket.AF_INET)

    async def main() -> None:
        with socket.socket(family) as listener, socket.socket(family) as client:
            listener.bind(str(tmp_path / "socket") if host == "unix" else (host, 0))
            listener.listen()
            listener.setblocking(False)
            client.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(listener))
            await turns()
            assert not accepting.done()
            address: Any = listener.getsockname()
            if host != "unix":
                address = (host, address[1])
            assert await soon(loop.sock_connect(client, address)) is None
            server, peer = await soon(accepting)
            with server:
                assert type(server) is socket.socket
                assert server.gettimeout() == 0
                assert not os.get_inheritable(server.fileno())
                assert not os.get_blocking(server.fileno())
                assert peer == client.getsockname()
                assert (server.family, server.type, server.proto) == (
                    family,
                    socket.SOCK_STREAM,
                    listener.proto,
                )
                await loop.sock_sendall(client, b"x")
                assert await soon(loop.sock_recv(server, 10)) == b"x"

    loop.run_until_complete(main())


def test_a_refused_connection_says_where(same_as_asyncio: Compare) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        address = taken.getsockname()

        def scenario(loop: Loop) -> None:
            with socket.socket() as sock:
                sock.setblocking(False)
                loop.run_until_complete(loop.sock_connect(sock, address))

        refused = same_as_asyncio(scenario)
    assert refused[1] is ConnectionRefusedError
    assert refused[2] == f"[Errno 111] Connect call failed {address}"


def test_a_cancelled_accept_leaves_the_connection_to_the_next(loop: Loop) -> None:
    async def main() -> None:
        with socket.create_server((HOST, 0)) as listener:
            listener.setblocking(False)
            task = loop.create_task(loop.sock_accept(listener))
            await turns()
            with socket.create_connection(listener.getsockname()):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                server, _ = await soon(loop.sock_accept(listener))
                server.close()

    loop.run_until_complete(main())


def test_a_blocking_listener_does_not_block_the_loop(loop: Loop, native: None) -> None:
    async def main() -> None:
        with socket.create_server((HOST, 0)) as listener:
            task = loop.create_task(loop.sock_accept(listener))
            await turns()
            assert not task.done()
            with socket.create_connection(listener.getsockname()):
                server, _ = await soon(task)
                server.close()

    loop.run_until_complete(main())


# ---- sockets that are more than sockets --------------------------------------------------------


class Shouting(socket.socket):
    """A subclass whose methods must be called, not bypassed."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        return super().recv(size, flags).upper()

    def recv_into(self, buffer: Any, *args: Any) -> int:
        count = super().recv_into(buffer, *args)
        buffer[:count] = bytes(buffer[:count]).upper()
        return count

    def send(self, data: Any, flags: int = 0) -> int:
        return super().send(bytes(data[:100]).replace(b"-", b"+"), flags)


def test_a_subclass_is_served_by_its_own_methods(loop: Loop) -> None:
    async def main() -> None:
        plain, peer = raw_pair()
        with Shouting(fileno=plain.detach()) as mine, peer:
            mine.setblocking(False)
            task = loop.create_task(loop.sock_recv(mine, 10))
            await turns()
            peer.send(b"quiet")
            assert await soon(task) == b"QUIET"
            buffer = bytearray(5)
            peer.send(b"still")
            assert await soon(loop.sock_recv_into(mine, buffer)) == 5
            assert buffer == b"STILL"
            await loop.sock_sendall(mine, b"-" * 1000)
            received = b""
            while len(received) < 1000:
                received += await soon(loop.sock_recv(peer, 1000))
            assert received == b"+" * 1000

    loop.run_until_complete(main())
