"""The native stream transport: what it is made of and in which order it starts."""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import Any

import pytest

from blitzio import _native
from tests.python.loop.transport_support import (
    Pair,
    Recorder,
    connected,
    make_transport,
    receive_all,
    run,
    until,
)

pytestmark = pytest.mark.usefixtures("native_only")


def test_is_an_asyncio_transport_with_a_dict_and_weak_references(loop: Any, pair: Pair) -> None:
    transport, _ = connected(loop, pair)
    assert isinstance(transport, asyncio.Transport)
    patched: Any = transport
    patched.anything = 1
    assert transport.__dict__ == {"anything": 1}
    assert weakref.ref(transport)() is transport
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_order_is_connection_made_then_reading_then_the_waiter(loop: Any, pair: Pair) -> None:
    order: list[str] = []

    class Ordered(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            order.append("made")

        def data_received(self, data: bytes) -> None:
            order.append("data")

    pair[1].send(b"already there")

    async def main() -> None:
        waiter = loop.create_future()
        waiter.add_done_callback(lambda _: order.append("waiter"))
        transport = make_transport(loop, pair[0], Ordered(), waiter=waiter)
        loop.call_soon(order.append, "after")
        assert order == []
        await waiter
        await until(lambda: "data" in order)
        transport.abort()
        await asyncio.sleep(0)

    run(loop, main())
    # Everything was scheduled by the constructor, before what came after it.
    assert order == ["made", "after", "waiter", "data"]


def test_a_cancelled_waiter_is_left_alone(loop: Any, pair: Pair, reports: list[Any]) -> None:
    async def main() -> None:
        waiter = loop.create_future()
        transport = make_transport(loop, pair[0], Recorder(), waiter=waiter)
        waiter.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        transport.close()
        await asyncio.sleep(0)

    run(loop, main())
    assert reports == []


def test_connection_made_can_be_left_to_the_caller(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair, call_connection_made=False)
    assert protocol.events == []
    transport.abort()
    protocol.lost = loop.create_future()
    run(loop, protocol.lost)


def test_bad_arguments_leave_the_socket_open(loop: Any, pair: Pair) -> None:
    with pytest.raises(TypeError):
        make_transport(object(), pair[0], Recorder())
    with pytest.raises(TypeError):
        make_transport(loop, pair[0], Recorder(), extra=[])

    class BadServer:
        def _attach(self, *_: Any) -> None:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        make_transport(loop, pair[0], Recorder(), server=BadServer())
    assert pair[0].fileno() >= 0
    # The driver let go of the descriptor, too.
    transport, _ = connected(loop, pair)
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_an_uninitialised_transport_raises_instead_of_crashing(loop: Any) -> None:
    transport = _native.StreamTransport.__new__(_native.StreamTransport)
    for call in (
        lambda: transport.write(b"x"),
        transport.close,
        transport.abort,
        transport.pause_reading,
        transport.get_write_buffer_size,
    ):
        with pytest.raises(RuntimeError, match="not initialised"):
            call()
    assert transport.get_extra_info("socket", 1) == 1
    assert transport.is_closing() is False
    assert "StreamTransport" in repr(transport)


def test_a_transport_cannot_be_initialised_twice(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    with pytest.raises(RuntimeError, match="already"):
        transport.__init__(loop, pair[0], protocol, extra=None, server=None, waiter=None)
    transport.abort()
    run(loop, protocol.lost)


def test_subclasses_keep_the_native_behaviour(loop: Any, pair: Pair) -> None:
    class Mine(_native.StreamTransport):
        def hello(self) -> str:
            return "hello"

    async def main() -> None:
        protocol = Recorder()
        transport = Mine(loop, pair[0], protocol, extra=None, server=None, waiter=None)
        await asyncio.sleep(0)
        assert transport.hello() == "hello"
        transport.write(b"x")
        transport.close()
        assert protocol.lost is not None
        await protocol.lost

    run(loop, main())
    assert receive_all(pair[1]) == b"x"


def test_the_server_is_told_of_both_ends_once(loop: Any, pair: Pair) -> None:
    calls: list[tuple[str, tuple[Any, ...]]] = []

    class Server:
        def _attach(self, *args: Any) -> None:
            calls.append(("attach", args))

        def _detach(self, *args: Any) -> None:
            calls.append(("detach", args))

    transport, protocol = connected(loop, pair, server=Server())
    transport.close()
    transport.abort()
    run(loop, protocol.lost)
    run(loop, asyncio.sleep(0))
    import sys

    expected = (transport,) if sys.version_info >= (3, 13) else ()
    assert calls == [("attach", expected), ("detach", expected)]


def test_add_reader_refuses_a_descriptor_that_a_transport_uses(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    with pytest.raises(RuntimeError, match="is used by transport"):
        loop.add_reader(pair[0].fileno(), print)
    transport.close()
    run(loop, protocol.lost)


def test_a_reader_that_was_left_does_not_outlive_the_descriptor(loop: Any, pair: Pair) -> None:
    heard: list[str] = []
    number = pair[0].fileno()
    loop.add_reader(number, heard.append, "the socket")
    transport, protocol = connected(loop, pair)
    pair[1].send(b"for the transport")
    run(loop, until(lambda: protocol.data))
    reading, writing = os.pipe()
    transport.abort()
    run(loop, protocol.lost)
    os.dup2(reading, number)
    loop.add_reader(number, heard.append, "the pipe")
    os.write(writing, b"x")
    run(loop, until(lambda: heard))
    loop.remove_reader(number)
    for fd in (reading, writing, number):
        os.close(fd)
    assert set(heard) == {"the pipe"}
