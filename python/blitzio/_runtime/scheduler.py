"""`Scheduler`: what the workers of a Runtime share: the queue from outside, and who is idle.

    spawn on a worker    ─▶ that worker's queue
    spawn from elsewhere ─▶ injected; an idle worker is woken, else the next in turn
                            (with thread_per_core: the queue of the next in turn)

Threads: any.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from blitzio._runtime.current import CURRENT
from blitzio._runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blitzio._config import Config
    from blitzio._runtime.handle import JoinHandle
    from blitzio.runtime import Runtime


class Scheduler:
    def __init__(self, config: Config, runtime: Runtime) -> None:
        """`config` is resolved: it has a number of workers, a strategy and an affinity."""
        # Weakly: workers keep the scheduler, and a runtime that is dropped shuts down.
        self.runtime = weakref.ref(runtime)
        #: Set in a forked child, which has the scheduler but none of its threads.
        self.is_parents = False
        self.is_stealing = config.strategy == "work_stealing"
        #: Work stays with the worker that it was given to.
        self.keeps_work = config.strategy == "thread_per_core"
        self.is_stopping = False
        self.injected: deque[JoinHandle[Any]] = deque()
        #: Workers that wait, or are about to. A dict for its atomic operations and its order.
        self.idle: dict[Worker, None] = {}
        self._turns = itertools.count()
        self.workers: list[Worker] = []
        try:
            for index in range(config.workers):
                processor = _processor(index) if config.affinity == "sequential" else None
                self.workers.append(Worker(self, index, config, processor))
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
            with _stack_size(stack_bytes):
                for worker in self.workers:
                    worker.thread.start()
                    started.append(worker)
        except BaseException:
            self.stop()
            for worker in self.workers:
                if worker in started:
                    worker.thread.join()
                else:
                    worker.loop.close()
            raise

    def schedule(self, handle: JoinHandle[Any]) -> None:
        """Queues work that was spawned by the calling thread.

        Raises:
            RuntimeError: the runtime has shut down.
        """
        if self.is_stopping:
            self._drop(handle)
            raise RuntimeError(
                "this Runtime belongs to the parent process"
                if self.is_parents
                else "cannot spawn on a Runtime that has shut down"
            )
        worker = CURRENT.worker
        if worker is not None and worker.scheduler is self:
            worker.push(handle)
            return
        if self.keeps_work:
            worker = self._next_in_turn()
            worker.queue.append(handle)
            worker.wake()
        else:
            self.injected.append(handle)
            if not self.wake_idle():
                self._next_in_turn().wake()
        if self._has_stopped():
            # It may have been too late for those who drop what is left.
            self.drop_queued()

    def _has_stopped(self) -> bool:
        return self.is_stopping

    def wake_idle(self) -> bool:
        """Wakes one idle worker, if there is one."""
        try:
            worker, _ = self.idle.popitem()
        except KeyError:
            return False
        worker.wake()
        return True

    def is_idle(self, worker: Worker) -> None:
        self.idle[worker] = None

    def not_idle(self, worker: Worker) -> None:
        self.idle.pop(worker, None)

    def has_work_for(self, worker: Worker) -> bool:
        if worker.queue or self.injected:
            return True
        return self.is_stealing and any(other.queue for other in self.workers)

    def take_injected(self, into: deque[JoinHandle[Any]]) -> JoinHandle[Any] | None:
        """A worker's share of the queue from outside: one to start, the others into its queue."""
        share = len(self.injected) // len(self.workers)
        try:
            first = self.injected.popleft()
        except IndexError:
            return None
        try:
            for _ in range(share):
                into.append(self.injected.popleft())
        except IndexError:
            pass  # Others took theirs meanwhile.
        return first

    def drop_queued(self) -> None:
        """Ends what has not started: its joiners see that it was cancelled."""
        for queue in (self.injected, *(worker.queue for worker in self.workers)):
            while queue:
                try:
                    handle = queue.popleft()
                except IndexError:
                    break
                self._drop(handle)

    def stop(self) -> None:
        """Ends the workers; join their threads afterwards."""
        self.is_stopping = True
        for worker in self.workers:
            try:
                worker.loop.call_soon_threadsafe(worker.stop)
            except RuntimeError:
                if not worker.loop.is_closed():
                    raise

    def disown(self) -> None:
        """In a forked child: the workers are not here."""
        self.is_parents = True
        self.is_stopping = True
        self.drop_queued()

    @staticmethod
    def _drop(handle: JoinHandle[Any]) -> None:
        handle.cancel()

    def _next_in_turn(self) -> Worker:
        return self.workers[next(self._turns) % len(self.workers)]


#: threading.stack_size() is one setting for all: changed for the threads of one runtime at a time.
_STACK_SIZE_LOCK = threading.Lock()


@contextlib.contextmanager
def _stack_size(stack_bytes: int) -> Iterator[None]:
    if stack_bytes == 0:
        yield
        return
    with _STACK_SIZE_LOCK:
        before = threading.stack_size(stack_bytes)
        try:
            yield
        finally:
            threading.stack_size(before)


def _processor(index: int) -> int:
    """The processor of a worker: the index-th of those that the process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[index % len(usable)]
