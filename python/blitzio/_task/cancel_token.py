"""`CancelToken`: asks for the end of work that looks at it, in any number of tasks and threads.

             cancel()
    open ─────────────▶ cancelled, for ever: so are its children, made before or after

Threads: any, for every method.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, TypeVar, cast

from blitzio._native import JoinHandle, _is_native_awaitable, _make_external_handle
from blitzio._runtime.blocking import check_may_block
from blitzio._task.branches import abandon, drop, end, end_before_result, result_of, start
from blitzio._task.selecting import select
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable

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

    Raises:
        TypeError: `parent` is no token.
    """

    # Without a lock, which a forked child might find taken by a thread that it does not have. Who
    # makes a child adds it and then looks whether its parent is cancelled; who cancels says so and
    # then looks for children: whichever is later sees the other. Of several that cancel each does
    # all of it, so that none returns before everybody is told, and a child ends what a thread that
    # it does not have began.
    __slots__ = ("__weakref__", "_cancelled", "_children", "_parent", "_request")
    __reduce__ = refuse_copy

    def __init__(self, parent: CancelToken | None = None) -> None:
        if parent is not None and not isinstance(parent, CancelToken):
            raise TypeError(f"parent must be a CancelToken or None, not {parent!r}")
        self._cancelled = False
        # Ends when the request comes: what waits, waits for that.
        self._request: JoinHandle[None] = _make_external_handle(None, None)
        # By identity, in the order of their making, which a simulation counts on.
        self._children: weakref.WeakValueDictionary[int, CancelToken] = (
            weakref.WeakValueDictionary()
        )
        # Keeps the way from the root to whoever waits.
        self._parent = parent
        if parent is not None:
            parent._children[id(self)] = self
            if parent._cancelled:
                self.cancel()

    def cancel(self) -> None:
        """Asks for the end. Again: nothing."""
        # Not by recursion: who waits on a chain that is longer than Python's stack is told, too.
        found, asked = [self], []
        while found:
            token = found.pop()
            if token._request.is_finished():
                continue
            token._cancelled = True
            # All references at once: others may come meanwhile.
            children = (reference() for reference in token._children.valuerefs())
            found.extend(child for child in children if child is not None)
            asked.append(token)
        # Children before their parents, in the order of their making.
        for token in reversed(asked):
            _tell(token._request)

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

    def cancelled(self) -> Awaitable[None]:
        """Waits for the request; returns at once if it is there."""
        return self._request._ended()

    def blocking_wait(self, timeout: Seconds | None = None) -> bool:
        """Waits for the request, blocking the calling thread.

        Returns:
            whether it is there; False: `timeout` was over first.

        Raises:
            RuntimeError: a loop runs in this thread, which would stand still.
        """
        check_may_block("CancelToken.blocking_wait", "token.cancelled()")
        try:
            self._request._block(timeout)
        except TimeoutError:
            return False
        return True

    async def run(self, awaitable: Awaitable[_T]) -> _T:
        """Awaits `awaitable`; cancels it when the end is asked for.

        Raises:
            asyncio.CancelledError: that happened first.
            Exception: what the awaitable raised.
        """
        if self._cancelled:
            drop(awaitable)
            self.check()
        # What the primitives return is polled, so that it has its effect or has none; what else it
        # is runs in a task, which may end with a result though it was cancelled.
        owned: list[Any] = []
        if not _is_native_awaitable(awaitable):
            owned.append(start(awaitable))
        try:
            first = await select(*(owned or [awaitable]), self.cancelled())
        except GeneratorExit:
            abandon(owned)
            raise
        except BaseException:
            await end(owned)
            raise
        await end_before_result([*owned])
        result: Any
        result, index = first
        if index != 0:
            if not owned or owned[0].cancelled():
                raise asyncio.CancelledError("cancelled by its token")
            result = result_of(owned.pop())
        return cast("_T", result)

    def __repr__(self) -> str:
        return f"<CancelToken {'cancelled' if self._cancelled else 'open'}>"


def _tell(request: JoinHandle[None]) -> None:
    try:
        request._finish(None)
    except asyncio.InvalidStateError:
        pass  # Another thread cancels it, too, and was quicker.
