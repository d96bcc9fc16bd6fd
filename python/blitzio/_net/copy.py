"""Moving everything from one stream to another."""

from __future__ import annotations

import asyncio
from operator import index
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from blitzio._runtime.in_thread import run_in_thread
from blitzio._task.branches import abandon, end, result_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from blitzio._duration import Seconds

_T = TypeVar("_T")


class ReadStream(Protocol):
    """What `copy` reads from: every stream of this module."""

    def read(self, n: int = ...) -> Awaitable[bytes]:
        """Read what is there, at most n bytes; none at the end."""
        ...


class WriteStream(Protocol):
    """What `copy` writes to: every stream of this module."""

    def write_all(self, data: bytes, /) -> Awaitable[None]:
        """Write all of data."""
        ...

    def shutdown(self, how: Literal["write"]) -> object:
        """End the stream one way, or both."""
        ...


class _Stream(ReadStream, WriteStream, Protocol):
    pass


async def copy(reader: ReadStream, writer: WriteStream, *, buffer_bytes: int = 65536) -> int:
    """Copy until `reader` ends. Neither stream is closed.

    >>> import asyncio
    >>> from blitzio import net
    >>> async def main():
    ...     near, source = net.UnixStream.pair()
    ...     target, far = net.UnixStream.pair()
    ...     async with near, source, target, far:
    ...         await near.write_all(b"hello")
    ...         near.shutdown("write")
    ...         return await copy(source, target), await far.read()
    >>> asyncio.run(main())
    (5, b'hello')

    Args:
        reader: where bytes come from.
        writer: where they go.
        buffer_bytes: how many are moved at a time, at most.

    Returns:
        How many bytes were moved.

    Raises:
        OSError: what reading or writing gives.
        TypeError, ValueError: `buffer_bytes` is no int, or below 1.

    Cancellation:
        bytes that were read and not yet written are lost.
    """
    _check_size(buffer_bytes)
    # Who cannot write says so before a byte is read that would be lost.
    read, write_all = reader.read, writer.write_all
    total = 0
    while data := await read(buffer_bytes):
        await write_all(data)
        total += len(data)
    return total


def _check_size(buffer_bytes: int) -> None:
    """Refuses 0 as well: to read nothing looks like the end of the stream."""
    if index(buffer_bytes) < 1:
        raise ValueError(f"buffer_bytes must be at least 1, got {buffer_bytes}")


async def _copy_and_finish(reader: ReadStream, writer: WriteStream, buffer_bytes: int) -> int:
    shutdown = writer.shutdown
    total = await copy(reader, writer, buffer_bytes=buffer_bytes)
    shutdown("write")
    return total


async def copy_bidirectional(
    a: _Stream, b: _Stream, *, buffer_bytes: int = 65536
) -> tuple[int, int]:
    """Copy both ways at once, as a proxy does.

    When one stream ends, the other is told that no more will come, while the opposite way goes on.

    >>> import asyncio
    >>> from blitzio import net
    >>> async def main():
    ...     client, a = net.UnixStream.pair()
    ...     b, server = net.UnixStream.pair()
    ...     async with client, a, b, server:
    ...         await client.write_all(b"question")
    ...         await server.write_all(b"answer")
    ...         client.shutdown("write")
    ...         server.shutdown("write")
    ...         return await copy_bidirectional(a, b)
    >>> asyncio.run(main())
    (8, 6)

    Args:
        a, b: the two streams.
        buffer_bytes: how many bytes are moved at a time, at most, each way.

    Returns:
        How many bytes went from `a` to `b`, and from `b` to `a`, when both have ended.

    Raises:
        OSError: of the way that failed first; the other is given up.
        TypeError, ValueError: as `copy`.

    Cancellation:
        as `copy`, each way.
    """
    _check_size(buffer_bytes)
    ways = [
        asyncio.ensure_future(_copy_and_finish(a, b, buffer_bytes)),
        asyncio.ensure_future(_copy_and_finish(b, a, buffer_bytes)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        # Both, or the one that failed is among them.
        from_a, from_b = map(result_of, [way for way in ways if way.done()])
        return from_a, from_b
    except GeneratorExit:
        abandon(ways)
        raise
    finally:
        await end(ways)


def blocking_copy(
    reader: ReadStream,
    writer: WriteStream,
    *,
    buffer_bytes: int = 65536,
    timeout: Seconds | None = None,
) -> int:
    """`copy` for threads. Ctrl-C, and `timeout`, end it as a cancellation does.

    >>> from blitzio import net
    >>> near, source = net.UnixStream.pair()
    >>> target, far = net.UnixStream.pair()
    >>> near.blocking_write_all(b"hello")
    >>> near.shutdown("write")
    >>> blocking_copy(source, target, timeout=10), far.blocking_read()
    (5, b'hello')
    >>> near.close(); source.close(); target.close(); far.close()

    Raises:
        TimeoutError: after `timeout`.
        ValueError: `timeout` is negative, or `buffer_bytes` below 1.
        OSError: of a stream.
        RuntimeError: an event loop runs in this thread.
    """
    return run_in_thread(
        "blocking_copy",
        "copy()",
        timeout,
        lambda: copy(reader, writer, buffer_bytes=buffer_bytes),
    )


def blocking_copy_bidirectional(
    a: _Stream, b: _Stream, *, buffer_bytes: int = 65536, timeout: Seconds | None = None
) -> tuple[int, int]:
    """`copy_bidirectional` for threads; a single one moves both ways.

    >>> from blitzio import net
    >>> client, a = net.UnixStream.pair()
    >>> b, server = net.UnixStream.pair()
    >>> client.blocking_write_all(b"question"); client.shutdown("write")
    >>> server.blocking_write_all(b"answer"); server.shutdown("write")
    >>> blocking_copy_bidirectional(a, b, timeout=10)
    (8, 6)
    >>> client.close(); a.close(); b.close(); server.close()

    Raises:
        as `blocking_copy`.
    """
    return run_in_thread(
        "blocking_copy_bidirectional",
        "copy_bidirectional()",
        timeout,
        lambda: copy_bidirectional(a, b, buffer_bytes=buffer_bytes),
    )
