"""blitzio.fs in plain threads: open files, temporary things, watching."""

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
    from collections.abc import Callable
    from pathlib import Path


# ---- open files ------------------------------------------------------------------------------


def test_a_file_of_bytes_has_every_method(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with fs.blocking_open(path, "w+b") as file:
        assert file.blocking_write(b"one\ntwo\n") == 8
        file.blocking_writelines([b"three\n", b"four"])
        assert file.blocking_tell() == 18
        assert file.blocking_read_at(3, 4) == b"two"  # What is buffered, too.
        assert file.blocking_seek(0) == 0
        assert file.blocking_peek()[:3] == b"one"
        assert file.blocking_readline() == b"one\n"
        assert file.blocking_readline(1) == b"t"
        buffer = bytearray(3)
        assert file.blocking_readinto(buffer) == 3
        assert buffer == b"wo\n"
        assert file.blocking_readlines() == [b"three\n", b"four"]
        assert file.blocking_seek(-4, 2) == 14
        assert file.blocking_readinto1(buffer) == 3
        assert file.blocking_read1() == b"r"
        assert file.blocking_write_at(b"FOUR", 14) == 4
        assert file.blocking_truncate(16) == 16
        file.blocking_flush()
        assert path.read_bytes() == b"one\ntwo\nthree\nFO"
        file.blocking_set_len(3)
        file.blocking_sync_data()
        file.blocking_sync_all()
        file.blocking_set_permissions(0o600)
        assert file.blocking_metadata().size == 3
        file.blocking_seek(0)
        assert file.blocking_read(2, timeout=60) == b"on"
    assert file.closed
    file.blocking_close()
    with pytest.raises(ValueError, match="closed"):
        file.blocking_read()
    with pytest.raises(ValueError, match="closed"), file:
        pass


def test_a_file_of_text_has_every_method(tmp_path: Path) -> None:
    with fs.blocking_open(tmp_path / "text", "w+", encoding="utf-16") as file:
        assert file.blocking_write("ä\nb\n") == 4
        file.blocking_writelines(["c\n", "d"])
        file.blocking_seek(0)
        assert file.blocking_readline() == "ä\n"
        here = file.blocking_tell()
        assert file.blocking_readlines() == ["b\n", "c\n", "d"]
        file.blocking_seek(here)
        assert file.blocking_read(3) == "b\nc"
        assert file.blocking_read() == "\nd"
    with pytest.raises(TypeError, match="must be str"):
        file.blocking_write(b"x")  # type: ignore[arg-type]


def test_wrong_calls_are_refused(tmp_path: Path) -> None:
    with fs.blocking_open(tmp_path / "file", "wb") as file:
        with pytest.raises(io.UnsupportedOperation):
            file.blocking_read()
        with pytest.raises(TypeError, match="at most 1 argument"):
            file.blocking_read(1, 2)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
            file.blocking_read(size=1)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="timeout must be"):
            file.blocking_flush(-1)
        with pytest.raises(ValueError, match="timeout must be"):
            file.blocking_write(b"x", timeout=-1)
        assert file.blocking_tell() == 0


def test_a_pipe_is_waited_for_and_the_wait_can_time_out() -> None:
    source, sink = os.pipe()
    with fs.blocking_open(source, "rb") as reader, fs.blocking_open(sink, "wb", 0) as writer:
        with pytest.raises(TimeoutError, match=r"File\.blocking_readline\(\) did not end within"):
            reader.blocking_readline(timeout=0.01)
        thread = threading.Thread(target=lambda: writer.blocking_write(b"a line\n"))
        thread.start()
        assert reader.blocking_readline(timeout=60) == b"a line\n"
        thread.join()


def test_closing_reports_what_could_not_be_written() -> None:
    def write() -> None:
        with fs.blocking_open("/dev/full", "wb") as file:
            file.blocking_write(b"x")

    with pytest.raises(OSError, match="No space left"):
        write()


