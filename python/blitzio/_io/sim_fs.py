"""`SimFileSystem`: files in memory, with names of `blitzio.fs`.

Each call lets other tasks run before it has its effect, which then happens at once.

Threads: the simulation's.
"""

from __future__ import annotations

import errno
import os
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from blitzio._io.sim_file import SimFile, SimOpening, SimTextFile, open_file
from blitzio._io.sim_tree import SimMetadata, SimTree, metadata_of, path_error
from blitzio.time import sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from typing_extensions import Buffer

    from blitzio._io.sim_tree import _Path
    from blitzio._native.fs import _BinaryMode, _TextMode


@dataclass(frozen=True)
class SimDirEntry:
    """A name in a directory. `os.fspath()` of it is its path."""

    name: str
    path: str
    type: str

    @property
    def is_file(self) -> bool:
        return self.type == "file"

    @property
    def is_directory(self) -> bool:
        return self.type == "directory"

    def __fspath__(self) -> str:
        return self.path


class SimReadDir:
    """Made by read_dir()."""

    def __init__(self, files: SimFileSystem, path: str) -> None:
        self._files = files
        self._path = path
        self._left: list[SimDirEntry] | None = None

    def __await__(self) -> Generator[Any, None, list[SimDirEntry]]:
        return self._files._entries(self._path).__await__()

    def __aiter__(self) -> SimReadDir:
        return self

    async def __anext__(self) -> SimDirEntry:
        if self._left is None:
            self._left = await self
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)


class SimFileSystem:
    """`io.fs` of a simulated host; begins with an empty "/"."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.tree = SimTree(clock)

    # ---- open files --------------------------------------------------------------------------

    @overload
    def open(
        self,
        file: _Path,
        mode: _TextMode = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> SimOpening[SimTextFile]: ...
    @overload
    def open(
        self,
        file: _Path,
        mode: _BinaryMode,
        buffering: int = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> SimOpening[SimFile]: ...
    @overload
    def open(
        self,
        file: _Path,
        mode: str,
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> SimOpening[SimFile | SimTextFile]: ...
    def open(
        self,
        file: _Path,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> SimOpening[Any]:
        """As `blitzio.fs.open`; text is UTF-8 unless `encoding` says otherwise."""

        async def opened() -> SimFile | SimTextFile:
            await sleep(0)
            return open_file(self.tree, file, mode, buffering, encoding, errors, newline)

        return SimOpening(opened)

    # ---- whole files -------------------------------------------------------------------------

    async def read_file(self, path: _Path) -> bytes:
        """All of a file. FileNotFoundError, IsADirectoryError."""
        await sleep(0)
        return bytes(self.tree.find(path).existing_file.data)

    async def read_text(self, path: _Path, encoding: str = "utf-8") -> str:
        """All of a file, decoded."""
        return (await self.read_file(path)).decode(encoding)

    async def write_file(self, path: _Path, data: Buffer, mode: int = 0o666) -> None:
        """Makes a file, or replaces what is in it."""
        await self._put(path, data, mode, truncates=True)

    async def write_text(self, path: _Path, text: str, encoding: str = "utf-8") -> None:
        """As write_file(), of text."""
        await self.write_file(path, _encoded(text, encoding))

    async def append(self, path: _Path, data: Buffer, mode: int = 0o666) -> None:
        """Adds to the end of a file, making it."""
        await self._put(path, data, mode, truncates=False)

    async def append_text(self, path: _Path, text: str, encoding: str = "utf-8") -> None:
        """As append(), of text."""
        await self.append(path, _encoded(text, encoding))

    # ---- paths -------------------------------------------------------------------------------

    async def stat(self, path: _Path) -> SimMetadata:
        """What is known of a file or directory."""
        await sleep(0)
        return metadata_of(self.tree.find(path).existing)

    async def exists(self, path: _Path) -> bool:
        """Whether there is a file or directory."""
        try:
            await self.stat(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return False  # ValueError: no file can be called that.
        return True

    async def mkdir(self, path: _Path, mode: int = 0o777) -> None:
        """Makes a directory. FileExistsError; FileNotFoundError if its parent is not there."""
        await sleep(0)
        self.tree.make_directory(path, mode)

    async def mkdir_all(self, path: _Path, mode: int = 0o777) -> None:
        """Makes a directory, and its parents, where they are not there."""
        await sleep(0)
        self.tree.make_directories(path, mode)

    def read_dir(self, path: _Path = "/") -> SimReadDir:
        """What is in a directory, in the order of names: to be awaited for a list, or iterated."""
        return SimReadDir(self, os.fsdecode(path))

    async def remove(self, path: _Path) -> None:
        """Removes a file, or what a Unix socket has left."""
        await sleep(0)
        self.tree.remove(path)

    async def remove_dir(self, path: _Path) -> None:
        """Removes an empty directory."""
        await sleep(0)
        self.tree.remove_directory(path, with_content=False)

    async def remove_dir_all(self, path: _Path) -> None:
        """Removes a directory and what is in it."""
        await sleep(0)
        self.tree.remove_directory(path, with_content=True)

    async def rename(self, source: _Path, target: _Path) -> None:
        """Moves a file or directory, replacing what is there: a file, or an empty directory."""
        await sleep(0)
        self.tree.move(source, target)

    async def copy(self, source: _Path, target: _Path) -> int:
        """Makes a file's content another's. Gives how many bytes that are."""
        await sleep(0)
        data = bytes(self.tree.find(source).existing_file.data)
        node = self.tree.open(target, creates=True, truncates=True)
        node.data += data
        return len(data)

    async def _put(self, path: _Path, data: Buffer, mode: int, *, truncates: bool) -> None:
        content = bytes(memoryview(data))
        await sleep(0)
        node = self.tree.open(path, creates=True, truncates=truncates, mode=mode)
        node.data += content
        self.tree.touch(node)

    async def _entries(self, path: str) -> list[SimDirEntry]:
        await sleep(0)
        folder = self.tree.find(path).existing
        if not folder.is_directory:
            raise path_error(errno.ENOTDIR, path)
        return [
            SimDirEntry(name, posixpath.join(path, name), node.type)
            for name, node in sorted(folder.entries.items())
        ]


def _encoded(text: str, encoding: str) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"text must be str, not {type(text).__name__}")
    return text.encode(encoding)
