"""`SimFile`, `SimTextFile`: open files of a simulated host, with the methods of `blitzio.fs`.

Below is Python's own file object over the content in memory, so that modes, buffering, encodings
and errors are its. Each call lets other tasks run before it has its effect, which then happens at
once.

Threads: the simulation's.
"""

from __future__ import annotations

import io
import operator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from blitzio._io.sim_tree import Node, SimMetadata, SimTree, metadata_of
from blitzio.time import sleep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable

    from typing_extensions import Buffer, Self

    from blitzio._io.sim_tree import _Path

_T = TypeVar("_T", str, bytes)
_File = TypeVar("_File")


class _Content(io.RawIOBase):
    """The bytes of a node, with a position."""

    def __init__(self, tree: SimTree, node: Node, name: object, mode: str) -> None:
        self.name = name
        self.mode = mode
        self._tree = tree
        self._node = node
        self._at = len(node.data) if "a" in mode else 0

    def readable(self) -> bool:
        self._checkClosed()
        return "r" in self.mode or "+" in self.mode

    def writable(self) -> bool:
        self._checkClosed()
        return "r" not in self.mode or "+" in self.mode

    def seekable(self) -> bool:
        self._checkClosed()
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self.readable():
            raise io.UnsupportedOperation("not readable")
        view = memoryview(buffer).cast("B")
        data = self._node.data[self._at : self._at + len(view)]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data: Any, /) -> int:
        if not self.writable():
            raise io.UnsupportedOperation("not writable")
        if "a" in self.mode:
            self._at = len(self._node.data)
        count = self.put(data, self._at)
        self._at += count
        return count

    def put(self, data: Any, at: int) -> int:
        view, content = memoryview(data).cast("B"), self._node.data
        if view:
            content.extend(bytes(max(at - len(content), 0)))
            content[at : at + len(view)] = view
            self._tree.touch(self._node)
        return len(view)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._checkClosed()
        if whence not in (0, 1, 2):
            raise ValueError(f"whence value {whence} unsupported")
        at = (0, self._at, len(self._node.data))[whence] + operator.index(offset)
        if at < 0:
            raise OSError(22, "Invalid argument")
        self._at = at
        return at

    def truncate(self, size: int | None = None, /) -> int:
        if not self.writable():
            raise io.UnsupportedOperation("truncate")
        length = self._at if size is None else operator.index(size)
        if length < 0:
            raise OSError(22, "Invalid argument")
        content = self._node.data
        del content[length:]
        content.extend(bytes(length - len(content)))
        self._tree.touch(self._node)
        return length


class _Open(Generic[_T]):
    """What files of bytes and of text have."""

    def __init__(self, file: Any, content: _Content) -> None:
        self._file = file
        self._content = content

    @property
    def name(self) -> Any:
        """What it was opened by."""
        return self._content.name

    @property
    def mode(self) -> str:
        return self._content.mode

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def read(self, size: int | None = -1, /) -> Awaitable[_T]:
        """Reads so many, or fewer at the end; all that is left if it is negative or None."""
        return self._later("read", size)

    def readline(self, size: int | None = -1, /) -> Awaitable[_T]:
        """Reads a line with its end; nothing at the end."""
        return self._later("readline", -1 if size is None else size)

    def readlines(self, hint: int | None = -1, /) -> Awaitable[list[_T]]:
        """Reads the lines that are left."""
        return self._later("readlines", hint)

    def write(self, data: _T, /) -> Awaitable[int]:
        """Writes all of data."""
        return self._later("write", data)

    def writelines(self, lines: Iterable[_T], /) -> Awaitable[None]:
        """Writes each of the lines, which bring their ends."""
        return self._later("writelines", lines)

    def seek(self, offset: int, whence: int = 0, /) -> Awaitable[int]:
        """Moves the position: from the start, from where it is (1), from the end (2)."""
        return self._later("seek", offset, whence)

    def tell(self) -> Awaitable[int]:
        """The position."""
        return self._later("tell")

    def truncate(self, size: int | None = None, /) -> Awaitable[int]:
        """Cuts, or lengthens with zeros: to the position, or `size` bytes. Gives the length."""
        return self._later("truncate", size)

    async def set_len(self, size: int, /) -> None:
        """Cuts, or lengthens with zeros."""
        length = operator.index(size)
        if length < 0:
            raise ValueError(f"size must be at least 0, got {size}")
        await self.truncate(length)

    def flush(self) -> Awaitable[None]:
        """Writes what is buffered."""
        return self._later("flush")

    sync_all = sync_data = flush

    async def metadata(self) -> SimMetadata:
        """What stat() gives, with all that was written."""
        await self.flush()
        return metadata_of(self._content._node)

    def close(self) -> Awaitable[None]:
        """Writes what is buffered, and closes. Again: nothing."""
        return self._later("close")

    def fileno(self) -> int:
        """Raises io.UnsupportedOperation: it has none."""
        return int(self._file.fileno())

    def isatty(self) -> bool:
        self._check_open()
        return False

    def readable(self) -> bool:
        self._check_open()
        return bool(self._file.readable())

    def writable(self) -> bool:
        self._check_open()
        return bool(self._file.writable())

    def seekable(self) -> bool:
        self._check_open()
        return bool(self._file.seekable())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} mode={self.mode!r}>"

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    async def _later(self, method: str, *args: Any) -> Any:
        await sleep(0)
        return getattr(self._file, method)(*args)


