"""sock_recv, sock_sendall and their siblings, cancelled; their socket or their loop closed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import random
import socket
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import PATIENCE, raw_pair, reset, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable

    # The abstract class lacks what came with 3.11; asyncio's own loop has it under the same names.
    Loop = Any
    Pair = tuple[socket.socket, socket.socket]


def test_a_cancelled_receiver_loses_no_byte(loop: Loop, tcp_pair: Pair, native: None) -> None:
    client, server = tcp_pair
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


def test_wait_for_times_out_and_the_socket_still_works(loop: Loop, tcp_pair: Pair) -> None:
    client, server = tcp_pair

    async def main() -> None:
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(loop.sock_recv(server, 10), 0.001)
        client.send(b"x")
        assert await asyncio.wait_for(loop.sock_recv(server, 10), PATIENCE) == b"x"

    loop.run_until_complete(main())


def test_a_cancelled_sendall_gives_its_buffer_back(loop: Loop, tcp_pair: Pair) -> None:
    client, _ = tcp_pair
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


@pytest.mark.no_faults("takes each message for one piece", "short")
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
            reset(peer)
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
    new_loop: Callable[[], Loop], tcp_pair: Pair
) -> None:
    loop = new_loop()
    operation = loop.sock_recv(tcp_pair[0], 10)
    future = operation.send(None)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert not future.done()
    gone = weakref.ref(future)
    operation.close()
    del operation, future
    gc.collect()
    assert gone() is None
