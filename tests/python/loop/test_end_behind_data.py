"""Between the data and the end of a connection runs what data_received() has scheduled, as on
asyncio."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable


class Stepped(asyncio.Protocol):
    """Logs what it is told, and what runs that it scheduled when it was told of data."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.lost = asyncio.get_running_loop().create_future()

    def told(self) -> None:
        self.log.append("data")
        asyncio.get_running_loop().call_soon(self.log.append, "scheduled")

    def data_received(self, data: bytes) -> None:
        self.told()

    def eof_received(self) -> None:
        self.log.append("end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.log.append("lost" if exc is None else "failed")
        self.lost.set_result(None)


class SteppedBuffer(Stepped, asyncio.BufferedProtocol):
    def __init__(self) -> None:
        super().__init__()
        self.buffer = bytearray(4096)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.told()


def unix_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        return near, server.accept()[0]


@pytest.mark.parametrize("small_reads", [0, 8])
@pytest.mark.parametrize("pair", [unix_pair, tcp_pair])
@pytest.mark.parametrize("factory", [Stepped, SteppedBuffer])
def test_what_data_schedules_runs_before_the_end_is_told(
    loop: asyncio.AbstractEventLoop,
    factory: type[Stepped],
    pair: Callable[[], tuple[socket.socket, socket.socket]],
    small_reads: int,
) -> None:
    async def main() -> None:
        near, peer = pair()
        _, protocol = await loop.create_connection(factory, sock=near)
        for _ in range(small_reads):  # After some, the transport receives in its other mode.
            peer.send(b"x")
            while "scheduled" not in protocol.log:
                await asyncio.sleep(0)
            protocol.log.clear()
        peer.send(b"data")
        peer.close()
        await soon(protocol.lost)
        assert protocol.log[-3:] == ["scheduled", "end", "lost"]

    loop.run_until_complete(main())


def test_what_was_held_schedules_before_the_end_too(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        near, peer = tcp_pair()
        transport, protocol = await loop.create_connection(Stepped, sock=near)
        transport.pause_reading()
        peer.send(b"data")
        peer.close()
        await turns()
        transport.resume_reading()
        await soon(protocol.lost)
        assert protocol.log[-3:] == ["scheduled", "end", "lost"]

    loop.run_until_complete(main())


def test_who_closes_in_between_is_not_told_the_end(loop: asyncio.AbstractEventLoop) -> None:
    class Closes(Stepped):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def told(self) -> None:
            loop.call_soon(self.transport.close)

    async def main() -> None:
        near, peer = tcp_pair()
        _, protocol = await loop.create_connection(Closes, sock=near)
        peer.send(b"data")
        peer.close()
        await soon(protocol.lost)
        assert protocol.log == ["lost"]

    loop.run_until_complete(main())


def test_a_reset_behind_data_that_is_answered_is_told_as_one(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Not as the answer's failure, which leaves before the end is told."""

    class Answers(Stepped):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def told(self) -> None:
            super().told()
            self.transport.write(b"answer")

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(exc)

    async def main() -> None:
        near, peer = tcp_pair()
        _, protocol = await loop.create_connection(Answers, sock=near)
        peer.send(b"data")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert isinstance(await soon(protocol.lost), ConnectionResetError)

    loop.run_until_complete(main())
