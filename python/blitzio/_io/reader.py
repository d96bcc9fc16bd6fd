"""`Reader`: reads any stream through a buffer, the caller's or its own, and shows the bytes in it.

    buffer   ░░░░ consumed ░░░░│████ buffered ████│      room      │
             0                seek               end             size

One function stands for the stream: it is chosen when the Reader is made, and called only when the
buffer has not what is asked for.

Threads: one task at a time.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any, Protocol

from blitzio._io.stream_calls import outcome_of, to_buffer, to_bytes_view, would_block
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import Buffer, Self

    class _ReadsInto(Protocol):
        def read_into(self, buffer: Buffer, /) -> Awaitable[int]: ...

    class _Reads(Protocol):
        def read(self, n: int, /) -> Awaitable[bytes] | bytes: ...

    _Source = _ReadsInto | _Reads
    _ReadSome = Callable[[memoryview], Awaitable[int]]

#: How many bytes at most are asked for at a time, and allocated, past the buffer.
_CHUNK_BYTES = 65536


class Reader:
    """Reads any stream through a buffer, and shows the bytes in it.

    >>> import asyncio, io
    >>> from blitzio.io import Reader
    >>> async def main():
    ...     reader = Reader(io.BytesIO(b"GET / HTTP/1.1\\r\\nbody"), bytearray(64))
    ...     request = bytes(await reader.take_until(b"\\r\\n"))
    ...     return request, reader.seek, reader.end, await reader.read_to_end()
    >>> asyncio.run(main())
    (b'GET / HTTP/1.1\\r\\n', 16, 20, b'body')

    What `buffered`, peek() and take() give lies in the buffer: it is valid until the next call of
    anything that reads. The other functions give bytes of their own.

    Cancellation: loses no byte, unless a function says so.

    Args:
        stream: has `read_into(buffer)`, `readinto1(buffer)` or `read(n)`, the first of these that
            there is, whose result is awaited if it can be: the streams and files of this package,
            asyncio's, `io.BytesIO`, or an object of the caller's. No bytes are its end.
        buffer: a writable, contiguous buffer of at least one byte, which is the Reader's from then
            on; or the size of one that it makes, in bytes.

    Raises:
        TypeError: the stream has no such function; the buffer is none, or cannot be written to.
        ValueError: the buffer has no byte.

    Every function raises what the stream raises; TypeError and ValueError if what that gives are
    no bytes, or more than were asked for; BlockingIOError if it is a file of Python's that does not
    block and has nothing; RuntimeError while another task reads.
    """

    __slots__ = ("_begin", "_end", "_is_fixed", "_is_reading", "_read_some", "_view")
    __reduce__ = refuse_copy

    def __init__(self, stream: _Source, buffer: Buffer | int = 8192) -> None:
        self._read_some = _reading(stream)
        self._view = to_buffer(buffer)
        self._begin = 0
        self._end = 0
        self._is_fixed = False
        self._is_reading = False

    @classmethod
    def fixed(cls, data: Buffer, /) -> Self:
        """Of bytes that are all there, and are their own buffer, which is never written to.

        >>> reader = Reader.fixed(b"one\\ntwo\\n")
        >>> reader.end
        8
        """
        reader = cls.__new__(cls)
        reader._view = to_bytes_view(data)
        reader._begin = 0
        reader._end = len(reader._view)
        reader._is_fixed = True
        reader._is_reading = False
        return reader

    # ---- what is there -----------------------------------------------------------------------

    @property
    def buffered(self) -> memoryview:
        """What is there without reading."""
        return self._view[self._begin : self._end].toreadonly()

    @property
    def seek(self) -> int:
        """Where the bytes that are not consumed begin in the buffer."""
        return self._begin

    @property
    def end(self) -> int:
        """Where they end."""
        return self._end

    def consume(self, count: int, /) -> None:
        """Takes the first `count` buffered bytes.

        Raises:
            ValueError: fewer are buffered.
        """
        self._check_free()
        if not 0 <= count <= self._end - self._begin:
            raise ValueError(f"{self._end - self._begin} bytes are buffered, not {count}")
        self._begin += count
        if self._begin == self._end and not self._is_fixed:
            self._begin = self._end = 0

    async def fill(self) -> int:
        """Reads once from the stream, behind what is buffered already.

        Returns:
            how many bytes came; 0 at the end, or if the buffer is full.
        """
        self._check_free()
        if self._is_fixed:
            return 0
        if self._end == len(self._view) and self._begin > 0:
            left = self._end - self._begin
            self._view[:left] = self._view[self._begin : self._end]
            self._begin, self._end = 0, left
        room = self._view[self._end :]
        if not room:
            return 0
        self._is_reading = True
        try:
            count = await self._read_some(room)
        finally:
            self._is_reading = False
        self._end += count
        return count

    # ---- in the buffer -----------------------------------------------------------------------

    async def peek(self, count: int, /) -> memoryview:
        """The next `count` bytes, which stay.

        Raises:
            asyncio.LimitOverrunError: the buffer does not hold so many.
            asyncio.IncompleteReadError: the stream has fewer; they stay, and `partial` has them.
            ValueError: `count` is negative.
        """
        if not await self._gather(count):
            raise asyncio.IncompleteReadError(bytes(self.buffered), count)
        return self.buffered[:count]

    async def take(self, count: int, /) -> memoryview:
        """As peek(), and consumes them."""
        taken = await self.peek(count)
        self.consume(count)
        return taken

    async def peek_until(self, delimiter: Buffer, /) -> memoryview:
        """The bytes up to and with the next delimiter, or up to the end; none at the end. They
        stay.

        Raises:
            asyncio.LimitOverrunError: the buffer is full without one.
            ValueError: the delimiter has no byte.
        """
        found = await self._find(delimiter, len(self._view))
        return self.buffered[: self._end - self._begin if found is None else found]

    async def take_until(self, delimiter: Buffer, /) -> memoryview:
        """As peek_until(), and consumes them."""
        taken = await self.peek_until(delimiter)
        self.consume(len(taken))
        return taken

    async def discard(self, count: int, /) -> int:
        """Skips `count` bytes, or all to the end.

        Returns:
            how many.

        Cancellation: some may have been skipped.
        """
        left = _checked_count(count)
        while left:
            have = min(left, self._end - self._begin)
            self.consume(have)
            left -= have
            if left and not await self.fill():
                break
        return count - left

    # ---- bytes of their own, as streams have it ------------------------------------------------

    async def read(self, n: int = 65536, /) -> bytes:
        """Gives what is buffered, at most n bytes, else what the stream has; none at the end."""
        if _checked_count(n) and self._begin == self._end:
            await self.fill()
        return self._take(min(n, self._end - self._begin))

    async def read_into(self, buffer: Buffer, /) -> int:
        """read() into a writable buffer; into one that is larger than the Reader's at once.

        Returns:
            how many bytes came.
        """
        into = to_bytes_view(buffer, is_written=True)
        self._check_free()
        if self._begin == self._end and into:
            if len(into) >= len(self._view) and not self._is_fixed:
                self._is_reading = True
                try:
                    return await self._read_some(into)
                finally:
                    self._is_reading = False
            await self.fill()
        count = min(len(into), self._end - self._begin)
        into[:count] = self._view[self._begin : self._begin + count]
        self.consume(count)
        return count

    async def read_exact(self, n: int, /) -> bytes:
        """Reads exactly n bytes.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.

        Cancellation: if n is more than the buffer holds, what came is lost.
        """
        if n <= len(self._view) or self._is_fixed:
            if not await self._gather(n):
                raise asyncio.IncompleteReadError(self._take(self._end - self._begin), n)
            return self._take(n)
        # Grows with what comes: n may be a number that the other side has sent.
        whole = bytearray()
        part = memoryview(bytearray(min(n, _CHUNK_BYTES)))
        while left := n - len(whole):
            count = await self.read_into(part[:left])
            if not count:
                raise asyncio.IncompleteReadError(bytes(whole), n)
            whole += part[:count]
        return bytes(whole)

    async def read_until(self, separator: Buffer, limit: int | None = None) -> bytes:
        """Reads up to and with the separator.

        Args:
            limit: how many bytes at most; None, and at most: as many as the buffer holds.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.
            asyncio.LimitOverrunError: it is not within the limit; the bytes stay.
            ValueError: the separator has no byte; the limit is negative.
        """
        size = len(self._view)
        most = size if limit is None else min(_checked_count(limit), size)
        found = await self._find(separator, most)
        if found is None:
            raise asyncio.IncompleteReadError(self._take(self._end - self._begin), None)
        return self._take(found)

    async def read_line(self, limit: int | None = None) -> bytes:
        """Reads a line, with its end; at the end of the stream what is left. Limit as read_until().

        `async for line in reader` reads all of them.
        """
        try:
            return await self.read_until(b"\n", limit)
        except asyncio.IncompleteReadError as end:
            return end.partial

    async def read_to_end(self, limit: int | None = None) -> bytes:
        """Reads all that is to come.

        Raises:
            asyncio.LimitOverrunError: it is more than `limit` bytes; what came is lost.
            ValueError: the limit is negative.

        Cancellation: what came is lost.
        """
        if limit is not None:
            _checked_count(limit)
        whole = bytearray()
        while part := await self.read():
            whole += part
            if limit is not None and len(whole) > limit:
                raise asyncio.LimitOverrunError(f"more than {limit} bytes came", len(whole))
        return bytes(whole)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if line := await self.read_line():
            return line
        raise StopAsyncIteration

    def __repr__(self) -> str:
        return f"<{type(self).__name__} seek={self._begin} end={self._end} of {len(self._view)}>"

    # ---- parts -------------------------------------------------------------------------------

    def _check_free(self) -> None:
        if self._is_reading:
            raise RuntimeError("another task reads already")

    def _take(self, count: int) -> bytes:
        taken = bytes(self._view[self._begin : self._begin + count])
        self.consume(count)
        return taken

    async def _gather(self, count: int) -> bool:
        """Has `count` bytes in the buffer. Returns False if the stream ended before."""
        self._check_free()
        if _checked_count(count) > len(self._view) and not self._is_fixed:
            raise asyncio.LimitOverrunError(
                f"{count} bytes are more than the {len(self._view)} of the buffer",
                self._end - self._begin,
            )
        while self._end - self._begin < count:
            if not await self.fill():
                return False
        return True

    async def _find(self, delimiter: Buffer, limit: int) -> int | None:
        """Fills until there is a delimiter. Returns how many bytes there are up to and with it;
        None: the stream ended before."""
        wanted = bytes(to_bytes_view(delimiter))
        if not wanted:
            raise ValueError("the delimiter must have at least one byte")
        self._check_free()
        searched = 0
        while True:
            have = self._end - self._begin
            at = bytes(self._view[self._begin + searched : self._end]).find(wanted)
            if at >= 0 and searched + at + len(wanted) <= limit:
                return searched + at + len(wanted)
            is_full = have == len(self._view) and not self._is_fixed
            if at >= 0 or have > limit or is_full:
                raise asyncio.LimitOverrunError(f"no {wanted!r} in the first {limit} bytes", have)
            searched = max(have - len(wanted) + 1, 0)
            if not await self.fill():
                return None


def _checked_count(count: int) -> int:
    if count < 0:
        raise ValueError(f"a number of bytes must not be negative, got {count}")
    return count


def _reading(stream: Any) -> _ReadSome:
    """The function that reads some bytes of `stream` into a view, and says how many."""
    for name in ("read_into", "readinto1"):
        into = getattr(stream, name, None)
        if callable(into):

            async def read_into(room: memoryview, into: Callable[[Any], Any] = into) -> int:
                count = await outcome_of(into(room))
                if count is None and isinstance(stream, io.IOBase):
                    raise would_block()
                return _checked_answer(count, len(room), count)

            return read_into
    read = getattr(stream, "read", None)
    if not callable(read):
        raise TypeError(f"a stream has read_into() or read(), {type(stream).__name__} has neither")

    async def read_and_copy(room: memoryview) -> int:
        data = await outcome_of(read(len(room)))
        if data is None and isinstance(stream, io.IOBase):
            raise would_block()
        try:
            view = to_bytes_view(data)
        except TypeError:
            raise TypeError(f"read() must give bytes, not {type(data).__name__}") from None
        count = _checked_answer(len(view), len(room), data)
        room[:count] = view
        return count

    return read_and_copy


def _checked_answer(count: Any, room: int, answer: object) -> int:
    if not isinstance(count, int):
        raise TypeError(f"read_into() must give an int, not {type(answer).__name__}")
    if not 0 <= count <= room:
        raise ValueError(f"the stream was asked for at most {room} bytes and gave {count}")
    return count
