"""Cancelling at every await: files, paths and watching; see cancel_support."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import fs
from tests.python.runtime.cancel_support import (
    CANCELLED,
    KINDS,
    Make,
    Scenario,
    cancel_everywhere,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def threads_write() -> Iterator[None]:
    """What is in memory would be written at once, and never waited for."""
    fs.set_inline_writes(False)
    yield
    fs.set_inline_writes(True)


_numbers = iter(range(1_000_000))


def new_folder(folder: Path) -> Path:
    """Each time another, so that a thread that is still at one harms nobody."""
    made = folder / str(next(_numbers))
    made.mkdir()
    return made


# ---- open files
# ----------------------------------------------------------------------------------


def opening(folder: Path) -> Make:
    async def make() -> Scenario:
        path = new_folder(folder) / "file"

        async def work() -> None:
            for _ in range(2):
                async with fs.open(path, "w+b") as file:
                    await file.sync_all()

        async def check(_: object) -> None:
            # Made or not, it is a file as any other.
            async with fs.open(path.with_name("other"), "w+b") as file:
                assert await file.write(b"data") == 4
            assert path.with_name("other").read_bytes() == b"data"

        return Scenario(work, lambda: None, check)

    return make


def writing(folder: Path) -> Make:
    first, second = os.urandom(100_000), os.urandom(70_000)

    async def make() -> Scenario:
        path = new_folder(folder) / "file"
        file = await fs.open(path, "w+b")

        async def work() -> None:
            await file.write(first)
            await file.sync_all()
            await file.write(second)
            await file.sync_data()
            await file.flush()

        async def check(result: object) -> None:
            # Several tasks take turns: the cancelled one's is over, and this is all of it.
            size = await file.seek(0, os.SEEK_END)
            await file.write(b"end")
            await file.close()
            content = path.read_bytes()
            assert content[size:] == b"end"
            assert (first + second).startswith(content[:size])
            assert result is CANCELLED or size == len(first + second)

        return Scenario(work, lambda: None, check)

    return make


def reading(folder: Path) -> Make:
    """Of a FIFO, which waits for who writes."""

    async def make() -> Scenario:
        path = new_folder(folder) / "fifo"
        os.mkfifo(path)
        writer = os.open(path, os.O_RDWR)
        file = await fs.open(path, "rb")

        async def work() -> bytes:
            return await file.read(4)

        async def check(result: object) -> None:
            assert (await file.read(4) if result is CANCELLED else result) == b"data"
            await file.close()
            os.close(writer)

        return Scenario(work, lambda: os.write(writer, b"data"), check)

    return make


def line_of_text(folder: Path) -> Make:
    """In two pieces, which split a character."""

    async def make() -> Scenario:
        path = new_folder(folder) / "fifo"
        os.mkfifo(path)
        writer = os.open(path, os.O_RDWR)
        file = await fs.open(path, encoding="utf-8")
        line = "größer\n"
        data = line.encode()
        assert os.write(writer, data[:3]) == 3

        async def work() -> str:
            return await file.readline()

        async def check(result: object) -> None:
            assert (await file.readline() if result is CANCELLED else result) == line
            await file.close()
            os.close(writer)

        return Scenario(work, lambda: os.write(writer, data[3:]), check)

    return make


def into_a_full_fifo(finish: Callable[[fs.File], Awaitable[None]]) -> Callable[[Path], Make]:
    """What write() has taken arrives, once, whoever flushes or closes the file in the end."""

    def with_folder(folder: Path) -> Make:
        async def make() -> Scenario:
            path = new_folder(folder) / "fifo"
            os.mkfifo(path)
            reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            filled = 0
            with suppress(BlockingIOError):
                while True:
                    filled += os.write(reader, bytes(4096))
            file = await fs.open(path, "wb")
            assert await file.write(b"taken") == 5
            received = bytearray()

            def empty() -> None:
                with suppress(BlockingIOError):
                    while piece := os.read(reader, 65536):
                        received.extend(piece)

            async def work() -> None:
                await finish(file)

            async def check(_: object) -> None:
                await file.close()
                assert file.closed
                empty()
                assert received == bytes(filled) + b"taken"
                os.close(reader)

            return Scenario(work, empty, check)

        return make

    return with_folder


def at_places(folder: Path) -> Make:
    async def make() -> Scenario:
        path = new_folder(folder) / "file"
        file = await fs.open(path, "w+b")

        async def work() -> bytes:
            assert await file.write_at(b"one", 0) == 3
            assert await file.write_at(b"two", 3) == 3
            await file.sync_all()  # Which always waits.
            await file.set_len(5)
            assert (await file.metadata()).size == 5
            await file.truncate(4)
            return await file.read_at(10, 0)

        async def check(result: object) -> None:
            assert result in (CANCELLED, b"onet")
            await file.close()
            # A thread that was at it has gone on to the end of that call.
            assert path.read_bytes() in (b"", b"one", b"onetwo", b"onetw", b"onet")

        return Scenario(work, lambda: None, check)

    return make


# ---- paths
# ----------------------------------------------------------------------------------


def whole_files(folder: Path) -> Make:
    async def make() -> Scenario:
        place = new_folder(folder)
        data = os.urandom(100_000)

        async def work() -> bytes:
            await fs.write_file(place / "one", data)
            await fs.append(place / "one", b"more")
            assert (await fs.stat(place / "one")).size == len(data) + 4
            assert await fs.copy(place / "one", place / "two") == len(data) + 4
            await fs.rename(place / "two", place / "three")
            await fs.remove(place / "one")
            return await fs.read_file(place / "three")

        async def check(result: object) -> None:
            assert result in (CANCELLED, data + b"more")
            # Nothing is half done that is one call of the system: a rename, a removal.
            names = {entry.name for entry in await fs.read_dir(place)}
            assert names <= {"one", "two", "three"}
            if result is not CANCELLED:
                assert names == {"three"}
            await fs.write_file(place / "other", b"others may go on")
            assert await fs.read_file(place / "other") == b"others may go on"

        return Scenario(work, lambda: None, check)

    return make


def trees(folder: Path) -> Make:
    async def make() -> Scenario:
        place = new_folder(folder)

        async def work() -> list[str]:
            await fs.mkdir_all(place / "a/b/c")
            await fs.symlink("b", place / "a/link")
            await fs.hard_link(await with_text(place / "a/file"), place / "a/other")
            await fs.set_permissions(place / "a/file", 0o600)
            names = [entry.name async for entry in fs.read_dir(place / "a")]
            assert await fs.read_link(place / "a/link") == "b"
            await fs.remove_dir_all(place / "a")
            assert not await fs.exists(place / "a")
            return sorted(names)

        async def check(result: object) -> None:
            assert result in (CANCELLED, ["b", "file", "link", "other"])
            await fs.mkdir_all(place / "b/c")
            await fs.remove_dir_all(place / "b")
            assert not (place / "b").exists()
            assert result is CANCELLED or list(place.iterdir()) == []

        return Scenario(work, lambda: None, check)

    return make


async def with_text(path: Path) -> Path:
    await fs.write_text(path, "text")
    await fs.append_text(path, " and more")
    assert await fs.read_text(path) == "text and more"
    return path


def temporary(folder: Path) -> Make:
    """Whatever happens, it is gone in the end."""

    async def make() -> Scenario:
        place = new_folder(folder)

        async def work() -> None:
            async with fs.temp_dir(parent=place) as path:
                await fs.write_file(path + "/file", b"data")
            async with fs.named_temp_file(parent=place) as named:
                await named.file.write(b"data")
            async with fs.temp_file(place) as file:
                await file.write(b"data")

        async def check(_: object) -> None:
            # A thread that was making one when it was told removes it again.
            while list(place.iterdir()):
                await asyncio.sleep(0.001)

        return Scenario(work, lambda: None, check)

    return make


# ---- watching
# ----------------------------------------------------------------------------------


def watching(folder: Path) -> Make:
    async def make() -> Scenario:
        place = new_folder(folder)
        watcher = fs.watch(place)
        await watcher.__aenter__()

        async def work() -> fs.WatchEvent | None:
            return await watcher.next()

        async def check(result: Any) -> None:
            event = await watcher.next() if result is CANCELLED else result
            assert event == fs.WatchEvent("created", str(place / "new"), None, True)
            assert watcher.try_next() is None

        return Scenario(work, (place / "new").mkdir, check, [watcher.close])

    return make


def beginning_to_watch(folder: Path) -> Make:
    async def make() -> Scenario:
        place = new_folder(folder)
        # Many, so that the thread takes its time.
        for number in range(300):
            (place / str(number)).mkdir()
        watcher = fs.watch(place, recursive=True)

        async def work() -> None:
            async with watcher:
                pass

        def check(result: object) -> None:
            watcher.close()
            assert watcher.fileno() == -1

        return Scenario(work, lambda: None, check)

    return make


SCENARIOS: dict[str, Callable[[Path], Make]] = {
    "opening": opening,
    "writing": writing,
    "reading": reading,
    "line_of_text": line_of_text,
    "flushing": into_a_full_fifo(lambda file: file.flush()),
    "at_places": at_places,
    "closing": into_a_full_fifo(lambda file: file.close()),
    "whole_files": whole_files,
    "trees": trees,
    "temporary": temporary,
    "watching": watching,
    "beginning_to_watch": beginning_to_watch,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_wherever_it_is_cancelled(name: str, kind: str, tmp_path: Path) -> None:
    cancel_everywhere(SCENARIOS[name](tmp_path), kind)
