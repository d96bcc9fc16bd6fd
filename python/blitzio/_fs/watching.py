"""What happens to files and directories."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from blitzio._native import fs as _native_fs

if TYPE_CHECKING:
    from types import TracebackType

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
    """What watch() returns: iterate over it with `async for`; leave it with `async with`."""

    __slots__ = ("_is_closed", "_native", "_paths", "_recursive")

    def __init__(self, paths: tuple[str, ...], recursive: bool) -> None:
        self._paths = paths
        self._recursive = recursive
        self._native: _native_fs.NativeWatcher | None = None
        self._is_closed = False

    async def _started(self) -> _native_fs.NativeWatcher:
        if self._native is None:
            if self._is_closed:
                raise ValueError("the watcher is closed")
            native = await _native_fs.watch(self._paths, self._recursive)
            # Two tasks may have begun at the same time.
            if self._native is None:
                self._native = native
        return self._native

    async def __aenter__(self) -> Watcher:
        await self._started()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> WatchEvent:
        row = await (await self._started()).next()
        if row is None:
            raise StopAsyncIteration
        return WatchEvent(*cast("WatchEvent", row))

    def try_next(self) -> WatchEvent | None:
        """The next event if it is there; None if not, before it was entered, and at the end."""
        row = None if self._native is None else self._native.try_next()
        return None if row is None else WatchEvent(*cast("WatchEvent", row))

    @property
    def is_closed(self) -> bool:
        """Whether close() was called, or `async with` was left."""
        return self._is_closed

    def close(self) -> None:
        """End it: whoever iterates comes to the end. Again: nothing."""
        self._is_closed = True
        if self._native is not None:
            self._native.close()


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
            editors do, is gone: watch its directory.
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
