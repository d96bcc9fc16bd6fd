"""When a transport asks a BufferedProtocol for its buffer, and what becomes of odd answers."""

from __future__ import annotations

import array
import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import raw_pair, soon, transport_and_peer, turns

if TYPE_CHECKING:
    from collections.abc import Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

# So many small messages that the transport has chosen another way of receiving (reads.md).
MESSAGES = 10


class OneMessage(asyncio.BufferedProtocol):
    """Has a buffer for the one message that is expected, and none until somebody gives another."""

    def __init__(self) -> None:
        self.room = bytearray()
        self.full: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def expect(self, size: int) -> None:
        self.room = bytearray(size)
        self.full = asyncio.get_running_loop().create_future()
        self.place = memoryview(self.room)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.place

    def buffer_updated(self, nbytes: int) -> None:
        self.place = self.place[nbytes:]
        if not self.place:
            self.full.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_a_buffer_that_is_full_is_no_error_until_more_arrives(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]], size: int
) -> None:
    """It was once asked for again at once, to see whether there is more."""

    async def main() -> None:
        async with transport_and_peer(OneMessage) as (_, protocol, peer):
            for number in range(MESSAGES):
                message = bytes([number]) * size
                protocol.expect(size)
                ended = asyncio.wait(
                    [protocol.full, protocol.lost], return_when=asyncio.FIRST_COMPLETED
                )
                sending = asyncio.get_running_loop().sock_sendall(peer, message)
                await soon(asyncio.gather(sending, ended))
                await turns()
                assert not protocol.lost.done(), protocol.lost
                assert protocol.room == message
            peer.send(b"more")
            lost = await soon(asyncio.shield(protocol.lost))
            assert str(lost) == "get_buffer() returned an empty buffer"

    loop.run_until_complete(main())
    assert len(reports) == 1


class Collecting(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.buffer = bytearray(4)
        self.data = bytearray()
        self.interrupt: BaseException | None = None
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint: int) -> bytearray:
        if self.interrupt is not None:
            interrupt, self.interrupt = self.interrupt, None
            raise interrupt
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [0, MESSAGES])
def test_what_an_interrupted_get_buffer_was_for_comes_in_the_next_run(
    loop: asyncio.AbstractEventLoop, kind: type[BaseException], before: int
) -> None:
    """An interrupt ends the run, not the connection."""

    async def until_received(protocol: Collecting, size: int) -> None:
        while len(protocol.data) < size:
            await asyncio.sleep(0)

    mine, peer = raw_pair()
    with peer:
        connecting = loop.create_connection(Collecting, sock=mine)
        transport, protocol = loop.run_until_complete(connecting)
        for number in range(before):
            peer.send(b"before")
            loop.run_until_complete(soon(until_received(protocol, 6 * (number + 1))))
        protocol.data.clear()
        protocol.interrupt = kind("in get_buffer")
        peer.send(b"not to be lost")
        with pytest.raises(kind, match="in get_buffer"):
            loop.run_forever()
        loop.run_until_complete(soon(until_received(protocol, 14)))
        assert protocol.data == b"not to be lost"
        transport.abort()
        assert loop.run_until_complete(soon(protocol.lost)) is None


ODD: dict[str, Callable[[], object]] = {
    "bytes": lambda: b"read only",
    "no bytes": lambda: b"",
    "a number": lambda: 5,
    "nothing": lambda: None,
    "a list": lambda: [1, 2],
    "an empty list": list,
    "text": lambda: "text",
    "with gaps": lambda: memoryview(bytearray(10))[::2],
    "read only numbers": lambda: memoryview(array.array("I", [1, 2])).toreadonly(),
}


@pytest.mark.parametrize("answer", ODD)
def test_odd_answers_of_get_buffer_end_the_connection_as_with_asyncio(
    same_as_asyncio: Compare, answer: str
) -> None:
    class Odd(Collecting):
        def get_buffer(self, sizehint: int) -> Any:
            return ODD[answer]()

    def scenario(loop: asyncio.AbstractEventLoop) -> list[object]:
        told: list[object] = []
        loop.set_exception_handler(lambda _, context: told.append(context["message"]))

        async def main() -> None:
            async with transport_and_peer(Odd) as (_, protocol, peer):
                peer.send(b"data")
                lost = await soon(asyncio.shield(protocol.lost))
                told.extend((type(lost), str(lost)))

        loop.run_until_complete(main())
        return told

    assert same_as_asyncio(scenario)[0] == "returned"
