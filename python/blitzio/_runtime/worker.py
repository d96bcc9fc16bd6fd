"""`Worker`: one thread of a Runtime, with a loop and a queue of work that has not started.

Work becomes an asyncio task of the loop of whichever worker takes it out of a queue, and stays
there, for what it makes (futures, transports) belongs to that loop. Until then anybody may take it:
an idle worker steals half of another's queue.

    push ─▶ queue ─▶ _drain: start up to kBudget ─▶ more? again in the next turn
              ▲                    │ empty
     injected ┘◀── steal half ◀────┘

Sleeping: before its loop waits, a worker says that it is idle and then looks at every queue once
more (`_before_wait`, called by the loop); who queues work looks for idle workers afterwards. So no
work is left lying while a worker sleeps.

Threads: `queue` any (a deque's single operations are atomic); `wake` any; the rest its own.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from blitzio._loop import Loop
from blitzio._runtime.current import CURRENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from blitzio._config import Config
    from blitzio._runtime.handle import JoinHandle
    from blitzio._runtime.scheduler import Scheduler

#: Starts in a row before the loop gets to I/O and timers again: the scheduler's budget in C++.
_BUDGET = 128
#: Every so many starts the queue from outside goes first, so that it is not starved.
_INJECTED_INTERVAL = 61


class Worker:
    def __init__(
        self, scheduler: Scheduler, index: int, config: Config, processor: int | None
    ) -> None:
        self.scheduler = scheduler
        self.processor = processor
        self.index = index
        self.queue: deque[JoinHandle[Any]] = deque()
        self.loop = Loop(config)
        # asyncio knows tasks by weak references only.
        self.tasks: set[asyncio.Task[Any]] = set()
        self.thread = threading.Thread(
            target=self._main, name=f"blitzio-worker-{index}", daemon=True
        )
        # Counters, read by metrics().
        self.polls = 0
        self.steals = 0
        self.parks = 0
        self.yields = 0
        self._tick = 0
        self._drain_is_due = False
        self._wake_is_due = False
        self._drain_callback = self._drain

    # ---- any thread --------------------------------------------------------------------------

    def wake(self) -> None:
        """Has the worker look at the queues."""
        if self._wake_is_due:
            return
        self._wake_is_due = True
        try:
            self.loop.call_soon_threadsafe(self._woken)
        except RuntimeError:
            if not self.loop.is_closed():
                raise
            # The runtime has shut down, and whoever did that drops what is queued.

    def metrics(self) -> dict[str, Any]:
        return {
            "polls": self.polls,
            "steals": self.steals,
            "parks": self.parks,
            "yields": self.yields,
            "queued": len(self.queue),
            "tasks": len(self.tasks),
            "loop": {} if self.loop.is_closed() else self.loop.metrics(),
        }

    # ---- its own thread ----------------------------------------------------------------------

    def push(self, handle: JoinHandle[Any]) -> None:
        """Queues work that was spawned here."""
        queue = self.queue
        queue.append(handle)
        if not self._drain_is_due:
            self._drain_is_due = True
            self.loop.call_soon(self._drain_callback)
        elif self.scheduler.idle and len(queue) > 1 and self.scheduler.is_stealing:
            # This worker starts one as soon as the running task waits; a second one is worth
            # another's waking.
            self.scheduler.wake_idle()

    def _main(self) -> None:
        CURRENT.worker = self
        if self.processor is not None:
            _pin(self.processor)
        loop = self.loop
        asyncio.set_event_loop(loop)
        loop._set_before_wait(self._before_wait)
        try:
            while not self.scheduler.is_stopping:
                try:
                    loop.run_forever()
                except (SystemExit, KeyboardInterrupt):
                    # A task raised it, and its handle has it for whoever joins.
                    continue
            self._wind_up()
        finally:
            loop._set_before_wait(None)
            asyncio.set_event_loop(None)
            loop.close()
            CURRENT.worker = None

    def stop(self) -> None:
        """Leaves run_forever(). On the loop."""
        self.loop.stop()

    def _wind_up(self) -> None:
        """Cancels and ends what runs here, with the loop still working for it."""
        loop = self.loop
        self.scheduler.drop_queued()
        # Dying tasks may start others; those are cancelled in their turn.
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(_settle(tasks))
            self.scheduler.drop_queued()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())

    def _woken(self) -> None:
        self._wake_is_due = False
        self.scheduler.not_idle(self)
        if not self._drain_is_due:
            self._drain()

    def _before_wait(self) -> bool:
        """Called by the loop before it waits. Returns whether there is work after all."""
        if self.scheduler.is_stopping:
            return False
        self.scheduler.is_idle(self)
        if not self.scheduler.has_work_for(self):
            self.parks += 1
            return False
        self.scheduler.not_idle(self)
        self._drain_is_due = True
        self.loop.call_soon(self._drain_callback)
        return True

    def _drain(self) -> None:
        self._drain_is_due = False
        for _ in range(_BUDGET):
            handle = self._take()
            if handle is None:
                return
            self._start(handle)
        self.yields += 1
        if self.scheduler.has_work_for(self) and not self._drain_is_due:
            self._drain_is_due = True
            self.loop.call_soon(self._drain_callback)

    def _take(self) -> JoinHandle[Any] | None:
        self._tick += 1
        scheduler = self.scheduler
        if self._tick % _INJECTED_INTERVAL == 0 and scheduler.injected:
            handle = scheduler.take_injected(self.queue)
            if handle is not None:
                return handle
        try:
            return self.queue.popleft()
        except IndexError:
            pass
        handle = scheduler.take_injected(self.queue)
        if handle is None and scheduler.is_stealing:
            handle = self._steal()
        return handle

    def _steal(self) -> JoinHandle[Any] | None:
        """Takes half of somebody's queue: one to start, the others into its own."""
        workers = self.scheduler.workers
        start = random.randrange(len(workers))
        for i in range(len(workers)):
            victim = workers[(start + i) % len(workers)].queue
            if victim is self.queue:
                continue
            count = (len(victim) + 1) // 2
            try:
                first = victim.popleft()
            except IndexError:
                continue
            self.steals += 1
            try:
                for _ in range(count - 1):
                    self.queue.append(victim.popleft())
            except IndexError:
                pass  # The owner was faster.
            return first
        return None

    def _start(self, handle: JoinHandle[Any]) -> None:
        self.polls += 1
        start_on(self.loop, handle, self.tasks, self._cancel)

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        """From any thread."""
        if CURRENT.worker is self:
            task.cancel()
            return
        try:
            self.loop.call_soon_threadsafe(task.cancel)
        except RuntimeError:
            if not self.loop.is_closed():
                raise
            # The runtime has shut down, and cancelled it.