class SimFile(_Open[bytes]):
    """An open file of bytes."""

    def read1(self, size: int | None = -1, /) -> Awaitable[bytes]:
        """Reads at most `size` bytes, what is buffered first."""
        if isinstance(self._file, _Content):
            return self.read(size)
        return self._later("read1", -1 if size is None else size)

    def readinto(self, buffer: Buffer, /) -> Awaitable[int]:
        """Reads into a writable buffer until it is full, or the end. Gives how many bytes."""
        return self._later("readinto", buffer)

    readinto1 = readinto

    async def peek(self, size: int | None = 0, /) -> bytes:
        """What is read ahead, at least a byte unless at the end; it stays."""
        wanted = 0 if size is None else operator.index(size)
        await sleep(0)
        if not self.readable():
            raise io.UnsupportedOperation("not readable")
        if self._file is not self._content:
            return bytes(self._file.peek(wanted))
        at = self._content.tell()
        return bytes(self._content._node.data[at : at + 1])

    async def read_at(self, size: int, offset: int, /) -> bytes:
        """Reads at most `size` bytes at `offset`. The position stays."""
        _check_place(offset, size)
        await self.flush()
        if not self.readable():
            raise io.UnsupportedOperation("not readable")
        return bytes(self._content._node.data[offset : offset + size])

    async def write_at(self, data: Buffer, offset: int, /) -> int:
        """Writes all of data at `offset`; to the end if the file was opened for appending."""
        _check_place(offset)
        content = bytes(memoryview(data))
        await self.flush()
        if not self.writable():
            raise io.UnsupportedOperation("not writable")
        at = len(self._content._node.data) if "a" in self.mode else offset
        return self._content.put(content, at)


class SimTextFile(_Open[str]):
    """An open file of text."""

    @property
    def encoding(self) -> str:
        return str(self._file.encoding)

    @property
    def errors(self) -> str:
        return str(self._file.errors)

    @property
    def line_buffering(self) -> bool:
        return bool(self._file.line_buffering)

    @property
    def buffer(self) -> SimFile:
        """The file of bytes below."""
        return SimFile(self._file.buffer, self._content)


def _check_place(offset: int, size: int = 0) -> None:
    if offset < 0 or size < 0:
        raise ValueError(f"offset and size must not be negative, got {offset} and {size}")


class SimOpening(Generic[_File]):
    """What open() returns: await it for the file, or enter it with `async with`, which closes."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, _File]]) -> None:
        self._make = make
        self._file: Any = None

    def __await__(self) -> Generator[Any, None, _File]:
        return self._make().__await__()

    async def __aenter__(self) -> _File:
        file = self._file = await self
        return file

    async def __aexit__(self, *exc_info: object) -> None:
        await self._file.close()


def open_file(
    tree: SimTree,
    path: _Path,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> SimFile | SimTextFile:
    """As the built-in open(), of a file of `tree`.

    Raises:
        OSError: FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError.
        ValueError: the mode, or what goes with it, is none.
    """
    # Says what is wrong with the arguments, as open() does: this one has nothing to open.
    kinds = _checked_mode(mode, buffering, encoding, errors, newline)
    node = tree.open(path, creates=kinds != "r", is_new=kinds == "x", truncates=kinds == "w")
    binary_mode = kinds + "b" + ("+" if "+" in mode else "")
    content = _Content(tree, node, path, binary_mode)
    if buffering == 0:
        return SimFile(content, content)
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    file: Any
    if "+" in mode:
        file = io.BufferedRandom(content, size)
    elif kinds == "r":
        file = io.BufferedReader(content, size)
    else:
        file = io.BufferedWriter(content, size)
    if "b" in mode:
        return SimFile(file, content)
    content.mode = mode
    return SimTextFile(
        io.TextIOWrapper(file, encoding or "utf-8", errors, newline, line_buffering=buffering == 1),
        content,
    )


def _checked_mode(
    mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> str:
    """Which of r, w, a and x."""
    if not isinstance(mode, str):
        raise TypeError(f"mode must be str, not {type(mode).__name__}")
    kinds = [each for each in "rwax" if each in mode]
    if set(mode) - set("rwaxbt+") or len(mode) != len(set(mode)):
        raise ValueError(f"invalid mode: {mode!r}")
    if len(kinds) != 1:
        raise ValueError("must have exactly one of create/read/write/append mode")
    is_binary = "b" in mode
    if is_binary and "t" in mode:
        raise ValueError("can't have text and binary mode at once")
    for name, value in (("encoding", encoding), ("errors", errors), ("newline", newline)):
        if is_binary and value is not None:
            raise ValueError(f"binary mode doesn't take an {name} argument")
    if buffering == 0 and not is_binary:
        raise ValueError("can't have unbuffered text I/O")
    return kinds[0]
