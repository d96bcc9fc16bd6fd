"""sock_recv, sock_sendall and their siblings, and what they return as coroutines."""

from __future__ import annotations

import array
import asyncio
import collections.abc
import contextlib
import errno
import gc
import os
import random
import socket
import ssl
import sys
import threading
import types
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import HOST, PATIENCE, fill, raw_pair, socket_pair, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # The abstract class lacks what came with 3.11; asyncio's own loop has it under the same names.
    Loop = Any
    Pair = tuple[socket.socket, socket.socket]
    Compare = Callable[[Callable[[Loop], Any]], tuple[Any, ...]]

before_311 = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has it since 3.11")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket_pair() as sockets:
        yield sockets


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


def test_recv_takes_what_is_there_at_once(loop: Loop, pair: Pair) -> None:
    client, server = pair
    client.send(b"hello")

    async def main() -> None:
        assert await loop.sock_recv(server, 1024) == b"hello"

    loop.run_until_complete(main())


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_recv_waits_for_data_and_sees_the_end(loop: Loop, pair: Pair) -> None:
    client, server = pair

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
def test_any_buffer_size_receives_every_byte(loop: Loop, pair: Pair, wanted: int) -> None:
    client, server = pair
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
    loop: Loop, pair: Pair, make: Callable[[bytes], Any]
) -> None:
    client, server = pair
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
    loop: Loop, pair: Pair, native: None
) -> None:
    client, server = pair
    data = array.array("i", range(1_000_000))

    async def main() -> None:
        sending = loop.create_task(loop.sock_sendall(client, data))
        received = bytearray()
        while len(received) < 4_000_000:
            received += await soon(loop.sock_recv(server, 65536))
        assert received == data.tobytes()
        await soon(sending)

    loop.run_until_complete(main())


def test_recv_into_fills_a_buffer_that_may_be_resized_meanwhile(loop: Loop, pair: Pair) -> None:
    client, server = pair

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


def test_two_receivers_of_one_socket_share_what_comes(loop: Loop, pair: Pair) -> None:
    if not hasattr(loop, "backend"):
        pytest.skip("asyncio's loop forgets the first receiver")
    client, server = pair

    async def main() -> None:
        tasks = [loop.create_task(loop.sock_recv(server, 1)) for _ in range(5)]
        await turns()
        client.send(b"abcde")
        assert sorted(await soon(asyncio.gather(*tasks))) == [b"a", b"b", b"c", b"d", b"e"]

    loop.run_until_complete(main())


def test_receiving_and_a_reader_callback_coexist(loop: Loop, pair: Pair) -> None:
    if not hasattr(loop, "backend"):
        pytest.skip("asyncio's loop replaces the reader")
    client, server = pair
    seen: list[int] = []

    async def main() -> None:
        loop.add_reader(server, seen.append, 1)
        task = loop.create_task(loop.sock_recv(server, 10))
        await turns()
        client.send(b"x")
        assert await soon(task) == b"x"
        assert loop.remove_reader(server) is True

    loop.run_until_complete(main())


def test_receiving_and_sending_on_one_socket_coexist(loop: Loop, pair: Pair) -> None:
    client, server = pair

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


# ---- errors ------------------------------------------------------------------------------------


def test_errors_are_the_subclass_of_oserror_for_their_number(loop: Loop) -> None:
    async def main() -> None:
        mine, peer = raw_pair()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        task = loop.create_task(loop.sock_recv(mine, 10))
        await turns()
        peer.close()
        with pytest.raises(ConnectionResetError):
            await soon(task)
        with pytest.raises(BrokenPipeError):
            await soon(loop.sock_sendall(mine, b"x"))
        mine.close()
        for operation in (
            loop.sock_recv(mine, 10),
            loop.sock_recv_into(mine, bytearray(1)),
            loop.sock_sendall(mine, b"x"),
            loop.sock_accept(mine),
            loop.sock_connect(mine, (HOST, 1)),
        ):
            with pytest.raises(OSError) as caught:
                await operation
            assert caught.value.errno == errno.EBADF
        with socket.socket() as unconnected:
            unconnected.setblocking(False)
            with pytest.raises(OSError) as caught:
                await loop.sock_recv(unconnected, 10)
            assert caught.value.errno == errno.ENOTCONN

    loop.run_until_complete(main())


