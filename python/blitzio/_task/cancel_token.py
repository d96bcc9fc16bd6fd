"""`CancelToken`: asks for the end of work that looks at it, in any number of tasks and threads.

             cancel()
    open ─────────────▶ cancelled, for ever: so are its children, made before or after

Threads: any, for every method.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from blitzio._runtime.handle import Waker, wait_event
from blitzio._task.branches import drop, end, start

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from blitzio._duration import Seconds

_T = TypeVar("_T")


class CancelToken:
    """A request to stop that many may see.

    >>> import blitzio
    >>> token = CancelToken()
    >>> child = token.child()
    >>> token.cancel()
    >>> child.cancel_requested
    True

    Args:
        parent: a token whose cancellation is this one's as well.
    """

    __slots__ = ("__weakref__", "_callbacks", "_cancelled", "_children", "_lock", "_parent")

    def __init__(self, parent: CancelToken | None = None) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._callbacks: list[Callable[[], object]] = []
        # In the order of their making, which a simulation counts on.
        self._children: weakref.WeakKeyDictionary[CancelToken, None] = weakref.WeakKeyDictionary()
        # Keeps the way from the root to whoever waits.
        self._parent = parent
        if parent is not None:
            with parent._lock:
                parent._children[self] = None
                self._cancelled = parent._cancelled

    def cancel(self) -> None:
        """Asks for the end. Again: nothing."""
        with self._lock:
            if self._cancelled:
                return
            self._cancelled = True
            callbacks, self._callbacks = self._callbacks, []
            children = list(self._children)
        for child in children:
            child.cancel()
        for callback in callbacks:
            callback()

    @property
    def cancel_requested(self) -> bool:
        return self._cancelled

    is_cancelled = cancel_requested

    def check(self) -> None:
        """For loops that await nothing.

        Raises:
            asyncio.CancelledError: the end was asked for.
        """
        if self._cancelled:
            raise asyncio.CancelledError("cancelled by its token")

    def child(self) -> CancelToken:
        """A token that this one cancels, and that can be cancelled alone."""
        return CancelToken(self)

    async def cancelled(self) -> None:
        """Waits for the request; returns at once if it is there."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        waker = Waker(loop, waiter)
        if not self._add(waker):
            return
        try:
            await waiter
        finally:
            self._remove(waker)

    def blocking_wait(self, timeout: Seconds | None = None) -> bool:
        """Waits for the request, blocking the calling thread.

        Returns:
            whether it is there; False: `timeout` was over first.

        Raises:
            RuntimeError: a loop runs in this thread, which would stand still.
        """
        from blitzio._duration import Duration

        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "blocking_wait() would block the event loop of this thread; "
                "use `await token.cancelled()`"
            )
        seconds = None if timeout is None else Duration.of(timeout).as_secs_f64()
        event = threading.Event()
        if not self._add(event.set):
            return True
        try:
            return wait_event(event, seconds)
        finally:
            self._remove(event.set)

    async def run(self, awaitable: Awaitable[_T]) -> _T:
        """Awaits `awaitable`; cancels it when the end is asked for.

        Raises:
            asyncio.CancelledError: that happened first.
            Exception: what the awaitable raised.
        """
        if self._cancelled:
            drop(awaitable)
            self.check()
        future: asyncio.Future[Any] = start(awaitable)
        stop: asyncio.Future[Any] = start(self.cancelled())
        try:
            await asyncio.wait((future, stop), return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                result: _T = future.result()
                return result
            raise asyncio.CancelledError("cancelled by its token")
        finally:
            await end((future, stop))

    def __repr__(self) -> str:
        return f"<CancelToken {'cancelled' if self._cancelled else 'open'}>"

    def _add(self, callback: Callable[[], object]) -> bool:
        with self._lock:
            if self._cancelled:
                return False
            self._callbacks.append(callback)
            return True

    def _remove(self, callback: Callable[[], object]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
