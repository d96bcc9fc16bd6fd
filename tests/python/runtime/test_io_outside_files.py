"""What blitzio.io's files and paths refuse, on every implementation: the simulated ones answer as
those of the machine."""

from __future__ import annotations

import array
import errno
import io as python_io
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from blitzio.io import Io


async def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call gives, awaited if it can be; of an error the type, or the errno."""
    try:
        answer = call(*arguments)
        return await answer if hasattr(answer, "__await__") else answer
    except python_io.UnsupportedOperation:
        return python_io.UnsupportedOperation
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except Exception as error:
        return type(error)


def test_an_unbuffered_file_counts_bytes(io: Any, folder: str) -> None:
    async def main() -> None:
        path, words = f"{folder}/words", array.array("I", [1, 2])
        async with io.fs.open(path, "w+b", 0) as file:
            assert await file.write(words) == 8
            assert await file.write_at(words, 8) == 8
            assert await file.seek(0, 2) == 16
            assert await file.seek(8) == 8
            into = array.array("I", [0, 0])
            assert await file.readinto(into) == 8
            assert into == words
            await file.seek(100)
            assert await file.write(b"") == 0
            assert await file.write_at(b"", 50) == 0
            assert (await file.metadata()).size == 16

    io.run(main)


def test_a_closed_file_does_nothing(io: Io, folder: str) -> None:
    async def main() -> None:
        path = f"{folder}/file"
        await io.fs.write_file(path, b"hello")
        for mode, buffering in (("r+b", 0), ("r+b", -1), ("r+", -1)):
            file = await io.fs.open(path, mode, buffering)
            await file.close()
            await file.close()
            calls: dict[str, tuple[Any, ...]] = {
                "read": (),
                "readline": (),
                "readlines": (),
                "write": ("x" if mode == "r+" else b"x",),
                "seek": (0,),
                "tell": (),
                "truncate": (1,),
                "set_len": (1,),
                "flush": (),
                "metadata": (),
                "readable": (),
                "writable": (),
                "seekable": (),
                "isatty": (),
                "__aenter__": (),
            }
            if mode == "r+b":
                calls |= {"readinto": (bytearray(3),), "peek": (), "read1": ()}
                calls |= {"read_at": (3, 0), "write_at": (b"x", 0)}
            for name, arguments in calls.items():
                assert await outcome(getattr(file, name), *arguments) is ValueError, name
        assert await io.fs.read_file(path) == b"hello"

    io.run(main)


def test_bad_arguments_change_no_file(io: Any, folder: str) -> None:
    async def main() -> None:
        path = f"{folder}/file"
        await io.fs.write_file(path, b"hello")
        unsupported = python_io.UnsupportedOperation
        for buffering in (0, -1):
            async with io.fs.open(path, "r+b", buffering) as file:
                for call, expected in (
                    (lambda: file.write_at(5, 0), TypeError),
                    (lambda: file.write_at("x", 0), TypeError),
                    (lambda: file.write("x"), TypeError),
                    (lambda: file.seek(0, -1), ValueError),
                    (lambda: file.seek(0, 5), ValueError),
                    (lambda: file.seek(1.5), TypeError),
                    (lambda: file.seek(-1), "EINVAL"),
                    (lambda: file.truncate(1.5), TypeError),
                    (lambda: file.truncate(-1), "EINVAL"),
                    (lambda: file.set_len(-3), ValueError),
                    (lambda: file.set_len(1.5), TypeError),
                    (lambda: file.peek("x"), TypeError),
                    (lambda: file.set_len(5), None),
                ):
                    assert await outcome(call) == expected
                assert await file.peek() == b"hello"[: 1 if buffering == 0 else 5]
                assert await file.read() == b"hello"
                assert await file.peek(3) == b""
            async with io.fs.open(path, "rb", buffering) as file:
                assert await outcome(lambda: file.set_len(1)) is unsupported
            async with io.fs.open(path, "ab", buffering) as file:
                assert await outcome(lambda: file.peek(1)) is unsupported
        assert await io.fs.read_file(path) == b"hello"

    io.run(main)


def test_a_path_that_ends_with_a_slash_is_of_a_directory(io: Io, folder: str) -> None:
    async def main() -> None:
        fs, d = io.fs, folder
        await fs.write_file(f"{d}/f", b"1")
        await fs.mkdir(f"{d}/d")
        for number, (call, expected) in enumerate(
            (
                (lambda: fs.read_file(f"{d}/f/"), "ENOTDIR"),
                (lambda: fs.read_file(f"{d}/f/."), "ENOTDIR"),
                (lambda: fs.stat(f"{d}/f/.."), "ENOTDIR"),
                (lambda: fs.exists(f"{d}/f/"), False),
                (lambda: fs.exists(f"{d}/d/."), True),
                (lambda: fs.write_file(f"{d}/f/", b""), "EISDIR"),
                (lambda: fs.write_file(f"{d}/n/", b""), "EISDIR"),
                (lambda: fs.write_file(f"{d}/n/.", b""), "ENOENT"),
                (lambda: fs.append(f"{d}/n/", b""), "EISDIR"),
                (lambda: fs.copy(f"{d}/f", f"{d}/n/"), "EISDIR"),
                (lambda: fs.open(f"{d}/f/"), "ENOTDIR"),
                (lambda: fs.open(f"{d}/n/", "x"), "EISDIR"),
                (lambda: fs.mkdir(f"{d}/f/"), "EEXIST"),
                (lambda: fs.mkdir(f"{d}/n/."), "ENOENT"),
                (lambda: fs.mkdir_all(""), "ENOENT"),
                (lambda: fs.mkdir_all(f"{d}/f/"), "EEXIST"),
                (lambda: fs.remove(f"{d}/f/"), "ENOTDIR"),
                (lambda: fs.remove_dir(f"{d}/f/"), "ENOTDIR"),
                (lambda: fs.remove_dir(f"{d}/d/."), "EINVAL"),
                (lambda: fs.rename(f"{d}/f", f"{d}/f2/"), "ENOTDIR"),
                (lambda: fs.rename(f"{d}/f/", f"{d}/f2"), "ENOTDIR"),
                (lambda: fs.rename(f"{d}/f", f"{d}/d/"), "ENOTDIR"),
                (lambda: fs.rename(f"{d}/d", f"{d}/f/"), "ENOTDIR"),
                (lambda: fs.rename(f"{d}/d/.", f"{d}/d2"), "EBUSY"),
                (lambda: fs.rename(f"{d}/d/..", f"{d}/d2"), "EBUSY"),
                (lambda: fs.rename(f"{d}/d", f"{d}/d2/."), "ENOENT"),
                (lambda: fs.rename(f"{d}/d", f"{d}/d2/"), None),
                (lambda: fs.rename(f"{d}/d2/", f"{d}/d"), None),
                (lambda: fs.mkdir(f"{d}/m/"), None),
                (lambda: fs.mkdir_all(f"{d}/m/./a/b/."), None),
                (lambda: fs.remove_dir_all(f"{d}/m/"), None),
            )
        ):
            assert await outcome(call) == expected, f"case {number}"
        for path in (f"{d}/socket/", f"{d}/f/"):
            with pytest.raises(OSError, match=r".+") as refused:
                io.net.listen_unix(path)
            expected = errno.EADDRINUSE if path.endswith("f/") else errno.ENOENT
            assert refused.value.errno == expected
        assert sorted(entry.name for entry in await fs.read_dir(d)) == ["d", "f"]
        assert await fs.read_file(f"{d}/f") == b"1"

    io.run(main)


def test_a_name_has_255_bytes_at_most(io: Io, folder: str) -> None:
    async def main() -> None:
        fs = io.fs
        for path, expected in (
            ("n" * 255, None),
            ("n" * 256, "ENAMETOOLONG"),
            ("\u00e4" * 128, "ENAMETOOLONG"),
            ("none/" + "n" * 256, "ENOENT"),
            ("x/" * 2100 + "y", "ENAMETOOLONG"),
        ):
            assert await outcome(fs.write_file, f"{folder}/{path}", b"") == expected
        assert await outcome(lambda: fs.exists("n" * 256)) == "ENAMETOOLONG"
        assert await outcome(lambda: fs.mkdir_all(f"{folder}/{'n' * 256}/x")) == "ENAMETOOLONG"

    io.run(main)


def test_wrong_types_are_told(io: Io, folder: str) -> None:
    async def main() -> None:
        fs: Any = io.fs
        path = f"{folder}/file"
        for write in (fs.write_text, fs.append_text):
            for wrong in (None, 3, b"bytes"):
                with pytest.raises(TypeError, match="text must be str, not "):
                    await write(path, wrong)
        assert not await fs.exists(path)
        await fs.write_file(path, b"hello")
        for buffering in (0, -1):
            async with fs.open(path, "rb", buffering) as file:
                for buffer in (b"read-only", "text", 3):
                    assert await outcome(file.readinto, buffer) is TypeError
                assert await file.read() == b"hello"

    io.run(main)
