"""`ParallelWork`: one parallel_map() or parallel_for() on its way: threads take chunks of the
items, until the last.

What ends it is the last chunk, not the last thread: a thread of the pool that comes too late finds
nothing to do. So whoever blocks for the result may help, and does: a computing thread that did not
would hold the very place that its chunks wait for, and with all of them doing so none would run.
Who has a time limit helps only where that is so, and takes one item at a time: a call cannot be
ended in its middle.

Under the lock:  `_start` is where the next chunk begins, `_open` counts those handed out and not
ended, `_left` the items of which no chunk has ended. It is over when `_open` is 0 and either
`_left` is 0, or a call failed, or it was cancelled: in the last two cases nothing is handed out any
more.

Who helps may be the main thread, where a signal handler cancels in the middle of this, or raises
as Ctrl-C does: then that chunk has ended, and failed. Nothing is called under the lock (`Locked`).
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from blitzio._loop.forking import Locked
from blitzio._native import JoinHandle, _make_external_handle

if TYPE_CHECKING:
    from collections.abc import Callable

    from blitzio._native import ThreadPool

_T = TypeVar("_T")
_R = TypeVar("_R")

#: Chunks per thread: enough to even out what takes unequally long.
_CHUNKS_PER_THREAD = 16


class _Share:
    """Of a thread that takes part: the items that it has."""

    __slots__ = ("end", "start")

    def __init__(self) -> None:
        self.start = self.end = 0


class ParallelWork(Locked, Generic[_T, _R]):
    """`_R`: what its handle gives, the list of results, or None."""

    def __init__(
        self,
        items: list[_T],
        function: Callable[[_T], object],
        chunk: int,
        pool: ThreadPool,
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
        self._left = self._end
        self._open = 0
        self._error: BaseException | None = None
        self._is_cancelled = False
        self._pool = pool
        self._threads = min(threads, len(range(0, self._end, self._chunk)))
        #: The threads in run(), by their idents.
        self._inside: set[int] = set()
        self.handle: JoinHandle[_R] = _make_external_handle(self.cancel, self._help)

    def start(self) -> None:
        """Has as many threads as are of use come.

        Raises:
            RuntimeError: not one can be had.
        """
        if self._left == 0:
            self.handle._finish(self._results)
        for number in range(self._threads):
            try:
                self._pool.submit(self.run)
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

    def run(self, deadline: float | None = None) -> None:
        """Takes chunks until there are no more, or items until the deadline, of the monotonic
        clock. Any thread, any number of them."""
        share = _Share()
        self._inside.add(get_ident())
        try:
            self._take_part(share, deadline)
        except BaseException as error:  # Between two calls, not by them.
            if self._end_chunk(share, error):
                self._finish()
        finally:
            self._inside.discard(get_ident())

    def _help(self, timeout: float | None) -> None:
        """run(), of a thread that waits for the end.

        Raises:
            RuntimeError: it waits in a call of `function`, which would be for ever.
        """
        if get_ident() in self._inside:
            raise RuntimeError(f"Task cannot await on itself: {self.handle!r}")
        if timeout is None:
            self.run()
        elif self._pool.is_own_thread():
            self.run(time.monotonic() + timeout)

    def _take_part(self, share: _Share, deadline: float | None) -> None:
        function, items, results = self._function, self._items, self._results
        # A copy: one context cannot be entered by two threads at once.
        context = self._context.copy()
        error: BaseException | None = None
        chunk = self._chunk if deadline is None else 1
        while (deadline is None or time.monotonic() < deadline) and self._take(share, chunk):
            try:
                for i in range(share.start, share.end):
                    result = context.run(function, items[i])
                    if results is not None:
                        results[i] = result
            except BaseException as raised:
                error = raised
            if self._end_chunk(share, error):
                self._finish()

    def _take(self, share: _Share, count: int) -> bool:
        """Returns whether there was something left to take."""
        with self._lock:
            if self._error is not None or self._is_cancelled or self._start >= self._end:
                return False
            start = self._start
            end = start + count
            if end > self._end:
                end = self._end
            self._start = end
            self._open += 1
            share.start = start
            share.end = end
            return True

    def _end_chunk(self, share: _Share, error: BaseException | None) -> bool:
        """Returns whether all is over."""
        with self._lock:
            if share.start < share.end:
                self._open -= 1
                self._left -= share.end - share.start
                share.start = share.end
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
