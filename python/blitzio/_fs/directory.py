"""What is in a directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast, overload

from blitzio._native import fs as _native_fs
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from blitzio._native.fs import Metadata

    _FileType = Literal["unknown", "file", "directory", "symlink", "other"]

_Name = TypeVar("_Name", str, bytes)


@dataclass(frozen=True, slots=True)
class DirEntry(Generic[_Name]):
    """A name in a directory. `os.fspath()` of it is its path."""

    name: _Name
    """The name alone; bytes if the directory was given as bytes."""
    path: _Name
    """The directory's path, as it was given, and the name."""
    type: _FileType
    """What it is; "unknown" where the file system does not tell it in passing: then stat()."""
    inode: int

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, not a symbolic link to one."""
        return self.type == "file"

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, not a symbolic link to one."""
        return self.type == "directory"

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self.type == "symlink"

    def stat(self, follow_symlinks: bool = True) -> Awaitable[Metadata]:
        """What is known of it, or of what it leads to."""
        return _native_fs.stat(self.path, follow_symlinks)

    def __fspath__(self) -> _Name:
        return self.path


class ReadDir(Generic[_Name]):
    """What read_dir() returns: await it for a list, or iterate over it with `async for`."""

    __slots__ = ("_entries", "_path")
    __reduce__ = refuse_copy

    def __init__(self, path: _Name) -> None:
        self._path: _Name = path
        self._entries: list[DirEntry[_Name]] | None = None

    def __await__(self) -> Generator[object, None, list[DirEntry[_Name]]]:
        return self._read().__await__()

    def __aiter__(self) -> ReadDir[_Name]:
        return self

    async def __anext__(self) -> DirEntry[_Name]:
        if self._entries is None:
            self._entries = await self._read()
            self._entries.reverse()
        if not self._entries:
            raise StopAsyncIteration
        return self._entries.pop()

    async def _read(self) -> list[DirEntry[_Name]]:
        return _entries(self._path, await _native_fs.read_dir(self._path))


def _entries(path: _Name, rows: list[tuple[_Name, str, int]]) -> list[DirEntry[_Name]]:
    return [
        DirEntry(name, os.path.join(path, name), cast("_FileType", kind), inode)
        for name, kind, inode in rows
    ]


@overload
def read_dir(path: str | os.PathLike[str] = ".") -> ReadDir[str]: ...
@overload
def read_dir(path: bytes | os.PathLike[bytes]) -> ReadDir[bytes]: ...
def read_dir(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes] = ".",
) -> ReadDir[str] | ReadDir[bytes]:
    """Everything in a directory but "." and "..", in no order, read in one go.

    Example:
        >>> import asyncio
        >>> async def names(path):
        ...     return [entry.name async for entry in read_dir(path) if entry.is_file]
        >>> asyncio.run(names("/proc/self/fdinfo")) != []
        True

    Args:
        path: the directory.

    Returns:
        To be awaited for a list, or iterated over.

    Raises:
        OSError: of opendir(3) and readdir(3), when awaited.
    """
    plain = os.fspath(path)
    return ReadDir(plain) if isinstance(plain, str) else ReadDir(plain)


@overload
def blocking_read_dir(path: str | os.PathLike[str] = ".") -> list[DirEntry[str]]: ...
@overload
def blocking_read_dir(path: bytes | os.PathLike[bytes]) -> list[DirEntry[bytes]]: ...
def blocking_read_dir(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes] = ".",
) -> list[DirEntry[str]] | list[DirEntry[bytes]]:
    """read_dir(), for plain threads."""
    plain = os.fspath(path)
    return _entries(plain, _native_fs.blocking_read_dir(plain))
