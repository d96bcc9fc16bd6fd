"""Files, paths and watching: what `blitzio.fs` is made of.

Thread: an open file is used by one task at a time where its position counts, else by any.
"""

import os
from collections.abc import Coroutine, Generator, Iterable
from types import GenericAlias, TracebackType
from typing import Any, Generic, Literal, TypeAlias, TypeVar, final, overload

from typing_extensions import Buffer, Self

from blitzio._native import Awaitable

_T_co = TypeVar("_T_co", covariant=True)
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

@final
class Metadata:
    """What is known of a file. It has the names of os.stat_result too.

    Immutable. Times are seconds since 1970.
    """

    @property
    def is_file(self) -> bool: ...
    @property
    def is_directory(self) -> bool: ...
    @property
    def is_symlink(self) -> bool: ...
    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def mode(self) -> int:
        """Type and permissions, as the module `stat` reads them."""

    @property
    def modified(self) -> float:
        """When the content changed last."""

    @property
    def changed(self) -> float:
        """When the content, or what is known of it, changed last."""

    @property
    def accessed(self) -> float:
        """When it was read last."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_ino(self) -> int: ...
    @property
    def st_dev(self) -> int: ...
    @property
    def st_nlink(self) -> int: ...
    @property
    def st_uid(self) -> int: ...
    @property
    def st_gid(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_blksize(self) -> int: ...
    @property
    def st_blocks(self) -> int: ...
    @property
    def st_rdev(self) -> int: ...
    @property
    def st_atime(self) -> float: ...
    @property
    def st_mtime(self) -> float: ...
    @property
    def st_ctime(self) -> float: ...
    @property
    def st_atime_ns(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_ctime_ns(self) -> int: ...

@final
class Opening(Coroutine[Any, Any, _T_co], Generic[_T_co]):
    """What open() returns: await it for the file, or enter it with `async with`, which closes."""

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __await__(self) -> Generator[Any, Any, _T_co]: ...
    def send(self, value: Any, /) -> Any:
        """As coroutine.send()."""

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """As coroutine.throw()."""

    def close(self) -> None:
        """As coroutine.close()."""

    def __aenter__(self) -> Awaitable[_T_co]: ...
    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Awaitable[None]: ...

@final
class File:
    """An open file of bytes, with the methods of Python's own, awaitable.

    Several tasks may use it: those that use its position take turns.

    Cancellation: a read has consumed nothing; a write may have happened, or a part of it, and goes
    on meanwhile if a thread was at it.

    Raises:
        OSError: of the system.
        ValueError: the file is closed.
        io.UnsupportedOperation: it was not opened for this.
    """

    @property
    def name(self) -> str | bytes | int:
        """What it was opened by: a path, or a descriptor."""

    @property
    def mode(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    def read(self, size: int | None = -1, /) -> Awaitable[bytes]:
        """Read `size` bytes, or fewer at the end; all that is left if it is negative or None."""

    def read1(self, size: int | None = -1, /) -> Awaitable[bytes]:
        """Read at most `size` bytes with at most one call of the system."""

    def readinto(self, buffer: Buffer, /) -> Awaitable[int]:
        """Read into a writable buffer until it is full, or the end. Gives how many bytes."""

    def readinto1(self, buffer: Buffer, /) -> Awaitable[int]:
        """That, with at most one call of the system."""

    def readline(self, size: int | None = -1, /) -> Awaitable[bytes]:
        """Read a line with its end, at most `size` bytes of it; none at the end.

        `async for line in file` reads all of them.
        """

    def readlines(self, hint: int | None = -1, /) -> Awaitable[list[bytes]]:
        """Read the lines that are left, or until they have `hint` bytes together."""

    def peek(self, size: int | None = 0, /) -> Awaitable[bytes]:
        """What is read ahead, at least a byte unless at the end; it stays. `size` says nothing."""

    def write(self, data: Buffer, /) -> Awaitable[int]:
        """Write all of data, or keep it in the buffer. Gives how many bytes that are.

        What write() has taken is written in the end, unless writing fails: then flush() or close()
        says so.
        """

    def writelines(self, lines: Iterable[Buffer], /) -> Awaitable[None]:
        """Write each of the lines, which bring their ends."""

    def seek(self, offset: int, whence: int = 0, /) -> Awaitable[int]:
        """Move the position: from the start, from where it is (1), from the end (2)."""

    def tell(self) -> Awaitable[int]:
        """The position, in bytes."""

    def read_at(self, size: int, offset: int, /) -> Awaitable[bytes]:
        """Read at most `size` bytes at `offset`. The position stays; tasks need no turns."""

    def write_at(self, data: Buffer, offset: int, /) -> Awaitable[int]:
        """Write all of data at `offset`; to the end if the file was opened for appending."""

    def try_read_at(self, size: int, offset: int, /) -> bytes | None:
        """read_at(), now; None if it would have to wait for a disk, or what was written before."""

    def try_write_at(self, data: Buffer, offset: int, /) -> int | None:
        """write_at(), now; may write a part. None if it would have to wait."""

    def blocking_read_at(self, size: int, offset: int, /) -> bytes:
        """read_at(), for plain threads; does not see what is buffered."""

    def blocking_write_at(self, data: Buffer, offset: int, /) -> int:
        """write_at(), for plain threads; may write a part."""

    def truncate(self, size: int | None = None, /) -> Awaitable[int]:
        """Cut, or lengthen with zeros: to the position, or `size` bytes. Gives the length."""

    def set_len(self, size: int, /) -> Awaitable[None]:
        """Cut, or lengthen with zeros."""

    def flush(self) -> Awaitable[None]:
        """Write what is buffered."""

    def sync_all(self) -> Awaitable[None]:
        """flush(), then wait until content and metadata are on the disk."""

    def sync_data(self) -> Awaitable[None]:
        """That, with what is needed to read the content."""

    def metadata(self) -> Awaitable[Metadata]:
        """What stat() gives, with all that was written."""

    def set_permissions(self, mode: int, /) -> Awaitable[None]:
        """As chmod()."""

    def close(self) -> Awaitable[None]:
        """Write what is buffered, and close. Again: nothing.

        It is closed also if that fails, and if it is cancelled while it closes; not if it is
        cancelled while it writes.
        """

    def fileno(self) -> int:
        """The descriptor. What is buffered is not in it yet."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""

    def readable(self) -> bool:
        """Whether it was opened for reading."""

    def writable(self) -> bool:
        """Whether it was opened for writing."""

    def seekable(self) -> bool:
        """Whether it has positions."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[bytes]: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Awaitable[None]: ...

@final
class TextFile:
    """An open file of text. As File, with characters for bytes."""

    @property
    def name(self) -> str | bytes | int:
        """What it was opened by: a path, or a descriptor."""

    @property
    def mode(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    @property
    def encoding(self) -> str: ...
    @property
    def errors(self) -> str: ...
    @property
    def line_buffering(self) -> bool: ...
    @property
    def buffer(self) -> File:
        """The File of bytes below."""

    def read(self, size: int | None = -1, /) -> Awaitable[str]:
        """Read `size` characters, or fewer at the end; all that is left if negative or None."""

    def readline(self, size: int | None = -1, /) -> Awaitable[str]:
        """Read a line with its end, at most `size` characters of it; "" at the end.

        `async for line in file` reads all of them.
        """

    def readlines(self, hint: int | None = -1, /) -> Awaitable[list[str]]:
        """Read the lines that are left, or until they have `hint` characters together."""

    def write(self, text: str, /) -> Awaitable[int]:
        """Write all of text, or keep it in the buffer. Gives how many characters that are."""

    def writelines(self, lines: Iterable[str], /) -> Awaitable[None]:
        """Write each of the lines, which bring their ends."""

    def seek(self, cookie: int, whence: int = 0, /) -> Awaitable[int]:
        """Move to what tell() gave, or to the end with seek(0, 2)."""

    def tell(self) -> Awaitable[int]:
        """The position, for seek(): in most encodings the offset in bytes."""

    def truncate(self, size: int | None = None, /) -> Awaitable[int]:
        """Cut, or lengthen with zeros: to the position, or `size` bytes. Gives the length."""

    def set_len(self, size: int, /) -> Awaitable[None]:
        """Cut, or lengthen with zeros, to so many bytes."""

    def flush(self) -> Awaitable[None]:
        """Write what is buffered."""

    def sync_all(self) -> Awaitable[None]:
        """flush(), then wait until content and metadata are on the disk."""

    def sync_data(self) -> Awaitable[None]:
        """That, with what is needed to read the content."""

    def metadata(self) -> Awaitable[Metadata]:
        """What stat() gives, with all that was written."""

    def set_permissions(self, mode: int, /) -> Awaitable[None]:
        """As chmod()."""

    def close(self) -> Awaitable[None]:
        """Write what is buffered, and close. Again: nothing."""

    def fileno(self) -> int:
        """The descriptor. What is buffered is not in it yet."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""

    def readable(self) -> bool:
        """Whether it was opened for reading."""

    def writable(self) -> bool:
        """Whether it was opened for writing."""

    def seekable(self) -> bool:
        """Whether it has positions."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[str]: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Awaitable[None]: ...

@overload
def open(
    file: _Path | int,
    mode: _TextMode = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> Opening[TextFile]:
    """Open a file, as open() does."""

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
    """The whole content."""

def blocking_read_file(path: _Path) -> bytes:
    """read_file(), for plain threads."""

def read_text(
    path: _Path, encoding: str | None = None, errors: str | None = None, newline: str | None = None
) -> Awaitable[str]:
    """The whole content, decoded as open() does."""

def blocking_read_text(
    path: _Path, encoding: str | None = None, errors: str | None = None, newline: str | None = None
) -> str:
    """read_text(), for plain threads."""

def write_file(path: _Path, data: Buffer, mode: int = 0o666) -> Awaitable[None]:
    """Make data the content of the file, which is made if there is none; mode before the umask.

    Not atomic: a reader may see a part.
    """

def blocking_write_file(path: _Path, data: Buffer, mode: int = 0o666) -> None:
    """write_file(), for plain threads."""

def append(path: _Path, data: Buffer, mode: int = 0o666) -> Awaitable[None]:
    """Write data to the end of the file, which is made if there is none."""

def blocking_append(path: _Path, data: Buffer, mode: int = 0o666) -> None:
    """append(), for plain threads."""

def write_text(
    path: _Path,
    text: str,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> Awaitable[None]:
    """write_file() of text, encoded as open() does."""

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
    """append() of text."""

def blocking_append_text(
    path: _Path,
    text: str,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> None:
    """append_text(), for plain threads."""

def stat(path: _Path, follow_symlinks: bool = True) -> Awaitable[Metadata]:
    """What is known of a file."""

def blocking_stat(path: _Path, follow_symlinks: bool = True) -> Metadata:
    """stat(), for plain threads."""

def exists(path: _Path) -> Awaitable[bool]:
    """Whether there is anything; a symbolic link that leads nowhere is nothing."""

def blocking_exists(path: _Path) -> bool:
    """exists(), for plain threads."""

def mkdir(path: _Path, mode: int = 0o777) -> Awaitable[None]:
    """Make a directory; mode before the umask."""

def blocking_mkdir(path: _Path, mode: int = 0o777) -> None:
    """mkdir(), for plain threads."""

def mkdir_all(path: _Path, mode: int = 0o777) -> Awaitable[None]:
    """Make a directory and what is missing above it; one that is there is no error."""

def blocking_mkdir_all(path: _Path, mode: int = 0o777) -> None:
    """mkdir_all(), for plain threads."""

def set_permissions(path: _Path, mode: int) -> Awaitable[None]:
    """As chmod(); follows symbolic links."""

def blocking_set_permissions(path: _Path, mode: int) -> None:
    """set_permissions(), for plain threads."""

def remove_dir(path: _Path) -> Awaitable[None]:
    """Remove an empty directory."""

def blocking_remove_dir(path: _Path) -> None:
    """remove_dir(), for plain threads."""

def remove_dir_all(path: _Path) -> Awaitable[None]:
    """Remove a directory and everything in it; of a symbolic link in it, the link."""

def blocking_remove_dir_all(path: _Path) -> None:
    """remove_dir_all(), for plain threads."""

def remove(path: _Path) -> Awaitable[None]:
    """Remove a file or a symbolic link."""

def blocking_remove(path: _Path) -> None:
    """remove(), for plain threads."""

def rename(source: _Path, target: _Path) -> Awaitable[None]:
    """Rename; replaces what is at target."""

def blocking_rename(source: _Path, target: _Path) -> None:
    """rename(), for plain threads."""

def copy(source: _Path, target: _Path) -> Awaitable[int]:
    """Copy content and permissions of a file; replaces the content at target. Gives the bytes."""

def blocking_copy(source: _Path, target: _Path) -> int:
    """copy(), for plain threads."""

def read_link(path: _Path) -> Awaitable[Any]:
    """Where a symbolic link leads; bytes if path is bytes."""

def blocking_read_link(path: _Path) -> Any:
    """read_link(), for plain threads."""

def symlink(target: _Path, path: _Path) -> Awaitable[None]:
    """Make path a symbolic link to target."""

def blocking_symlink(target: _Path, path: _Path) -> None:
    """symlink(), for plain threads."""

def hard_link(target: _Path, path: _Path) -> Awaitable[None]:
    """Make path another name of the file target."""

def blocking_hard_link(target: _Path, path: _Path) -> None:
    """hard_link(), for plain threads."""

def read_dir(path: _Path) -> Awaitable[list[tuple[Any, str, int]]]:
    """Everything in a directory, in no order: (name, type, inode)."""

def blocking_read_dir(path: _Path) -> list[tuple[Any, str, int]]:
    """read_dir(), for plain threads."""

def temp_dir(parent: _Path, prefix: _Path) -> Awaitable[Any]:
    """Make a directory of a name nobody else has. Gives its path."""

def blocking_temp_dir(parent: _Path, prefix: _Path) -> Any:
    """temp_dir(), for plain threads."""

def temp_file(parent: _Path, /) -> Awaitable[File]:
    """A file without a name."""

def named_temp_file(parent: _Path, prefix: _Path, /) -> Awaitable[tuple[File, Any]]:
    """A file of a name nobody else has, and its path."""

def set_inline_writes(allowed: bool, /) -> None:
    """Whether writing and creating may be tried on the loop's thread, in this process."""

@final
class NativeWatcher:
    """Events of files."""

    @property
    def is_closed(self) -> bool: ...
    def next(self) -> Awaitable[tuple[str, Any, Any, bool] | None]:
        """(kind, path, from, is_directory), or None at the end."""

    def try_next(self) -> tuple[str, Any, Any, bool] | None:
        """next() now; None if there is none."""

    def close(self) -> None:
        """End it."""

def watch(paths: Iterable[_Path], recursive: bool, /) -> Awaitable[NativeWatcher]:
    """Begin to watch."""
