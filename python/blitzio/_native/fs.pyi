"""Files, paths and watching: what `blitzio.fs` is made of.

Thread: an open file is used by one task at a time where its position counts, else by any.
"""

import os
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, final, overload

from typing_extensions import Buffer

from blitzio._duration import Seconds as _Seconds
from blitzio._native import Awaitable
from blitzio._native._files import File as File
from blitzio._native._files import Metadata as Metadata
from blitzio._native._files import Opening as Opening
from blitzio._native._files import TextFile as TextFile

_Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_TextMode: TypeAlias = Literal[
    "r", "r+", "+r", "rt", "tr", "rt+", "r+t", "+rt", "tr+", "t+r", "+tr",
    "w", "w+", "+w", "wt", "tw", "wt+", "w+t", "+wt", "tw+", "t+w", "+tw",
    "a", "a+", "+a", "at", "ta", "at+", "a+t", "+at", "ta+", "t+a", "+ta",
    "x", "x+", "+x", "xt", "tx", "xt+", "x+t", "+xt", "tx+", "t+x", "+tx",
]  # fmt: skip
_BinaryMode: TypeAlias = Literal[
    "rb", "br", "rb+", "r+b", "+rb", "br+", "b+r", "+br",
    "wb", "bw", "wb+", "w+b", "+wb", "bw+", "b+w", "+bw",
    "ab", "ba", "ab+", "a+b", "+ab", "ba+", "b+a", "+ba",
    "xb", "bx", "xb+", "x+b", "+xb", "bx+", "b+x", "+bx",
]  # fmt: skip

