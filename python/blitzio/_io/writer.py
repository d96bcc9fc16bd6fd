"""`Writer`: writes to any stream through a buffer, the caller's or its own; `AllocatingWriter`: to
memory that grows.

    buffer   ░░ handed on ░░│████ buffered ████│      room      │
             0                                end             size

Small writes are gathered. The stream is called only when the buffer is full, for what is larger
than the buffer, and by flush() and finish().

Threads: one task at a time.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Protocol

from blitzio._io.stream_calls import outcome_of, to_buffer, to_bytes_view, would_block
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import Buffer

    class _Target(Protocol):
        def write(self, data: bytes, /) -> Awaitable[int | None] | int | None: ...


#: How many bytes of a large write the stream is given at a time.
_CHUNK_BYTES = 65536
#: About how many bytes of a repeated pattern are written at a time.
_SPLAT_BYTES = 4096


class Writer:
    """Writes to any stream through a buffer.

    >>> import asyncio, io
    >>> from blitzio.io import Writer
    >>> async def main():
    ...     target = io.BytesIO()
    ...     writer = Writer(target, bytearray(64))
    ...     await writer.write_all(b"total")
    ...     await writer.write_splat(b".", 5)
    ...     before = target.getvalue(), writer.end
    ...     await writer.flush()
    ...     return before, target.getvalue()
    >>> asyncio.run(main())
    ((b'', 10), b'total.....')

    Nothing is handed on when a Writer is dropped: call flush() or finish().

    Args:
        stream: has `write(data)`, which gives how many bytes it took, or None for all of them; that
            is awaited if it can be, and so is `drain()` after a None, if there is one: the streams
            and files of this package, asyncio's, `io.BytesIO`, or an object of the caller's. A None
            of an `io.RawIOBase` means that it took nothing, as everywhere in Python.
        buffer: a writable, contiguous buffer of at least one byte, which is the Writer's from then
            on; or the size of one that it makes, in bytes.

    Raises:
        TypeError: the stream has no such function; the buffer is none, or cannot be written to.
        ValueError: the buffer has no byte.

    Every function raises what the stream raises; TypeError and ValueError if what that gives is no
    number, or none that can be; RuntimeError while another task writes. If the stream would have to
    wait (an `io.RawIOBase` takes nothing then, an `io.BufferedWriter` a part) that is
    BlockingIOError, whose `characters_written` tells how many bytes of what the call was given were
    taken: they need not be written again.
    """

    __slots__ = ("_begin", "_end", "_is_writing", "_stream", "_view")
    __reduce__ = refuse_copy

    def __init__(self, stream: _Target, buffer: Buffer | int = 8192) -> None:
        if not callable(getattr(stream, "write", None)):
            raise TypeError(f"a stream has write(), {type(stream).__name__} has not")
        self._stream: Any = stream
        self._view = to_buffer(buffer)
        self._begin = 0
        self._end = 0
        self._is_writing = False

    @property
    def buffered(self) -> memoryview:
        """What waits to be handed on; valid until the next call."""
        return self._view[self._begin : self._end].toreadonly()

    @property
    def end(self) -> int:
        """Where that ends in the buffer."""
        return self._end

    async def write(self, data: Buffer, /) -> int:
        """Takes data into the buffer, which is handed on first if there is no room; of data that is
        as large as the buffer the stream takes some at once.

        Returns:
            how many bytes were taken.

        Cancellation: none were; of large data, what the stream's own write() has then.
        """
        view = to_bytes_view(data)
        self._check_free()
        if len(view) > len(self._view) - self._end:
            await self.flush()
            if len(view) >= len(self._view):
                return await self._hand_on(view)
        self._view[self._end : self._end + len(view)] = view
        self._end += len(view)
        return len(view)

    async def write_all(self, data: Buffer, /) -> None:
        """Takes all of data.

        Cancellation: part of it may be written.
        """
        left = view = to_bytes_view(data)
        while True:
            try:
                left = left[await self.write(left) :]
            except BlockingIOError as waits:
                waits.characters_written = len(view) - len(left)
                raise
            if not left:
                return

    async def write_splat(self, pattern: Buffer, times: int) -> None:
        """Writes `pattern` so many times: padding, separators, zeros.

        Raises:
            ValueError: `times` is negative.

        Cancellation: some of it may be written.
        """
        if times < 0:
            raise ValueError(f"times must not be negative, got {times}")
        view = to_bytes_view(pattern)
        if not view or not times:
            return
        at_once = min(times, max(_SPLAT_BYTES // len(view), 1))
        piece = bytes(view) * at_once
        written = 0
        total = times * len(view)
        while written < total:
            part = piece[: total - written]
            try:
                await self.write_all(part)
            except BlockingIOError as waits:
                waits.characters_written += written
                raise
            written += len(part)

    async def flush(self) -> None:
        """Hands on all that is buffered.

        Cancellation: what was not taken stays buffered.
        """
        self._check_free()
        while self._begin < self._end:
            await self._hand_on(self.buffered, is_buffered=True)
        self._begin = self._end = 0

    async def finish(self) -> None:
        """flush(), then tells the other side that no more will come: by the stream's `finish()`,
        `shutdown("write")` or `write_eof()`, the first of these that there is. The stream stays
        open.

        Raises:
            NotImplementedError: the stream's `can_write_eof()` says that it cannot, as asyncio's
                over TLS; nothing was handed on. There flush(), and close the stream.
        """
        end = self._end_of_stream()
        await self.flush()
        await outcome_of(end())

    def _end_of_stream(self) -> Callable[[], Any]:
        stream = self._stream
        if callable(getattr(stream, "finish", None)):
            return stream.finish  # type: ignore[no-any-return]
        if callable(getattr(stream, "shutdown", None)):
            return lambda: stream.shutdown("write")
        if not callable(getattr(stream, "write_eof", None)):
            return lambda: None
        if callable(can := getattr(stream, "can_write_eof", None)) and not can():
            raise NotImplementedError(f"{type(stream).__name__} cannot end writing but by closing")
        return stream.write_eof  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        waits = self._end - self._begin
        return f"<{type(self).__name__} buffered={waits} of {len(self._view)}>"

    def _check_free(self) -> None:
        if self._is_writing:
            raise RuntimeError("another task writes already")

    async def _hand_on(self, data: memoryview, *, is_buffered: bool = False) -> int:
        """Has the stream take some of data, which is not empty. What of it was taken by a call that
        raises BlockingIOError is not lost: that is raised only if there was nothing."""
        # A copy: some streams keep what they are given, while the buffer is used again.
        part = bytes(data[:_CHUNK_BYTES])
        self._is_writing = True
        try:
            try:
                count = await outcome_of(self._stream.write(part))
            except BlockingIOError as waits:
                count = getattr(waits, "characters_written", 0)
                waits.characters_written = 0  # Of what the caller wants to write.
                if count == 0:
                    raise
            is_all = count is None
            if is_all and isinstance(self._stream, io.RawIOBase):
                raise would_block()
            if is_all:
                count = len(part)
            elif not isinstance(count, int):
                raise TypeError(f"write() must give an int or None, not {type(count).__name__}")
            elif not 0 < count <= len(part):
                raise ValueError(f"the stream was given {len(part)} bytes and took {count}")
            if is_buffered:
                self._begin += count
            if is_all and callable(drain := getattr(self._stream, "drain", None)):
                await outcome_of(drain())
        finally:
            self._is_writing = False
        return count


class _Memory:
    """A stream that keeps what it is given."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes, /) -> int:
        self.data += data
        return len(data)


class AllocatingWriter(Writer):
    """A Writer whose bytes stay in memory.

    >>> import asyncio
    >>> from blitzio.io import AllocatingWriter
    >>> async def greet(out):
    ...     await out.write_all(b"hello")
    >>> writer = AllocatingWriter()
    >>> asyncio.run(greet(writer))
    >>> writer.text()
    'hello'
    """

    __slots__ = ("_memory",)

    def __init__(self) -> None:
        self._memory = _Memory()
        super().__init__(self._memory, 512)

    def written(self) -> bytes:
        """What was written, flushed or not."""
        return bytes(self._memory.data) + bytes(self.buffered)

    def text(self, encoding: str = "utf-8") -> str:
        """That, decoded. UnicodeDecodeError if it is no such text."""
        return self.written().decode(encoding)

    def take(self) -> bytes:
        """What was written, and forgets it."""
        taken = self.written()
        self._memory.data.clear()
        self._begin = self._end = 0
        return taken
