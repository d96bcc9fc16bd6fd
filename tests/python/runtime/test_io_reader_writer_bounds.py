"""blitzio.io.Reader and Writer: what is refused, waits or has an end, and loses no byte by it."""

from __future__ import annotations

import array
import asyncio
import errno
import io
import os
from typing import TYPE_CHECKING, Any

import pytest

from blitzio.io import Reader, Writer

if TYPE_CHECKING:
    from tests.python.runtime.conftest import Run


class Counting:
    """Keeps what it is given, and counts the calls."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.calls = 0

    def write(self, data: bytes, /) -> int:
        self.calls += 1
        self.data += data
        return len(data)


class Hesitant(Counting):
    """Takes parts of what it is given and says each time that it would have to wait, as a
    BufferedWriter does."""

    def __init__(self, *parts: int) -> None:
        super().__init__()
        self.parts = list(parts)

    def write(self, data: bytes, /) -> int:
        part = self.parts.pop(0) if self.parts else 0
        super().write(data[:part])
        raise BlockingIOError(errno.EAGAIN, "try again", part)


class ClosingOnly(Counting):
    """Ends as asyncio's StreamWriter over TLS."""

    def can_write_eof(self) -> bool:
        return False

    def write_eof(self) -> None:
        raise NotImplementedError


def test_a_file_that_would_block_loses_nothing(run: Run) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        with open(reading, "rb", 0) as source, open(writing, "wb", 0) as target:
            with open(os.dup(reading), "rb") as gathered:
                for stream in (source, gathered):
                    with pytest.raises(BlockingIOError) as waits:
                        await Reader(stream).read()
                    assert waits.value.errno == errno.EAGAIN
            while target.write(b"x" * 65536):
                pass
            writer = Writer(target, 8)
            await writer.write_all(b"kept")
            with pytest.raises(BlockingIOError) as waits:
                await writer.flush()
            assert waits.value.errno == errno.EAGAIN
            assert bytes(writer.buffered) == b"kept"
            while source.read(65536):
                pass
            await writer.flush()
            assert source.read(65536) == b"kept"

    run(main())


@pytest.mark.parametrize("buffering", [0, 8192])
@pytest.mark.parametrize("size", [7, 1000, 100_000])
def test_what_a_file_that_would_block_has_taken_is_told(
    run: Run, buffering: int, size: int
) -> None:
    data = os.urandom(300_000)

    async def main() -> bytes:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        received = bytearray()

        def drain() -> None:
            received.extend(os.read(reading, 50_000))

        with open(reading, "rb", 0), open(writing, "wb", buffering) as target:
            writer = Writer(target, size)
            sent = blocked = 0
            while sent < len(data):
                try:
                    await writer.write_all(data[sent:])
                    sent = len(data)
                except BlockingIOError as waits:
                    sent += waits.characters_written
                    blocked += 1
                    drain()
            assert blocked > 1
            for flush in (writer.flush, target.flush):
                while True:
                    try:
                        if (flushed := flush()) is not None:
                            await flushed
                        break
                    except BlockingIOError:
                        drain()
            while len(received) < len(data):
                drain()
        return bytes(received)

    assert run(main()) == data


def test_the_part_that_was_taken_is_told_of_every_way_to_write(run: Run) -> None:
    async def told(writing: Any) -> int:
        with pytest.raises(BlockingIOError, match="try again") as waits:
            await writing
        return waits.value.characters_written

    async def main() -> None:
        stream = Hesitant(3)
        writer = Writer(stream, 8)
        await writer.write_all(b"0123456789")
        assert (bytes(stream.data), bytes(writer.buffered)) == (b"012", b"3456789")
        for write in (writer.write, writer.write_all):
            assert await told(write(b"ab")) == 0, "nothing of it, whatever was buffered"
        stream.parts = [2]
        assert await told(writer.flush()) == 0
        assert (bytes(stream.data), bytes(writer.buffered)) == (b"01234", b"56789")
        stream.parts = [4, 1]
        await writer.flush()
        assert stream.data == b"0123456789"
        stream.parts = [5, 6]
        assert await told(writer.write_all(bytes(20))) == 11
        stream.parts = [4096, 10]
        assert await told(writer.write_splat(b"ab", 10_000)) == 4106
        assert len(stream.data) == 10 + 11 + 4106
        stream.parts = [10]
        with pytest.raises(ValueError, match="given 9 bytes and took 10"):
            await writer.write(b"012345678")

    run(main())


def test_a_number_that_came_allocates_nothing(run: Run) -> None:
    async def main() -> None:
        for reader in (Reader.fixed(b"abc"), Reader(io.BytesIO(b"abc"), 8)):
            with pytest.raises(asyncio.IncompleteReadError) as ended:
                await reader.read_exact(10**13)
            assert (ended.value.partial, ended.value.expected) == (b"abc", 10**13)
        many = bytes(range(256)) * 1024
        reader = Reader(io.BytesIO(many + b"end"), 8)
        assert await reader.read_exact(1) == many[:1]
        assert await reader.read_exact(len(many) - 1) == many[1:]
        assert await reader.read() == b"end"

    run(main())


@pytest.mark.parametrize(
    "read",
    [
        lambda reader: reader.read_line(-1),
        lambda reader: reader.read_until(b";", -1),
        lambda reader: reader.read_to_end(-1),
    ],
)
def test_a_negative_limit_is_no_limit_that_was_overrun(read: Any, run: Run) -> None:
    async def main() -> None:
        reader = Reader.fixed(b"line\n")
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            await read(reader)
        assert await reader.read_line() == b"line\n"

    run(main())


def test_a_pattern_is_written_in_pieces(run: Run) -> None:
    async def main() -> None:
        target = Counting()
        writer = Writer(target, 64)
        await writer.write_splat(b"", 10**12)
        await writer.write_splat(array.array("H", [0x6161] * 3), 10_000)
        await writer.write_splat(b"x" * 5000, 2)
        await writer.write_splat(b".", 3)
        await writer.flush()
        assert target.data == b"a" * 60_000 + b"x" * 10_000 + b"..."
        assert target.calls < 30
        with pytest.raises(TypeError):
            await writer.write_splat("text", 0)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await writer.write_splat(b"x", 2.0)  # type: ignore[arg-type]

    run(main())


def test_a_stream_that_cannot_end_writing_says_so_first(run: Run) -> None:
    async def main() -> None:
        target = ClosingOnly()
        writer = Writer(target)
        await writer.write_all(b"kept")
        with pytest.raises(NotImplementedError, match="ClosingOnly cannot end writing"):
            await writer.finish()
        assert bytes(writer.buffered) == b"kept"
        assert not target.data
        await writer.flush()
        assert target.data == b"kept"

    run(main())
