"""Temporary files and directories, gone when they are left: by `async with` in a task, by `with` in
a plain thread.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
import warnings
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from blitzio._native import fs as _native_fs
from blitzio._runtime.blocking import check_may_block, run_to_its_end
from blitzio._runtime.interruption import Interruption
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from blitzio._native.fs import File

    _Path = str | os.PathLike[str]


def _remove_late(remove: Callable[[str], object], path: str, what: str) -> None:
    """Whoever made it has forgotten it: removes it and says so."""
    remove(path)
    warnings.warn(f"{what} was not left: {path!r}", ResourceWarning, stacklevel=2)


def _remove_directory(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)


def _remove_tree(path: str) -> None:
    """_remove_directory() that says what went wrong; not if it cannot have a thread for it."""
    if asyncio._get_running_loop() is not None:
        _remove_directory(path)
        return
    try:
        _native_fs.blocking_remove_dir_all(path)
    except FileNotFoundError:
        pass
    except OSError:
        _remove_directory(path)  # What there is that can be.
        raise


def _remove_file(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


async def _close_to_its_end(file: File) -> None:
    """Closing that is cancelled while it writes has not closed.

    Cancellation: is delivered when it is closed.
    """
    interruption = Interruption()
    while not file.closed:
        try:
            with interruption:
                await file.close()
        except OSError:
            interruption.deliver()
            raise
    interruption.deliver()


class _Temporary(ABC):
    """Owns what is at a path. Whoever drops it without removing it is warned."""

    __reduce__ = refuse_copy

    _what: ClassVar[str]

    def __init__(self, prefix: str, parent: _Path | None) -> None:
        self._prefix = prefix
        self._parent = tempfile.gettempdir() if parent is None else os.fspath(parent)
        self._late: weakref.finalize[..., _Temporary] | None = None
        self._path = ""
        self._is_entered = False

    @property
    def path(self) -> str:
        """Where it is; "" before it is made."""
        return self._path

    def keep(self) -> str:
        """Leaves it where it is from now on. Gives its path.

        Raises:
            FileNotFoundError: it is not there: not yet, or no longer.
        """
        if not self._take():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._path)
        return self._path

    def _is_made(self) -> bool:
        """Whether it is there, for whoever enters it; RuntimeError if somebody has before."""
        if self._is_entered:
            raise RuntimeError(f"{self._what} is there already")
        return self._late is not None

    async def _make_to_its_end(self) -> None:
        """A thread that is at it goes on when it is told to stop: what it makes must not be left.

        Cancellation: is delivered when nothing is there.
        """
        try:
            await run_to_its_end(self._make)
        except asyncio.CancelledError:
            if self._late is not None:
                await self._give_up()
            raise

    @abstractmethod
    def _make(self) -> None: ...

    @abstractmethod
    async def _give_up(self) -> None: ...

    def _made(self, path: str, remove: Callable[[str], object]) -> None:
        self._path = path
        self._late = weakref.finalize(self, _remove_late, remove, path, self._what)

    def _take(self) -> bool:
        """Whether it is the caller's now to remove it, or to leave it."""
        return self._late is not None and self._late.detach() is not None


class TempDir(_Temporary):
    """A directory of a name nobody else has: entering it gives its path, leaving it removes it.

    Example:
        >>> import asyncio, os
        >>> async def main():
        ...     async with temp_dir() as path:
        ...         return os.path.isdir(path), path
        >>> was_there, path = asyncio.run(main())
        >>> was_there, os.path.exists(path)
        (True, False)
    """

    _what = "a temporary directory"

    async def __aenter__(self) -> str:
        if not self._is_made():
            await self._make_to_its_end()
        self._is_entered = True
        return self._path

    def __enter__(self) -> str:
        check_may_block("with temp_dir", "async with fs.temp_dir()")
        if not self._is_made():
            self._make()
        self._is_entered = True
        return self._path

    def _make(self) -> None:
        self._made(_native_fs.blocking_temp_dir(self._parent, self._prefix), _remove_directory)

    async def _give_up(self) -> None:
        await self.remove()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.remove()

    def __exit__(self, *exc_info: object) -> None:
        self.blocking_remove()

    async def remove(self) -> None:
        """Remove it and everything in it, if it is there still.

        Raises:
            OSError: of remove_dir_all().

        Cancellation: is delivered when it is removed.
        """
        if self._take():
            await run_to_its_end(_remove_tree, self._path)

    def blocking_remove(self) -> None:
        """remove(), for plain threads."""
        check_may_block("blocking_remove", "remove()")
        if self._take():
            _remove_tree(self._path)


