"""The order in which a turn runs things is that of asyncio's own loop, told by running both."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import raw_pair, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable

    Compare = Callable[[Callable[[asyncio.AbstractEventLoop], Any]], Any]


class Notes(asyncio.Protocol):
    """Notes what it is told, and schedules a callback that notes as well."""

    def __init__(self, order: list[str], name: str = "data") -> None:
        self.order = order
        self.name = name
        self.arrived = asyncio.Event()

    def note(self) -> None:
        self.order.append(self.name)
        asyncio.get_running_loop().call_soon(self.order.append, f"scheduled by {self.name}")
        self.arrived.set()

    def data_received(self, data: bytes) -> None:
        self.note()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.order.append("lost")


class BufferedNotes(asyncio.BufferedProtocol):
    """Notes, for the protocol that gives its own buffer."""

    def __init__(self, order: list[str]) -> None:
        self.notes = Notes(order)
        self.arrived = self.notes.arrived
        self.buffer = bytearray(64)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.notes.note()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.notes.connection_lost(exc)


def sockets() -> tuple[socket.socket, socket.socket]:
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    peer.setblocking(False)
    return ours, peer


@pytest.mark.no_faults("counts turns")
@pytest.mark.parametrize("make_protocol", [Notes, BufferedNotes])
def test_what_was_scheduled_before_the_data_was_seen_runs_before_it(
    make_protocol: Callable[[list[str]], Any], same_as_asyncio: Compare
) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> list[str]:
        order: list[str] = []

        async def main() -> None:
            ours, peer = sockets()
            transport, protocol = await loop.create_connection(
                lambda: make_protocol(order), sock=ours
            )
            await turns()  # It reads from the turn on that has called connection_made().

            def first() -> None:
                order.append("first")
                loop.call_soon(order.append, "scheduled by first")

            peer.send(b"x")
            loop.call_soon(first)
            loop.call_soon(order.append, "second")
            await soon(protocol.arrived.wait())
            await turns()
            transport.close()
            await turns()
            peer.close()

        loop.run_until_complete(main())
        return order

    kind, order = same_as_asyncio(scenario)
    assert kind == "returned"
    assert order == [
        *("first", "second", "data", "scheduled by first", "scheduled by data"),
        "lost",
    ]


class Arrivals(asyncio.Protocol, asyncio.DatagramProtocol):
    """Notes what it is told of a stream or of datagrams."""

    def __init__(self, order: list[Any]) -> None:
        self.order = order

    def connection_made(self, transport: Any) -> None:
        self.order.append("made")

    def data_received(self, data: bytes) -> None:
        self.order.append(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.order.append(data)


@pytest.mark.no_faults("counts turns")
@pytest.mark.parametrize("kind", ["connect", "accepted", "pipe", "socket as pipe", "datagrams"])
def test_what_lies_there_is_told_behind_the_step_that_awaited_the_connection(
    kind: str, same_as_asyncio: Compare
) -> None:
    """And before what that step schedules: a program may close what it gets before it reads."""

    def scenario(loop: asyncio.AbstractEventLoop) -> list[Any]:
        order: list[Any] = []

        def ends() -> tuple[Any, Any]:
            if kind == "pipe":
                reader, writer = os.pipe()
                return os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0)
            types = socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM
            ours, peer = socket.socketpair(socket.AF_UNIX, types)
            ours.setblocking(False)
            if kind == "socket as pipe":
                return os.fdopen(ours.detach(), "rb", 0), peer
            return ours, peer

        async def main() -> None:
            ours, peer = ends()
            peer.write(b"there") if kind == "pipe" else peer.send(b"there")

            def factory() -> Arrivals:
                return Arrivals(order)

            transport: asyncio.BaseTransport
            if kind == "connect":
                transport, _ = await loop.create_connection(factory, sock=ours)
            elif kind == "accepted":
                transport, _ = await loop.connect_accepted_socket(factory, ours)
            elif kind == "datagrams":
                transport, _ = await loop.create_datagram_endpoint(factory, sock=ours)
            else:
                transport, _ = await loop.connect_read_pipe(factory, ours)
            order.append("returned")
            for number in range(2):
                loop.call_soon(order.append, number)
                await asyncio.sleep(0)
            await turns()
            transport.close()
            await turns()
            peer.close()

        loop.run_until_complete(main())
        return order

    expected = ["made", "returned", b"there", 0, 1]
    assert same_as_asyncio(scenario) == ("returned", expected)


@pytest.mark.no_faults("counts turns")
def test_readers_come_behind_what_was_scheduled_and_before_timers(
    same_as_asyncio: Compare,
) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> list[str]:
        order: list[str] = []

        async def main() -> None:
            ours, peer = sockets()
            done = loop.create_future()

            def read() -> None:
                ours.recv(64)
                order.append("reader")
                loop.call_soon(order.append, "scheduled by reader")

            def timer() -> None:
                order.append("timer")
                loop.call_soon(done.set_result, None)

            loop.add_reader(ours, read)
            await turns()
            peer.send(b"x")
            loop.call_soon(order.append, "scheduled")
            loop.call_at(0, timer)
            await soon(done)
            loop.remove_reader(ours)
            ours.close()
            peer.close()

        loop.run_until_complete(main())
        return order

    kind, order = same_as_asyncio(scenario)
    assert (kind, order) == ("returned", ["scheduled", "reader", "timer", "scheduled by reader"])


def test_a_timer_set_by_a_callback_waits_for_the_next_turn(same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> list[str]:
        order: list[str] = []

        def callback() -> None:
            order.append("callback")
            loop.call_at(0, order.append, "timer")
            loop.call_soon(order.append, "scheduled")

        async def main() -> None:
            loop.call_soon(callback)
            await turns(4)

        loop.run_until_complete(main())
        return order

    kind, order = same_as_asyncio(scenario)
    assert (kind, order) == ("returned", ["callback", "scheduled", "timer"])


@pytest.mark.no_faults("counts turns")
def test_what_a_protocol_schedules_waits_for_the_next_look_at_events(
    same_as_asyncio: Compare,
) -> None:
    """An event that the first protocol causes comes between the callbacks that it leads to."""

    def scenario(loop: asyncio.AbstractEventLoop) -> list[str]:
        order: list[str] = []

        async def main() -> None:
            ours, peer = sockets()
            second_ours, second_peer = sockets()

            class First(Notes):
                def data_received(self, data: bytes) -> None:
                    second_peer.send(b"y")
                    order.append("first")
                    loop.call_soon(self.on_callback)

                def on_callback(self) -> None:
                    order.append("callback")
                    loop.call_soon(order.append, "callback's callback")

            transport, _ = await loop.create_connection(lambda: First(order), sock=ours)
            second, protocol = await loop.create_connection(
                lambda: Notes(order, "second"), sock=second_ours
            )
            await turns()
            peer.send(b"x")
            await soon(protocol.arrived.wait())
            await turns()
            transport.abort()
            second.abort()
            await turns()
            peer.close()
            second_peer.close()

        loop.run_until_complete(main())
        return order

    kind, order = same_as_asyncio(scenario)
    assert kind == "returned"
    assert order[:4] == ["first", "callback", "second", "callback's callback"]


@pytest.mark.no_faults("counts turns")
def test_what_a_callback_ends_is_not_called_for_what_was_seen_before(
    same_as_asyncio: Compare,
) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> list[str]:
        order: list[str] = []

        async def main() -> None:
            ours, peer = sockets()
            second_ours, second_peer = sockets()
            transport, _ = await loop.create_connection(lambda: Notes(order), sock=ours)
            loop.add_reader(second_ours, order.append, "reader")
            timer = loop.call_later(0, order.append, "timer")
            await turns()
            order.clear()
            timer = loop.call_at(0, order.append, "timer")
            peer.send(b"x")
            second_peer.send(b"x")

            def end() -> None:
                transport.abort()
                loop.remove_reader(second_ours)
                timer.cancel()

            loop.call_soon(end)
            await turns(4)
            for sock in (second_ours, peer, second_peer):
                sock.close()

        loop.run_until_complete(main())
        return order

    assert same_as_asyncio(scenario) == ("returned", ["lost"])


@pytest.mark.no_faults("counts turns")
def test_stop_lets_the_turn_finish(same_as_asyncio: Compare) -> None:
    """What was seen in the turn that stops is told; what that schedules waits for the next run."""

    def scenario(loop: asyncio.AbstractEventLoop) -> list[str]:
        order: list[str] = []
        ours, peer = sockets()

        async def connect() -> Any:
            transport, _ = await loop.create_connection(lambda: Notes(order), sock=ours)
            await turns()
            return transport

        transport = loop.run_until_complete(connect())
        peer.send(b"x")
        loop.call_soon(loop.stop)
        loop.run_forever()
        order.append("stopped")
        loop.run_until_complete(turns())
        transport.close()
        loop.run_until_complete(turns())
        peer.close()
        return order

    kind, order = same_as_asyncio(scenario)
    assert (kind, order) == ("returned", ["data", "stopped", "scheduled by data", "lost"])


class Answer(asyncio.Protocol):
    def __init__(self) -> None:
        self.told: list[object] = []
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.told.append(isinstance(exc, ConnectionError))
        self.lost.set_result(None)


@pytest.mark.no_faults("a late completion is later than the turn that the send waits")
@pytest.mark.parametrize("small_messages", [0, 5])
@pytest.mark.parametrize("paused", [False, True])
def test_what_a_peer_said_before_it_broke_off_is_told_before_the_end(
    same_as_asyncio: Compare, small_messages: int, paused: bool
) -> None:
    """A server that has had enough says so and closes while its client goes on sending. The send
    that failed because of it once ended the connection before the answer was received."""

    def scenario(loop: asyncio.AbstractEventLoop) -> list[object]:
        async def main() -> list[object]:
            mine, peer = raw_pair()
            with peer:
                transport, protocol = await loop.create_connection(Answer, sock=mine)
                for number in range(small_messages):
                    peer.send(b"small")
                    while len(protocol.told) == number:
                        await asyncio.sleep(0)
                protocol.told.clear()
                if paused:
                    transport.pause_reading()
                await turns()
                peer.send(b"too large")
                peer.close()
                transport.write(bytes(8 << 20))
                if paused:
                    transport.resume_reading()
                await soon(protocol.lost)
            return protocol.told

        return loop.run_until_complete(main())

    assert same_as_asyncio(scenario) == ("returned", [b"too large", True])
