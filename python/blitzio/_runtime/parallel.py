"""`ParallelWork`: one parallel_map() or parallel_for() on its way: threads take chunks of the
items, until the last.

What ends it is the last chunk, not the last thread: a thread of the pool that comes too late finds
nothing to do. So whoever blocks for the result may help, and does: a computing thread that did not
would hold the very place that its chunks wait for, and with all of them doing so none would run.

Under the lock:  `_starts` hands out chunks, `_open` counts those handed out and not ended, `_left`
those not ended. It is over when `_open` is 0 and either `_left` is 0, or a call failed, or it was
cancelled: in the last two cases nothing is handed out any more.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from blitzio._loop.forking import Locked
from blitzio._native import JoinHandle, _make_external_handle

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_R = TypeVar("_R")

#: Chunks per thread: enough to even out what takes unequally long.
_CHUNKS_PER_THREAD = 16


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
        starts = range(0, len(items), self._chunk)
        self._starts = iter(starts)
        self._left = len(starts)
        self._open = 0
        self._error: BaseException | None = None
        self._is_cancelled = False
        self._threads = min(threads, self._left)
        self.handle: JoinHandle[_R] = _make_external_handle(self.cancel, self.run)

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
            if self._is_over():
                return
            self._is_cancelled = True
            is_over = self._is_over()
        if is_over:
            self._finish()

    def run(self) -> None:
        """Takes chunks until there are no more. Any thread, any number of them."""
        function, items, results = self._function, self._items, self._results
        # A copy: one context cannot be entered by two threads at once.
        context = self._context.copy()
        error: BaseException | None = None
        start = self._take()
        while start is not None:
            try:
                for i in range(start, min(start + self._chunk, len(items))):
                    result = context.run(function, items[i])
                    if results is not None:
                        results[i] = result
            except BaseException as raised:
                error = raised
            if self._end_chunk(error):
                self._finish()
            start = self._take()

    def _take(self) -> int | None:
        with self._lock:
            if self._error is not None or self._is_cancelled:
                return None
            start = next(self._starts, None)
            if start is not None:
                self._open += 1
            return start

    def _end_chunk(self, error: BaseException | None) -> bool:
        """Returns whether that was the end of all."""
        with self._lock:
            self._open -= 1
            self._left -= 1
            if self._error is None:
                self._error = error
            return self._is_over()

    def _is_over(self) -> bool:
        is_last = self._left == 0 or self._error is not None or self._is_cancelled
        return self._open == 0 and is_last

    def _finish(self) -> None:
        if self._error is not None:
            self.handle._fail(self._error)
        elif self._left:
            self.handle._fail(asyncio.CancelledError())
        else:
            self.handle._finish(self._results)
