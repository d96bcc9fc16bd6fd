"""Temporary files and directories, gone when they are left."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
import weakref
from typing import TYPE_CHECKING

from blitzio._native import fs as _native_fs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

    from blitzio._native.fs import File

    _Path = str | os.PathLike[str]


def _remove_late(remove: Callable[[str], object], path: str, what: str) -> None:
    """Whoever made it has forgotten it: removes it and says so."""
    remove(path)
    warnings.warn(f"{what} was not left: {path!r}", ResourceWarning, stacklevel=2)


def _remove_directory(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)


def _remove_file(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class TempDir:
    """A directory of a name nobody else has; `async with` gives its path and removes it.

    Example:
        >>> import asyncio, os
        >>> async def main():
        ...     async with temp_dir() as path:
        ...         return os.path.isdir(path), path
        >>> was_there, path = asyncio.run(main())
        >>> was_there, os.path.exists(path)
        (True, False)
    """

    def __init__(self, prefix: str, parent: _Path | None) -> None:
        self._prefix = prefix
        self._parent = tempfile.gettempdir() if parent is None else os.fspath(parent)
        self._late: weakref.finalize[..., TempDir] | None = None
        self._path = ""

    @property
    def path(self) -> str:
        """Where it is; "" before it is made."""
        return self._path

    async def __aenter__(self) -> str:
        if self._late is not None:
            raise RuntimeError("the directory is there already")
        self._path = await _native_fs.temp_dir(self._parent, self._prefix)
        self._late = weakref.finalize(
            self, _remove_late, _remove_directory, self._path, "a temporary directory"
        )
        return self._path

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.remove()

    async def remove(self) -> None:
        """Remove it and everything in it, if it is there still.

        Cancellation: it is removed all the same.
        """
        if self._late is None or self._late.detach() is None:
            return
        try:
            await _native_fs.remove_dir_all(self._path)
        except FileNotFoundError:
            pass
        except BaseException:
            _remove_directory(self._path)
            raise


def temp_dir(prefix: str = "blitzio-", parent: _Path | None = None) -> TempDir:
    """A directory of a name nobody else has, for `async with`, which gives its path.

    Args:
        prefix: how its name begins.
        parent: where it is made; where the module `tempfile` would, if None.

    Raises:
        OSError: of mkdtemp(3), when it is entered.
    """
    return TempDir(prefix, parent)


class NamedTempFile:
    """A file with a name; `async with` gives it, closes it and removes it.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async with named_temp_file() as temporary:
        ...         await temporary.file.write(b"text")
        ...         await temporary.file.flush()
        ...         with open(temporary.path) as same:
        ...             return same.read()
        >>> asyncio.run(main())
        'text'
    """

    def __init__(self, prefix: str, parent: _Path | None) -> None:
        self._prefix = prefix
        self._parent = tempfile.gettempdir() if parent is None else os.fspath(parent)
        self._late: weakref.finalize[..., NamedTempFile] | None = None
        self._file: File | None = None
        self._path = ""

    @property
    def path(self) -> str:
        """Where it is; "" before it is made."""
        return self._path

    @property
    def file(self) -> File:
        """The file, open for reading and writing bytes. RuntimeError before it is made."""
        if self._file is None:
            raise RuntimeError("the file is not there yet: enter it with `async with`")
        return self._file

    async def __aenter__(self) -> NamedTempFile:
        if self._file is not None:
            raise RuntimeError("the file is there already")
        self._file, self._path = await _native_fs.named_temp_file(self._parent, self._prefix)
        self._late = weakref.finalize(
            self, _remove_late, _remove_file, self._path, "a temporary file"
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._late is not None and self._late.detach() is not None:
            _remove_file(self._path)
        await self.file.close()


def named_temp_file(prefix: str = "blitzio-", parent: _Path | None = None) -> NamedTempFile:
    """A file of a name nobody else has, for `async with`, which gives `.file` and `.path`.

    Args:
        prefix: how its name begins.
        parent: where it is made; where the module `tempfile` would, if None.

    Raises:
        OSError: of mkstemp(3), when it is entered.
    """
    return NamedTempFile(prefix, parent)


class TempFile:
    """A file without a name, for `async with` or `await`."""

    def __init__(self, parent: _Path | None) -> None:
        self._parent = tempfile.gettempdir() if parent is None else os.fspath(parent)
        self._file: File | None = None

    def __await__(self) -> Generator[object, None, File]:
        return _native_fs.temp_file(self._parent).__await__()

    async def __aenter__(self) -> File:
        self._file = await self
        return self._file

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            await self._file.close()


def temp_file(parent: _Path | None = None) -> TempFile:
    """A file without a name, to read and write bytes: gone when it is closed, or the process ends.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async with temp_file() as file:
        ...         await file.write(b"text")
        ...         await file.seek(0)
        ...         return await file.read()
        >>> asyncio.run(main())
        b'text'

    Args:
        parent: on whose file system it is; where the module `tempfile` would, if None.

    Raises:
        OSError: of open(2), when it is awaited or entered.
    """
    return TempFile(parent)
