"""blitzio.fs.watch: events of files and directories, on any loop."""

from __future__ import annotations

import asyncio
import os
import select
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import fs

if TYPE_CHECKING:
    from tests.python.runtime.conftest import Run


async def _take(events: fs.Watcher, count: int) -> list[fs.WatchEvent]:
    taken = []
    async for event in events:
        taken.append(event)
        if len(taken) == count:
            break
    return taken


def test_events_are_waited_for(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with fs.watch(tmp_path) as events:
            waiting = asyncio.ensure_future(_take(events, 3))
            for _ in range(3):
                await asyncio.sleep(0)
            (tmp_path / "a").touch()
            (tmp_path / "a").rename(tmp_path / "b")
            (tmp_path / "b").unlink()
            events_seen = [event for event in await waiting if event.kind != "metadata"]
            while event := events.try_next():
                if event.kind != "metadata":
                    events_seen.append(event)
        assert [event.kind for event in events_seen] == ["created", "renamed", "removed"]
        assert events_seen[1].from_path == str(tmp_path / "a")
        assert events_seen[1].path == str(tmp_path / "b")
        assert not events_seen[0].is_directory

    run(main())


def test_a_cancelled_wait_takes_no_event(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with fs.watch(tmp_path, recursive=True) as events:
            waiting = asyncio.ensure_future(_take(events, 1))
            for _ in range(3):
                await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            (tmp_path / "folder").mkdir()
            [event] = await _take(events, 1)
            assert event == ("created", str(tmp_path / "folder"), None, True)

    run(main())


def test_it_ends_when_it_is_closed_and_when_what_it_watches_is_gone(
    run: Run, tmp_path: Path
) -> None:
    async def main() -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        async with fs.watch(folder) as events:
            folder.rmdir()
            assert [event.kind for event in await _take(events, 9)] == ["root_removed"]
        events = fs.watch(tmp_path)
        waiting = asyncio.ensure_future(_take(events, 1))
        for _ in range(100):
            await asyncio.sleep(0)
        async with events:
            pass
        assert events.is_closed
        assert await waiting == []
        with pytest.raises(ValueError, match="closed"):
            await _take(_closed(tmp_path), 1)

    run(main())


def _closed(path: Path) -> fs.Watcher:
    events = fs.watch(path)
    events.close()
    return events


def test_what_it_has_read_is_not_told_once_it_is_closed(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with fs.watch(tmp_path) as events:
            for name in "abc":
                (tmp_path / name).touch()
            assert await events.next() is not None  # and has read the others
        assert await events.next() is None
        assert events.try_next() is None
        assert [event async for event in events] == []

    run(main())


def _overflow(folder: Path) -> None:
    """Makes more events than the kernel keeps; alternating, for it joins equal ones."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip(f"the kernel keeps {limit} events")
    (folder / "a").touch()
    (folder / "b").touch()
    for _ in range(limit // 2 + 2):
        (folder / "a").chmod(0o600)
        (folder / "b").chmod(0o600)


def test_a_relative_path_is_of_where_the_program_was(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        async with fs.watch("root", recursive=True) as events:
            monkeypatch.chdir("/")
            (tmp_path / "root" / "folder").mkdir()
            [event] = await _take(events, 1)
            assert event == ("created", "root/folder", None, True)
            (tmp_path / "root" / "folder" / "a").touch()
            [event] = await _take(events, 1)
            assert event == ("created", "root/folder/a", None, False)

            _overflow(tmp_path / "root")
            async for event in events:
                if event.kind == "overflow":
                    break
            (tmp_path / "root" / "c").touch()
            [event] = await _take(events, 1)
            assert event == ("created", "root/c", None, False)

    run(main())


def test_closing_it_while_it_begins_ends_it(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        events = fs.watch(tmp_path)
        waiting = asyncio.ensure_future(events.next())
        await asyncio.sleep(0)
        events.close()
        assert await asyncio.wait_for(waiting, 60) is None

    run(main())


def test_its_descriptor_is_readable_when_there_is_something(tmp_path: Path) -> None:
    events = fs.watch(tmp_path)
    assert events.fileno() == -1, "it has not begun"
    with events:
        assert select.select([events.fileno()], [], [], 0)[0] == []
        (tmp_path / "new").touch()
        assert select.select([events.fileno()], [], [], 20)[0] == [events.fileno()]
        seen = events.blocking_next(timeout=20)
        assert seen is not None
        assert seen.kind == "created"
    assert events.fileno() == -1


def test_what_cannot_be_watched_says_so(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to watch"):
        fs.watch()

    async def main() -> None:
        with pytest.raises(FileNotFoundError) as caught:
            async with fs.watch(tmp_path / "missing"):
                pass
        assert caught.value.filename == str(tmp_path / "missing")

    run(main())


def test_nothing_stays_open(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        for _ in range(3):
            async with fs.watch(tmp_path) as events:
                (tmp_path / "x").touch()
                await _take(events, 1)

    def open_files() -> set[str]:
        links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
        return {target for link in links if "inotify" in (target := _target(link))}

    run(main())
    assert open_files() == set()


def _target(link: str) -> Any:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""
