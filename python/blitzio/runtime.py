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

from blitzio._compute import process_pool
from blitzio._config import Config
from blitzio._loop import forking
from blitzio._native import (
    JoinHandle,
    RuntimeBase,
    ThreadPool,
    _make_handle,
    spawn,
    spawn_blocking,
)
from blitzio._runtime.info import BlockingPoolInfo, RuntimeMetrics, SchedulerInfo, pool_metrics
from blitzio._runtime.scheduler import Scheduler, current_runtime, remember
from blitzio._task.concurrent import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from typing_extensions import Unpack

    from blitzio._options import Options

__all__ = (
    "BlockingPoolInfo",
    "JoinHandle",
    "Runtime",
    "RuntimeMetrics",
    "SchedulerInfo",
    "get_runtime",
    "run_with",
    "spawn",
    "spawn_blocking",
)

_T = TypeVar("_T")


class Runtime(RuntimeBase):
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

    _is_shut_down = True  # until it has begun
    _is_ending = _has_ended = False  # under the lock

    def __init__(self, config: Config | None = None, **options: Unpack[Options]) -> None:
        if hasattr(self, "_scheduler"):
            raise RuntimeError("a Runtime is made once")
        if config is None:
            config = Config()
        elif not isinstance(config, Config):
            raise TypeError(f"config must be a blitzio.Config or None, not {config!r}")
        self._config = replace(config, **options).resolve()
        # A signal handler may shut down in the middle of shutdown().
        self._shutdown_lock = threading.RLock()
        self._blocking = ThreadPool(
            self._config.blocking_threads_max,
            self._config.blocking_keep_alive,
            "blitzio-blocking",
        )
        self._compute: ThreadPool | None = None
        if self._config.compute_threads:
            self._compute = ThreadPool(
                self._config.compute_threads, self._config.blocking_keep_alive, "blitzio-compute"
            )
        self._scheduler = Scheduler(self._config, self._blocking)
        self._attach(self._scheduler.native)
        remember(self._scheduler, self)
        self._scheduler.start(self._config.stack_bytes)
        self._is_shut_down = False  # From here on there is something to shut down.
        forking.remember(self._shutdown_lock)
        forking.remember(self)
        _alive.add(self)

    def _after_fork(self) -> None:
        self._scheduler.disown()

    # ---- work ----------------------------------------------------------------------------

    @overload
    def concurrent(
        self, work: Coroutine[Any, Any, _T], /, *, name: str | None = None
    ) -> JoinHandle[_T]: ...
    @overload
    def concurrent(
        self, work: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]: ...
    @overload
    def concurrent(
        self, work: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]: ...
    def concurrent(self, work: Any, /, *args: Any, name: str | None = None) -> JoinHandle[Any]:
        """spawn() of work that must get ahead while the caller goes on, even if that blocks or
        computes for long: spawn() promises no more than that it runs some day.

        Raises:
            ConcurrencyUnavailable: there is one worker only; a coroutine is closed.
            TypeError, RuntimeError: as spawn().
        """
        if self._config.workers == 1:
            refuse(work)
        handle: JoinHandle[Any] = _make_handle(work, args, name)
        self._scheduler.native.schedule_on_another(handle)
        return handle

    @overload
    def block_on(self, work: Coroutine[Any, Any, _T], /) -> _T: ...
    @overload
    def block_on(self, work: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any) -> _T: ...
    @overload
    def block_on(self, work: Callable[..., _T], /, *args: Any) -> _T: ...
    def block_on(self, work: Any, /, *args: Any) -> Any:
        """Runs `work` (as spawn()) on a worker and waits for it, blocking the calling thread.

        Raises:
            RuntimeError: a loop runs in this thread.
            Exception: what the work raised.

        Ctrl-C cancels the work, waits for its end, and goes on as KeyboardInterrupt.
        """
        if asyncio._get_running_loop() is not None:
            if asyncio.iscoroutine(work):
                work.close()
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
        of spawn_blocking() that run already are waited for. Idempotent; another thread that
        calls it, and who calls it again after Ctrl-C, waits for the end as well.

        Raises:
            RuntimeError: called from a worker or by a function of spawn_blocking(), whose thread
                cannot wait for itself.
        """
        if self._is_own_thread():
            raise RuntimeError("a Runtime cannot be shut down from one of its own threads")
        with self._shutdown_lock:
            # The latter: this is a signal handler in the middle of it, which goes on afterwards.
            if self._has_ended or self._is_ending:
                return
            self._is_shut_down = self._is_ending = True
            try:
                if not self._scheduler.native.is_parents:
                    _shut_down_parts(self._scheduler, self._pools())
                self._has_ended = True
            finally:
                self._is_ending = False

    def _is_own_thread(self) -> bool:
        return self._scheduler.is_own_thread() or any(
            pool.is_own_thread() for pool in self._pools()
        )

    def _pools(self) -> list[ThreadPool]:
        return [self._blocking] if self._compute is None else [self._blocking, self._compute]

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        # Unfinished by __init__, or done with.
        if self._is_shut_down or self._scheduler.native.is_parents:
            return
        _warn(f"unclosed runtime {self!r}", ResourceWarning, source=self)
        if not self._is_own_thread():
            self.shutdown()
        else:
            # Its last user was a thread of its own, which cannot wait for itself.
            threading.Thread(target=_shut_down_parts, args=(self._scheduler, self._pools())).start()

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

    def metrics(self) -> RuntimeMetrics:
        """Counters since the start, a snapshot: a dict as `RuntimeMetrics` says.

        >>> import blitzio
        >>> with blitzio.Runtime(workers=1) as runtime:
        ...     runtime.spawn(int).blocking_join()
        ...     runtime.metrics()["workers"][0]["polls"]
        0
        1
        """
        compute = process_pool() if self._compute is None else self._compute
        return {
            "workers": [worker.metrics() for worker in self._scheduler.workers],
            "injected": self._scheduler.native.injected,
            "blocking": pool_metrics(self._blocking),
            "compute": pool_metrics(compute),
        }

    def scheduler(self) -> SchedulerInfo:
        """The state of the workers, a snapshot.

        >>> import blitzio
        >>> with blitzio.Runtime(workers=1) as runtime:
        ...     runtime.scheduler().strategy
        'single_threaded'
        """
        native = self._scheduler.native
        queued = sum(worker.native.metrics()["queued"] for worker in self._scheduler.workers)
        return SchedulerInfo(
            strategy=self._config.strategy,
            workers=self._config.workers,
            sleeping=native.sleeping,
            queued=native.injected + queued,
        )

    def blocking_pool(self) -> BlockingPoolInfo:
        """The state of the threads for spawn_blocking(), a snapshot.

        >>> import blitzio
        >>> with blitzio.Runtime(workers=1, blocking_threads_max=4) as runtime:
        ...     runtime.blocking_pool().threads_max
        4
        """
        return BlockingPoolInfo(
            **pool_metrics(self._blocking),
            threads_max=self._config.blocking_threads_max,
            keep_alive=self._config.blocking_keep_alive,
        )

    def __repr__(self) -> str:
        state = "shut down" if self._is_shut_down else "running"
        return f"<Runtime {self._config.strategy} workers={self._config.workers} {state}>"


def _shut_down_parts(scheduler: Scheduler, pools: list[ThreadPool]) -> None:
    scheduler.stop()
    for pool in pools:
        for dropped in pool.shutdown(wait=False, cancel_pending=True):
            # A handle, or the method by which a thread takes part in a parallel map.
            work: Any = getattr(dropped, "__self__", dropped)
            work.cancel()
    for worker in scheduler.workers:
        worker.join()
    scheduler.native.drop_queued()
    for pool in pools:
        pool.shutdown(wait=True)


#: Those that have not shut down, to be ended before the interpreter is.
_alive: weakref.WeakSet[Runtime] = weakref.WeakSet()


@atexit.register
def _shut_down_all() -> None:
    for runtime in list(_alive):
        runtime.shutdown()


def _after_fork_in_child() -> None:
    global _alive
    _alive = weakref.WeakSet()


os.register_at_fork(after_in_child=_after_fork_in_child)


def get_runtime() -> Runtime | None:
    """The runtime whose worker the calling thread is, or None, as in functions of spawn_blocking()
    and compute(), which run apart from the workers.

    >>> import blitzio
    >>> blitzio.get_runtime() is None
    True
    >>> with blitzio.Runtime(workers=1) as runtime:
    ...     runtime.spawn(blitzio.get_runtime).blocking_join() is runtime
    True
    """
    return current_runtime()


@overload
def run_with(config: Config, work: Coroutine[Any, Any, _T], /) -> _T: ...
@overload
def run_with(config: Config, work: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any) -> _T: ...
@overload
def run_with(config: Config, work: Callable[..., _T], /, *args: Any) -> _T: ...
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
