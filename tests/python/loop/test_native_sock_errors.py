"""sock_recv, sock_sendall and their siblings: what they refuse, and the errors of the kernel."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import HOST, raw_pair, reset, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable

    # The abstract class lacks what came with 3.11; asyncio's own loop has it under the same names.
    Loop = Any
    Pair = tuple[socket.socket, socket.socket]
    Compare = Callable[[Callable[[Loop], Any]], tuple[Any, ...]]


def test_errors_are_the_subclass_of_oserror_for_their_number(loop: Loop) -> None:
    async def main() -> None:
        mine, peer = raw_pair()
        task = loop.create_task(loop.sock_recv(mine, 10))
        await turns()
        reset(peer)
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


def test_arguments_may_be_named(loop: Loop, tcp_pair: Pair, native: None) -> None:
    client, server = tcp_pair

    async def main() -> None:
        await loop.sock_sendall(data=b"abc", sock=client)
        assert await soon(loop.sock_recv(server, n=1)) == b"a"
        assert await loop.sock_recv_into(sock=server, buf=bytearray(1)) == 1
        assert await loop.sock_recvfrom_into(server, bytearray(5), nbytes=1) == (1, None)

    loop.run_until_complete(main())


def test_waiting_on_a_closed_loop_is_an_error(new_loop: Callable[[], Loop], tcp_pair: Pair) -> None:
    loop = new_loop()
    loop.close()
    operation = loop.sock_recv(tcp_pair[0], 10)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        operation.send(None)