CALLS: dict[str, Callable[[Loop, Any], Any]] = {
    "recv of text": lambda loop, sock: loop.sock_recv(sock, "10"),
    "recv of less than nothing": lambda loop, sock: loop.sock_recv(sock, -1),
    "recv of too much": lambda loop, sock: loop.sock_recv(sock, 1 << 80),
    "recv of nothing": lambda loop, sock: loop.sock_recv(sock, 0),
    "recv_into bytes": lambda loop, sock: loop.sock_recv_into(sock, b"read-only"),
    "recv_into a number": lambda loop, sock: loop.sock_recv_into(sock, 5),
    "sendall of text": lambda loop, sock: loop.sock_sendall(sock, "text"),
    "sendall of None": lambda loop, sock: loop.sock_sendall(sock, None),
    "sendall of nothing": lambda loop, sock: loop.sock_sendall(sock, b""),
    "accept on a connection": lambda loop, sock: loop.sock_accept(sock),
    "connect of a connection": lambda loop, sock: loop.sock_connect(sock, (HOST, 9)),
    "connect without a port": lambda loop, sock: loop.sock_connect(sock, (HOST,)),
    "connect to port 70000": lambda loop, sock: loop.sock_connect(sock, (HOST, 70000)),
    "connect to a negative port": lambda loop, sock: loop.sock_connect(sock, (HOST, -1)),
    "connect to a wrong family": lambda loop, sock: loop.sock_connect(sock, ("::1", 9)),
    "connect to a number": lambda loop, sock: loop.sock_connect(sock, 5),
    "connect to a port in words": lambda loop, sock: loop.sock_connect(sock, (HOST, "no such")),
    "recv on a closed socket": lambda loop, sock: loop.sock_recv(sock.close() or sock, 5),
}
if sys.version_info >= (3, 11):
    CALLS |= {
        "recvfrom of less than nothing": lambda loop, sock: loop.sock_recvfrom(sock, -1),
        "recvfrom_into too much": lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(3), 4),
        "recvfrom_into less": lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(3), -4),
        "sendto nowhere": lambda loop, sock: loop.sock_sendto(sock, b"x", 5),
        "sendto of text": lambda loop, sock: loop.sock_sendto(sock, "x", (HOST, 9)),
    }


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.no_faults("the first try is what it is about", "again")
def test_bad_arguments_fail_as_in_asyncio(same_as_asyncio: Compare, call: str) -> None:
    def scenario(loop: Loop) -> Any:
        mine, peer = raw_pair()
        kept = os.dup(mine.fileno())
        try:
            return loop.run_until_complete(CALLS[call](loop, mine))
        finally:
            os.close(kept)
            fd = mine.detach()
            if fd >= 0:
                os.close(fd)
            peer.close()

    result = same_as_asyncio(scenario)
    if call.endswith("of nothing"):
        assert result[0] == "returned"
    else:
        assert result[0] == "raised"


