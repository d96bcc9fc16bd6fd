"""`SimFileSystem`: files in memory, with names of `blitzio.fs` for whole files and directories.

Each call lets other tasks run before it has its effect, which then happens at once.

Threads: the simulation's.
"""

from __future__ import annotations

import errno
import os
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blitzio.time import sleep

if TYPE_CHECKING:
    from collections.abc import Generator

    from typing_extensions import Buffer

    _Path = str | os.PathLike[str]


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)


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

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._folders = {"/"}

    async def read_file(self, path: _Path) -> bytes:
        """All of a file. FileNotFoundError, IsADirectoryError."""
        name = await self._enter(path)
        if name in self._folders:
            raise _error(errno.EISDIR, name)
        if name not in self._files:
            raise _error(errno.ENOENT, name)
        return self._files[name]

    async def read_text(self, path: _Path, encoding: str = "utf-8") -> str:
        """All of a file, decoded."""
        return (await self.read_file(path)).decode(encoding)

    async def write_file(self, path: _Path, data: Buffer) -> None:
        """Makes a file, or replaces what is in it."""
        self._files[await self._place(path)] = bytes(data)

    async def write_text(self, path: _Path, text: str, encoding: str = "utf-8") -> None:
        """As write_file(), of text."""
        await self.write_file(path, text.encode(encoding))

    async def append(self, path: _Path, data: Buffer) -> None:
        """Adds to the end of a file, making it."""
        name = await self._place(path)
        self._files[name] = self._files.get(name, b"") + bytes(data)

    async def exists(self, path: _Path) -> bool:
        """Whether there is a file or directory."""
        name = await self._enter(path)
        return name in self._files or name in self._folders

    async def mkdir(self, path: _Path) -> None:
        """Makes a directory. FileExistsError; FileNotFoundError if its parent is not there."""
        name = await self._enter(path)
        if name in self._files or name in self._folders:
            raise _error(errno.EEXIST, name)
        self._check_parent(name)
        self._folders.add(name)

    async def mkdir_all(self, path: _Path) -> None:
        """Makes a directory, and its parents, where they are not there."""
        name = await self._enter(path)
        while name not in self._folders:
            if name in self._files:
                raise _error(errno.ENOTDIR, name)
            self._folders.add(name)
            name = posixpath.dirname(name)

    def read_dir(self, path: _Path = "/") -> SimReadDir:
        """What is in a directory, in the order of names: to be awaited for a list, or iterated."""
        return SimReadDir(self, os.fspath(path))

    async def remove(self, path: _Path) -> None:
        """Removes a file."""
        name = await self._enter(path)
        if name in self._folders:
            raise _error(errno.EISDIR, name)
        if self._files.pop(name, None) is None:
            raise _error(errno.ENOENT, name)

    async def remove_dir(self, path: _Path) -> None:
        """Removes an empty directory."""
        name = await self._enter(path)
        if name not in self._folders:
            raise _error(errno.ENOTDIR if name in self._files else errno.ENOENT, name)
        if name == "/" or self._names(name):
            raise _error(errno.ENOTEMPTY if name != "/" else errno.EBUSY, name)
        self._folders.discard(name)

    async def rename(self, path: _Path, to: _Path) -> None:
        """Moves a file, replacing what is there."""
        name = await self._enter(path)
        if name not in self._files:
            raise _error(errno.EISDIR if name in self._folders else errno.ENOENT, name)
        target = await self._place(to)
        if name not in self._files:
            raise _error(errno.ENOENT, name)
        self._files[target] = self._files.pop(name)

    async def _entries(self, path: str) -> list[SimDirEntry]:
        name = await self._enter(path)
        if name not in self._folders:
            raise _error(errno.ENOTDIR if name in self._files else errno.ENOENT, name)
        return [
            SimDirEntry(
                each,
                posixpath.join(path, each),
                "directory" if posixpath.join(name, each) in self._folders else "file",
            )
            for each in self._names(name)
        ]

    def _names(self, folder: str) -> list[str]:
        everything = (*self._files, *self._folders)
        return sorted(
            posixpath.basename(name)
            for name in everything
            if name != "/" and posixpath.dirname(name) == folder
        )

    async def _enter(self, path: _Path) -> str:
        await sleep(0)
        # One slash: POSIX leaves it open what two mean.
        return posixpath.normpath("/" + os.fspath(path).lstrip("/"))

    async def _place(self, path: _Path) -> str:
        """A path whose parent is there, and which is no directory."""
        name = await self._enter(path)
        self._check_parent(name)
        if name in self._folders:
            raise _error(errno.EISDIR, name)
        return name

    def _check_parent(self, name: str) -> None:
        parent = posixpath.dirname(name)
        if parent not in self._folders:
            raise _error(errno.ENOTDIR if parent in self._files else errno.ENOENT, name)
