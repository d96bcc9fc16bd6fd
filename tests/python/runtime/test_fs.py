"""blitzio.fs: whole files, paths, directories, temporary ones, from any loop and threads."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import fs
from blitzio.io import Deterministic, Io

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.python.runtime.conftest import Run


def test_a_file_is_written_and_read_whole(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        for size in (0, 1, 5_000, 70_000, 600_000):  # on the spot, and in threads
            data = os.urandom(size)
            for path in (
                tmp_path / f"file{size}",
                str(tmp_path / "str"),
                os.fsencode(tmp_path) + b"/b",
            ):
                await fs.write_file(path, data)
                assert await fs.read_file(path) == data
                await fs.append(path, memoryview(b"more"))
                assert await fs.read_file(path) == data + b"more"

    run(main())


def test_text_is_encoded_as_by_open(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "text"

    async def main() -> None:
        await fs.write_text(path, "grün\nß\n", encoding="latin-1")
        assert path.read_bytes() == "grün\nß\n".encode("latin-1")
        assert await fs.read_text(path, "latin-1") == "grün\nß\n"
        with pytest.raises(UnicodeDecodeError):
            await fs.read_text(path, encoding="utf-8")
        assert await fs.read_text(path, encoding="utf-8", errors="replace") == "gr�n\n�\n"
        await fs.write_text(path, "a\nb", newline="\r\n", encoding="utf-8")
        assert path.read_bytes() == b"a\r\nb"
        assert await fs.read_text(path) == "a\nb"
        assert await fs.read_text(path, newline="") == "a\r\nb"
        await fs.append_text(path, "\nc", encoding="utf-8")
        assert path.read_bytes() == b"a\r\nb\nc"
        with pytest.raises(LookupError):
            await fs.read_text(path, encoding="no such")

    run(main())


def _raised(call: Callable[[], Any]) -> OSError:
    with pytest.raises(OSError) as caught:
        call()
    return caught.value


def test_errors_are_those_of_the_standard_library(run: Run, tmp_path: Path) -> None:
    missing, folder = tmp_path / "missing" / "x", tmp_path
    pairs: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
        (lambda: fs.stat(missing), lambda: os.stat(missing)),
        (lambda: fs.read_file(os.fsencode(missing)), lambda: open(os.fsencode(missing), "rb")),
        (lambda: fs.read_file(folder), lambda: open(folder, "rb")),
        (lambda: fs.write_file(missing, b""), lambda: open(missing, "wb")),
        (lambda: fs.open(missing), lambda: open(missing)),
        (lambda: fs.open(folder), lambda: open(folder)),
        (lambda: fs.open(folder, "w"), lambda: open(folder, "w")),
        (lambda: fs.mkdir(missing), lambda: os.mkdir(missing)),
        (lambda: fs.remove(missing), lambda: os.remove(missing)),
        (lambda: fs.remove(folder), lambda: os.remove(folder)),
        (lambda: fs.remove_dir(folder.parent), lambda: os.rmdir(folder.parent)),
        (lambda: fs.rename(missing, "b"), lambda: os.rename(missing, "b")),
        (lambda: fs.hard_link(missing, b"b"), lambda: os.link(missing, b"b")),
        (lambda: fs.symlink("x", folder), lambda: os.symlink("x", folder)),
        (lambda: fs.read_link(folder), lambda: os.readlink(folder)),
        (lambda: fs.set_permissions(missing, 0o600), lambda: os.chmod(missing, 0o600)),
        (lambda: fs.read_dir(missing), lambda: os.scandir(missing)),
    ]

    async def await_it(make: Callable[[], Any]) -> OSError:
        with pytest.raises(OSError) as caught:
            await make()
        return caught.value

    for ours, theirs in pairs:
        error, expected = run(await_it(ours)), _raised(theirs)
        assert type(error) is type(expected)
        assert (error.errno, error.strerror) == (expected.errno, expected.strerror)
        assert (error.filename, error.filename2) == (expected.filename, expected.filename2)


def test_bad_arguments_are_refused_before_anything_happens() -> None:
    wrong: Any = 3.5
    with pytest.raises(TypeError, match="expected str, bytes or os.PathLike object, not float"):
        fs.stat(wrong)
    with pytest.raises(ValueError, match="embedded null"):
        fs.stat("a\0b")
    with pytest.raises(TypeError, match="bytes-like object is required, not 'str'"):
        fs.write_file("x", "text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="text must be str"):
        fs.write_text("x", b"bytes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode must be from 0 to 0o7777"):
        fs.mkdir("x", -1)
    with pytest.raises(TypeError, match="unexpected keyword"):
        fs.stat("x", nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="illegal newline value"):
        fs.read_text("x", newline="x")


def test_paths_are_made_moved_and_removed(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        deep = tmp_path / "a" / "b" / "c"
        await fs.mkdir_all(deep)
        await fs.mkdir_all(deep)
        await fs.mkdir(tmp_path / "d", 0o700)
        assert stat.S_IMODE((await fs.stat(tmp_path / "d")).mode) == 0o700
        file = deep / "file"
        await fs.write_file(file, b"content")
        assert await fs.copy(file, tmp_path / "copy") == 7
        with pytest.raises(OSError) as same:
            await fs.copy(file, file)
        assert same.value.errno == errno.EINVAL
        assert (same.value.filename, same.value.filename2) == (str(file), str(file))
        await fs.rename(tmp_path / "copy", tmp_path / "renamed")
        assert not await fs.exists(tmp_path / "copy")
        assert await fs.read_file(tmp_path / "renamed") == b"content"
        await fs.symlink("a/b", tmp_path / "link")
        assert await fs.read_link(tmp_path / "link") == "a/b"
        assert await fs.read_link(os.fsencode(tmp_path / "link")) == b"a/b"
        assert (await fs.stat(tmp_path / "link", follow_symlinks=False)).is_symlink
        assert (await fs.stat(tmp_path / "link")).is_directory
        await fs.hard_link(file, tmp_path / "other")
        found = await fs.stat(file)
        assert found.st_nlink == 2
        await fs.set_permissions(file, 0o400)
        expected = os.stat(file)
        found = await fs.stat(file)
        assert found.is_file
        for name in ("mode", "ino", "dev", "nlink", "uid", "gid", "size", "mtime_ns", "blocks"):
            assert getattr(found, f"st_{name}") == getattr(expected, f"st_{name}"), name
        assert found.modified == pytest.approx(expected.st_mtime)
        await fs.remove(tmp_path / "renamed")
        await fs.remove_dir(tmp_path / "d")
        await fs.remove_dir_all(tmp_path / "a")
        assert sorted(os.listdir(tmp_path)) == ["link", "other"]

    run(main())


def test_metadata_is_what_os_stat_tells(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(5_000))
    os.utime(path, ns=(1_000_000_000_123_456_789, 1_500_000_000_987_654_321))

    async def main() -> None:
        told, expected = await fs.stat(path), os.stat(path)
        whole = "mode ino dev nlink uid gid size blksize blocks rdev atime_ns mtime_ns ctime_ns"
        for name in (f"st_{part}" for part in whole.split()):
            assert getattr(told, name) == getattr(expected, name), name
        for name in ("st_atime", "st_mtime", "st_ctime"):
            assert getattr(told, name) == pytest.approx(getattr(expected, name), abs=1e-6)
        assert (told.accessed, told.modified) == (told.st_atime, told.st_mtime)
        assert told.changed == told.st_ctime
        assert (told.mode, told.size) == (expected.st_mode, 5_000)
        with pytest.raises(AttributeError):
            told.st_size = 1  # type: ignore[misc]

    run(main())


def test_writing_goes_to_a_thread_if_it_may_not_be_tried_here(run: Run, tmp_path: Path) -> None:
    async def is_suspended_by(call: Awaitable[object]) -> bool:
        turns: list[None] = []
        asyncio.get_running_loop().call_soon(turns.append, None)
        await call
        return bool(turns)

    async def main() -> None:
        path = tmp_path / "path"
        suspended: list[bool] = []  # not each time: the thread may be faster than we look
        for _ in range(20):
            suspended.append(await is_suspended_by(fs.mkdir(path)))
            suspended.append(await is_suspended_by(fs.rename(path, tmp_path / "other")))
            suspended.append(await is_suspended_by(fs.remove_dir(tmp_path / "other")))
        assert any(suspended)
        assert list(tmp_path.iterdir()) == []

    fs.set_inline_writes(False)
    try:
        run(main())
    finally:
        fs.set_inline_writes(True)
    with pytest.raises(TypeError):
        fs.set_inline_writes()  # type: ignore[call-arg]


def test_a_directory_is_read_and_its_entries_say_what_they_are(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")

    async def main() -> None:
        entries = {entry.name: entry async for entry in fs.read_dir(tmp_path)}
        assert sorted(entries) == ["file", "folder", "link"]
        assert entries["file"].is_file and not entries["file"].is_symlink
        assert entries["folder"].is_directory
        assert entries["link"].is_symlink and not entries["link"].is_file
        assert os.fspath(entries["file"]) == str(tmp_path / "file")
        assert (await entries["link"].stat()).size == 2
        assert entries["file"].inode == os.stat(tmp_path / "file").st_ino
        of_bytes = await fs.read_dir(os.fsencode(tmp_path))
        assert sorted(entry.name for entry in of_bytes) == [b"file", b"folder", b"link"]

    run(main())


def test_temporary_things_are_gone_when_they_are_left(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with fs.temp_dir("some-", tmp_path) as folder:
            assert os.path.basename(folder).startswith("some-")
            await fs.write_file(folder + "/inside", b"x")
        async with fs.named_temp_file(parent=tmp_path) as temporary:
            await temporary.file.write(b"text")
            await temporary.file.flush()
            assert Path(temporary.path).read_bytes() == b"text"
        assert temporary.file.closed
        async with fs.temp_file(tmp_path) as file:
            await file.write(b"text")
            assert os.listdir(tmp_path) == []
            assert await file.read_at(10, 0) == b"text"
        assert file.closed
        with pytest.raises(FileNotFoundError):
            async with fs.temp_dir(parent=tmp_path / "missing"):
                pass

    run(main())
    assert os.listdir(tmp_path) == []


def test_blocking_forms_are_for_threads(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fs.blocking_write_file(path, b"one\n")
    fs.blocking_append_text(path, "two\n", encoding="utf-8")
    assert fs.blocking_read_file(path) == b"one\ntwo\n"
    assert fs.blocking_read_text(path) == "one\ntwo\n"
    assert fs.blocking_stat(path).size == 8
    assert [entry.name for entry in fs.blocking_read_dir(tmp_path)] == ["file"]
    assert _raised(lambda: fs.blocking_mkdir(path)).errno == errno.EEXIST
    fs.blocking_rename(path, tmp_path / "other")
    assert not fs.blocking_exists(path)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="would block the event loop"):
            fs.blocking_stat(path)
        await asyncio.to_thread(fs.blocking_write_file, path, b"x")

    asyncio.run(main())
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize("name", ["a\0", "\0", "a\ud800", "a\0/b"])
def test_what_no_file_can_be_called_is_not_there(name: str, run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        for path in (name, tmp_path / name):
            assert await fs.exists(path) is Path(path).exists() is False
            if "\0" in name:
                with pytest.raises(ValueError, match="embedded null byte"):
                    await fs.stat(path)
        with pytest.raises(TypeError):
            await fs.exists(1)  # type: ignore[arg-type]

    async def simulated(io: Io) -> bool:
        return await io.fs.exists(name)

    run(main())
    with Deterministic() as world:
        assert world.run(simulated) is False
    assert not fs.blocking_exists(tmp_path / name)
    assert not fs.blocking_exists(b"a\0")


def test_cancelled_calls_leave_nothing_open(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 400_000)

    async def main() -> None:
        for make in (
            lambda: fs.read_file(path),
            lambda: fs.write_file(tmp_path / "new", b"y" * 100_000),
            lambda: fs.open(path, "rb"),
            lambda: fs.mkdir(tmp_path / "folder"),
        ):
            task: asyncio.Task[Any] = asyncio.ensure_future(_await(make()))
            await asyncio.sleep(0)
            task.cancel()
            try:
                result = await task
            except asyncio.CancelledError:
                continue
            if isinstance(result, fs.File):
                await result.close()
        # What a thread had begun it has ended now: the pool runs jobs in order of their coming.
        await asyncio.gather(*(fs.read_file(path) for _ in range(4)))
        while _open_below(tmp_path):  # A thread may be about to close.
            await asyncio.sleep(0.001)

    run(main())


def _open_below(folder: Path) -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [target for target in found if target.startswith(str(folder))]


async def _await(awaitable: Any) -> Any:
    return await awaitable
