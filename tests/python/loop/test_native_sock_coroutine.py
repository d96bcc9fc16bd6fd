"""What sock_recv, sock_sendall and their siblings return, as coroutines."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import socket
import threading
import types
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import HOST, PATIENCE, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable

    # The abstract class lacks what came with 3.11; asyncio's own loop has it under the same names.
    Loop = Any
    Pair = tuple[socket.socket, socket.socket]


def test_it_is_a_coroutine_to_asyncio(loop: Loop, tcp_pair: Pair) -> None:
    operation = loop.sock_recv(tcp_pair[1], 10)
    assert operation.__name__ == "sock_recv"
    assert operation.__qualname__.endswith(".sock_recv")
    assert asyncio.iscoroutine(operation)
    assert isinstance(operation, collections.abc.Coroutine)
    operation.close()


def test_every_way_of_running_a_coroutine_takes_it(loop: Loop, tcp_pair: Pair) -> None:
    client, server = tcp_pair

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


def test_old_style_generators_can_yield_from_it(loop: Loop, tcp_pair: Pair, native: None) -> None:
    client, server = tcp_pair

    async def receive() -> Any:
        return await yielding_from(loop.sock_recv(server, 1))

    async def main() -> None:
        task = loop.create_task(receive())
        await turns()
        client.send(b"x")
        assert await soon(task) == b"x"

    loop.run_until_complete(main())


def test_nothing_happens_before_the_first_send(loop: Loop, tcp_pair: Pair) -> None:
    client, server = tcp_pair
    client.send(b"x")
    operation = loop.sock_recv(server, 10)
    operation.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loop.run_until_complete(loop.sock_recv(server, 10)) == b"x"


def test_one_that_was_never_awaited_is_warned_of(loop: Loop, tcp_pair: Pair) -> None:
    with pytest.warns(RuntimeWarning, match=r"coroutine '.*sock_recv' was never awaited"):
        loop.sock_recv(tcp_pair[0], 10)
        gc.collect()


@pytest.mark.no_faults("nothing to wait for is what it is about", "again")
def test_it_runs_once(loop: Loop, tcp_pair: Pair) -> None:
    client, server = tcp_pair
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


def test_throw_raises_what_it_is_given_and_ends_it(loop: Loop, tcp_pair: Pair) -> None:
    for start in (False, True):
        for thrown in (ZeroDivisionError, ZeroDivisionError("text")):
            operation = loop.sock_recv(tcp_pair[1], 10)
            if start:
                assert asyncio.isfuture(operation.send(None))
            with pytest.raises(ZeroDivisionError):
                operation.throw(thrown)
            with pytest.raises(RuntimeError):
                operation.send(None)
    operation = loop.sock_recv(tcp_pair[1], 10)
    with pytest.raises(TypeError):
        operation.throw(5)
    operation.close()
    loop.run_until_complete(asyncio.sleep(0))


def test_a_waiting_task_that_is_dropped_with_its_loop_is_collected(
    new_loop: Callable[[], Loop], tcp_pair: Pair
) -> None:
    def drop_everything() -> weakref.ref[Any]:
        loop = new_loop()
        loop.set_exception_handler(lambda *_: None)
        task = loop.create_task(loop.sock_recv(tcp_pair[0], 10))
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
def test_a_peer_in_another_thread_is_answered(loop: Loop, tcp_pair: Pair) -> None:
    client, server = tcp_pair
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
