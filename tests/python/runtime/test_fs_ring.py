"""blitzio.fs on a loop with ring_files: that io_uring has the operations, and how they end."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import Config, fs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


@pytest.fixture
def loop() -> Iterator[blitzio.Loop]:
    try:
        made = blitzio.new_event_loop(Config(backend="io_uring", ring_files=True))
    except RuntimeError as refused:
        pytest.skip(str(refused))
    yield made
    made.close()


def _submitted() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, blitzio.Loop)
    return loop.metrics()["io_submitted"]


async def _by_the_ring(call: Awaitable[Any], operations: int = 1) -> Any:
    before = _submitted()
    result = await call
    assert _submitted() - before == operations
    return result


def test_what_the_ring_can_do_it_does(loop: blitzio.Loop, tmp_path: Path) -> None:
    async def main() -> None:
        path, moved = tmp_path / "a", tmp_path / "folder" / "b"
        await _by_the_ring(fs.mkdir(moved.parent))
        file = await _by_the_ring(fs.open(path, "w+b"))
        await file.write(b"0123456789")
        await _by_the_ring(file.flush())
        await _by_the_ring(file.sync_all())
        await _by_the_ring(file.sync_data())
        assert await _by_the_ring(file.write_at(b"ab", 3)) == 2
        assert await _by_the_ring(file.read_at(4, 2)) == b"2ab5"
        assert (await _by_the_ring(file.metadata())).size == 10
        await file.seek(0)
        assert await _by_the_ring(file.read(), 2) == b"012ab56789"
        await file.close()
        assert (await _by_the_ring(fs.stat(path))).size == 10
        assert (await fs.stat(path)).modified == path.stat().st_mtime
        await _by_the_ring(fs.rename(path, moved))
        assert await _by_the_ring(fs.exists(moved))
        await _by_the_ring(fs.remove(moved))
        await _by_the_ring(fs.remove_dir(moved.parent))
        assert not await _by_the_ring(fs.exists(moved.parent))

    loop.run_until_complete(main())


def test_text_is_read_and_written(loop: blitzio.Loop, tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(50_000))

    async def main() -> None:
        before = _submitted()
        async with fs.open(tmp_path / "a", "w") as file:
            await file.write(text)
        async with fs.open(tmp_path / "a", "a+") as file:
            await file.write("end")
            await file.seek(0)
            assert [line async for line in file] == [*text.splitlines(keepends=True), "end"]
        assert _submitted() > before + 3

    loop.run_until_complete(main())


def test_errors_name_the_path(loop: blitzio.Loop, tmp_path: Path) -> None:
    missing, there = tmp_path / "no" / "such", tmp_path / "there"
    there.mkdir()
    too_long = tmp_path / ("n" * 300)
    cases: list[tuple[Callable[[], Awaitable[Any]], int, Path]] = [
        (lambda: fs.open(missing), errno.ENOENT, missing),
        (lambda: fs.stat(missing), errno.ENOENT, missing),
        (lambda: fs.mkdir(missing), errno.ENOENT, missing),
        (lambda: fs.mkdir(there), errno.EEXIST, there),
        (lambda: fs.open(there, "x"), errno.EEXIST, there),
        (lambda: fs.remove(missing), errno.ENOENT, missing),
        (lambda: fs.remove(there), errno.EISDIR, there),
        (lambda: fs.rename(missing, there), errno.ENOENT, missing),
        (lambda: fs.stat(too_long), errno.ENAMETOOLONG, too_long),
        (lambda: fs.open(too_long, "w"), errno.ENAMETOOLONG, too_long),
    ]

    async def main() -> None:
        for call, code, path in cases:
            with pytest.raises(OSError) as caught:
                await _by_the_ring(call())
            assert (caught.value.errno, caught.value.filename) == (code, str(path))
        for bad in (lambda: fs.open("a\0b"), lambda: fs.stat("a\0b"), lambda: fs.mkdir("a\0b")):
            with pytest.raises(ValueError, match="embedded null byte"):
                await bad()

    loop.run_until_complete(main())


def test_a_cancelled_open_leaves_no_descriptor(loop: blitzio.Loop, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def main() -> None:
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            before = _submitted()
            opening = asyncio.ensure_future(fs.open(fifo, "rb"))
            while _submitted() == before:
                await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        # An open that still waited would be let go here, and its descriptor would be nobody's.
        other = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        await fs.stat(fifo)
        os.close(other)
        # The loop may hear of what the ring has let go of later than of what it was asked last.
        patience = time.monotonic() + 30
        while len(os.listdir("/proc/self/fd")) != descriptors and time.monotonic() < patience:
            await asyncio.sleep(0.001)
        assert len(os.listdir("/proc/self/fd")) == descriptors

    loop.run_until_complete(main())


def test_a_loop_is_closed_with_operations_in_flight(loop: blitzio.Loop, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def main() -> list[asyncio.Task[fs.File]]:
        before = _submitted()
        opening = [asyncio.ensure_future(fs.open(fifo, "rb")) for _ in range(5)]
        while _submitted() < before + 5:
            await asyncio.sleep(0)
        return opening

    opening = loop.run_until_complete(main())
    loop.close()
    for future in opening:
        future.cancel()
    with os.fdopen(os.open(fifo, os.O_RDWR | os.O_NONBLOCK)):
        pass


@pytest.mark.no_faults("a cancelled write that is cut short is not taken up again", "short")
def test_what_a_cancelled_write_began_is_written_once(loop: blitzio.Loop, tmp_path: Path) -> None:
    path = tmp_path / "a"

    async def main() -> None:
        async with fs.open(path, "ab", buffering=0) as file:
            for _ in range(20):
                before = _submitted()
                writing = asyncio.ensure_future(file.write(b"x" * 100_000))
                while _submitted() == before:
                    await asyncio.sleep(0)
                writing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await writing
                await file.write(b"y")

    loop.run_until_complete(main())
    assert path.read_bytes() == (b"x" * 100_000 + b"y") * 20


def test_a_read_left_behind_does_not_keep_another_loop_waiting(
    loop: blitzio.Loop, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")

    async def begin() -> fs.File:
        file = await fs.open(path, "rb")
        before = _submitted()
        reading = asyncio.ensure_future(file.read(7))
        while _submitted() == before:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return file

    file = loop.run_until_complete(begin())
    # The loop is not closed, and does not run.
    assert file.blocking_read(7) == b"content"
    file.blocking_close()