@overload
def open(
    file: _Path | int,
    mode: _TextMode = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> Opening[TextFile]:
    """Open a file, as open() does. Await it, or enter it with `async with`.

    Args:
        file: a path, or a descriptor, which is taken over.
        mode: as open() has it; with "b" the file is one of bytes.
        buffering: bytes of the buffer; 0: none, of bytes only; 1: of text, lines; -1: 16 KiB.
        encoding, errors, newline: as open() has them, of text only.

    Raises:
        OSError: FileNotFoundError, PermissionError, …, with `filename`.
        ValueError: the arguments contradict each other, or the path has a NUL byte.
        LookupError: there is no such encoding, or no such way with errors.

    >>> async with fs.open(folder + "/log", "w") as file:
    ...     await file.write("text")
    4
    """

@overload
def open(
    file: _Path | int,
    mode: _BinaryMode,
    buffering: int = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
) -> Opening[File]: ...
@overload
def open(
    file: _Path | int,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> Opening[File | TextFile]: ...
@overload
def blocking_open(
    file: _Path | int,
    mode: _TextMode = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> TextFile:
    """open(), for plain threads."""

@overload
def blocking_open(
    file: _Path | int,
    mode: _BinaryMode,
    buffering: int = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
) -> File: ...
@overload
def blocking_open(
    file: _Path | int,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> File | TextFile: ...
def read_file(path: _Path) -> Awaitable[bytes]:
    """The whole content.

    Raises:
        OSError: FileNotFoundError, IsADirectoryError, …, with `filename`.

    >>> await fs.write_file(folder + "/file", b"content")
    >>> await fs.read_file(folder + "/file")
    b'content'
    """

def blocking_read_file(path: _Path) -> bytes:
    """read_file(), for plain threads."""

def read_text(
    path: _Path, encoding: str | None = None, errors: str | None = None, newline: str | None = None
) -> Awaitable[str]:
    """The whole content, decoded as open() does.

    Raises:
        OSError: as read_file().
        UnicodeDecodeError: it is not in this encoding.
        LookupError: there is no such encoding.

    >>> await fs.write_text(folder + "/file", "ä", encoding="utf-8")
    >>> await fs.read_text(folder + "/file", encoding="utf-8")
    'ä'
    """

def blocking_read_text(
    path: _Path, encoding: str | None = None, errors: str | None = None, newline: str | None = None
) -> str:
    """read_text(), for plain threads."""

def write_file(path: _Path, data: Buffer, mode: int = 0o666) -> Awaitable[None]:
    """Make data the content of the file, which is made if there is none; mode before the umask.

    Not atomic: a reader may see a part.

    Raises:
        OSError: ENOENT of the folder, EACCES, ENOSPC, …, with `filename`.

    >>> await fs.write_file(folder + "/file", b"content")
    """

def blocking_write_file(path: _Path, data: Buffer, mode: int = 0o666) -> None:
    """write_file(), for plain threads."""

def append(path: _Path, data: Buffer, mode: int = 0o666) -> Awaitable[None]:
    """Write data to the end of the file, which is made if there is none.

    >>> await fs.append(folder + "/file", b"more")
    """

def blocking_append(path: _Path, data: Buffer, mode: int = 0o666) -> None:
    """append(), for plain threads."""

def write_text(
    path: _Path,
    text: str,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> Awaitable[None]:
    """write_file() of text, encoded as open() does.

    >>> await fs.write_text(folder + "/file", "text")
    """

def blocking_write_text(
    path: _Path,
    text: str,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> None:
    """write_text(), for plain threads."""

def append_text(
    path: _Path,
    text: str,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> Awaitable[None]:
    """append() of text.

    >>> await fs.append_text(folder + "/file", "more")
    """

def blocking_append_text(
    path: _Path,
    text: str,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> None:
    """append_text(), for plain threads."""

def stat(path: _Path, follow_symlinks: bool = True) -> Awaitable[Metadata]:
    """What is known of a file: sizes in bytes, times in seconds since 1970.

    Args:
        follow_symlinks: of a symbolic link, what it leads to; else the link itself.

    Raises:
        OSError: FileNotFoundError, PermissionError, …, with `filename`.

    >>> (await fs.stat(folder)).is_directory
    True
    """

def blocking_stat(path: _Path, follow_symlinks: bool = True) -> Metadata:
    """stat(), for plain threads."""

def exists(path: _Path) -> Awaitable[bool]:
    """Whether there is anything; a symbolic link that leads nowhere is nothing, and so is what no
    file can be called, as with a NUL.

    Raises:
        OSError: what keeps it from telling, as PermissionError.

    >>> await fs.exists(folder), await fs.exists(folder + "/file")
    (True, False)
    """

def blocking_exists(path: _Path) -> bool:
    """exists(), for plain threads."""

def mkdir(path: _Path, mode: int = 0o777) -> Awaitable[None]:
    """Make a directory; mode before the umask.

    Raises:
        OSError: FileExistsError, FileNotFoundError of what is above it, …, with `filename`.

    >>> await fs.mkdir(folder + "/new", 0o700)
    """

def blocking_mkdir(path: _Path, mode: int = 0o777) -> None:
    """mkdir(), for plain threads."""

def mkdir_all(path: _Path, mode: int = 0o777) -> Awaitable[None]:
    """Make a directory and what is missing above it; one that is there is no error.

    >>> await fs.mkdir_all(folder + "/new/and below")
    """

def blocking_mkdir_all(path: _Path, mode: int = 0o777) -> None:
    """mkdir_all(), for plain threads."""

def set_permissions(path: _Path, mode: int) -> Awaitable[None]:
    """As chmod(); follows symbolic links.

    >>> await fs.set_permissions(folder, 0o700)
    """

def blocking_set_permissions(path: _Path, mode: int) -> None:
    """set_permissions(), for plain threads."""

def remove_dir(path: _Path) -> Awaitable[None]:
    """Remove an empty directory.

    Raises:
        OSError: ENOTEMPTY, ENOENT, ENOTDIR, …, with `filename`.

    >>> await fs.mkdir(folder + "/new")
    >>> await fs.remove_dir(folder + "/new")
    """

def blocking_remove_dir(path: _Path) -> None:
    """remove_dir(), for plain threads."""

def remove_dir_all(path: _Path) -> Awaitable[None]:
    """Remove a directory and everything in it; of a symbolic link in it, the link.

    >>> await fs.mkdir_all(folder + "/new/and below")
    >>> await fs.remove_dir_all(folder + "/new")
    """

def blocking_remove_dir_all(path: _Path) -> None:
    """remove_dir_all(), for plain threads."""

def remove(path: _Path) -> Awaitable[None]:
    """Remove a file or a symbolic link.

    >>> await fs.write_file(folder + "/file", b"")
    >>> await fs.remove(folder + "/file")
    """

def blocking_remove(path: _Path) -> None:
    """remove(), for plain threads."""

def rename(source: _Path, target: _Path) -> Awaitable[None]:
    """Rename; replaces what is at target.

    Raises:
        OSError: ENOENT, EXDEV between file systems, …, with `filename` and `filename2`.

    >>> await fs.write_file(folder + "/old", b"")
    >>> await fs.rename(folder + "/old", folder + "/new")
    """

def blocking_rename(source: _Path, target: _Path) -> None:
    """rename(), for plain threads."""

def copy(source: _Path, target: _Path) -> Awaitable[int]:
    """Copy content and permissions of a file; replaces the content at target. Gives the bytes.

    Raises:
        OSError: EINVAL if both are the same file.

    >>> await fs.write_file(folder + "/file", b"content")
    >>> await fs.copy(folder + "/file", folder + "/copy")
    7
    """

def blocking_copy(source: _Path, target: _Path) -> int:
    """copy(), for plain threads."""

def read_link(path: _Path) -> Awaitable[Any]:
    """Where a symbolic link leads; bytes if path is bytes.

    >>> await fs.symlink("target", folder + "/link")
    >>> await fs.read_link(folder + "/link")
    'target'
    """

def blocking_read_link(path: _Path) -> Any:
    """read_link(), for plain threads."""

def symlink(target: _Path, path: _Path) -> Awaitable[None]:
    """Make path a symbolic link to target.

    >>> await fs.symlink("target", folder + "/link")
    """

def blocking_symlink(target: _Path, path: _Path) -> None:
    """symlink(), for plain threads."""

def hard_link(target: _Path, path: _Path) -> Awaitable[None]:
    """Make path another name of the file target.

    >>> await fs.write_file(folder + "/file", b"")
    >>> await fs.hard_link(folder + "/file", folder + "/other name")
    """

def blocking_hard_link(target: _Path, path: _Path) -> None:
    """hard_link(), for plain threads."""

def read_dir(path: _Path) -> Awaitable[list[tuple[Any, str, int]]]:
    """Everything in a directory, in no order: (name, type, inode)."""

def blocking_read_dir(path: _Path) -> list[tuple[Any, str, int]]:
    """read_dir(), for plain threads."""

def blocking_temp_dir(parent: _Path, prefix: _Path) -> Any:
    """Make a directory of a name nobody else has. Gives its path."""

def temp_file(parent: _Path, /) -> Awaitable[File]:
    """A file without a name."""

def blocking_temp_file(parent: _Path, /, *, timeout: _Seconds | None = None) -> File:
    """temp_file(), for plain threads."""

def blocking_named_temp_file(parent: _Path, prefix: _Path, /) -> tuple[File, Any]:
    """A file of a name nobody else has, and its path."""

def set_inline_writes(allowed: bool, /) -> None:
    """Whether writing and changing folders may be tried on the loop's thread, here.

    >>> fs.set_inline_writes(True)
    """

@final
class NativeWatcher:
    """Events of files."""

    @property
    def is_closed(self) -> bool: ...
    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def next(self) -> Awaitable[tuple[str, Any, Any, bool] | None]:
        """(kind, path, from, is_directory), or None at the end."""

    def try_next(self) -> tuple[str, Any, Any, bool] | None:
        """next() now; None if there is none."""

    def close(self) -> None:
        """End it."""

def watch(paths: Iterable[_Path], recursive: bool, /) -> Awaitable[NativeWatcher]:
    """Begin to watch."""

def blocking_watch(
    paths: Iterable[_Path], recursive: bool, /, *, timeout: _Seconds | None = None
) -> NativeWatcher:
    """watch(), for plain threads."""
