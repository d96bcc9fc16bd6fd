"""Open files of blitzio.fs: what Python's own do, awaitable."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import fs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.python.runtime.conftest import Run

LINES = b"".join(b"line %d\n" % number for number in range(5_000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(LINES)
    return path


@pytest.mark.parametrize("buffering", [-1, 0, 7])
def test_bytes_are_read_as_by_a_file_of_python(run: Run, path: Path, buffering: int) -> None:
    async def main() -> None:
        with open(path, "rb") as expected:
            async with fs.open(path, "rb", buffering) as file:
                for size in (1, 0, 10, 20_000, 3):
                    assert await file.read(size) == expected.read(size)
                    assert await file.tell() == expected.tell()
                assert await file.readline() == expected.readline()
                assert await file.readline(3) == expected.readline(3)
                assert await file.readlines(20) == expected.readlines(20)
                ours, theirs = bytearray(50), bytearray(50)
                assert await file.readinto(ours) == expected.readinto(theirs)
                assert ours == theirs
                count = await file.readinto1(ours)
                assert 0 < count <= len(ours)
                assert ours[:count] == expected.read(count)
                assert len(await file.peek()) > 0
                for offset, whence in ((100, 0), (7, 1), (-7, 1), (-100, 2)):
                    assert await file.seek(offset, whence) == expected.seek(offset, whence)
                    assert await file.read(5) == expected.read(5)
                assert [line async for line in file] == list(expected)
                assert await file.read() == b""
                assert await file.readline() == b""
                await file.seek(0)
                assert await file.read() == LINES
                assert await file.seek(10**6) == 10**6
                assert await file.read(5) == b""

    run(main())


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_readlines_goes_on_until_there_is_more_than_its_hint(
    run: Run, path: Path, mode: str
) -> None:
    async def main() -> None:
        for hint in range(13, 16):  # Around two lines of seven.
            with open(path, mode) as expected:
                async with fs.open(path, mode) as file:
                    assert await file.readlines(hint) == expected.readlines(hint)

    run(main())


@pytest.mark.parametrize("mode", ["a+", "a+b"])
def test_an_appending_file_tells_its_position_as_one_of_python_does(
    run: Run, tmp_path: Path, mode: str
) -> None:
    written: Any = b"more" if "b" in mode else "more"

    async def main() -> None:
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        for path in (ours, theirs):
            path.write_bytes(b"0123456789")
        with open(theirs, mode) as expected:
            async with fs.open(ours, mode) as file:
                await file.seek(2)
                expected.seek(2)
                for _ in range(2):
                    await file.write(written)
                    expected.write(written)
                    assert await file.tell() == expected.tell()
                await file.flush()
                expected.flush()
                assert await file.tell() == expected.tell() == 18
        assert ours.read_bytes() == theirs.read_bytes()

    run(main())


def test_lines_of_text_are_written_at_once_if_so_asked(run: Run, path: Path) -> None:
    async def main() -> None:
        async with fs.open(path, "w") as file:
            assert not file.line_buffering
            await file.write("kept back\n")
            assert path.read_bytes() == b""
        async with fs.open(path, "w", 1) as file:
            assert file.line_buffering
            await file.write("one\ntwo")
            assert path.read_text().startswith("one\n")
        assert path.read_text() == "one\ntwo"

    run(main())


def test_text_is_read_as_by_a_file_of_python(run: Run, path: Path) -> None:
    text = "".join(f"Zeile {n} mit ö und 🙂\n" for n in range(2_000)) + "no end"
    variants = text.replace("Zeile 5", "Zeile\r5").replace("Zeile 7", "Zeile\r\n7")

    async def compare(content: str, encoding: str, newline: str | None) -> None:
        path.write_bytes(content.encode(encoding))
        with open(path, encoding=encoding, newline=newline) as expected:
            async with fs.open(path, encoding=encoding, newline=newline) as file:
                assert await file.read(30) == expected.read(30)
                assert await file.readline() == expected.readline()
                assert await file.readline(3) == expected.readline(3)
                places = []
                for _ in range(100):
                    places.append(await file.tell())
                    assert await file.readline() == expected.readline()
                assert [line async for line in file] == expected.readlines()
                await file.seek(places[50])
                await file.readline()
                assert await file.tell() == places[51]
                await file.seek(0)
                expected.seek(0)
                assert await file.read() == expected.read()
                assert await file.read() == ""
                await file.seek(0, 2)
                assert await file.read() == ""

    for encoding in ("utf-8", "utf-16", "utf-8-sig", "shift_jis"):
        content = text.replace("🙂", "!").replace("ö", "o") if encoding == "shift_jis" else text
        run(compare(content, encoding, None))
    for newline in (None, "", "\n", "\r", "\r\n"):
        run(compare(variants, "utf-8", newline))


def test_what_is_written_is_what_python_would_write(run: Run, tmp_path: Path) -> None:
    async def fill(file: Any) -> None:
        for number in range(3_000):
            assert await file.write(f"öline {number}\n") == len(f"öline {number}\n")
        await file.writelines(["a", "b\n"])
        await file.write("x" * 100_000)

    async def main() -> None:
        for encoding in ("utf-8", "utf-16", "latin-1"):
            for newline in (None, "\r\n"):
                for mode in ("w", "a"):
                    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
                    async with fs.open(ours, mode, encoding=encoding, newline=newline) as file:
                        await fill(file)
                        assert isinstance(file, fs.TextFile)
                        assert file.encoding == encoding
                    with open(theirs, mode, encoding=encoding, newline=newline) as expected:
                        for number in range(3_000):
                            expected.write(f"öline {number}\n")
                        expected.writelines(["a", "b\n"])
                        expected.write("x" * 100_000)
                    assert ours.read_bytes() == theirs.read_bytes()

    run(main())


def test_reading_and_writing_one_file_by_turns(run: Run, path: Path) -> None:
    async def main() -> None:
        async with fs.open(path, "r+b") as file:
            assert await file.read(5) == b"line "
            assert await file.write(b"X") == 1
            assert await file.tell() == 6
            assert await file.read(6) == b"\nline "
            await file.seek(0, 2)
            await file.write(b"end" * 10_000)
            assert (await file.metadata()).size == len(LINES) + 30_000
            assert await file.read_at(6, len(LINES)) == b"endend"
            assert await file.write_at(b"START", 0) == 5
            await file.seek(0)
            assert await file.read(7) == b"STARTX\n"
            assert await file.truncate() == 7
            assert await file.truncate(9) == 9
            assert await file.read() == b"\0\0"
            await file.set_len(3)
            await file.sync_all()
            await file.sync_data()
            assert path.read_bytes() == b"STA"
        async with fs.open(path, "a+b") as file:
            assert await file.tell() == 3
            await file.seek(0)
            await file.write(b"more")
            assert await file.tell() in (4, 7)
            await file.flush()
            assert await file.tell() == 7
            await file.seek(0)
            assert await file.read() == b"STAmore"
        with pytest.raises(FileExistsError):
            await fs.open(path, "x")

    run(main())


def test_a_closed_file_and_the_wrong_mode_are_refused(run: Run, path: Path) -> None:
    async def main() -> None:
        file = await fs.open(path, "rb")
        assert (file.readable(), file.writable(), file.seekable()) == (True, False, True)
        assert (file.mode, file.name, file.closed) == ("rb", str(path), False)
        assert not file.isatty()
        with pytest.raises(io.UnsupportedOperation, match="not writable"):
            await file.write(b"x")
        with pytest.raises(TypeError, match="bytes-like"):
            file.write("text")  # type: ignore[arg-type]
        with pytest.raises(OSError, match="Invalid argument"):
            await file.seek(-1)
        await file.close()
        await file.close()
        assert file.closed
        for use in (file.read, file.tell, file.flush, file.readline, file.metadata):
            with pytest.raises(ValueError, match="I/O operation on closed file"):
                await use()
        for ask in (file.fileno, file.isatty, file.readable, file.__aenter__):
            with pytest.raises(ValueError, match="closed file"):
                ask()
        text = await fs.open(path, "w")
        with pytest.raises(io.UnsupportedOperation, match="not readable"):
            await text.read()
        with pytest.raises(TypeError, match="must be str, not bytes"):
            text.write(b"x")  # type: ignore[arg-type]
        with pytest.raises(io.UnsupportedOperation, match="nonzero cur-relative"):
            text.seek(1, 1)
        await text.close()

    run(main())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "q"), "invalid mode: 'q'"),
        (("x", "rr"), "invalid mode"),
        (("x", "rw"), "must have exactly one of create/read/write/append mode"),
        (("x", "b"), "must have exactly one of"),
        (("x", "rbt"), "can't have text and binary mode at once"),
        (("x", "r", 0), "can't have unbuffered text I/O"),
        (("x", "r", -2), "invalid buffering size"),
        (("x", "rb", -1, "utf-8"), "binary mode doesn't take an encoding argument"),
        (("x", "rb", -1, None, None, ""), "binary mode doesn't take a newline argument"),
        (("a\0b",), "embedded null byte"),
    ],
)
def test_open_refuses_what_python_refuses(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fs.open(*arguments)


def test_a_stream_is_waited_for_and_a_cancelled_read_takes_nothing(run: Run) -> None:
    async def main() -> None:
        read_end, write_end = os.pipe()
        async with fs.open(read_end, "rb") as reader, fs.open(write_end, "wb", 0) as writer:
            assert not reader.seekable()
            for _ in range(3):
                waiting = asyncio.ensure_future(_await(reader.read(5)))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            waiting = asyncio.ensure_future(_await(reader.read(5)))
            await asyncio.sleep(0)
            await writer.write(b"he")
            await writer.write(b"llo\nrest")
            assert await waiting == b"hello"
            assert await reader.readline() == b"\n"
            big = os.urandom(300_000)  # more than a pipe has room for
            writing = asyncio.ensure_future(_await(writer.write(big)))
            assert await reader.read(4 + len(big)) == b"rest" + big
            assert await writing == len(big)
            with pytest.raises(io.UnsupportedOperation):
                await reader.seek(0)
            await writer.close()
            assert await reader.read() == b""

    run(main())


def test_operations_of_several_tasks_take_turns(run: Run, path: Path) -> None:
    async def main() -> None:
        async with fs.open(path, "wb", 64) as file:
            await asyncio.gather(*(_await(file.write(b"%05d\n" % n)) for n in range(300)))
        assert sorted(path.read_bytes().split()) == [b"%05d" % n for n in range(300)]
        async with fs.open(path, "rb") as file:
            lines = await asyncio.gather(*(_await(file.readline()) for _ in range(301)))
        assert sorted(lines)[0] == b""
        assert len(set(lines)) == 301

    run(main())


def test_files_may_be_used_from_several_threads(path: Path) -> None:
    failures: list[BaseException] = []

    async def main(file: Any) -> None:
        for number in range(200):
            offset = number * 7 % 1_000
            assert await file.read_at(10, offset) == LINES[offset : offset + 10]

    def work(file: Any) -> None:
        try:
            asyncio.run(main(file))
            assert file.blocking_read_at(10, 5) == LINES[5:15]
        except BaseException as error:
            failures.append(error)

    file = fs.blocking_open(path, "rb")
    threads = [threading.Thread(target=work, args=(file,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(_await(file.close()))
    assert failures == []


def test_try_forms_answer_now(run: Run, path: Path) -> None:
    async def main() -> None:
        async with fs.open(path, "r+b") as file:
            assert file.try_read_at(5, 5) in (LINES[5:10], None)
            assert file.try_write_at(b"LINE", 0) in (4, None)
            with pytest.raises(ValueError, match="offset must be at least 0"):
                file.try_read_at(5, -1)

    run(main())


def test_a_file_that_nobody_closes_warns_and_loses_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "file"

    async def main() -> None:
        file = await fs.open(path, "w")
        await file.write("kept")

    with pytest.warns(ResourceWarning, match="unclosed file <blitzio.fs.File name="):
        run(main())
        gc.collect()
    assert path.read_text() == "kept"


def test_what_a_read_left_behind_is_not_read_after_a_write_elsewhere(
    run: Run, tmp_path: Path
) -> None:
    """Its bytes came after write_at() had dropped those before them, and were taken for these."""
    path = tmp_path / "file"
    path.write_bytes(b"".join(b"%07d\n" % number for number in range(100_000)))

    async def main() -> None:
        async with fs.open(path, "r+b") as file:
            for _ in range(20):
                await file.seek(0)
                assert await file.read(8) == b"0000000\n"
                reading: Any = file.read(500_000)  # In a thread.
                try:
                    reading.send(None)
                except StopIteration:
                    continue  # Which was faster than this one.
                reading.close()
                break
            else:
                await file.seek(8)
            assert await file.write_at(b"changed", 8) == 7
            assert await file.read(16) == b"changed\n0000002\n"

    run(main())


def test_a_try_form_that_cannot_write_first_loses_nothing(run: Run, tmp_path: Path) -> None:
    """It began to write what was buffered, with nobody to wait for it, and nobody wrote it then."""
    path = tmp_path / "file"

    async def main() -> None:
        file = await fs.open(path, "w+b")
        await file.write(b"kept")
        fs.set_inline_writes(False)
        assert file.try_read_at(4, 0) is None
        assert file.try_write_at(b"K", 0) is None

    with pytest.warns(ResourceWarning, match="unclosed file"):
        try:
            run(main())
        finally:
            fs.set_inline_writes(True)
        gc.collect()
    assert path.read_bytes() == b"kept"


def test_closing_reports_what_could_not_be_written(run: Run) -> None:
    async def main() -> None:
        file = await fs.open("/dev/full", "wb")
        await file.write(b"x")
        with pytest.raises(OSError, match="No space left"):
            await file.close()
        assert file.closed

    run(main())


def test_open_is_awaited_or_entered_or_made_a_task(run: Run, path: Path) -> None:
    async def main() -> None:
        for file in (await fs.open(path), await asyncio.create_task(fs.open(path))):
            async with file as same:
                assert same is file
        opening = fs.open(path, "rb")
        async with opening as file_of_bytes:
            assert await file_of_bytes.read(4) == b"line"
        assert file_of_bytes.closed
        with pytest.raises(RuntimeError):
            await opening
        with pytest.warns(RuntimeWarning, match="coroutine 'open' was never awaited"):
            fs.open(path)

    run(main())


async def _await(awaitable: Any) -> Any:
    return await awaitable


def test_what_is_entered_once_is_not_entered_twice(run: Run, path: Path) -> None:
    """The first waited for ever."""
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)

    async def main() -> None:
        opening = fs.open(fifo, "rb")
        first = asyncio.ensure_future(opening.__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already awaited"):
            await opening.__aenter__()
        writer = await asyncio.to_thread(os.open, fifo, os.O_WRONLY)
        os.close(writer)
        file = await first
        assert await file.read() == b""
        await file.close()

    run(main())


@pytest.mark.no_faults("takes each read for all there is", "short")
def test_to_ask_for_more_than_there_is_costs_no_memory(run: Run, path: Path) -> None:
    async def main() -> None:
        async with fs.open(path, "rb") as file:
            assert await file.read_at(2**62, 5) == LINES[5:]
            assert await file.read_at(2**62, 2**40) == b""
            assert file.try_read_at(2**62, 5) in (LINES[5:], None)

    run(main())
    with fs.blocking_open(path, "rb") as file:
        assert file.blocking_read_at(2**62, 5) == LINES[5:]
