"""`Interruption`: a cancellation that waits until something has been brought to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Interruption:
    """Keeps the cancellation that leaves its blocks; the last one, if there are several.

        interruption = Interruption()
        while not is_ended():
            with interruption:
                await its_end()
        interruption.deliver()

    None is in a variable of a frame that its own traceback has: that cycle would keep everything
    in these frames until the garbage collector comes.
    """

    __slots__ = ("_cancelled",)

    def __init__(self) -> None:
        self._cancelled: asyncio.CancelledError | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(exc, asyncio.CancelledError):
            return False
        self._cancelled = exc
        return True

    def deliver(self) -> None:
        """Raises what was kept, if anything was."""
        cancelled, self._cancelled = self._cancelled, None
        try:
            if cancelled is not None:
                raise cancelled
        finally:
            del cancelled