METHODS: dict[str, tuple[Any, ...]] = {
    "sock_recv": (1,),
    "sock_recv_into": (bytearray(1),),
    "sock_sendall": (b"x",),
    "sock_accept": (),
    "sock_connect": ((HOST, 1),),
}
if sys.version_info >= (3, 11):
    METHODS |= {
        "sock_recvfrom": (1,),
        "sock_recvfrom_into": (bytearray(1),),
        "sock_sendto": (b"x", (HOST, 1)),
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_blocking_socket_is_refused_in_debug_mode(same_as_asyncio: Compare, method: str) -> None:
    def scenario(loop: Loop) -> None:
        loop.set_debug(True)
        with socket.socket() as sock:
            loop.run_until_complete(getattr(loop, method)(sock, *METHODS[method]))

    assert same_as_asyncio(scenario) == (
        "raised",
        ValueError,
        "the socket must be non-blocking",
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_tls_socket_is_refused(same_as_asyncio: Compare, method: str) -> None:
    def scenario(loop: Loop) -> None:
        context = ssl.create_default_context()
        with (
            socket.socket() as plain,
            context.wrap_socket(plain, server_hostname="x", do_handshake_on_connect=False) as sock,
        ):
            sock.setblocking(False)
            loop.run_until_complete(getattr(loop, method)(sock, *METHODS[method]))

    assert same_as_asyncio(scenario) == (
        "raised",
        TypeError,
        "Socket cannot be of type SSLSocket",
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_number_of_arguments_is_a_type_error_at_the_call(loop: Loop, method: str) -> None:
    with pytest.raises(TypeError):
        getattr(loop, method)()
    with pytest.raises(TypeError):
        getattr(loop, method)(1, 2, 3, 4)
    with pytest.raises(TypeError):
        getattr(loop, method)(*METHODS[method], nonsense=1)


def test_arguments_may_be_named(loop: Loop, pair: Pair, native: None) -> None:
    client, server = pair

    async def main() -> None:
        await loop.sock_sendall(data=b"abc", sock=client)
        assert await soon(loop.sock_recv(server, n=1)) == b"a"
        assert await loop.sock_recv_into(sock=server, buf=bytearray(1)) == 1
        assert await loop.sock_recvfrom_into(server, bytearray(5), nbytes=1) == (1, None)

    loop.run_until_complete(main())


def test_waiting_on_a_closed_loop_is_an_error(new_loop: Callable[[], Loop], pair: Pair) -> None:
    loop = new_loop()
    loop.close()
    operation = loop.sock_recv(pair[0], 10)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        operation.send(None)


# ---- cancelling --------------------------------------------------------------------------------


def test_a_cancelled_receiver_loses_no_byte(loop: Loop, pair: Pair, native: None) -> None:
    client, server = pair
    sent = random.Random(3).randbytes(3000)

    async def main() -> None:
        received = bytearray()
        dice = random.Random(4)
        for byte in sent:
            task = loop.create_task(loop.sock_recv(server, 100))
            await turns(dice.randrange(3))
            client.send(bytes([byte]))
            await turns(dice.randrange(4))
            task.cancel()
            try:
                received += await task
            except asyncio.CancelledError:
                pass
        client.shutdown(socket.SHUT_WR)
        while block := await soon(loop.sock_recv(server, 100)):
            received += block
        assert received == sent

    loop.run_until_complete(main())


def test_wait_for_times_out_and_the_socket_still_works(loop: Loop, pair: Pair) -> None:
    client, server = pair

    async def main() -> None:
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(loop.sock_recv(server, 10), 0.001)
        client.send(b"x")
        assert await asyncio.wait_for(loop.sock_recv(server, 10), PATIENCE) == b"x"

    loop.run_until_complete(main())


def test_a_cancelled_sendall_gives_its_buffer_back(loop: Loop, pair: Pair) -> None:
    client, _ = pair
    data = bytearray(10_000_000)

    async def main() -> None:
        task = loop.create_task(loop.sock_sendall(client, data))
        await turns()
        with pytest.raises(BufferError):
            data.append(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        data.append(1)

    loop.run_until_complete(main())


def test_a_socket_closed_under_a_waiting_receiver_closes_when_that_is_done(
    loop: Loop, native: None
) -> None:
    async def main() -> None:
        mine, peer = raw_pair()
        number = mine.fileno()
        task = loop.create_task(loop.sock_recv(mine, 10))
        await turns(2)
        mine.close()
        # Free, the number would go to the next connection, whose bytes the receiver must not take.
        other, other_peer = raw_pair()
        assert number not in (other.fileno(), other_peer.fileno())
        other_peer.send(b"theirs")
        await turns(2)
        peer.send(b"mine")
        assert await soon(task) == b"mine"
        assert mine.fileno() == -1
        assert await soon(loop.sock_recv(peer, 10)) == b""
        for sock in (peer, other, other_peer):
            sock.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["cancel", "close", "error"])
def test_a_socket_closed_under_an_operation_closes_however_that_ends(
    loop: Loop, native: None, end: str
) -> None:
    async def main() -> None:
        mine, peer = raw_pair()
        operation = loop.sock_recv_into(mine, bytearray(1))
        task = None
        if end == "close":
            operation.send(None)
        else:
            task = loop.create_task(operation)
            await turns(2)
        again = loop.create_task(loop.sock_recv(mine, 10))
        await turns(2)
        mine.close()
        if end == "error":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
        elif task is not None:
            task.cancel()
        else:
            operation.close()
        if task is not None:
            # Of two receivers the first is told of the reset; for the other that is the end.
            with contextlib.suppress(asyncio.CancelledError, ConnectionResetError):
                assert await soon(task) == 0
        if end != "error":
            assert mine.fileno() != -1  # The other operation needs it still.
            again.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionResetError):
            assert await soon(again) == b""
        assert mine.fileno() == -1
        peer.close()

    loop.run_until_complete(main())


def test_closing_the_loop_lets_go_of_sockets_that_operations_held(
    new_loop: Callable[[], Loop], native: None
) -> None:
    loop = new_loop()
    mine, peer = raw_pair()
    task = loop.create_task(loop.sock_recv(mine, 10))
    loop.run_until_complete(turns(2))
    mine.close()
    assert mine.fileno() != -1
    loop.close()
    assert mine.fileno() == -1
    peer.close()
    task._log_destroy_pending = False


def test_a_socket_detached_under_a_waiting_receiver_is_an_error(loop: Loop, native: None) -> None:
    async def main() -> None:
        mine, peer = raw_pair()
        task = loop.create_task(loop.sock_recv(mine, 10))
        await turns(2)
        with socket.socket(fileno=mine.detach()) as heir:
            peer.send(b"for the heir")
            with pytest.raises(OSError) as caught:
                await soon(task)
            assert caught.value.errno == errno.EBADF
            assert heir.recv(20) == b"for the heir"
        peer.close()

    loop.run_until_complete(main())


def test_a_cancelled_receiver_of_a_number_that_is_used_again_disturbs_nobody(loop: Loop) -> None:
    async def main() -> None:
        for _ in range(20):
            mine, peer = raw_pair()
            number = mine.fileno()
            task = loop.create_task(loop.sock_recv(mine, 10))
            await turns(2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            mine.close()
            peer.close()
            again, other = raw_pair()
            assert again.fileno() == number
            task = loop.create_task(loop.sock_recv(again, 10))
            await turns(2)
            other.send(b"x")
            assert await soon(task) == b"x"
            again.close()
            other.close()

    loop.run_until_complete(main())


def test_closing_the_loop_with_a_receiver_waiting_leaks_nothing(
    new_loop: Callable[[], Loop], pair: Pair
) -> None:
    loop = new_loop()
    operation = loop.sock_recv(pair[0], 10)
    future = operation.send(None)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert not future.done()
    gone = weakref.ref(future)
    operation.close()
    del operation, future
    gc.collect()
    assert gone() is None


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


# ---- as coroutines -----------------------------------------------------------------------------


def test_it_is_a_coroutine_to_asyncio(loop: Loop, pair: Pair) -> None:
    operation = loop.sock_recv(pair[1], 10)
    assert operation.__name__ == "sock_recv"
    assert operation.__qualname__.endswith(".sock_recv")
    assert asyncio.iscoroutine(operation)
    assert isinstance(operation, collections.abc.Coroutine)
    operation.close()


def test_every_way_of_running_a_coroutine_takes_it(loop: Loop, pair: Pair) -> None:
    client, server = pair

    async def main() -> None:
        client.send(b"abcdef")
        results = [
            await loop.sock_recv(server, 1),
            await loop.create_task(loop.sock_recv(server, 1)),
            await asyncio.ensure_future(loop.sock_recv(server, 1)),
            await asyncio.wait_for(loop.sock_recv(server, 1), PATIENCE),
            *await asyncio.gather(loop.sock_recv(server, 1)),
            await asyncio.shield(loop.sock_recv(server, 1)),
        ]
        assert b"".join(results) == b"abcdef"
        task = loop.create_task(loop.sock_recv(server, 1), name="receiver")
        await turns()
        assert "sock_recv" in repr(task)
        assert task.get_stack() == [] or len(task.get_stack()) == 1
        task.cancel()

    loop.run_until_complete(main())
    client.send(b"x")
    assert loop.run_until_complete(loop.sock_recv(server, 1)) == b"x"


@types.coroutine
def yielding_from(operation: Any) -> Any:
    return (yield from operation)


def test_old_style_generators_can_yield_from_it(loop: Loop, pair: Pair, native: None) -> None:
    client, server = pair

    async def receive() -> Any:
        return await yielding_from(loop.sock_recv(server, 1))

    async def main() -> None:
        task = loop.create_task(receive())
        await turns()
        client.send(b"x")
        assert await soon(task) == b"x"

    loop.run_until_complete(main())


def test_nothing_happens_before_the_first_send(loop: Loop, pair: Pair) -> None:
    client, server = pair
    client.send(b"x")
    operation = loop.sock_recv(server, 10)
    operation.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loop.run_until_complete(loop.sock_recv(server, 10)) == b"x"


def test_one_that_was_never_awaited_is_warned_of(loop: Loop, pair: Pair) -> None:
    with pytest.warns(RuntimeWarning, match=r"coroutine '.*sock_recv' was never awaited"):
        loop.sock_recv(pair[0], 10)
        gc.collect()


@pytest.mark.no_faults("nothing to wait for is what it is about", "again")
def test_it_runs_once(loop: Loop, pair: Pair) -> None:
    client, server = pair
    client.send(b"x")
    operation = loop.sock_recv(server, 10)
    with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
        operation.send(1)
    with pytest.raises(StopIteration) as stop:
        operation.send(None)
    assert stop.value.value == b"x"
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        operation.send(None)
    operation.close()


@pytest.mark.no_faults("nothing to wait for is what it is about", "again")
def test_a_tuple_is_returned_whole(loop: Loop, native: None) -> None:
    with socket.create_server((HOST, 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            listener.setblocking(False)
            operation = loop.sock_accept(listener)
            with pytest.raises(StopIteration) as stop:
                operation.send(None)
            server, peer = stop.value.value
            server.close()
            assert peer == client.getsockname()


def test_throw_raises_what_it_is_given_and_ends_it(loop: Loop, pair: Pair) -> None:
    for start in (False, True):
        for thrown in (ZeroDivisionError, ZeroDivisionError("text")):
            operation = loop.sock_recv(pair[1], 10)
            if start:
                assert asyncio.isfuture(operation.send(None))
            with pytest.raises(ZeroDivisionError):
                operation.throw(thrown)
            with pytest.raises(RuntimeError):
                operation.send(None)
    operation = loop.sock_recv(pair[1], 10)
    with pytest.raises(TypeError):
        operation.throw(5)
    operation.close()
    loop.run_until_complete(asyncio.sleep(0))


def test_a_waiting_task_that_is_dropped_with_its_loop_is_collected(
    new_loop: Callable[[], Loop], pair: Pair
) -> None:
    def drop_everything() -> weakref.ref[Any]:
        loop = new_loop()
        loop.set_exception_handler(lambda *_: None)
        task = loop.create_task(loop.sock_recv(pair[0], 10))
        loop.run_until_complete(turns())
        assert not task.done()
        loop.close()
        return weakref.ref(task)

    gone = drop_everything()
    gc.collect()
    assert gone() is None


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_many_receivers_wait_at_once(loop: Loop) -> None:
    async def main() -> None:
        pairs = [socket.socketpair() for _ in range(400)]
        for mine, peer in pairs:
            mine.setblocking(False)
            peer.setblocking(False)
        for round_ in range(3):
            tasks = [loop.create_task(loop.sock_recv(mine, 10)) for mine, _ in pairs]
            await turns()
            for number, (_, peer) in enumerate(pairs):
                peer.send(b"%d-%d" % (round_, number))
            assert await soon(asyncio.gather(*tasks)) == [
                b"%d-%d" % (round_, number) for number in range(len(pairs))
            ]
        for mine, peer in pairs:
            mine.close()
            peer.close()

    loop.run_until_complete(main())


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_a_peer_in_another_thread_is_answered(loop: Loop, pair: Pair) -> None:
    client, server = pair
    client.setblocking(True)
    client.settimeout(PATIENCE)
    rounds = 500

    def ask() -> None:
        for number in range(rounds):
            client.sendall(b"%03d" % number)
            assert client.recv(3) == b"%03d" % number

    async def main() -> None:
        asking = loop.run_in_executor(None, ask)
        for _ in range(rounds):
            await loop.sock_sendall(server, await soon(loop.sock_recv(server, 3)))
        await soon(asking)

    thread_count = threading.active_count()
    loop.run_until_complete(main())
    assert threading.active_count() <= thread_count + 1
