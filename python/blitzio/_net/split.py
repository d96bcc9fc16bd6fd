"""`ReadHalf`, `WriteHalf`: what a stream is split into, for two tasks.

The halves share the stream, and `left`, a list of one: who takes the item out is the first of the
two to be closed, and the other, who finds none, closes the stream. Taking it is atomic, for halves
may be dropped in different threads. So is a half's own end, a list as well, for two threads may
close the same half.

>>> import asyncio
>>> from blitzio import net
>>> async def main():
...     near, far = net.UnixStream.pair()
...     reader, writer = near.split()
...     await writer.write_vectored([b"head", b"er"])
...     writer.close()
...     head, rest = bytearray(4), bytearray(8)
...     count = await far.read_vectored([head, rest])
...     far.close()
...     reader.close()
...     return count, bytes(head), bytes(rest[:2]), near.is_closed
>>> asyncio.run(main())
(6, b'head', b'er', True)
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Literal

from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from typing_extensions import Buffer, Self

    from blitzio._duration import Seconds
    from blitzio._native import Address, TcpStream, UnixStream


class _Half:
    __slots__ = ("__weakref__", "_left", "_open", "_shared")
    __reduce__ = refuse_copy

    def __init__(self, stream: TcpStream | UnixStream, left: list[None]) -> None:
        self._shared = stream
        self._left = left
        self._open = [None]  # Empty once it is closed.

    @property
    def _stream(self) -> TcpStream | UnixStream:
        if not self._open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._shared

    @property
    def local_address(self) -> Address | None:
        """The Address of this end."""
        return self._stream.local_address

    @property
    def peer_address(self) -> Address | None:
        """The Address of the other end; OSError if there is none."""
        return self._stream.peer_address

    @property
    def is_closed(self) -> bool:
        """Whether this half, or the stream, was closed."""
        return not self._open or self._shared.is_closed

    def fileno(self) -> int:
        """The descriptor, which both halves share; -1 once closed."""
        return self._shared.fileno() if self._open else -1

    def close(self) -> None:
        """Give this half up, and close the stream if the other one is closed. Idempotent.

        What waits on this half goes on, unless the stream is closed by it.
        """
        try:
            self._open.pop()
        except IndexError:
            return
        try:
            self._left.pop()
        except IndexError:
            self._shared.close()

    def __del__(self) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else f"of {self._shared!r}"
        return f"<{type(self).__name__} {state}>"


class ReadHalf(_Half):
    """The reading half of a stream, with the stream's own functions for it.

    >>> from blitzio import net
    >>> near, far = net.UnixStream.pair()
    >>> reader, writer = near.split()
    >>> far.blocking_write_all(b"first\\nsecond\\n")
    >>> reader.blocking_read_line(), reader.blocking_read()
    (b'first\\n', b'second\\n')
    >>> reader.close(); writer.close(); far.close()
    """

    __slots__ = ()

    def read(self, n: int = 65536) -> Awaitable[bytes]:
        """As the stream's."""
        return self._stream.read(n)

    def read_into(self, buffer: Buffer, /) -> Awaitable[int]:
        """As the stream's."""
        return self._stream.read_into(buffer)

    def read_vectored(self, buffers: Iterable[Buffer], /) -> Awaitable[int]:
        """As the stream's."""
        return self._stream.read_vectored(buffers)

    def read_exact(self, n: int, /) -> Awaitable[bytes]:
        """As the stream's."""
        return self._stream.read_exact(n)

    def read_until(self, separator: Buffer, limit: int = 65536) -> Awaitable[bytes]:
        """As the stream's."""
        return self._stream.read_until(separator, limit)

    def read_line(self, limit: int = 65536) -> Awaitable[bytes]:
        """As the stream's; `async for line in half` reads all of them."""
        return self._stream.read_line(limit)

    def read_to_end(self, limit: int | None = None) -> Awaitable[bytes]:
        """As the stream's."""
        return self._stream.read_to_end() if limit is None else self._stream.read_to_end(limit)

    def peek(self, n: int = 65536) -> Awaitable[bytes]:
        """As the stream's."""
        return self._stream.peek(n)

    def try_read(self, n: int = 65536) -> bytes | None:
        """As the stream's."""
        return self._stream.try_read(n)

    def try_peek(self, n: int = 65536) -> bytes | None:
        """As the stream's."""
        return self._stream.try_peek(n)

    def try_read_vectored(self, buffers: Iterable[Buffer], /) -> int | None:
        """As the stream's."""
        return self._stream.try_read_vectored(buffers)

    def blocking_read(self, n: int = 65536, *, timeout: Seconds | None = None) -> bytes:
        """As the stream's."""
        return self._stream.blocking_read(n, timeout=timeout)

    def blocking_read_exact(self, n: int, /, *, timeout: Seconds | None = None) -> bytes:
        """As the stream's."""
        return self._stream.blocking_read_exact(n, timeout=timeout)

    def blocking_read_line(self, limit: int = 65536, *, timeout: Seconds | None = None) -> bytes:
        """As the stream's."""
        return self._stream.blocking_read_line(limit, timeout=timeout)

    def blocking_read_into(self, buffer: Buffer, /, *, timeout: Seconds | None = None) -> int:
        """As the stream's."""
        return self._stream.blocking_read_into(buffer, timeout=timeout)

    def blocking_read_vectored(
        self, buffers: Iterable[Buffer], /, *, timeout: Seconds | None = None
    ) -> int:
        """As the stream's."""
        return self._stream.blocking_read_vectored(buffers, timeout=timeout)

    def blocking_read_until(
        self, separator: Buffer, limit: int = 65536, *, timeout: Seconds | None = None
    ) -> bytes:
        """As the stream's."""
        return self._stream.blocking_read_until(separator, limit, timeout=timeout)

    def blocking_read_to_end(
        self, limit: int | None = None, *, timeout: Seconds | None = None
    ) -> bytes:
        """As the stream's."""
        if limit is None:
            return self._stream.blocking_read_to_end(timeout=timeout)
        return self._stream.blocking_read_to_end(limit, timeout=timeout)

    def blocking_peek(self, n: int = 65536, *, timeout: Seconds | None = None) -> bytes:
        """As the stream's."""
        return self._stream.blocking_peek(n, timeout=timeout)

    def readable(self) -> Awaitable[None]:
        """As the stream's."""
        return self._stream.readable()

    def blocking_readable(self, timeout: Seconds | None = None) -> None:
        """As the stream's."""
        self._stream.blocking_readable(timeout)

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        return self._stream.__anext__()


