"""`Runtime`: worker threads that share the work of many coroutines and functions.

    with blitzio.Runtime() as runtime:
        handle = runtime.spawn(work())          # on a worker
        print(handle.blocking_join())

Each worker is a thread with an asyncio loop of this package, so whatever runs on asyncio runs in
what is spawned. Work that has not started may move to an idle worker; once started it stays, since
what it makes belongs to its loop. Without the GIL workers run at the same time; with it one is the
default. Several runtimes can live in one process.

Inside, `get_runtime()` is the one that the caller runs on, and `spawn` and `spawn_blocking` use it.
In a coroutine on another loop they use that loop, and threads of their own.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import warnings
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from blitzio._config import Config
from blitzio._native import ThreadPool
from blitzio._runtime import on_loop
from blitzio._runtime.current import CURRENT
from blitzio._runtime.handle import JoinHandle, make_work
from blitzio._runtime.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

__all__ = (
    "JoinHandle",
    "Runtime",
    "get_runtime",
    "run_with",
    "spawn",
    "spawn_blocking",
)

_T = TypeVar("_T")


class Runtime:
    """Worker threads, and threads for what blocks.

    Args:
        config: options; None for the defaults. See `Config`.
        options: fields of Config, by name, in place of or on top of `config`.

    Raises:
        TypeError, ValueError: as Config.
        RuntimeError: a thread cannot be started, or the backend does not work here.
        OSError: the kernel refused what a loop needs.

    Thread: any, for every method.
    """

    def __init__(self, config: Config | None = None, **options: Any) -> None:
        if config is None:
            config = Config()
        elif not isinstance(config, Config):
            raise TypeError(f"config must be a blitzio.Config or None, not {config!r}")
        self._config = replace(config, **options).resolve()
        self._shutdown_lock = threading.Lock()
        self._is_shut_down = False
        self._scheduler = Scheduler(self._config, self)
        self._blocking = ThreadPool(
            self._config.blocking_threads_max,
            self._config.blocking_keep_alive,
            "blitzio-blocking",
        )
        self._scheduler.start(self._config.stack_bytes)
        _alive.add(self)

    # ---- work ----------------------------------------------------------------------------

    @overload
    def spawn(
        self, work: Coroutine[Any, Any, _T], /, *, name: str | None = None
    ) -> JoinHandle[_T]: ...
    @overload
    def spawn(
        self,
        work: Callable[..., Coroutine[Any, Any, _T]],
        /,
        *args: Any,
        name: str | None = None,
    ) -> JoinHandle[_T]: ...
    @overload
    def spawn(
        self, work: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]: ...
    def spawn(self, work: Any, /, *args: Any, name: str | None = None) -> JoinHandle[Any]:
        """Starts a coroutine, or calls a function, on a worker.

        Args:
            work: a coroutine; or a function, whose result is the work's, or which gives a coroutine
                that then is the work.
            args: the function's arguments.
            name: the task's.

        Raises:
            TypeError: `work` is neither.
            RuntimeError: the runtime has shut down; a coroutine is closed.

        The work sees the caller's context variables as they are now.
        """
        handle = JoinHandle[Any](make_work(work, args), name)
        self._scheduler.schedule(handle)
        return handle

    def spawn_future(self, awaitable: Awaitable[_T]) -> JoinHandle[_T]:
        """As spawn(), for any awaitable."""
        return self.spawn(awaitable)  # type: ignore[call-overload,no-any-return]

    def spawn_blocking(
        self, function: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]:
        """Calls `function(*args)` in a thread where it may block.

        Raises:
            RuntimeError: the runtime has shut down, or no thread can be started.

        Cancellation: before the call begins; afterwards it runs to its end.
        """
        if not callable(function):
            raise TypeError(f"a function was expected, got {function!r}")
        handle = JoinHandle[_T](make_work(function, args), name)
        self._blocking.submit(handle._run_in_thread)
        return handle

    def block_on(self, work: Any, /, *args: Any) -> Any:
        """Runs `work` (as spawn()) on a worker and waits for it, blocking the calling thread.

        Raises:
            RuntimeError: a loop runs in this thread.
            Exception: what the work raised.

        Ctrl-C cancels the work, waits for its end, and goes on as KeyboardInterrupt.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("block_on() would block the event loop of this thread; use `await`")
        handle: JoinHandle[Any] | None = None
        try:
            handle = self.spawn(work, *args)
            return handle.blocking_join()
        except KeyboardInterrupt:
            if handle is not None:
                handle.cancel()
                handle._block(None)
                handle.detach()
            raise

    run = block_on

    # ---- life ----------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Ends the workers: what has not started never will, what runs is cancelled, and functions
        of spawn_blocking() that run already are waited for. Idempotent.

        Raises:
            RuntimeError: called from a worker, which cannot wait for itself.
        """
        worker = CURRENT.worker
        if worker is not None and worker.scheduler is self._scheduler:
            raise RuntimeError("a Runtime cannot be shut down from one of its own workers")
        with self._shutdown_lock:
            if self._is_shut_down:
                return
            self._is_shut_down = True
            if self._scheduler.is_parents:
                return
            _shut_down_parts(self._scheduler, self._blocking)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        # Unfinished by __init__, or done with.
        if getattr(self, "_is_shut_down", True) or self._scheduler.is_parents:
            return
        _warn(f"unclosed runtime {self!r}", ResourceWarning, source=self)
        worker = CURRENT.worker
        if worker is None or worker.scheduler is not self._scheduler:
            self.shutdown()
        else:
            # Its last user was its own worker, which cannot wait for itself.
            threading.Thread(
                target=_shut_down_parts, args=(self._scheduler, self._blocking)
            ).start()

    @staticmethod
    def current() -> Runtime | None:
        """The runtime whose worker the calling thread is, or None."""
        return get_runtime()

    @property
    def config(self) -> Config:
        """With every default replaced by what it stands for here."""
        return self._config

    @property
    def is_shut_down(self) -> bool:
        return self._is_shut_down

    def metrics(self) -> dict[str, Any]:
        """Counters since the start, a snapshot.

        Returns:
            "workers": one dict each with "polls" (work started), "steals", "parks" (times it had
            nothing to do), "yields" (turns that ended with work left), "queued", "tasks" (running)
            and "loop" (the loop's own); "injected": work that waits for any worker; "blocking":
            threads, idle and queued of spawn_blocking().
        """
        return {
            "workers": [worker.metrics() for worker in self._scheduler.workers],
            "injected": len(self._scheduler.injected),
            "blocking": self._blocking.metrics(),
        }

    def __repr__(self) -> str:
        state = "shut down" if self._is_shut_down else "running"
        return f"<Runtime {self._config.strategy} workers={self._config.workers} {state}>"


def _shut_down_parts(scheduler: Scheduler, blocking: ThreadPool) -> None:
    scheduler.stop()
    for dropped in blocking.shutdown(wait=False, cancel_pending=True):
        dropped.__self__.cancel()  # type: ignore[attr-defined]
    for worker in scheduler.workers:
        worker.thread.join()
    scheduler.drop_queued()
    blocking.shutdown(wait=True)


#: Those that have not shut down, to be ended before the interpreter is and disowned by children.
_alive: weakref.WeakSet[Runtime] = weakref.WeakSet()


@atexit.register
def _shut_down_all() -> None:
    for runtime in list(_alive):
        runtime.shutdown()


def _after_fork_in_child() -> None:
    CURRENT.worker = None
    for runtime in list(_alive):
        runtime._shutdown_lock = threading.Lock()  # Somebody may have held it.
        runtime._scheduler.disown()
    _alive.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


def get_runtime() -> Runtime | None:
    """The runtime that the calling coroutine or function runs on, or None."""
    worker = CURRENT.worker
    return None if worker is None else worker.scheduler.runtime()


@overload
def spawn(work: Coroutine[Any, Any, _T], /, *, name: str | None = None) -> JoinHandle[_T]: ...
@overload
def spawn(
    work: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any, name: str | None = None
) -> JoinHandle[_T]: ...
@overload
def spawn(work: Callable[..., _T], /, *args: Any, name: str | None = None) -> JoinHandle[_T]: ...
def spawn(work: Any, /, *args: Any, name: str | None = None) -> JoinHandle[Any]:
    """Runtime.spawn() of the current runtime; on another running loop, a task of that loop.

    >>> import blitzio
    >>> async def main():
    ...     return await blitzio.spawn(pow, 2, 10)
    >>> blitzio.run(main())
    1024

    Raises:
        RuntimeError: neither is there.
        TypeError: `work` is no coroutine and no function.
    """
    worker = CURRENT.worker
    if worker is not None:
        handle = JoinHandle[Any](make_work(work, args), name)
        worker.scheduler.schedule(handle)
        return handle
    return on_loop.spawn(make_work(work, args), name)


def spawn_blocking(
    function: Callable[..., _T], /, *args: Any, name: str | None = None
) -> JoinHandle[_T]:
    """Runtime.spawn_blocking() of the current runtime; elsewhere, on threads of the process.

    >>> import blitzio
    >>> blitzio.spawn_blocking(len, "four").blocking_join()
    4
    """
    runtime = get_runtime()
    if runtime is not None:
        return runtime.spawn_blocking(function, *args, name=name)
    if not callable(function):
        raise TypeError(f"a function was expected, got {function!r}")
    handle = JoinHandle[_T](make_work(function, args), name)
    on_loop.blocking_pool().submit(handle._run_in_thread)
    return handle


def run_with(config: Config, work: Any, /, *args: Any) -> Any:
    """Makes a Runtime, runs `work` (a coroutine, or a function with `args`) on it to its end, shuts
    the runtime down, and returns the work's result.

    >>> import blitzio
    >>> blitzio.run_with(blitzio.Config(workers=1), lambda: blitzio.get_runtime().config.workers)
    1

    Raises:
        RuntimeError: a loop runs in this thread; as Runtime.
        Exception: what the work raised.
    """
    if asyncio._get_running_loop() is not None:
        if asyncio.iscoroutine(work):
            work.close()
        raise RuntimeError("blitzio.run_with() cannot be called from a running event loop")
    with Runtime(config) as runtime:
        return runtime.block_on(work, *args)
