"""`connect_write_pipe`: what asyncio promises of a pipe's writing end."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.pipe_support import (
    BIG,
    KINDS,
    PipeRecorder,
    pipe_ends,
    put,
    take_all,
    writing_end,
)
from tests.python.loop.support import soon, turns

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", KINDS)
def test_writes_arrive_in_order_whatever_they_are(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end(kind, tmp_path) as (ends, transport, protocol):
            assert transport.get_extra_info("pipe") is ends.writer
            assert transport.get_protocol() is protocol
            assert not os.get_blocking(ends.writer.fileno())
            expected = b""
            mutable = bytearray()
            for number in range(100):
                block = bytes([number]) * (number + 1)
                make: Any = (bytes, bytearray, memoryview)[number % 3]
                data = make(block)
                transport.write(data)
                if isinstance(data, bytearray):
                    mutable = data
                    mutable[:] = b"changed afterwards"
                expected += block
            transport.write(b"")
            transport.writelines([b"a", bytearray(b"bc"), memoryview(b"def")])
            transport.writelines([])
            expected += b"abcdef"
            assert await take_all(loop, ends.reader, len(expected)) == expected
            assert transport.get_write_buffer_size() == 0
            transport.close()
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_a_turns_writes_leave_in_one_call(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    # In packet mode each write stays apart.
    async def main() -> None:
        async with writing_end("packets", tmp_path) as (ends, transport, protocol):
            for _ in range(10):
                transport.write(b"0123456789")
            await turns()
            assert os.read(ends.reader.fileno(), 1000) == b"0123456789" * 10
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


@pytest.mark.no_faults("what is written leaves at once, in one piece", "short", "again")
def test_a_write_while_the_loop_does_not_run_goes_out_at_once(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    with pipe_ends("pipe", tmp_path) as ends:

        async def connect() -> Any:
            return await loop.connect_write_pipe(PipeRecorder, ends.writer)

        transport, protocol = loop.run_until_complete(connect())
        transport.write(b"now")
        assert os.read(ends.reader.fileno(), 10) == b"now"
        transport.close()
        loop.run_until_complete(soon(protocol.lost))


@pytest.mark.no_faults("the first write takes what fits", "again")
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_flow_control_and_closing_after_the_last_byte(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end(kind, tmp_path) as (ends, transport, protocol):
            assert transport.get_write_buffer_limits() == (16384, 65536)
            data = os.urandom(1024) * (BIG // 1024)
            transport.write(data)
            assert protocol.events == ["made", "pause"]
            assert 0 < transport.get_write_buffer_size() < BIG
            assert await take_all(loop, ends.reader, BIG) == data
            await protocol.until(lambda protocol: "resume" in protocol.events)
            transport.write(data)
            transport.close()
            assert transport.is_closing()
            await turns()
            assert not protocol.lost.done()
            assert await take_all(loop, ends.reader) == data
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "pause", "resume", "pause", "resume", "lost"]

    loop.run_until_complete(main())


def test_the_limits_are_asyncios(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with writing_end("pipe", tmp_path) as (ends, transport, protocol):
            transport.set_write_buffer_limits(high=100)
            assert transport.get_write_buffer_limits() == (25, 100)
            transport.set_write_buffer_limits(low=100)
            assert transport.get_write_buffer_limits() == (100, 400)
            with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\) must be >= 0"):
                transport.set_write_buffer_limits(high=1, low=2)
            assert transport.get_write_buffer_limits() == (100, 400)
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_the_end_of_the_data_reaches_the_reader(
    loop: asyncio.AbstractEventLoop, end: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end("pipe", tmp_path) as (ends, transport, protocol):
            assert transport.can_write_eof()
            transport.write(b"last")
            getattr(transport, end)()
            getattr(transport, end)()
            assert transport.is_closing()
            assert await take_all(loop, ends.reader) == b"last"
            assert await soon(protocol.lost) is None
            await turns()
            assert ends.writer.closed
            assert transport.get_protocol() is None
            assert protocol.events == ["made", "lost"]
            transport.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["pipe", "fifo", "socket"])
def test_an_idle_writer_notices_that_the_reader_is_gone(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end(kind, tmp_path) as (ends, transport, protocol):
            await turns()
            ends.reader.close()
            assert await soon(protocol.lost) is None
            await turns()
            assert transport.is_closing()
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_what_a_socket_receives_does_not_end_a_writer(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end("socket", tmp_path) as (ends, transport, protocol):
            put(ends.reader, b"something")
            await turns(5)
            assert not transport.is_closing()
            ends.reader.shutdown(socket.SHUT_WR)
            assert await soon(protocol.lost) is None

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_goes_while_much_is_buffered_breaks_the_pipe(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end(kind, tmp_path) as (ends, transport, protocol):
            transport.write(bytes(BIG))
            ends.reader.close()
            assert isinstance(await soon(protocol.lost), (BrokenPipeError, ConnectionResetError))
            assert transport.get_write_buffer_size() == 0

    loop.run_until_complete(main())


@pytest.mark.no_faults("what is sent leaves at once", "again")
def test_a_write_to_nobody_breaks_the_pipe_and_later_ones_warn(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end("pipe", tmp_path) as (ends, transport, protocol):
            ends.reader.close()
            transport.write(b"x")
            exc = await soon(protocol.lost)
            assert isinstance(exc, BrokenPipeError)
            with caplog.at_level(logging.WARNING, "asyncio"):
                for _ in range(6):
                    transport.write(b"x")
                transport.write(b"")
            assert [record.getMessage() for record in caplog.records] == [
                "pipe closed by peer or os.write(pipe, data) raised exception."
            ] * 2

    loop.run_until_complete(main())


def test_a_dead_sockets_writer_raises_no_sigpipe(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    async def main() -> None:
        reader, writer = socket.socketpair()
        transport, protocol = await loop.connect_write_pipe(PipeRecorder, writer)
        reader.close()
        transport.write(b"x")
        assert isinstance(await soon(protocol.lost), BrokenPipeError)

    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        loop.run_until_complete(main())
    finally:
        signal.signal(signal.SIGPIPE, before)


def test_a_full_device_is_an_error_of_the_transport(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        with open("/dev/full", "wb", 0) as full:
            transport, protocol = await loop.connect_write_pipe(PipeRecorder, full)
            transport.write(b"x")
            exc = await soon(protocol.lost)
            assert isinstance(exc, OSError)
            assert exc.errno == errno.ENOSPC

    loop.run_until_complete(main())


def test_a_device_that_cannot_be_polled_is_written(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        with open(os.devnull, "wb", 0) as null:
            transport, protocol = await loop.connect_write_pipe(PipeRecorder, null)
            transport.write(bytes(BIG))
            transport.close()
            assert await soon(protocol.lost) is None

    loop.run_until_complete(main())


def test_abort_drops_what_is_buffered(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with writing_end("pipe", tmp_path) as (ends, transport, protocol):
            transport.write(bytes(BIG))
            transport.close()
            transport.abort()
            assert transport.get_write_buffer_size() == 0
            assert await soon(protocol.lost) is None
            await turns()
            assert len(await take_all(loop, ends.reader)) < BIG
            assert protocol.events == ["made", "pause", "lost"]

    loop.run_until_complete(main())


def test_aborting_twice_tells_the_protocol_once(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end("pipe", tmp_path) as (ends, transport, protocol):
            transport.abort()
            transport.abort()
            transport.close()
            await soon(protocol.lost)
            transport.abort()
            await turns()
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_failing_flow_control_is_reported(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]], tmp_path: Path
) -> None:
    class Failing(PipeRecorder):
        def pause_writing(self) -> None:
            raise ZeroDivisionError

        def resume_writing(self) -> None:
            super().resume_writing()
            raise ValueError

    async def main() -> None:
        async with writing_end("pipe", tmp_path, Failing) as (ends, transport, protocol):
            transport.write(bytes(BIG))
            await take_all(loop, ends.reader, BIG)
            await protocol.until(lambda protocol: "resume" in protocol.events)
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())
    assert [(type(report["exception"]), report["message"]) for report in reports] == [
        (ZeroDivisionError, "protocol.pause_writing() failed"),
        (ValueError, "protocol.resume_writing() failed"),
    ]


def test_writing_in_resume_writing_and_in_connection_lost(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    class Writing(PipeRecorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            self.transport.write(b"more")
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self.transport.write(b"too late")
            super().connection_lost(exc)

    async def main() -> None:
        async with writing_end("pipe", tmp_path, Writing) as (ends, transport, protocol):
            transport.write(bytes(BIG))
            assert await take_all(loop, ends.reader) == bytes(BIG) + b"more"
            assert await soon(protocol.lost) is None

    loop.run_until_complete(main())


def test_wrong_data_is_refused(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end("pipe", tmp_path) as (ends, transport, protocol):
            bad: Any = "text"
            with pytest.raises(TypeError, match="must be a bytes-like object, not 'str'"):
                transport.write(bad)
            with pytest.raises(TypeError):
                transport.writelines([b"a", bad])
            transport.write(data=b"by name")
            transport.close()
            assert await take_all(loop, ends.reader) == b"by name"
            await soon(protocol.lost)

    loop.run_until_complete(main())


def test_regular_files_are_refused(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        with open(tmp_path / "file", "wb", 0) as file:
            with pytest.raises(
                ValueError,
                match="^Pipe transport is only for pipes, sockets and character devices$",
            ):
                await loop.connect_write_pipe(PipeRecorder, file)
            assert not file.closed

    loop.run_until_complete(main())


def test_repr_tells_the_state(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end("pipe", tmp_path) as (ends, transport, protocol):
            fd = ends.writer.fileno()
            assert repr(transport) == f"<WritePipeTransport fd={fd} idle bufsize=0>"
            transport.write(bytes(BIG))
            left = transport.get_write_buffer_size()
            assert repr(transport) == f"<WritePipeTransport fd={fd} polling bufsize={left}>"
            transport.close()
            assert repr(transport) == f"<WritePipeTransport closing fd={fd} polling bufsize={left}>"
            transport.abort()
            await soon(protocol.lost)
            await turns()
            assert repr(transport) == f"<WritePipeTransport closed fd={fd} closed>"

    loop.run_until_complete(main())


def test_a_closed_loop_takes_no_more(new_loop: Any, native: None, tmp_path: Path) -> None:
    with pipe_ends("pipe", tmp_path) as ends:
        loop = new_loop()

        async def connect() -> Any:
            transport, _ = await loop.connect_write_pipe(PipeRecorder, ends.writer)
            return transport

        transport = loop.run_until_complete(connect())
        loop.close()
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            transport.write(b"x")
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            transport.abort()
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            del transport
            gc.collect()
        assert ends.writer.closed


def test_a_stream_writer_drains(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        with pipe_ends("pipe", tmp_path) as ends:
            transport, protocol = await loop.connect_write_pipe(
                lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), ends.writer
            )
            writer = asyncio.StreamWriter(transport, protocol, None, loop)
            writer.write(bytes(BIG))
            taking = asyncio.ensure_future(take_all(loop, ends.reader))
            await soon(writer.drain())
            writer.close()
            await soon(writer.wait_closed())
            assert await taking == bytes(BIG)

    loop.run_until_complete(main())


def test_the_reading_half_of_a_writing_pipe_is_there_and_refuses(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with writing_end("pipe", tmp_path) as (ends, transport, protocol):
            assert isinstance(transport, asyncio.Transport)
            for refused in (transport.pause_reading, transport.resume_reading):
                with pytest.raises(NotImplementedError):
                    refused()
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())