def start_on(
    loop: asyncio.AbstractEventLoop,
    handle: JoinHandle[Any],
    tasks: set[asyncio.Task[Any]],
    cancel: Callable[[asyncio.Task[Any]], object],
) -> None:
    """Claims what the handle stands for and starts it on `loop`, which runs in this thread. `tasks`
    keeps the task alive; `cancel` cancels it, from any thread."""
    try:
        function, arguments, context = handle._work.pop()
    except IndexError:
        return  # Cancelled before it started.
    try:
        made = context.run(function, *arguments)
    except BaseException as error:
        _fail(loop, handle, error)
        return
    coroutine: Any
    if inspect.iscoroutine(made):
        coroutine = made
    elif inspect.isawaitable(made):
        coroutine = _wait_for(made)
    else:
        handle._finish(made)
        return
    task = _new_task(loop, coroutine, context, handle.name)
    if task.done():
        handle._finish_from(task)
        return
    tasks.add(task)

    def finished(task: asyncio.Task[Any]) -> None:
        tasks.discard(task)
        handle._finish_from(task)

    task.add_done_callback(finished)
    handle._started(task, lambda: cancel(task))


def _fail(loop: asyncio.AbstractEventLoop, handle: JoinHandle[Any], error: BaseException) -> None:
    """A plain function raised: in a future, which tells if nobody ever asks."""
    if isinstance(error, (asyncio.CancelledError, StopIteration)):
        handle._finish(error=error)
        return
    future = loop.create_future()
    future.set_exception(error)
    handle._finish_from(future)


def _new_task(
    loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context, name: str | None
) -> asyncio.Task[Any]:
    if loop.get_task_factory() is None:
        if sys.version_info >= (3, 12):
            # Nothing of the spawner runs by now, so the first step may be taken at once.
            return asyncio.Task(coroutine, loop=loop, name=name, context=context, eager_start=True)
    if sys.version_info >= (3, 11):
        return loop.create_task(coroutine, name=name, context=context)
    task: asyncio.Task[Any] = context.run(loop.create_task, coroutine, name=name)
    return task


def _pin(processor: int) -> None:
    try:
        os.sched_setaffinity(0, {processor})
    except OSError:
        pass  # A container may forbid it, and the worker runs all the same.


async def _settle(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable
