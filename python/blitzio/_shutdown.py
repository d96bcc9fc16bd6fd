"""`Shutdown`: ending a program well: everybody learns of it, and work under way is waited for.

                 SIGINT, SIGTERM, trigger()
    running ─────────────────────────────────▶ shutting down ──(no work pending)──▶ drained

Signals are handled as Python handles them: in the main thread, between two instructions of what
runs there; a loop of this package that waits there wakes for it. What handled them before is put
back by close(). Of several that are open each learns of a signal, unless a handler that is not of
this class was installed between them, and they may be closed in any order: a handler that another
one replaced is skipped once it is closed.

Threads: made and closed in the main thread; everything else any.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

from blitzio import _signal_listeners
from blitzio._loop.forking import Locked
from blitzio._task.cancel_token import CancelToken
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from blitzio._duration import Seconds


class WorkGuard:
    """Work that a Shutdown waits for, until release() or the end of the `with` block."""

    __slots__ = ("_held",)
    __reduce__ = refuse_copy

    def __init__(self, shutdown: Shutdown) -> None:
        # Of one item, which is taken out atomically: two threads may release at the same time.
        self._held = [shutdown]

    def release(self) -> None:
        """The work is done. Again: nothing. Thread: any."""
        try:
            shutdown = self._held.pop()
        except IndexError:
            return
        shutdown._work_ended()

    def __enter__(self) -> WorkGuard:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def __del__(self, _is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # With the interpreter goes whoever waits, and the modules that would tell them.
        if not _is_finalizing():
            self.release()


class Shutdown(Locked):
    """Learns of SIGINT and SIGTERM, tells everybody, and counts the work under way.

    >>> with Shutdown() as shutdown:
    ...     with shutdown.start_work():
    ...         shutdown.trigger()
    ...         pending = shutdown.pending_count
    ...     drained = shutdown.blocking_wait_pending(timeout=1)
    >>> shutdown.is_shutdown, pending, drained
    (True, 1, True)

    Args:
        signals: which to listen to; none: only trigger() begins the shutdown.

    Raises:
        ValueError: signals can be handled in the main thread only; one is no signal, or a real-time
            signal that has no name.
    """

    __reduce__ = refuse_copy

    def __init__(self, signals: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> None:
        self._token = CancelToken()
        super().__init__()
        self._pending = 0
        #: Cancelled when nothing is pending; made by the first that waits.
        self._drained: CancelToken | None = None
        self._received: signal.Signals | None = None
        self._is_closed = False
        #: What handled them.
        self._before: dict[signal.Signals, Any] = {}
        for number in signals:
            try:
                number = signal.Signals(number)
                self._before[number] = signal.signal(number, self._on_signal)
                _signal_listeners.take_back(number)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Puts back what handled the signals before. Again: nothing."""
        self._is_closed = True
        for number in self._before:
            handler = self._handler_before(number)
            # None: not installed from Python, so it cannot be put back either.
            if handler is not None and signal.getsignal(number) == self._on_signal:
                signal.signal(number, handler)
                _signal_listeners.take_back(number)

    def _handler_before(self, number: signal.Signals) -> Any:
        handler = self._before.get(number)  # None: it comes before that is known.
        while (other := _shutdown_of(handler)) is not None and other._is_closed:
            handler = other._before.get(number)
        return handler

    def __enter__(self) -> Shutdown:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # ---- the request -------------------------------------------------------------------------

    def trigger(self) -> None:
        """Begins the shutdown, as a signal does. Again: nothing."""
        self._token.cancel()

    @property
    def is_shutdown(self) -> bool:
        """Whether it has begun."""
        return self._token.cancel_requested

    @property
    def received(self) -> signal.Signals | None:
        """The first signal that came, or None."""
        return self._received

    @property
    def token(self) -> CancelToken:
        """Cancelled when the shutdown begins."""
        return self._token

    async def wait(self) -> None:
        """Waits until the shutdown begins."""
        await self._token.cancelled()

    def blocking_wait(self, timeout: Seconds | None = None) -> bool:
        """As wait(), for threads. Returns whether it has begun; False: the time was over first."""
        return self._token.blocking_wait(timeout)

    # ---- work under way ----------------------------------------------------------------------

    def start_work(self) -> WorkGuard:
        """Counts a piece of work until its guard is released."""
        with self._lock:
            self._pending += 1
        return WorkGuard(self)

    @property
    def pending_count(self) -> int:
        return self._pending

    async def wait_pending(self, timeout: Seconds | None = None) -> bool:
        """Waits until no work is under way.

        Returns:
            True; False if `timeout` was over first.
        """
        from blitzio.time import timeout as limit

        block = limit(timeout)
        drained = self._when_drained()
        if drained is None:
            return True
        try:
            async with block:
                await drained.cancelled()
        except TimeoutError:
            return self._pending == 0
        return True

    def blocking_wait_pending(self, timeout: Seconds | None = None) -> bool:
        """As wait_pending(), for threads. RuntimeError if a loop runs in this one."""
        drained = self._when_drained()
        if drained is None:
            # What is wrong in the call is wrong also where it need not wait.
            drained = CancelToken()
            drained.cancel()
        return drained.blocking_wait(timeout)

    def __repr__(self) -> str:
        state = "shutting down" if self.is_shutdown else "running"
        return f"<Shutdown {state} pending={self._pending}>"

    def _when_drained(self) -> CancelToken | None:
        drained = CancelToken()  # Before there is the lock: making it may end other work.
        with self._lock:
            if self._pending == 0:
                return None
            if self._drained is None:
                self._drained = drained
            return self._drained

    def _work_ended(self) -> None:
        with self._lock:
            self._pending -= 1
            if self._pending:
                return
            drained, self._drained = self._drained, None
        if drained is not None:
            drained.cancel()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # In the main thread, between two instructions of whatever it runs.
        number = signal.Signals(number)
        before = self._handler_before(number)
        if not self._is_closed:
            if self._received is None:
                self._received = number
            self._token.cancel()
            if _shutdown_of(before) is not None:
                before(number, frame)
        # Closed, and put back by who had found it there.
        elif callable(before):
            before(number, frame)
        elif before == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def _shutdown_of(handler: Any) -> Shutdown | None:
    """Whose `_on_signal` it is."""
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, Shutdown) else None