def test_threads_and_tasks_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "file"
    file = fs.blocking_open(path, "wb", 64)

    def in_a_thread() -> None:
        for number in range(200):
            file.blocking_write(b"thread %05d\n" % number)

    async def in_a_task() -> None:
        for number in range(200):
            await file.write(b"task   %05d\n" % number)

    threads = [
        threading.Thread(target=in_a_thread),
        threading.Thread(target=lambda: asyncio.run(in_a_task())),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.blocking_close()
    lines = path.read_bytes().splitlines()
    for who in (b"thread", b"task"):
        assert [line for line in lines if line.startswith(who)] == [
            b"%-6s %05d" % (who, number) for number in range(200)
        ]


def test_a_file_may_be_closed_while_others_write_at_an_offset(tmp_path: Path) -> None:
    data = bytes(1 << 20)
    for _ in range(20):
        file: Any = fs.blocking_open(tmp_path / "file", "w+b")
        begun = threading.Event()
        errors: list[Exception] = []

        def write(file: Any = file, begun: Any = begun, errors: Any = errors) -> None:
            try:
                while True:
                    begun.set()
                    file.blocking_write_at(data, 0)
            except ValueError as closed:
                errors.append(closed)

        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        begun.wait()
        file.blocking_close()
        for writer in writers:
            writer.join()
        assert len(errors) == 2


# ---- temporary things ------------------------------------------------------------------------


def test_temporary_things_are_gone_when_they_are_left(tmp_path: Path) -> None:
    with fs.temp_dir("some-", tmp_path) as folder:
        assert os.path.basename(folder).startswith("some-")
        fs.blocking_write_file(folder + "/in it", b"x")
    with fs.named_temp_file(parent=tmp_path) as temporary:
        temporary.file.blocking_write(b"text")
        temporary.file.blocking_flush()
        assert fs.blocking_read_file(temporary.path) == b"text"
    assert temporary.file.closed
    for unnamed in (fs.blocking_temp_file(tmp_path), fs.temp_file(tmp_path)):
        with unnamed as file:
            file.blocking_write(b"text")
            assert file.blocking_read_at(4, 0) == b"text"
        assert file.closed
    assert list(tmp_path.iterdir()) == []
    for make in (fs.blocking_temp_dir, fs.blocking_named_temp_file, fs.blocking_temp_file):
        with pytest.raises(FileNotFoundError):
            make(parent=tmp_path / "missing")


def test_blocking_forms_have_made_it_already(tmp_path: Path) -> None:
    made = fs.blocking_temp_dir(parent=tmp_path)
    assert os.path.isdir(made.path)
    with made as path:
        assert path == made.path
        with pytest.raises(RuntimeError, match="a temporary directory is there already"), made:
            pass
    assert not os.path.exists(path)
    file = fs.blocking_named_temp_file(parent=tmp_path)

    async def main() -> None:
        async with file as same:
            assert same is file
            await file.file.write(b"x")

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_stays(tmp_path: Path) -> None:
    with fs.temp_dir(parent=tmp_path) as folder:
        pass
    temporary = fs.temp_dir(parent=tmp_path)
    with pytest.raises(FileNotFoundError):
        temporary.keep()
    with temporary as folder:
        assert temporary.keep() == folder
    assert os.path.isdir(folder)
    with pytest.raises(FileNotFoundError):
        temporary.keep()
    named = fs.blocking_named_temp_file(parent=tmp_path)
    with named:
        named.keep()
        named.file.blocking_write(b"kept")
    assert fs.blocking_read_file(named.path) == b"kept"


def test_a_folder_can_be_removed_before_it_is_left(tmp_path: Path) -> None:
    made = fs.temp_dir(parent=tmp_path)
    made.blocking_remove()  # It is not there yet.
    with made as folder:
        fs.blocking_write_file(folder + "/in it", b"x")

        async def main() -> None:
            with pytest.raises(RuntimeError, match="would block the event loop"):
                made.blocking_remove()

        asyncio.run(main())
        assert os.path.isdir(folder)
        made.blocking_remove()
        assert not os.path.exists(folder)
        made.blocking_remove()
    other = fs.blocking_temp_dir(parent=tmp_path)
    os.rmdir(other.path)
    other.blocking_remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_dropped_is_removed_with_a_warning(tmp_path: Path) -> None:
    made = fs.blocking_temp_dir(parent=tmp_path)
    with pytest.warns(ResourceWarning, match="a temporary directory was not left"):
        del made
        gc.collect()
    assert list(tmp_path.iterdir()) == []


# ---- watching --------------------------------------------------------------------------------


def test_events_are_waited_for(tmp_path: Path) -> None:
    with fs.watch(tmp_path) as events:
        with pytest.raises(TimeoutError):
            events.blocking_next(timeout=0)
        (tmp_path / "new").touch()
        seen = events.blocking_next(timeout=60)
        assert seen is not None
        assert (seen.kind, seen.path) == ("created", str(tmp_path / "new"))
    assert events.is_closed
    assert events.blocking_next(timeout=60) is None


def test_a_blocking_watch_has_begun(tmp_path: Path) -> None:
    events = fs.blocking_watch(tmp_path, recursive=True)
    (tmp_path / "folder").mkdir()
    event = events.try_next()
    assert event == ("created", str(tmp_path / "folder"), None, True)

    async def main() -> fs.WatchEvent | None:
        (tmp_path / "folder" / "new").touch()
        return await events.next()

    assert asyncio.run(main()) == ("created", str(tmp_path / "folder" / "new"), None, False)
    events.close()
    with pytest.raises(FileNotFoundError):
        fs.blocking_watch(tmp_path / "missing")


def test_closing_ends_a_blocked_wait(tmp_path: Path) -> None:
    events = fs.blocking_watch(tmp_path)
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(events.blocking_next(timeout=60)))
    thread.start()
    events.close()
    thread.join()
    assert ended == [None]


# ---- not in a loop ---------------------------------------------------------------------------


def test_they_are_refused_where_a_loop_runs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    file = fs.blocking_open(path, "wb")
    events = fs.blocking_watch(tmp_path)

    def enter(what: Any) -> None:
        with what:
            pass

    refused: list[Callable[[], object]] = [
        lambda: file.blocking_write(b"x"),
        lambda: file.blocking_read_at(1, 0),
        lambda: enter(file),
        lambda: events.blocking_next(),
        lambda: fs.blocking_watch(tmp_path),
        fs.blocking_temp_dir,
        fs.blocking_named_temp_file,
        fs.blocking_temp_file,
        lambda: enter(fs.temp_dir()),
        lambda: enter(fs.named_temp_file()),
        lambda: enter(fs.temp_file()),
        lambda: enter(fs.watch(tmp_path)),
    ]

    async def main() -> None:
        for call in refused:
            with pytest.raises(RuntimeError, match="would block the event loop"):
                call()

    asyncio.run(main())
    events.close()
    file.blocking_close()
    assert path.read_bytes() == b""