def temp_dir(prefix: str = "blitzio-", parent: _Path | None = None) -> TempDir:
    """A directory of a name nobody else has, for `async with`, which gives its path.

    Args:
        prefix: how its name begins.
        parent: where it is made; where the module `tempfile` would, if None.

    Raises:
        OSError: of mkdtemp(3), when it is entered.
    """
    return TempDir(prefix, parent)


def blocking_temp_dir(prefix: str = "blitzio-", parent: _Path | None = None) -> TempDir:
    """temp_dir(), for plain threads: it is there already, and `with` gives its path.

    Example:
        >>> import os
        >>> with blocking_temp_dir() as path:
        ...     os.path.isdir(path)
        True

    Raises:
        RuntimeError: an event loop runs in this thread.
        OSError: of mkdtemp(3).
    """
    made = TempDir(prefix, parent)
    made._make()
    return made


class NamedTempFile(_Temporary):
    """A file with a name: entering it gives `.file` and `.path`, leaving it closes and removes it.

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

    _what = "a temporary file"
    _file: File | None = None

    @property
    def file(self) -> File:
        """The file, open for reading and writing bytes. RuntimeError before it is made."""
        if self._file is None:
            raise RuntimeError("the file is not there yet: enter it with `async with`")
        return self._file

    async def __aenter__(self) -> NamedTempFile:
        if not self._is_made():
            await self._make_to_its_end()
        self._is_entered = True
        return self

    def __enter__(self) -> NamedTempFile:
        check_may_block("with named_temp_file", "async with fs.named_temp_file()")
        if not self._is_made():
            self._make()
        self._is_entered = True
        return self

    def _make(self) -> None:
        self._opened(*_native_fs.blocking_named_temp_file(self._parent, self._prefix))

    def _opened(self, file: File, path: str) -> None:
        self._file = file
        self._made(path, _remove_file)

    async def __aexit__(self, *exc_info: object) -> None:
        await self._give_up()

    async def _give_up(self) -> None:
        try:
            if self._take():
                await run_to_its_end(_remove_file, self._path)
        except GeneratorExit:
            raise  # Nothing may be awaited any more.
        except BaseException:
            await _close_to_its_end(self.file)
            raise
        await _close_to_its_end(self.file)

    def __exit__(self, *exc_info: object) -> None:
        try:
            if self._take():
                _remove_file(self._path)
        finally:
            self.file.blocking_close()


def named_temp_file(prefix: str = "blitzio-", parent: _Path | None = None) -> NamedTempFile:
    """A file of a name nobody else has, for `async with`, which gives `.file` and `.path`.

    Args:
        prefix: how its name begins.
        parent: where it is made; where the module `tempfile` would, if None.

    Raises:
        OSError: of mkstemp(3), when it is entered.
    """
    return NamedTempFile(prefix, parent)


def blocking_named_temp_file(
    prefix: str = "blitzio-", parent: _Path | None = None
) -> NamedTempFile:
    """named_temp_file(), for plain threads: it is there already, for `with`.

    Example:
        >>> with blocking_named_temp_file() as temporary:
        ...     temporary.file.blocking_write(b"text")
        4

    Raises:
        RuntimeError: an event loop runs in this thread.
        OSError: of mkstemp(3).
    """
    made = NamedTempFile(prefix, parent)
    made._make()
    return made


class TempFile:
    """A file without a name, for `async with` or `await`; in a plain thread for `with`."""

    __reduce__ = refuse_copy

    def __init__(self, parent: _Path | None) -> None:
        self._parent = tempfile.gettempdir() if parent is None else os.fspath(parent)
        self._file: File | None = None

    def __await__(self) -> Generator[object, None, File]:
        return _native_fs.temp_file(self._parent).__await__()

    async def __aenter__(self) -> File:
        self._file = await self
        return self._file

    async def __aexit__(self, *exc_info: object) -> None:
        if self._file is not None:
            await _close_to_its_end(self._file)

    def __enter__(self) -> File:
        check_may_block("with temp_file", "async with fs.temp_file()")
        self._file = _native_fs.blocking_temp_file(self._parent)
        return self._file

    def __exit__(self, *exc_info: object) -> None:
        if self._file is not None:
            self._file.blocking_close()


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


def blocking_temp_file(parent: _Path | None = None) -> File:
    """temp_file(), for plain threads: the open file, for `with`.

    Example:
        >>> with blocking_temp_file() as file:
        ...     file.blocking_write(b"text")
        ...     file.blocking_seek(0)
        ...     file.blocking_read()
        4
        0
        b'text'

    Raises:
        RuntimeError: an event loop runs in this thread.
        OSError: of open(2).
    """
    return _native_fs.blocking_temp_file(
        tempfile.gettempdir() if parent is None else os.fspath(parent)
    )
