"""blitzio.io.Reader and Writer: what their buffers show, and what reaches the stream when."""
# A view is equal to the bytes it shows, whatever their types say.
# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

import array
import asyncio
import io
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import fs, net
from blitzio.io import AllocatingWriter, Deterministic, Evented, Io, Reader, Threaded, Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.python.runtime.conftest import Run


class Source:
    """Gives its bytes in pieces, and counts the calls."""

    def __init__(self, data: bytes, piece: int = 1 << 20) -> None:
        self._left = io.BytesIO(data)
        self._piece = piece
        self.calls = 0

    async def read(self, n: int, /) -> bytes:
        self.calls += 1
        return self._left.read(min(n, self._piece))


class Target:
    """Takes a few bytes at a time."""

    def __init__(self, piece: int = 1 << 20) -> None:
        self.data = bytearray()
        self.is_finished = False
        self._piece = piece

    async def write(self, data: bytes, /) -> int:
        self.data += data[: self._piece]
        return min(len(data), self._piece)

    async def finish(self) -> None:
        self.is_finished = True


class Answering:
    """A stream that answers what the test says."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def read(self, n: int, /) -> Any:
        return self._answer

    def write(self, data: bytes, /) -> Any:
        return self._answer


# ---- Reader --------------------------------------------------------------------------------------


def test_what_is_buffered_is_shown_where_it_lies(run: Run) -> None:
    async def main() -> None:
        buffer = bytearray(10)
        reader = Reader(Source(b"helloworld"), buffer)
        assert await reader.take(5) == b"hello"
        assert (reader.seek, reader.end) == (5, 10)
        assert reader.buffered == b"world"
        world = await reader.peek(5)
        assert world == b"world"
        assert world.readonly
        buffer[5:] = b"WORLD"
        assert world == b"WORLD", "it is not a copy"
        assert reader.seek == 5
        assert repr(reader) == "<Reader seek=5 end=10 of 10>"
        reader.consume(5)
        assert (reader.seek, reader.end) == (0, 0)
        assert await reader.read() == b""

    run(main())


def test_the_stream_is_called_only_for_an_empty_buffer(run: Run) -> None:
    async def main() -> None:
        source = Source(b"0123456789abcdef")
        reader = Reader(source, bytearray(8))
        seen = [bytes(await reader.take(1)) for _ in range(16)]
        assert b"".join(seen) == b"0123456789abcdef"
        assert source.calls == 2

    run(main())


def test_the_rest_moves_to_the_front_when_there_is_no_room(run: Run) -> None:
    async def main() -> None:
        reader = Reader(Source(b"abcdefghij", 3), bytearray(4))
        assert await reader.take(3) == b"abc"
        assert await reader.peek(1) == b"d"
        assert await reader.take(4) == b"defg"
        with pytest.raises(asyncio.LimitOverrunError, match="5 bytes are more than the 4"):
            await reader.peek(5)
        with pytest.raises(asyncio.IncompleteReadError) as ended:
            await reader.peek(4)
        assert (ended.value.partial, ended.value.expected) == (b"hij", 4)
        assert await reader.take(3) == b"hij"
        assert await reader.take(0) == b""

    run(main())


def test_a_delimiter_ends_what_is_taken(run: Run) -> None:
    async def main() -> None:
        reader = Reader(Source(b"one\ntwo\n\nthe rest", 2), bytearray(8))
        assert await reader.peek_until(b"\n") == b"one\n"
        assert await reader.take_until(b"\n") == b"one\n"
        assert await reader.take_until(b"\n") == b"two\n"
        assert await reader.take_until(b"\n") == b"\n"
        # Eight bytes fill the buffer, though they are all.
        with pytest.raises(asyncio.LimitOverrunError):
            await reader.take_until(b"\n")
        assert await reader.discard(4) == 4
        assert await reader.take_until(b"\n") == b"rest"
        assert await reader.take_until(b"\n") == b""
        assert await reader.discard(4) == 0

    run(main())


def test_a_delimiter_is_found_across_pieces(run: Run) -> None:
    async def main() -> None:
        reader = Reader(Source(b"ab\r\n\r\ncd", 1), array.array("I", [0] * 4))
        assert await reader.take_until(b"\r\n\r\n") == b"ab\r\n\r\n"
        assert await reader.read_until(b"d") == b"cd"

    run(main())


def test_reading_gives_bytes_as_streams_do(run: Run) -> None:
    async def main() -> None:
        reader = Reader(Source(b"first\nsecond\nthird", 4), 16)
        assert await reader.read_line() == b"first\n"
        with pytest.raises(asyncio.LimitOverrunError):
            await reader.read_line(3)
        assert [line async for line in reader] == [b"second\n", b"third"]

        reader = Reader(Source(b"x" * 100, 7), 16)
        assert await reader.read_exact(10) == b"x" * 10
        assert await reader.read_exact(60) == b"x" * 60, "more than the buffer holds"
        assert await reader.read(5) == b"x" * 5
        assert await reader.read(5) == b"x" * 2, "what is left of a piece"
        large = bytearray(50)
        assert await reader.read_into(large) == 7, "past the buffer"
        assert large[:8] == b"x" * 7 + b"\0"
        assert await reader.read_into(bytearray(0)) == 0
        with pytest.raises(asyncio.LimitOverrunError):
            await reader.read_to_end(5)
        assert await reader.read_to_end() == b"x" * 9
        for count in (3, 30):
            reader = Reader(Source(b"ab"), 16)
            with pytest.raises(asyncio.IncompleteReadError) as ended:
                await reader.read_exact(count)
            assert ended.value.partial == b"ab"
        with pytest.raises(asyncio.IncompleteReadError) as ended:
            await Reader(Source(b"ab")).read_until(b"\n")
        assert ended.value.partial == b"ab"

    run(main())


def test_bytes_that_are_there_are_read_in_place(run: Run) -> None:
    async def main() -> None:
        text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nbody"
        reader = Reader.fixed(text)
        first = await reader.take_until(b"\n")
        assert first == b"GET / HTTP/1.1\r\n"
        assert first.obj is text
        assert await reader.peek(4) == b"Host"
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.peek(100)
        assert await reader.read_line() == b"Host: x\r\n"
        assert await reader.read_line() == b"\r\n"
        body = bytearray(8)
        assert await reader.read_into(body) == 4
        assert await reader.read() == b""
        assert await Reader.fixed(b"").take_until(b"\n") == b""

    run(main())


def test_a_cancelled_read_has_consumed_nothing(run: Run) -> None:
    async def main() -> None:
        near, far = net.UnixStream.pair()
        async with near, far:
            reader = Reader(near, bytearray(16))
            await far.write_all(b"ab")
            for reading in (reader.take(4), reader.take_until(b"\n"), reader.read_exact(4)):
                task = asyncio.ensure_future(reading)
                while reader.end < 2 or not reader._is_reading:
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await far.write_all(b"cd")
            assert await reader.take(4) == b"abcd"

    run(main())


def test_two_tasks_at_once_are_refused(run: Run) -> None:
    async def main() -> None:
        near, far = net.UnixStream.pair()
        async with near, far:
            reader = Reader(near)
            first = asyncio.ensure_future(reader.read_line())
            while not reader._is_reading:
                await asyncio.sleep(0)
            for second in (reader.read(), reader.peek(1), reader.fill(), reader.peek_until(b"x")):
                with pytest.raises(RuntimeError, match="another task reads already"):
                    await second
            with pytest.raises(RuntimeError, match="another task reads already"):
                reader.consume(0)
            await far.write_all(b"line\n")
            assert await first == b"line\n"

    run(main())


@pytest.mark.parametrize(
    ("stream", "buffer", "error"),
    [
        (object(), 8, TypeError),
        (Source(b""), b"readonly", TypeError),
        (Source(b""), "text", TypeError),
        (Source(b""), memoryview(bytearray(8))[::2], TypeError),
        (Source(b""), bytearray(), ValueError),
        (Source(b""), 0, ValueError),
        (Source(b""), -1, ValueError),
    ],
)
def test_a_bad_stream_or_buffer_is_refused(stream: Any, buffer: Any, error: type) -> None:
    with pytest.raises(error):
        Reader(stream, buffer)
    if not hasattr(stream, "read"):
        with pytest.raises(error):
            Writer(stream, buffer)


def test_bad_arguments_are_refused(run: Run) -> None:
    async def main() -> None:
        reader = Reader(Source(b"abc"))
        for call in (reader.peek, reader.take, reader.discard, reader.read, reader.read_exact):
            with pytest.raises(ValueError, match="negative"):
                await call(-1)
            with pytest.raises(TypeError):
                await call("1")  # type: ignore[arg-type]
        for find in (reader.peek_until, reader.take_until, reader.read_until):
            with pytest.raises(ValueError, match="at least one byte"):
                await find(b"")
            with pytest.raises(TypeError):
                await find("\n")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="writable"):
            await reader.read_into(b"12")
        assert await reader.peek(3) == b"abc"
        for count in (4, -1):
            with pytest.raises(ValueError, match="3 bytes are buffered"):
                reader.consume(count)
        with pytest.raises(TypeError):
            Reader.fixed("text")  # type: ignore[arg-type]

    run(main())


def test_a_stream_that_answers_nonsense_is_told(run: Run) -> None:
    async def main() -> None:
        for answer in ("text", None, 3):
            with pytest.raises(TypeError, match=r"read\(\) must give bytes"):
                await Reader(Answering(answer)).read()
        with pytest.raises(ValueError, match="at most 4 bytes and gave 5"):
            await Reader(Answering(b"12345"), 4).read()
        with pytest.raises(TypeError, match=r"write\(\) must give an int"):
            await Writer(Answering("all"), 4).write_all(b"12345")
        for count in (-1, 0, 6):
            writer = Writer(Answering(count), 8)
            await writer.write_all(b"12345")
            with pytest.raises(ValueError, match="given 5 bytes and took"):
                await writer.flush()
            assert writer.buffered == b"12345"

    run(main())


# ---- Writer --------------------------------------------------------------------------------------


def test_bytes_stay_until_the_buffer_is_full_or_flushed(run: Run) -> None:
    async def main() -> None:
        target = Target()
        writer = Writer(target, bytearray(10))
        await writer.write_all(b"Hello")
        assert (writer.end, writer.buffered, target.data) == (5, b"Hello", b"")
        await writer.write_all(b", World")
        assert target.data == b"Hello"
        assert repr(writer) == "<Writer buffered=7 of 10>"
        await writer.flush()
        assert (writer.end, target.data) == (0, b"Hello, World")
        await writer.write_all(b"!")
        await writer.finish()
        assert target.data == b"Hello, World!"
        assert target.is_finished

    run(main())


def test_large_data_goes_past_the_buffer_in_order(run: Run) -> None:
    async def main() -> None:
        target = Target(3)
        writer = Writer(target, 4)
        await writer.write_splat(b"-=", 5)
        await writer.write_splat(b"x", 0)
        await writer.write_all(memoryview(array.array("H", [0x6161] * 10)))
        await writer.write_all(b"")
        await writer.flush()
        assert target.data == b"-=" * 5 + b"a" * 20
        with pytest.raises(ValueError, match="negative"):
            await writer.write_splat(b"-", -1)
        with pytest.raises(TypeError):
            await writer.write_all("text")  # type: ignore[arg-type]
        many = bytes(range(256)) * 1024
        target = Target()
        await Writer(target, 4).write_all(many)
        assert target.data == many

    run(main())


def test_a_cancelled_flush_keeps_what_was_not_taken(run: Run) -> None:
    async def main() -> None:
        near, far = net.UnixStream.pair()
        async with near, far:
            while near.try_write(b"x" * 65536):
                pass
            writer = Writer(near, 64)
            await writer.write_all(b"kept")
            task = asyncio.ensure_future(writer.flush())
            while not writer._is_writing:
                await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task writes already"):
                await writer.write(b"more")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert writer.buffered == b"kept"
            finishing = asyncio.ensure_future(writer.finish())
            assert (await far.read_to_end()).endswith(b"xkept")
            await finishing

    run(main())


def test_memory_grows(run: Run) -> None:
    async def main() -> None:
        writer = AllocatingWriter()
        await writer.write_all(b"hello\n")
        assert writer.text() == "hello\n"
        await writer.write_splat(b"x", 2000)
        assert len(writer.written()) == 2006
        await writer.flush()
        assert len(writer.take()) == 2006
        assert writer.text() == ""
        await writer.write_all(b"\xff")
        with pytest.raises(UnicodeDecodeError):
            writer.text()

    run(main())


# ---- on streams of all kinds ---------------------------------------------------------------------


async def number_lines(source: Reader, target: Writer) -> None:
    number = 0
    while line := await source.take_until(b"\n"):
        number += 1
        await target.write_all(b"%d: " % number)
        await target.write_all(line)
    await target.finish()


@pytest.mark.parametrize(
    "make", [Threaded, Evented, lambda: Deterministic(seed=3)], ids=["threads", "events", "world"]
)
def test_connections_of_every_io(make: Callable[[], Any]) -> None:
    async def main(io: Io) -> bytes:
        listener = io.net.listen("127.0.0.1:0")
        client = await io.net.connect(listener.local_address)
        server, _ = await listener.accept()
        listener.close()
        async with client, server:
            serving = io.async_(number_lines, Reader(server, bytearray(8)), Writer(server, 16))
            writer = Writer(client)
            await writer.write_all(b"one\ntwo\nthree\n")
            await writer.finish()
            answer: bytes = await Reader(client).read_to_end()
            await serving
            return answer

    with make() as implementation:
        io = implementation.io()
        assert io.run(main, io) == b"1: one\n2: two\n3: three\n"


def test_files_and_asyncios_streams(run: Run, tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await number_lines(Reader(reader), Writer(writer))
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        path = tmp_path / "lines"
        async with fs.open(path, "wb") as file:
            target = Writer(file, 4)
            await target.write_all(b"alpha\nbeta\n")
            await target.finish()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with fs.open(path, "rb") as file:
            source, upstream = Reader(file, 8), Writer(writer, 4)
            async for line in source:
                await upstream.write_all(line)
            await upstream.finish()
        assert await Reader(reader, 4).read_exact(17) == b"1: alpha\n2: beta\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        text: Any = fs.open(path)
        async with text as file:
            with pytest.raises(TypeError, match=r"read\(\) must give bytes, not str"):
                await Reader(file).read()

    run(main())
