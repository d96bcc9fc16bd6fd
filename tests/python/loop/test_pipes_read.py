"""`connect_read_pipe`: what asyncio promises of a pipe's reading end."""

from __future__ import annotations

import asyncio
import contextvars
import os
import select
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.pipe_support import (
    KINDS,
    PipeRecorder,
    fill_pipe,
    pass_blocks,
    pipe_ends,
    put,
    reading_end,
)
from tests.python.loop.support import soon, turns

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", KINDS)
def test_data_of_every_size_arrives_and_the_end_closes(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading_end(kind, tmp_path) as (ends, transport, protocol):
            assert transport.get_extra_info("pipe") is ends.reader
            assert transport.get_protocol() is protocol
            assert not os.get_blocking(ends.reader.fileno())
            await pass_blocks(ends.writer, protocol, (1, 10, 1000, 4000))
            ends.writer.close()
            if kind != "terminal":
                assert await soon(protocol.lost) is None
                assert protocol.events == ["made", "data", "eof", "lost"]
            else:
                await soon(protocol.lost)
            await turns()
            assert ends.reader.fileno() == -1 if kind == "socket" else ends.reader.closed
            assert transport.is_closing()
            assert not transport.is_reading()

    loop.run_until_complete(main())


def test_the_hang_up_of_a_terminal_is_the_end_of_its_data(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading_end("terminal", tmp_path) as (ends, _, protocol):
            put(ends.writer, b"last words")
            ends.writer.close()
            assert await soon(protocol.lost) is None
            assert protocol.data == b"last words"
            assert protocol.events == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


def test_every_line_of_a_terminal_arrives(loop: asyncio.AbstractEventLoop) -> None:
    # In canonical mode each read gives one line, however many wait.
    async def main() -> None:
        controller, terminal = os.openpty()
        with open(terminal, "rb", 0) as reader, open(controller, "wb", 0) as writer:
            put(writer, b"one\ntwo\nthree\n")
            transport, protocol = await loop.connect_read_pipe(PipeRecorder, reader)
            assert await protocol.received(14) == b"one\ntwo\nthree\n"
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


def test_every_packet_of_a_pipe_in_packet_mode_arrives(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        with pipe_ends("packets", tmp_path) as ends:
            for packet in (b"a", b"bc", b"def"):
                put(ends.writer, packet)
            transport, protocol = await loop.connect_read_pipe(PipeRecorder, ends.reader)
            assert await protocol.received(6) == b"abcdef"
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


@pytest.mark.no_faults("what a short read leaves of a message is lost", "short")
def test_a_packet_is_whole_whatever_came_before(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    # After small ones less is read at once, and of a packet what is not read is lost.
    largest = select.PIPE_BUF

    async def main() -> None:
        async with reading_end("packets", tmp_path) as (ends, transport, protocol):
            sizes = (5, 7, largest, largest - 1, 3, largest)
            await pass_blocks(ends.writer, protocol, sizes)
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_messages_arrive_whole_whatever_size_came_before(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading_end(kind, tmp_path) as (ends, transport, protocol):
            sizes = (8, 60_000, 9, 4096, 4097, 10, 4095, 20_000, 11)
            await pass_blocks(ends.writer, protocol, sizes)
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


@pytest.mark.no_faults("what a short read leaves of a message is lost", "short")
def test_a_long_datagram_after_a_short_one_is_whole(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, peer:
            transport, protocol = await loop.connect_read_pipe(PipeRecorder, ours)
            await pass_blocks(peer, protocol, (6, 30_000, 7, 5000))
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_large_stream_arrives_complete(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    size = 3_000_000

    async def main() -> None:
        async with reading_end(kind, tmp_path) as (ends, _, protocol):
            data = os.urandom(1000) * (size // 1000)

            def write() -> None:
                os.set_blocking(ends.writer.fileno(), True)
                left = memoryview(data)
                while left:
                    left = left[os.write(ends.writer.fileno(), left) :]
                ends.writer.close()

            await soon(loop.run_in_executor(None, write))
            assert await soon(protocol.lost) is None
            assert bytes(protocol.data) == data

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_paused_transport_delivers_nothing(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading_end(kind, tmp_path) as (ends, transport, protocol):
            assert transport.is_reading()
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            put(ends.writer, b"later")
            await turns(5)
            assert not protocol.data
            transport.resume_reading()
            transport.resume_reading()
            assert transport.is_reading()
            assert await protocol.received(5) == b"later"
            # Within one turn, so that the operation is still being cancelled.
            put(ends.writer, b"!")
            transport.pause_reading()
            transport.resume_reading()
            assert await protocol.received(6) == b"later!"
            transport.close()
            transport.pause_reading()
            transport.resume_reading()
            await soon(protocol.lost)

    loop.run_until_complete(main())


def test_pausing_in_data_received_stops_at_once(loop: asyncio.AbstractEventLoop) -> None:
    class Pausing(PipeRecorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    async def main() -> None:
        reader, writer = socket.socketpair()
        with reader, writer:
            transport, protocol = await loop.connect_read_pipe(Pausing, reader)
            assert fill_pipe(writer) > 0
            await protocol.received(1)
            count = len(protocol.data)
            await turns(5)
            assert len(protocol.data) == count
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


def test_the_end_is_told_after_a_pause(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with reading_end("pipe", tmp_path) as (ends, transport, protocol):
            transport.pause_reading()
            put(ends.writer, b"rest")
            ends.writer.close()
            await turns(5)
            assert protocol.events == ["made"]
            transport.resume_reading()
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "data", "eof", "lost"]
            assert protocol.data == b"rest"

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", KINDS)
def test_closing_tells_the_protocol_once(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading_end(kind, tmp_path) as (ends, transport, protocol):
            put(ends.writer, b"unread")
            transport.close()
            transport.close()
            assert protocol.events == ["made"]
            assert transport.is_closing()
            assert await soon(protocol.lost) is None
            await turns()
            assert protocol.events == ["made", "lost"]
            assert transport.get_protocol() is None
            transport.close()

    loop.run_until_complete(main())


def test_closing_in_data_received_ends_delivery(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    class Closing(PipeRecorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.close()

    async def main() -> None:
        async with reading_end("terminal", tmp_path, Closing) as (ends, _, protocol):
            put(ends.writer, b"x")
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "data", "lost"]

    loop.run_until_complete(main())


def test_a_failing_protocol_is_reported_and_keeps_its_pipe(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]], tmp_path: Path
) -> None:
    class Failing(PipeRecorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            raise ZeroDivisionError

    async def main() -> None:
        async with reading_end("pipe", tmp_path, Failing) as (ends, transport, protocol):
            for size in (1, 2):
                put(ends.writer, b"x")
                await protocol.received(size)
                await turns()
            assert not transport.is_closing()
            ends.writer.close()
            assert await soon(protocol.lost) is None

    loop.run_until_complete(main())
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError] * 2


def test_a_protocol_that_fails_at_the_end_still_loses_the_connection(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]], tmp_path: Path
) -> None:
    class Failing(PipeRecorder):
        def eof_received(self) -> None:
            super().eof_received()
            raise ZeroDivisionError

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            raise ValueError

    async def main() -> None:
        async with reading_end("pipe", tmp_path, Failing) as (ends, _, protocol):
            ends.writer.close()
            await soon(protocol.lost)
            await turns()
            assert ends.reader.closed

    loop.run_until_complete(main())
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError, ValueError]


def test_an_interrupt_in_the_protocol_ends_the_run(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    class Interrupting(PipeRecorder):
        def data_received(self, data: bytes) -> None:
            raise KeyboardInterrupt

    with pipe_ends("pipe", tmp_path) as ends:

        async def connect() -> Any:
            return await loop.connect_read_pipe(Interrupting, ends.reader)

        transport, protocol = loop.run_until_complete(connect())
        put(ends.writer, b"x")
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        transport.close()
        loop.run_until_complete(soon(protocol.lost))


def test_the_protocol_runs_in_the_context_of_connecting(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []

    class Looking(PipeRecorder):
        def data_received(self, data: bytes) -> None:
            seen.append(variable.get())
            super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            seen.append(variable.get())
            super().connection_lost(exc)

    async def main() -> None:
        variable.set("inside")
        async with reading_end("pipe", tmp_path, Looking) as (ends, _, protocol):
            variable.set("changed")
            put(ends.writer, b"x")
            await protocol.received(1)
            ends.writer.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())
    assert seen == ["inside", "inside"]


def test_the_protocol_can_be_changed(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with reading_end("pipe", tmp_path) as (ends, transport, first):
            second = PipeRecorder()
            transport.set_protocol(second)
            assert transport.get_protocol() is second
            put(ends.writer, b"x")
            await second.received(1)
            ends.writer.close()
            assert await soon(second.lost) is None
            assert first.events == ["made"]

    loop.run_until_complete(main())


def test_regular_files_are_refused(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")

    async def main() -> None:
        with open(path, "rb", 0) as file:
            with pytest.raises(ValueError, match=r"^Pipe transport is for pipes/sockets only\.$"):
                await loop.connect_read_pipe(PipeRecorder, file)
            assert not file.closed
            assert file.read() == b"data"

    loop.run_until_complete(main())


def test_what_is_no_file_is_refused(loop: asyncio.AbstractEventLoop, native: None) -> None:
    async def main() -> None:
        with pytest.raises(AttributeError):
            await loop.connect_read_pipe(PipeRecorder, object())
        with open(os.devnull, "rb", 0) as file:
            file.close()
            with pytest.raises(ValueError, match="closed file"):
                await loop.connect_read_pipe(PipeRecorder, file)

        def fail() -> asyncio.Protocol:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await loop.connect_read_pipe(fail, None)

    loop.run_until_complete(main())


def test_a_device_that_cannot_be_polled_is_read(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    async def main() -> None:
        with open(os.devnull, "rb", 0) as null:
            _, protocol = await loop.connect_read_pipe(PipeRecorder, null)
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "eof", "lost"]
        with open("/dev/zero", "rb", 0) as zero:
            transport, protocol = await loop.connect_read_pipe(PipeRecorder, zero)
            await protocol.received(1_000_000)
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


def test_repr_tells_the_state(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading_end("pipe", tmp_path) as (ends, transport, protocol):
            fd = ends.reader.fileno()
            await turns()
            assert repr(transport) == f"<ReadPipeTransport fd={fd} polling>"
            transport.pause_reading()
            assert repr(transport) == f"<ReadPipeTransport fd={fd} idle>"
            transport.close()
            assert repr(transport) == f"<ReadPipeTransport closing fd={fd} idle>"
            await soon(protocol.lost)
            await turns()
            assert repr(transport) == f"<ReadPipeTransport closed fd={fd} closed>"

    loop.run_until_complete(main())


def test_connection_lost_may_be_called_by_hand(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading_end("pipe", tmp_path) as (ends, transport, protocol):
            put(ends.writer, b"x")
            by_hand: Any = transport
            by_hand._call_connection_lost(None)
            by_hand._call_connection_lost(None)
            assert ends.reader.closed
            with pytest.raises(BrokenPipeError):
                # At once, or when the cancelled operation has let go of the pipe.
                for _ in range(10):
                    put(ends.writer, b"y")
                    await turns(1)
            await turns()
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_a_stream_reader_reads_lines(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        with pipe_ends("pipe", tmp_path) as ends:
            reader = asyncio.StreamReader()
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), ends.reader)
            put(ends.writer, b"first\nsecond\nthird")
            ends.writer.close()
            assert await soon(reader.readline()) == b"first\n"
            assert await soon(reader.readline()) == b"second\n"
            assert await soon(reader.read()) == b"third"
            assert reader.at_eof()
            await turns()

    loop.run_until_complete(main())
