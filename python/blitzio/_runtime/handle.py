"""`JoinHandle`: a piece of work from the moment it is spawned to its result.

             claim, by whoever runs it           its end
    queued ──────────────────────────▶ running ─────────────▶ finished
       │                                                          ▲
       └──────────────── claim, by cancel() ──────────────────────┘

queued    the call stands in `_work`, a list of one element: who pops it has claimed it, so that
          exactly one thread runs it or drops it. Work may change threads only here.
running   the outcome comes from `_future`, an asyncio task or future of the loop that runs it, or
          is set directly by a thread that runs a plain function.
finished  for ever; nothing is written any more, so any thread may read.

A cancellation that comes between the claim and the moment when `_cancel_running` is there is not
lost: cancel() sets `_cancel_requested` first, who sets `_cancel_running` looks at it afterwards.

Waiters are functions in `_waiters`. Both sides publish first and look afterwards: who waits puts
its waker there and then looks at `_finished`; who finishes sets `_finished` and then takes the
wakers. So each waker is called at least once, by either side, and calling one again is harmless.

Threads: any, for everything but the names that begin with an underscore.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from blitzio._duration import Seconds

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

#: A call that has not been made: function, arguments, context.
Work = tuple["Callable[..., Any]", tuple[Any, ...], contextvars.Context]


class JoinHandle(Generic[_T_co]):
    """The spawner's end of a piece of work: waits for its result, or cancels it.

    Dropping the handle detaches the work, which runs on. A handle may be awaited in any task of any
    asyncio loop, by several at once, and again; `blocking_join()` is for threads.

    >>> import blitzio
    >>> async def main():
    ...     handle = blitzio.spawn_blocking(sum, [1, 2, 3])
    ...     return await handle
    >>> blitzio.run(main())
    6
    """

    __slots__ = (
        "__weakref__",
        "_cancel_requested",
        "_cancel_running",
        "_error",
        "_finished",
        "_future",
        "_name",
        "_value",
        "_waiters",
        "_work",
    )

    # What ends running work early, from any thread; None: nothing can.
    _cancel_running: Callable[[], object] | None

    def __init__(self, work: Work, name: str | None = None) -> None:
        self._work = [work]
        self._name = name
        self._waiters: list[Callable[[], object]] = []
        self._finished = False
        self._future: asyncio.Future[Any] | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        self._cancel_running = None
        self._cancel_requested = False

    # ---- waiting -----------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, _T_co]:
        while not self._finished:
            loop = asyncio.get_running_loop()
            woken = loop.create_future()
            waker = Waker(loop, woken)
            self._waiters.append(waker)
            if self.is_finished():
                break
            try:
                yield from woken
            except BaseException:
                self._forget(waker)
                raise
        result: _T_co = self._outcome()
        return result

    async def join(self) -> _T_co:
        """Waits for the work to end; as awaiting the handle.

        Returns:
            its result.

        Raises:
            Exception: what the work raised.
            asyncio.CancelledError: the work was cancelled.

        Cancellation: stops waiting; the work runs on.
        """
        return await self

    def blocking_join(self, timeout: Seconds | None = None) -> _T_co:
        """Waits for the work to end, blocking the calling thread. Not on a thread that runs a loop.

        Args:
            timeout: how long to wait; None: as long as it takes.

        Raises:
            RuntimeError: a loop runs in this thread, which would stand still.
            TimeoutError: the time was over first; the work runs on.
            Exception: what the work raised.
        """
        if not self._finished:
            if asyncio._get_running_loop() is not None:
                raise RuntimeError(
                    "blocking_join() would block the event loop of this thread; use `await handle`"
                )
            self._block(timeout)
        result: _T_co = self._outcome()
        return result

    def try_join(self) -> _T_co | None:
        """The result if the work has ended, else None. Raises as join()."""
        return self._outcome() if self._finished else None

    def is_finished(self) -> bool:
        """Whether the work has ended: with a result, an exception or by cancellation."""
        return self._finished

    def cancelled(self) -> bool:
        """Whether the work has ended by cancellation."""
        if not self._finished:
            return False
        if self._future is not None:
            return self._future.cancelled()
        return isinstance(self._error, asyncio.CancelledError)

    def cancel(self) -> bool:
        """Asks for the end of the work, and returns at once. Again: harmless.

        Work that has not started never will; a coroutine gets CancelledError at its next await; a
        plain function that runs already cannot be stopped.

        Returns:
            False if the work has ended already.
        """
        if self._finished:
            return False
        self._cancel_requested = True
        try:
            function, arguments, _ = self._work.pop()
        except IndexError:
            cancel = self._cancel_running
            if cancel is not None:
                cancel()
            return not self._finished
        drop_call(function, arguments)
        self._finish(error=asyncio.CancelledError())
        return True

    def detach(self) -> None:
        """Says that nobody will ask for the result: an exception is not reported as lost."""
        if self._finished:
            self._exception()
            return
        self._waiters.append(self.detach)
        if self.is_finished():
            self.detach()

    @property
    def name(self) -> str | None:
        return self._name

    def __repr__(self) -> str:
        if not self._finished:
            state = "queued" if self._work else "running"
        elif self.cancelled():
            state = "cancelled"
        else:
            state = "finished"
        name = "" if self._name is None else f" name={self._name!r}"
        return f"<JoinHandle{name} {state}>"

    # ---- for those that run it ---------------------------------------------------------------

    def _finish(self, value: Any = None, error: BaseException | None = None) -> None:
        """The end of work that was no task. Once; by who has claimed it."""
        self._value = value
        self._error = error
        self._wake_all()

    def _finish_from(self, future: asyncio.Future[Any]) -> None:
        """The end of a task: its done-callback. Once."""
        self._future = future
        self._wake_all()

    def _on_finish(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
        """Has `callback` called on `loop`, which runs in this thread, when the work has ended."""
        finished: asyncio.Future[None] = loop.create_future()
        finished.add_done_callback(lambda _: callback())
        waker = Waker(loop, finished)
        self._waiters.append(waker)
        if self._finished:
            waker()

    def _exception(self) -> BaseException | None:
        """Of finished work: what it raised, asyncio.CancelledError included."""
        if self._future is None:
            return self._error
        if self._future.cancelled():
            return asyncio.CancelledError()
        return self._future.exception()

    def _started(self, future: asyncio.Future[Any], cancel: Callable[[], object]) -> None:
        """Running work that `cancel` ends, from any thread."""
        self._future = future
        self._cancel_running = cancel
        if self._cancel_requested:
            cancel()

    def _run_in_thread(self) -> None:
        """Claims and makes the call on the calling thread."""
        try:
            function, arguments, context = self._work.pop()
        except IndexError:
            return
        try:
            value = context.run(function, *arguments)
        except BaseException as error:
            self._finish(error=error)
        else:
            self._finish(value)

    def _wake_all(self) -> None:
        self._cancel_running = None
        self._finished = True
        waiters = self._waiters
        while waiters:
            try:
                wake = waiters.pop(0)
            except IndexError:
                break
            wake()

    def _forget(self, waker: Callable[[], object]) -> None:
        try:
            self._waiters.remove(waker)
        except ValueError:
            pass  # Taken by the end of the work meanwhile.

    def _block(self, timeout: Seconds | None) -> None:
        from blitzio._duration import Duration

        seconds = None if timeout is None else Duration.of(timeout).as_secs_f64()
        ended = threading.Event()
        self._waiters.append(ended.set)
        if self._finished:
            return
        try:
            has_ended = wait_event(ended, seconds)
        finally:
            self._forget(ended.set)
        if not has_ended and not self._finished:
            raise TimeoutError(f"{self!r} did not end within {seconds} seconds")

    def _outcome(self) -> Any:
        if self._future is not None:
            return self._future.result()
        if self._error is not None:
            raise self._error
        return self._value


#: How often a wait of the main thread looks for signals, in seconds.
_SIGNAL_INTERVAL = 0.2


def wait_event(event: threading.Event, seconds: float | None) -> bool:
    """event.wait(seconds), which a signal ends.

    One that comes in the moment between the interpreter's last look and the system call would not:
    handlers run in the main thread, which would sleep on. So that thread wakes now and then.
    """
    if seconds is not None or threading.current_thread() is not threading.main_thread():
        return event.wait(seconds)
    while not event.wait(_SIGNAL_INTERVAL):
        pass
    return True


class Waker:
    """Resolves a future of a loop, from any thread, once."""

    __slots__ = ("_future", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        self._loop = loop
        self._future = future

    def __call__(self) -> None:
        if asyncio._get_running_loop() is self._loop:
            self._resolve()
            return
        try:
            self._loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            # Who waited there is gone with the loop.

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


def make_work(function: Any, arguments: tuple[Any, ...]) -> Work:
    """The call that spawn(function, *arguments) stands for, in the caller's context.

    `function` may be a coroutine instead, without arguments.

    Raises:
        TypeError: it is neither.
    """
    context = contextvars.copy_context()
    if inspect.iscoroutine(function):
        if arguments:
            raise TypeError("a coroutine takes no arguments; pass the function instead")
        return itself, (function,), context
    if inspect.isawaitable(function):
        if arguments:
            raise TypeError("an awaitable takes no arguments; pass a function instead")
        return _wait_for, (function,), context
    if not callable(function):
        raise TypeError(f"a function or a coroutine was expected, got {function!r}")
    return function, arguments, context


def drop_call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Drops a call that will not be made: a coroutine is closed, not warned about."""
    if function is itself:
        arguments[0].close()


def itself(coroutine: Coroutine[Any, Any, _T]) -> Coroutine[Any, Any, _T]:
    return coroutine


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable
