"""Open files: `blitzio.fs`."""

from collections.abc import Coroutine, Generator, Iterable
from types import GenericAlias, TracebackType
from typing import Any, Generic, TypeVar, final

from typing_extensions import Buffer, Self

from blitzio._duration import Seconds as _Seconds
from blitzio._native import Awaitable

_T_co = TypeVar("_T_co", covariant=True)

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

class _OpenFile:
    """What both kinds of file have. Not a class at run time."""

    @property
    def name(self) -> str | bytes | int:
        """What it was opened by: a path, or a descriptor."""

    @property
    def mode(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    def truncate(self, size: int | None = None, /) -> Awaitable[int]:
        """Cut, or lengthen with zeros: to the position, or `size` bytes. Gives the length."""

    def blocking_truncate(
        self, size: int | None = None, /, *, timeout: _Seconds | None = None
    ) -> int:
        """truncate() for threads. TimeoutError after `timeout` seconds."""

    def flush(self) -> Awaitable[None]:
        """Write what is buffered."""

    def blocking_flush(self, timeout: _Seconds | None = None) -> None:
        """flush() for threads. TimeoutError after `timeout` seconds."""

    def sync_all(self) -> Awaitable[None]:
        """flush(), then wait until content and metadata are on the disk."""

    def blocking_sync_all(self, timeout: _Seconds | None = None) -> None:
        """sync_all() for threads. TimeoutError after `timeout` seconds."""

    def sync_data(self) -> Awaitable[None]:
        """That, with what is needed to read the content."""

    def blocking_sync_data(self, timeout: _Seconds | None = None) -> None:
        """sync_data() for threads. TimeoutError after `timeout` seconds."""

    def metadata(self) -> Awaitable[Metadata]:
        """What stat() gives, with all that was written."""

    def blocking_metadata(self, timeout: _Seconds | None = None) -> Metadata:
        """metadata() for threads. TimeoutError after `timeout` seconds."""

    def set_permissions(self, mode: int, /) -> Awaitable[None]:
        """As chmod()."""

    def blocking_set_permissions(self, mode: int, /, *, timeout: _Seconds | None = None) -> None:
        """set_permissions() for threads. TimeoutError after `timeout` seconds."""

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
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Awaitable[None]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class File(_OpenFile):
    """An open file of bytes, with the methods of Python's own, awaitable.

    In a plain thread: `blocking_…`, and `with`.

    Several tasks may use it: those that use its position take turns.
    Cancellation: a read has consumed nothing; a write may have happened, or a part of it, and goes
    on meanwhile if a thread was at it.

    >>> async with fs.open(folder + "/file", "w+b") as file:
    ...     await file.write(b"content")
    ...     await file.read_at(3, 4)
    7
    b'ent'

    Raises:
        OSError: of the system.
        ValueError: the file is closed.
        io.UnsupportedOperation: it was not opened for this.
    """

    def read(self, size: int | None = -1, /) -> Awaitable[bytes]:
        """Read `size` bytes, or fewer at the end; all that is left if it is negative or None."""

    def blocking_read(self, size: int | None = -1, /, *, timeout: _Seconds | None = None) -> bytes:
        """read() for threads. TimeoutError after `timeout` seconds."""

    def read1(self, size: int | None = -1, /) -> Awaitable[bytes]:
        """Read at most `size` bytes with at most one call of the system."""

    def blocking_read1(self, size: int | None = -1, /, *, timeout: _Seconds | None = None) -> bytes:
        """read1() for threads. TimeoutError after `timeout` seconds."""

    def readinto(self, buffer: Buffer, /) -> Awaitable[int]:
        """Read into a writable buffer until it is full, or the end. Gives how many bytes."""

    def blocking_readinto(self, buffer: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """readinto() for threads. TimeoutError after `timeout` seconds."""

    def readinto1(self, buffer: Buffer, /) -> Awaitable[int]:
        """That, with at most one call of the system."""

    def blocking_readinto1(self, buffer: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """readinto1() for threads. TimeoutError after `timeout` seconds."""

    def readline(self, size: int | None = -1, /) -> Awaitable[bytes]:
        """Read a line with its end, at most `size` bytes of it; none at the end.

        `async for line in file` reads all of them.
        """

    def blocking_readline(
        self, size: int | None = -1, /, *, timeout: _Seconds | None = None
    ) -> bytes:
        """readline() for threads. TimeoutError after `timeout` seconds."""

    def readlines(self, hint: int | None = -1, /) -> Awaitable[list[bytes]]:
        """Read the lines that are left, or until they have more than `hint` bytes."""

    def blocking_readlines(
        self, hint: int | None = -1, /, *, timeout: _Seconds | None = None
    ) -> list[bytes]:
        """readlines() for threads. TimeoutError after `timeout` seconds."""

    def peek(self, size: int | None = 0, /) -> Awaitable[bytes]:
        """What is read ahead, at least a byte unless at the end; it stays. `size` says nothing."""

    def blocking_peek(self, size: int | None = 0, /, *, timeout: _Seconds | None = None) -> bytes:
        """peek() for threads. TimeoutError after `timeout` seconds."""

    def write(self, data: Buffer, /) -> Awaitable[int]:
        """Write all of data, or keep it in the buffer. Gives how many bytes that are.

        What write() has taken is written in the end, unless writing fails: then flush() or close()
        says so.
        """

    def blocking_write(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """write() for threads. TimeoutError after `timeout` seconds."""

    def writelines(self, lines: Iterable[Buffer], /) -> Awaitable[None]:
        """Write each of the lines, which bring their ends."""

    def blocking_writelines(
        self, lines: Iterable[Buffer], /, *, timeout: _Seconds | None = None
    ) -> None:
        """writelines() for threads. TimeoutError after `timeout` seconds."""

    def seek(self, offset: int, whence: int = 0, /) -> Awaitable[int]:
        """Move the position: from the start, from where it is (1), from the end (2)."""

    def blocking_seek(
        self, offset: int, whence: int = 0, /, *, timeout: _Seconds | None = None
    ) -> int:
        """seek() for threads. TimeoutError after `timeout` seconds."""

    def tell(self) -> Awaitable[int]:
        """The position, in bytes."""

    def blocking_tell(self, timeout: _Seconds | None = None) -> int:
        """tell() for threads. TimeoutError after `timeout` seconds."""

    def read_at(self, size: int, offset: int, /) -> Awaitable[bytes]:
        """Read at most `size` bytes at `offset`. The position stays; tasks need no turns."""

    def write_at(self, data: Buffer, offset: int, /) -> Awaitable[int]:
        """Write all of data at `offset`; to the end if the file was opened for appending."""

    def try_read_at(self, size: int, offset: int, /) -> bytes | None:
        """read_at(), now; None if it would have to wait for a disk, or what was written before."""

    def try_write_at(self, data: Buffer, offset: int, /) -> int | None:
        """write_at(), now; may write a part. None if it would have to wait."""

    def blocking_read_at(self, size: int, offset: int, /) -> bytes:
        """read_at(), for plain threads."""

    def blocking_write_at(self, data: Buffer, offset: int, /) -> int:
        """write_at(), for plain threads; may write a part."""

    def set_len(self, size: int, /) -> Awaitable[None]:
        """Cut, or lengthen with zeros."""

    def blocking_set_len(self, size: int, /, *, timeout: _Seconds | None = None) -> None:
        """set_len() for threads. TimeoutError after `timeout` seconds."""

    def close(self) -> Awaitable[None]:
        """Write what is buffered, and close. Again: nothing.

        It is closed also if that fails, and if it is cancelled while it closes; not if it is
        cancelled while it writes.
        """

    def blocking_close(self, timeout: _Seconds | None = None) -> None:
        """close() for threads. TimeoutError after `timeout` seconds."""

    def __anext__(self) -> Awaitable[bytes]: ...

@final
class TextFile(_OpenFile):
    """An open file of text. As File, with characters for bytes.

    >>> async with fs.open(folder + "/file", "w+") as file:
    ...     await file.writelines(["one\\n", "two\\n"])
    ...     await file.seek(0)
    ...     [line async for line in file]
    0
    ['one\\n', 'two\\n']
    """
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

    def blocking_read(self, size: int | None = -1, /, *, timeout: _Seconds | None = None) -> str:
        """read() for threads. TimeoutError after `timeout` seconds."""

    def readline(self, size: int | None = -1, /) -> Awaitable[str]:
        """Read a line with its end, at most `size` characters of it; "" at the end.

        `async for line in file` reads all of them.
        """

    def blocking_readline(
        self, size: int | None = -1, /, *, timeout: _Seconds | None = None
    ) -> str:
        """readline() for threads. TimeoutError after `timeout` seconds."""

    def readlines(self, hint: int | None = -1, /) -> Awaitable[list[str]]:
        """Read the lines that are left, or until they have more than `hint` characters."""

    def blocking_readlines(
        self, hint: int | None = -1, /, *, timeout: _Seconds | None = None
    ) -> list[str]:
        """readlines() for threads. TimeoutError after `timeout` seconds."""

    def write(self, text: str, /) -> Awaitable[int]:
        """Write all of text, or keep it in the buffer. Gives how many characters that are."""

    def blocking_write(self, text: str, /, *, timeout: _Seconds | None = None) -> int:
        """write() for threads. TimeoutError after `timeout` seconds."""

    def writelines(self, lines: Iterable[str], /) -> Awaitable[None]:
        """Write each of the lines, which bring their ends."""

    def blocking_writelines(
        self, lines: Iterable[str], /, *, timeout: _Seconds | None = None
    ) -> None:
        """writelines() for threads. TimeoutError after `timeout` seconds."""

    def seek(self, cookie: int, whence: int = 0, /) -> Awaitable[int]:
        """Move to what tell() gave, or to the end with seek(0, 2)."""

    def blocking_seek(
        self, cookie: int, whence: int = 0, /, *, timeout: _Seconds | None = None
    ) -> int:
        """seek() for threads. TimeoutError after `timeout` seconds."""

    def tell(self) -> Awaitable[int]:
        """The position, for seek(): in most encodings the offset in bytes."""

    def blocking_tell(self, timeout: _Seconds | None = None) -> int:
        """tell() for threads. TimeoutError after `timeout` seconds."""

    def set_len(self, size: int, /) -> Awaitable[None]:
        """Cut, or lengthen with zeros, to so many bytes."""

    def blocking_set_len(self, size: int, /, *, timeout: _Seconds | None = None) -> None:
        """set_len() for threads. TimeoutError after `timeout` seconds."""

    def close(self) -> Awaitable[None]:
        """Write what is buffered, and close. Again: nothing."""

    def blocking_close(self, timeout: _Seconds | None = None) -> None:
        """close() for threads. TimeoutError after `timeout` seconds."""

    def __anext__(self) -> Awaitable[str]: ...