class WriteHalf(_Half):
    """The writing half of a stream, with the stream's own functions for it.

    >>> from blitzio import net
    >>> near, far = net.UnixStream.pair()
    >>> reader, writer = near.split()
    >>> writer.blocking_write_all(b"all of it")
    >>> writer.close()  # Ends this way; the reading half is as it was.
    >>> far.blocking_read_to_end(), reader.is_closed
    (b'all of it', False)
    >>> reader.close(); far.close()
    """

    __slots__ = ()

    def write(self, data: Buffer, /) -> Awaitable[int]:
        """As the stream's."""
        return self._stream.write(data)

    def write_all(self, data: Buffer, /) -> Awaitable[None]:
        """As the stream's."""
        return self._stream.write_all(data)

    def write_vectored(self, buffers: Iterable[Buffer], /) -> Awaitable[int]:
        """As the stream's."""
        return self._stream.write_vectored(buffers)

    def try_write(self, data: Buffer, /) -> int:
        """As the stream's."""
        return self._stream.try_write(data)

    def try_write_vectored(self, buffers: Iterable[Buffer], /) -> int:
        """As the stream's."""
        return self._stream.try_write_vectored(buffers)

    def blocking_write(self, data: Buffer, /, *, timeout: Seconds | None = None) -> int:
        """As the stream's."""
        return self._stream.blocking_write(data, timeout=timeout)

    def blocking_write_all(self, data: Buffer, /, *, timeout: Seconds | None = None) -> None:
        """As the stream's."""
        self._stream.blocking_write_all(data, timeout=timeout)

    def blocking_write_vectored(
        self, buffers: Iterable[Buffer], /, *, timeout: Seconds | None = None
    ) -> int:
        """As the stream's."""
        return self._stream.blocking_write_vectored(buffers, timeout=timeout)

    def writable(self) -> Awaitable[None]:
        """As the stream's."""
        return self._stream.writable()

    def blocking_writable(self, timeout: Seconds | None = None) -> None:
        """As the stream's."""
        self._stream.blocking_writable(timeout)

    def finish(self) -> Awaitable[None]:
        """As the stream's: tell the peer that no more will come; the half stays open."""
        return self._stream.finish()

    def blocking_finish(self, timeout: Seconds | None = None) -> None:
        """As the stream's."""
        self._stream.blocking_finish(timeout)

    def shutdown(self, how: Literal["write"] = "write") -> None:
        """finish(), now."""
        if how != "write":
            raise ValueError(f"how must be 'write', got {how!r}")
        self._stream.shutdown("write")

    def close(self) -> None:
        """Tell the peer that no more will come, and give this half up; close the stream if the
        other one is closed. Idempotent."""
        if not self.is_closed:
            # A connection that the peer has reset has no way left to be ended.
            with contextlib.suppress(OSError):
                self._shared.shutdown("write")
        super().close()


def split(stream: TcpStream | UnixStream) -> tuple[ReadHalf, WriteHalf]:
    left = [None]
    return ReadHalf(stream, left), WriteHalf(stream, left)
