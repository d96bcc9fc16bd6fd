"""What `Reader` and `Writer` both need: buffers, and calls of streams that may be awaitable."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer


def to_bytes_view(data: Buffer, *, is_written: bool = False) -> memoryview:
    """A view of the bytes of a contiguous buffer.

    Raises:
        TypeError: it is no such buffer, or is to be written to and cannot.
    """
    view = memoryview(data)
    if is_written and view.readonly:
        raise TypeError(f"a writable buffer was expected, got {type(data).__name__}")
    return view.cast("B")


def to_buffer(buffer: Buffer | int) -> memoryview:
    """The caller's buffer, or a new one of that size.

    Raises:
        TypeError, ValueError: it is none, or has no byte.
    """
    if isinstance(buffer, int):
        if buffer < 1:
            raise ValueError(f"the buffer must have at least one byte, not {buffer}")
        return memoryview(bytearray(buffer))
    view = to_bytes_view(buffer, is_written=True)
    if not view:
        raise ValueError("the buffer must have at least one byte")
    return view


async def outcome_of(answer: Any) -> Any:
    """What a call gave, awaited if it can be."""
    return await answer if hasattr(answer, "__await__") else answer


def would_block() -> BlockingIOError:
    """What a None of Python's own files means: they do not block, and would have to wait."""
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), 0)
