"""`Scheduler`: the workers of a Runtime, from their start to their end. How work gets to them is
native (`_native.Scheduler`).

Threads: any.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from typing import TYPE_CHECKING

from blitzio import _native
from blitzio._loop import forking
from blitzio._runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blitzio._config import Config
    from blitzio.runtime import Runtime


class Scheduler:
    def __init__(self, config: Config, blocking: _native.ThreadPool) -> None:
        """`config` is resolved: it has a number of workers, a strategy and an affinity."""
        self.native = _native.Scheduler(
            is_stealing=config.strategy == "work_stealing",
            keeps_work=config.strategy == "thread_per_core",
            blocking=blocking,
        )
        self.workers: list[Worker] = []
        try:
            for index in range(config.workers):
                processor = _processor(index) if config.affinity == "sequential" else None
                self.workers.append(Worker(self.native, index, config, processor))
        except BaseException:
            for worker in self.workers:
                worker.loop.close()
            raise

    def start(self, stack_bytes: int) -> None:
        """Starts the threads.

        Raises:
            RuntimeError: a thread cannot be started; none runs then.
        """
        started = []
        try:
            with _stack_size.set_to(stack_bytes):
                for worker in self.workers:
                    worker.thread.start()
                    started.append(worker)
        except BaseException:
            self.stop()
            for worker in self.workers:
                if worker in started:
                    worker.join()
                else:
                    worker.loop.close()
            raise

    def stop(self) -> None:
        """Ends the workers; join them afterwards. Again: nothing."""
        self.native.stop(False)
        for worker in self.workers:
            try:
                worker.loop.call_soon_threadsafe(worker.stop)
            except RuntimeError:
                if not worker.loop.is_closed():
                    raise

    def disown(self) -> None:
        """In a forked child: the workers are not here."""
        self.native.stop(True)
        self.native.drop_queued()

    def is_own_thread(self) -> bool:
        """Whether the calling thread is one of the workers."""
        worker = _native._current_worker()
        return worker is not None and worker.scheduler is self.native


#: By scheduler: the runtime that it is of. Weakly: a runtime that is dropped shuts down.
_runtimes: weakref.WeakValueDictionary[_native.Scheduler, Runtime] = weakref.WeakValueDictionary()


def _after_fork_in_child() -> None:
    global _runtimes
    _runtimes = weakref.WeakValueDictionary()  # Nobody here is a worker of those.


os.register_at_fork(after_in_child=_after_fork_in_child)


def remember(scheduler: Scheduler, runtime: Runtime) -> None:
    _runtimes[scheduler.native] = runtime


def current_runtime() -> Runtime | None:
    """The runtime whose worker the calling thread is, or None."""
    worker = _native._current_worker()
    return None if worker is None else _runtimes.get(worker.scheduler)


class _StackSize(forking.Locked):
    """threading.stack_size() is one setting for all: changed for the threads of one runtime at a
    time. A child that is forked meanwhile, by another thread, puts it back."""

    def __init__(self) -> None:
        super().__init__()
        forking.remember(self)
        self._before: int | None = None  # under the lock; None: it is as others set it

    @contextlib.contextmanager
    def set_to(self, stack_bytes: int) -> Iterator[None]:
        if stack_bytes == 0:
            yield
            return
        with self._lock:
            before = threading.stack_size()
            try:
                self._before = before
                threading.stack_size(stack_bytes)
                yield
            finally:
                threading.stack_size(before)
                self._before = None

    def _after_fork(self) -> None:
        if self._before is not None:
            threading.stack_size(self._before)
            self._before = None


_stack_size = _StackSize()


def _processor(index: int) -> int:
    """The processor of a worker: the index-th of those that the process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[index % len(usable)]
