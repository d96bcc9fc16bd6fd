"""`Threaded`: an Io whose tasks have a thread each, so that code which blocks harms no other task.

    async_      a thread of its own while fewer than `async_limit` tasks run; else the function is
                called on the spot, and a coroutine that it returns becomes a task of the caller's
                loop, or, without one, runs to its end inside the call
    concurrent  a thread of its own while fewer than `concurrent_limit` tasks run; else
                ConcurrencyUnavailable

A plain function runs in its thread without a loop, and may use `blocking_…`. A coroutine gets a
loop, of this package, that runs nothing else.

Threads: any.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from blitzio._config import Config
from blitzio._duration import Duration
from blitzio._io.evented import Native
from blitzio._io.handle import Io
from blitzio._loop.forking import Locked
from blitzio._native import ThreadPool, _start_soon
from blitzio._run import new_event_loop, run, run_alone
from blitzio._task.concurrent import ConcurrencyUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from blitzio._duration import Seconds
    from blitzio._native import JoinHandle

_T = TypeVar("_T")
_THREADS_MAX = 32_768


class Threaded(Locked, Native):
    """A thread for each task.

    >>> from blitzio.io import Threaded
    >>> with Threaded() as threaded:
    ...     io = threaded.io()
    ...     io.run(lambda: sum(future.blocking_await() for future in
    ...                        [io.concurrent(pow, 2, n) for n in range(4)]))
    15

    Args:
        async_limit: how many tasks run at once before async_() runs one in place; None: as many as
            the process may use processors.
        concurrent_limit: how many run at once before concurrent() fails; None: 32,768.
        keep_alive: how long a thread stays without work.
        config: of the loops of coroutines.

    Raises:
        TypeError, ValueError: an argument has the wrong type or is out of range.
    """

    def __init__(
        self,
        *,
        async_limit: int | None = None,
        concurrent_limit: int | None = None,
        keep_alive: Seconds = 10.0,
        config: Config | None = None,
    ) -> None:
        processors = len(os.sched_getaffinity(0))
        self._async_limit = _limit("async_limit", async_limit, processors)
        self._concurrent_limit = _limit("concurrent_limit", concurrent_limit, _THREADS_MAX)
        seconds = Duration.of(keep_alive).as_secs_f64()
        if seconds < 0:
            raise ValueError(f"keep_alive must not be negative, not {keep_alive}")
        if config is not None and not isinstance(config, Config):
            raise TypeError(f"config must be a blitzio.Config or None, not {config!r}")
        self._pool = ThreadPool(_THREADS_MAX, seconds, "blitzio-io")
        self._config = config
        super().__init__()
        self._running: set[JoinHandle[Any]] = set()
        self._is_closed = False

    def io(self) -> Io:
        """The handle that programs take."""
        return Io(self)

    @property
    def busy_count(self) -> int:
        """How many tasks have a thread."""
        return len(self._running)

    def close(self) -> None:
        """Asks all tasks to end, and waits until they have. Again: nothing.

        Raises:
            RuntimeError: called from a thread of its own, which cannot wait for itself.
        """
        if self._pool.is_own_thread():
            raise RuntimeError("a Threaded cannot be closed from one of its own threads")
        with self._lock:
            self._is_closed = True
            running = list(self._running)
        for handle in running:
            handle.cancel()
        self._pool.shutdown(wait=True)

    def __repr__(self) -> str:
        return f"<Threaded busy={self.busy_count}{' closed' if self._is_closed else ''}>"

    # ---- what Io calls -----------------------------------------------------------------------

    def _start(self, handle: JoinHandle[Any], *, must_overlap: bool) -> None:
        limit = self._concurrent_limit if must_overlap else self._async_limit
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the Threaded is closed")
            has_thread = len(self._running) < limit
            if has_thread:
                self._running.add(handle)
        if has_thread:
            try:
                self._pool.submit(functools.partial(self._run_in_thread, handle))
            except BaseException:
                self._running.discard(handle)
                raise
        elif must_overlap:
            raise ConcurrencyUnavailable(f"{limit} tasks have a thread, which is the limit")
        else:
            self._run_in_place(handle)

    def _block_on(self, handle: JoinHandle[Any]) -> Any:
        # On this thread, as blitzio.run() does it, Ctrl-C included.
        work = handle._claim()
        assert work is not None, "nobody else has the handle"
        target, arguments, _, is_function = work
        made = target(*arguments) if is_function else target
        if not inspect.isawaitable(made):
            return made
        return run(_with_guests(made), loop_factory=self._new_loop)

    def _run_in_thread(self, handle: JoinHandle[Any]) -> None:
        try:
            self._run_to_end(handle)
        finally:
            with self._lock:
                self._running.discard(handle)

    def _run_to_end(self, handle: JoinHandle[Any]) -> None:
        if not _call(handle):
            return
        try:
            loop = self._new_loop()
        except BaseException as error:
            _give_up(handle, error)
        else:
            run_alone(loop, _with_guests(_run_on_loop(handle)))

    def _run_in_place(self, handle: JoinHandle[Any]) -> None:
        running = asyncio._get_running_loop()
        if running is None:
            self._run_to_end(handle)
        elif _call(handle):
            _start_soon(handle)
            if _here.guests is not None:
                _here.guests.append(handle)

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        return new_event_loop(self._config)


def _call(handle: JoinHandle[Any]) -> bool:
    """Makes the call that the handle stands for. Returns whether a coroutine is left, which then is
    what it stands for."""
    work = handle._claim()
    if work is None:
        return False  # Cancelled before.
    target, arguments, context, is_function = work
    try:
        made = context.run(target, *arguments) if is_function else target
    except BaseException as error:
        handle._fail(error)
        return False
    if inspect.isawaitable(made):
        handle._put_back(made, context)
        return True
    handle._finish(made)
    return False


def _give_up(handle: JoinHandle[Any], error: BaseException) -> None:
    """Ends what _call() has left, and nothing can run."""
    work = handle._claim()
    if work is None:
        return  # Cancelled meanwhile.
    try:
        if asyncio.iscoroutine(work[0]):
            work[0].close()
    except BaseException as refusal:
        error = refusal
    handle._fail(error)


class _Here(threading.local):
    """Of a thread of ours: what runs in place on its loop, and outlives the task of the thread."""

    guests: list[JoinHandle[Any]] | None = None


_here = _Here()


async def _with_guests(work: Awaitable[_T]) -> _T:
    guests: list[JoinHandle[Any]] = []
    _here.guests = guests
    try:
        return await work
    finally:
        while guests:
            await guests.pop()._ended()
        _here.guests = None


async def _run_on_loop(handle: JoinHandle[Any]) -> None:
    _start_soon(handle)
    await handle._ended()


def _limit(name: str, value: int | None, default: int) -> int:
    if value is None:
        return default
    given: object = value
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"{name} must be an int or None, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"{name} must not be negative, not {value}")
    return min(value, _THREADS_MAX)
