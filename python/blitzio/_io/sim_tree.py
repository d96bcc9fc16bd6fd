"""`SimTree`: files, directories and Unix sockets of one simulated host, in memory; each call has
its effect at once. It knows neither links nor permissions.

    Node     what a path leads to; it outlives the path while something has it open
    Place    where a path is, whether something is there or not

Threads: the simulation's.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_NAME_MAX = 255  # bytes
_PATH_MAX = 4096  # bytes, with the zero that ends it
_MODES = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "socket": stat.S_IFSOCK}


def path_error(code: int, path: str, other: str | None = None) -> OSError:
    if other is None:
        return OSError(code, os.strerror(code), path)
    return OSError(code, os.strerror(code), path, None, other)


@dataclass(eq=False)
class Node:
    """A file, a directory or a socket."""

    type: str
    number: int
    mode: int
    modified: float
    data: bytearray = field(default_factory=bytearray)
    entries: dict[str, Node] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        return self.type == "directory"


class Place(NamedTuple):
    """`folder` is None of the root only; `node` if nothing is there."""

    path: str
    folder: Node | None
    name: str
    node: Node | None

    @property
    def is_of_directory(self) -> bool:
        """Whether the path can only be that of a directory, as it ends with a slash."""
        return self.path.endswith("/")

    @property
    def last(self) -> str:
        """The last name in the path, which may be "." or ".."; nothing of "/"."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def existing(self) -> Node:
        if self.node is None:
            raise path_error(errno.ENOENT, self.path)
        if self.is_of_directory and not self.node.is_directory:
            raise path_error(errno.ENOTDIR, self.path)
        return self.node

    @property
    def existing_file(self) -> Node:
        node = self.existing
        if node.type != "file":
            raise path_error(errno.EISDIR if node.is_directory else errno.ENXIO, self.path)
        return node


@dataclass(frozen=True)
class SimMetadata:
    """What is known of a simulated file: names of `blitzio.fs.Metadata`."""

    is_file: bool
    is_directory: bool
    size: int
    mode: int
    modified: float
    number: int
    is_symlink: bool = False

    @property
    def st_mode(self) -> int:
        return self.mode

    @property
    def st_size(self) -> int:
        return self.size

    @property
    def st_ino(self) -> int:
        return self.number

    @property
    def st_mtime(self) -> float:
        return self.modified


