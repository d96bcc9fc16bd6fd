"""Who has ended a watch, a wait or a transport may close the file in the same turn and block.

The other end sees that at once: the kernel holds nothing of the file that the loop has yet to end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.pipe_support import PipeRecorder
from tests.python.loop.support import fill, soon, turns

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Iterator

    Loop = asyncio.AbstractEventLoop
    Pair = tuple[socket.socket, socket.socket]


def ignore() -> None:
    pass


def test_a_removed_reader_does_not_hold_its_socket(loop: Loop, pair: Pair) -> None:
    ours, peer = pair

    async def main() -> None:
        loop.add_reader(ours, ignore)
        await turns()
        assert loop.remove_reader(ours)
        ours.close()
        assert peer.recv(1) == b""

    loop.run_until_complete(main())


def test_a_removed_writer_does_not_hold_its_socket(loop: Loop, pair: Pair) -> None:
    ours, peer = pair

    async def main() -> None:
        sent = fill(ours)
        loop.add_writer(ours, ignore)
        await turns()
        assert loop.remove_writer(ours)
        ours.close()
        while received := len(peer.recv(sent)):
            sent -= received
        assert sent == 0

    loop.run_until_complete(main())


def test_a_cancelled_sock_recv_does_not_hold_its_socket(loop: Loop, pair: Pair) -> None:
    ours, peer = pair

    async def main() -> None:
        task = loop.create_task(loop.sock_recv(ours, 1))
        await turns()
        task.cancel()
        await turns(1)
        assert task.cancelled()
        ours.close()
        assert peer.recv(1) == b""

    loop.run_until_complete(main())


class Borrowed:
    """A descriptor that somebody else closes, as those of the standard streams."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        pass


@pytest.fixture
def borrowed_ends() -> Iterator[tuple[int, int]]:
    """A pipe's descriptors; the test closes both."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    for number in (reader, writer):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.close(number)


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_closed_write_pipe_does_not_hold_its_file(
    loop: Loop, borrowed_ends: tuple[int, int], end: str
) -> None:
    reader, writer = borrowed_ends

    async def main() -> None:
        transport: Any
        transport, protocol = await loop.connect_write_pipe(PipeRecorder, Borrowed(writer))
        transport.write(b"x")
        await turns()
        getattr(transport, end)()
        os.close(writer)
        assert os.read(reader, 10) == b"x"
        assert os.read(reader, 10) == b""
        os.close(reader)
        assert await soon(protocol.lost) is None

    loop.run_until_complete(main())


def test_a_closed_read_pipe_does_not_hold_its_file(
    loop: Loop, borrowed_ends: tuple[int, int]
) -> None:
    reader, writer = borrowed_ends

    async def main() -> None:
        transport, protocol = await loop.connect_read_pipe(PipeRecorder, Borrowed(reader))
        await turns()
        transport.close()
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"x")
        os.close(writer)
        assert await soon(protocol.lost) is None

    loop.run_until_complete(main())
