"""What happens to files and directories."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from blitzio._native import _wait_blocking
from blitzio._native import fs as _native_fs
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from blitzio._duration import Seconds

    _Path = str | os.PathLike[str]
    _EventKind = Literal[
        "created", "modified", "removed", "renamed", "metadata", "root_removed", "overflow"
    ]


class WatchEvent(NamedTuple):
    """Something that happened."""

    kind: _EventKind
    """"metadata": permissions, owner, times, links. "root_removed": what was to be watched was
    removed or moved away. "overflow": events were lost, look at everything again."""
    path: str
    """Of what it happened to, below the path as it was given; "" for "overflow"."""
    from_path: str | None
    """What it was before; of "renamed" alone."""
    is_directory: bool


class Watcher:
    """What watch() returns: iterate over it with `async for`; leave it with `async with`.

    In a plain thread: `blocking_next()`, and `with`. One task, or thread, uses it at a time.
    """

    __slots__ = ("_is_closed", "_native", "_paths", "_recursive")
    __reduce__ = refuse_copy

    def __init__(self, paths: tuple[str, ...], recursive: bool) -> None:
        self._paths = paths
        self._recursive = recursive
        self._native: _native_fs.NativeWatcher | None = None
        self._is_closed = False

    async def _started(self) -> _native_fs.NativeWatcher:
        if self._native is None:
            self._check_open()
            return self._begun(await _native_fs.watch(self._paths, self._recursive))
        return self._native

    def _blocking_started(self) -> _native_fs.NativeWatcher:
        if self._native is None:
            self._check_open()
            return self._begun(_native_fs.blocking_watch(self._paths, self._recursive))
        return self._native

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError("the watcher is closed")

    def _begun(self, native: _native_fs.NativeWatcher) -> _native_fs.NativeWatcher:
        # Two tasks may have begun at the same time, and somebody may have closed it meanwhile.
        if self._native is None:
            self._native = native
        if self._is_closed:
            self._native.close()
        return self._native

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open"
        how = " recursive" if self._recursive else ""
        return f"<Watcher {state} {' '.join(map(repr, self._paths))}{how}>"

    async def __aenter__(self) -> Watcher:
        await self._started()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def __enter__(self) -> Watcher:
        self._blocking_started()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> WatchEvent:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def next(self) -> WatchEvent | None:
        """Waits for the next event; None: nothing is watched any more, or it is closed.

        Raises:
            ValueError: it was closed before it began.
            OSError: as watch().

        Cancellation: takes no event.
        """
        return _event(await (await self._started()).next())

    def try_next(self) -> WatchEvent | None:
        """The next event if it is there; None if not, before it was entered, and at the end."""
        return None if self._native is None else _event(self._native.try_next())

    def blocking_next(self, timeout: Seconds | None = None) -> WatchEvent | None:
        """next() for threads.

        Raises:
            TimeoutError: `timeout` was over first.
            RuntimeError: an event loop runs in this thread.
        """
        event = self._blocking_started().next()
        return _event(_wait_blocking(event, "Watcher.blocking_next", timeout))

    def fileno(self) -> int:
        """The descriptor, readable when there is something; -1 before it begins and once closed."""
        return -1 if self._native is None else self._native.fileno()

    @property
    def is_closed(self) -> bool:
        """Whether close() was called, or `async with` was left."""
        return self._is_closed

    def close(self) -> None:
        """End it: whoever iterates comes to the end. Again: nothing."""
        self._is_closed = True
        if self._native is not None:
            self._native.close()


def _event(row: tuple[str, Any, Any, bool] | None) -> WatchEvent | None:
    return None if row is None else WatchEvent(*cast("WatchEvent", row))


def watch(*paths: _Path, recursive: bool = False) -> Watcher:
    """Tell what happens to files and directories.

    It begins when it is entered or first iterated over, and ends when everything that it watches
    is gone. A rename within what is watched is one event; one from or to elsewhere is "removed"
    or "created". Symbolic links below are not followed.

    Example:
        >>> import asyncio, tempfile
        >>> from blitzio import fs
        >>> async def main(folder):
        ...     async with fs.watch(folder) as events:
        ...         await fs.write_file(folder + "/new", b"")
        ...         async for event in events:
        ...             return event.kind, event.path == folder + "/new"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     asyncio.run(main(folder))
        ('created', True)

    Args:
        paths: files and directories. A file that is replaced by renaming another over it, as
            editors do, is gone: watch its directory. A relative path is of the directory that the
            program is in as the watch begins. Nothing above a path is watched: where a directory
            there is renamed, that one included, what is watched already goes on being told under
            its old name, and directories below that come later are not watched.
        recursive: directories below too, also those to come.

    Raises:
        OSError: what is not there, or too many (ENOSPC, the user's limit); when it begins, or
            when a directory to come cannot be watched.

    Cancellation:
        takes no event.
    """
    if not paths:
        raise ValueError("there is nothing to watch")
    return Watcher(tuple(os.fspath(path) for path in paths), recursive)


def blocking_watch(*paths: _Path, recursive: bool = False) -> Watcher:
    """watch(), for plain threads: it has begun already.

    Example:
        >>> import tempfile
        >>> from blitzio import fs
        >>> with tempfile.TemporaryDirectory() as folder, fs.blocking_watch(folder) as events:
        ...     fs.blocking_write_file(folder + "/new", b"")
        ...     events.blocking_next(timeout=10).kind
        'created'

    Raises:
        RuntimeError: an event loop runs in this thread.
        OSError: as watch().
    """
    return watch(*paths, recursive=recursive).__enter__()