class SimTree:
    """Begins with an empty "/"."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made = 0
        self._root = self._new("directory", 0o777)

    def find(self, path: _Path) -> Place:
        """Where a path is; relative ones begin at "/".

        Raises:
            FileNotFoundError, NotADirectoryError: what is above it is not there, or no directory.
            OSError: ENAMETOOLONG.
            TypeError, ValueError: it is no path.
        """
        text = os.fsdecode(path)
        if "\0" in text:
            raise ValueError("embedded null byte")
        if not text:
            raise path_error(errno.ENOENT, text)
        if len(os.fsencode(text)) >= _PATH_MAX:
            raise path_error(errno.ENAMETOOLONG, text)
        way = [Place(text, None, "/", self._root)]
        for name in text.split("/"):
            if not name:
                continue
            folder = way[-1].node
            if folder is None:
                raise path_error(errno.ENOENT, text)
            if not folder.is_directory:
                raise path_error(errno.ENOTDIR, text)
            if len(os.fsencode(name)) > _NAME_MAX:
                raise path_error(errno.ENAMETOOLONG, text)
            if name == "..":
                way[1:] = way[1:-1]
            elif name != ".":
                way.append(Place(text, folder, name, folder.entries.get(name)))
        return way[-1]

    def open(
        self,
        path: _Path,
        *,
        creates: bool = False,
        is_new: bool = False,
        truncates: bool = False,
        mode: int = 0o666,
    ) -> Node:
        """The file at a path, made if it may be and is not there."""
        place = self.find(path)
        if creates and place.is_of_directory:
            raise path_error(errno.EISDIR, place.path)
        if place.node is None and creates:
            return self._make(place, "file", mode)
        if place.node is not None and is_new:
            raise path_error(errno.EEXIST, place.path)
        node = place.existing_file
        if truncates:
            node.data = bytearray()
            self.touch(node)
        return node

    def touch(self, node: Node) -> None:
        """Its content has changed."""
        node.modified = self._clock()

    def make_directory(self, path: _Path, mode: int) -> None:
        place = self.find(path)
        if place.node is not None:
            raise path_error(errno.EEXIST, place.path)
        self._make(place, "directory", mode)

    def make_directories(self, path: _Path, mode: int) -> None:
        text = os.fsdecode(path)
        if not text:
            raise path_error(errno.ENOENT, text)
        parts = text.rstrip("/").split("/")
        for i in range(1, len(parts) + 1):
            place = self.find("/".join(parts[:i]) or "/")
            if place.node is None:
                self._make(place, "directory", mode)
            elif not place.node.is_directory:
                raise path_error(errno.EEXIST if i == len(parts) else errno.ENOTDIR, text)

    def make_socket(self, path: _Path) -> Node:
        """Raises OSError (EADDRINUSE) if the path exists."""
        place = self.find(path)
        if place.node is not None:
            raise path_error(errno.EADDRINUSE, place.path)
        if place.is_of_directory:
            raise path_error(errno.ENOENT, place.path)
        return self._make(place, "socket", 0o777)

    def remove(self, path: _Path) -> None:
        place = self.find(path)
        if place.existing.is_directory:
            raise path_error(errno.EISDIR, place.path)
        self._unlink(place)

    def remove_directory(self, path: _Path, *, with_content: bool) -> None:
        place = self.find(path)
        node = place.existing
        if not node.is_directory:
            raise path_error(errno.ENOTDIR, place.path)
        if place.folder is None:
            raise path_error(errno.EBUSY, place.path)
        if place.last == ".":
            raise path_error(errno.EINVAL, place.path)
        if node.entries and not with_content:
            raise path_error(errno.ENOTEMPTY, place.path)
        self._unlink(place)

    def move(self, path: _Path, to: _Path) -> None:
        """Replaces what is there: a file a file, a directory an empty one."""
        source, target = self.find(path), self.find(to)
        code = self._why_not(source, target)
        if code:
            raise path_error(code, source.path, target.path)
        if source.node is target.node:
            return
        self._unlink(source)
        assert target.folder is not None
        target.folder.entries[target.name] = source.existing
        self.touch(target.folder)

    def _why_not(self, source: Place, target: Place) -> int:
        node, there = source.node, target.node
        if source.folder is None or target.folder is None:
            return errno.EBUSY
        if {source.last, target.last} & {".", ".."}:
            return errno.EBUSY
        if node is None:
            return errno.ENOENT
        if not node.is_directory and (source.is_of_directory or target.is_of_directory):
            return errno.ENOTDIR
        if node.is_directory and (node is target.folder or _is_within(node, target.folder)):
            return errno.EINVAL
        if there is None or there is node:
            return 0
        if there.is_directory != node.is_directory:
            return errno.EISDIR if there.is_directory else errno.ENOTDIR
        return errno.ENOTEMPTY if there.entries else 0

    def _new(self, kind: str, mode: int) -> Node:
        self._made += 1
        return Node(kind, self._made, _MODES[kind] | (mode & ~0o022), self._clock())

    def _make(self, place: Place, kind: str, mode: int) -> Node:
        assert place.folder is not None
        node = place.folder.entries[place.name] = self._new(kind, mode)
        self.touch(place.folder)
        return node

    def _unlink(self, place: Place) -> None:
        assert place.folder is not None
        del place.folder.entries[place.name]
        self.touch(place.folder)


def metadata_of(node: Node) -> SimMetadata:
    return SimMetadata(
        is_file=node.type == "file",
        is_directory=node.is_directory,
        size=len(node.data),
        mode=node.mode,
        modified=node.modified,
        number=node.number,
    )


def _is_within(folder: Node, wanted: Node) -> bool:
    return any(node is wanted or _is_within(node, wanted) for node in folder.entries.values())
