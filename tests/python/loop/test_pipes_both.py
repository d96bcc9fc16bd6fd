"""`connect_read_pipe` and `connect_write_pipe`: what holds for both, and for both at once."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.pipe_support import BIG, PipeRecorder, pipe_ends, put, take_all
from tests.python.loop.support import soon, turns

if TYPE_CHECKING:
    from pathlib import Path

each_direction = pytest.mark.parametrize(
    ("connect", "end"), [("connect_read_pipe", "reader"), ("connect_write_pipe", "writer")]
)


@each_direction
def test_cancelling_the_connecting_closes_the_pipe(
    loop: asyncio.AbstractEventLoop, connect: str, end: str, tmp_path: Path
) -> None:
    async def main() -> None:
        with pipe_ends("pipe", tmp_path) as ends:
            pipe = getattr(ends, end)
            task = asyncio.ensure_future(getattr(loop, connect)(PipeRecorder, pipe))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await turns()
            assert pipe.closed

    loop.run_until_complete(main())


@each_direction
def test_an_unclosed_transport_warns_and_closes_its_pipe(
    new_loop: Any, connect: str, end: str, tmp_path: Path
) -> None:
    def abandon(pipe: Any) -> weakref.ref[Any]:
        loop = new_loop()

        async def start() -> weakref.ref[Any]:
            transport, _ = await getattr(loop, connect)(PipeRecorder, pipe)
            if end == "writer":
                transport.write(bytes(BIG))
            return weakref.ref(transport)

        weak: weakref.ref[Any] = loop.run_until_complete(start())
        loop.close()
        return weak

    with pipe_ends("pipe", tmp_path) as ends:
        pipe = getattr(ends, end)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            weak = abandon(pipe)
            gc.collect()
        assert weak() is None
        assert ["unclosed transport" in str(warning.message) for warning in caught] == [True]
        assert pipe.closed


@each_direction
def test_a_transport_whose_loop_is_gone_can_not_be_made(
    new_loop: Any, native: None, connect: str, end: str, tmp_path: Path
) -> None:
    loop = new_loop()
    loop.close()
    with pipe_ends("pipe", tmp_path) as ends:
        pipe = getattr(ends, end)
        coroutine = getattr(loop, connect)(asyncio.Protocol, pipe)
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            coroutine.send(None)
        assert not pipe.closed


def test_the_collector_finds_an_abandoned_loop_with_pipes(new_loop: Any, tmp_path: Path) -> None:
    def abandon(read_pipe: Any, write_pipe: Any) -> weakref.ref[Any]:
        loop = new_loop()

        async def connect() -> None:
            await loop.connect_read_pipe(PipeRecorder, read_pipe)
            await loop.connect_write_pipe(PipeRecorder, write_pipe)
            await turns()

        loop.run_until_complete(connect())
        return weakref.ref(loop)

    with pipe_ends("pipe", tmp_path) as ends:
        writer_fd = os.dup(ends.writer.fileno())
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            weak = abandon(ends.reader, open(writer_fd, "wb", 0))
            gc.collect()
            gc.collect()
        assert weak() is None
        assert ends.reader.closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(writer_fd)


def test_a_terminal_serves_both_directions(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        controller, terminal = os.openpty()
        other = os.dup(terminal)
        with (
            open(controller, "r+b", 0) as bare,
            open(terminal, "rb", 0) as reader,
            open(other, "wb", 0) as writer,
        ):
            read_end, incoming = await loop.connect_read_pipe(PipeRecorder, reader)
            write_end, outgoing = await loop.connect_write_pipe(PipeRecorder, writer)
            put(bare, b"question\n")
            assert await incoming.received(9) == b"question\n"
            write_end.write(b"answer")
            seen = await take_all(loop, bare, len(b"question\r\nanswer"))
            assert seen == b"question\r\nanswer"  # The terminal echoes what is typed.
            write_end.close()
            read_end.close()
            await soon(outgoing.lost)
            await soon(incoming.lost)
            await turns()

    loop.run_until_complete(main())
