"""`ParallelWork`: one parallel_map() or parallel_for() on its way: threads take chunks of the
items, until the last.

What ends it is the last chunk, not the last thread: a thread of the pool that comes too late finds
nothing to do. So whoever blocks for the result may help, and does: a computing thread that did not
would hold the very place that its chunks wait for, and with all of them doing so none would run.

Under the lock:  `_start` is where the next chunk begins, `_open` counts those handed out and not
ended, `_left` those not ended. It is over when `_open` is 0 and either `_left` is 0, or a call
failed, or it was cancelled: in the last two cases nothing is handed out any more.

Who helps may be the main thread, where a signal handler cancels in the middle of this, or raises
as Ctrl-C does: then that chunk has ended, and failed. Nothing is called under the lock (`Locked`).
"""

from __future__ import annotations

import asyncio
import contextvars
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from blitzio._loop.forking import Locked
from blitzio._native import JoinHandle, _make_external_handle

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_R = TypeVar("_R")

#: Chunks per thread: enough to even out what takes unequally long.
_CHUNKS_PER_THREAD = 16


class _Share:
    """Of a thread that takes part: whether it has a chunk."""

    __slots__ = ("is_open",)

    def __init__(self) -> None:
        self.is_open = False


class ParallelWork(Locked, Generic[_T, _R]):
    """`_R`: what its handle gives, the list of results, or None."""

    def __init__(
        self,
        items: list[_T],
        function: Callable[[_T], object],
        chunk: int,
        threads: int,
        *,
        keeps_results: bool,
    ) -> None:
        self._items = items
        self._function = function
        self._results: list[Any] | None = [None] * len(items) if keeps_results else None
        self._chunk = chunk or max(1, len(items) // (threads * _CHUNKS_PER_THREAD))
        self._context = contextvars.copy_context()
        super().__init__()
        self._start = 0
        self._end = len(items)
        self._left = len(range(0, self._end, self._chunk))
        self._open = 0
        self._error: BaseException | None = None
        self._is_cancelled = False
        self._threads = min(threads, self._left)
        #: The threads in run(), by their idents.
        self._inside: set[int] = set()
        self.handle: JoinHandle[_R] = _make_external_handle(self.cancel, self._help)

    def start(self, submit: Callable[[Callable[[], object]], object]) -> None:
        """Has as many threads as are of use come.

        Raises:
            RuntimeError: not one can be had.
        """
        if self._left == 0:
            self.handle._finish(self._results)
        for number in range(self._threads):
            try:
                submit(self.run)
            except RuntimeError:
                if number == 0:
                    raise
                return  # Fewer threads do the same work.

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            is_over = self._open == 0
        if is_over:
            self._finish()

    def run(self) -> None:
        """Takes chunks until there are no more. Any thread, any number of them."""
        share = _Share()
        self._inside.add(get_ident())
        try:
            self._take_chunks(share)
        except BaseException as error:  # Between two calls, not by them.
            if self._end_chunk(share, error):
                self._finish()
        finally:
            self._inside.discard(get_ident())

    def _help(self) -> None:
        """run(), of a thread that waits for the end.

        Raises:
            RuntimeError: it waits in a call of `function`, which would be for ever.
        """
        if get_ident() in self._inside:
            raise RuntimeError(f"Task cannot await on itself: {self.handle!r}")
        self.run()

    def _take_chunks(self, share: _Share) -> None:
        function, items, results = self._function, self._items, self._results
        # A copy: one context cannot be entered by two threads at once.
        context = self._context.copy()
        error: BaseException | None = None
        start = self._take(share)
        while start is not None:
            try:
                for i in range(start, min(start + self._chunk, len(items))):
                    result = context.run(function, items[i])
                    if results is not None:
                        results[i] = result
            except BaseException as raised:
                error = raised
            if self._end_chunk(share, error):
                self._finish()
            start = self._take(share)

    def _take(self, share: _Share) -> int | None:
        with self._lock:
            if self._error is not None or self._is_cancelled or self._start >= self._end:
                return None
            start = self._start
            self._start = start + self._chunk
            self._open += 1
            share.is_open = True
            return start

    def _end_chunk(self, share: _Share, error: BaseException | None) -> bool:
        """Returns whether all is over."""
        with self._lock:
            if share.is_open:
                share.is_open = False
                self._open -= 1
                self._left -= 1
            if self._error is None:
                self._error = error
            return self._open == 0 and (
                self._left == 0 or self._error is not None or self._is_cancelled
            )

    def _finish(self) -> None:
        try:
            if self._error is not None:
                self.handle._fail(self._error)
            elif self._left:
                self.handle._fail(asyncio.CancelledError())
            else:
                self.handle._finish(self._results)
        except asyncio.InvalidStateError:
            pass  # Who cancels, or was interrupted, found it over as well, and was quicker.
