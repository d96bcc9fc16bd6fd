"""`Worker`: one thread of a Runtime, with a loop. What it takes out of queues and how it sleeps is
native (`_native.Worker`); its beginning and its end are here.

Threads: `metrics` and `join` any; the rest its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from blitzio import _native
from blitzio._loop import Loop

if TYPE_CHECKING:
    from blitzio._config import Config
    from blitzio._runtime.info import WorkerMetrics


class Worker:
    def __init__(
        self, scheduler: _native.Scheduler, index: int, config: Config, processor: int | None
    ) -> None:
        self.scheduler = scheduler
        self.processor = processor
        self.loop = Loop(config)
        self.native = _native.Worker(scheduler, self.loop)
        self._pools_tasks = config.task_pooling
        self._is_winding_up = False
        self._has_ended = False
        self.thread = threading.Thread(
            target=self._main, name=f"blitzio-worker-{index}", daemon=True
        )

    def metrics(self) -> WorkerMetrics:
        is_open = not self.loop.is_closed()
        counts = self.native.metrics()
        return {
            "polls": counts["polls"],
            "steals": counts["steals"],
            "parks": counts["parks"],
            "yields": counts["yields"],
            "queued": counts["queued"],
            "tasks": len(asyncio.all_tasks(self.loop)) if is_open else 0,
            "loop": self.loop.metrics() if is_open else {},
        }

    def join(self) -> None:
        """Waits for the end of its thread, which was started."""
        self.thread.join()
        # Until 3.13 CPython takes a thread for ended once Ctrl-C has ended a wait for it.
        while not self._has_ended:
            time.sleep(0.001)

    def stop(self) -> None:
        """Leaves run_forever(). On the loop; again, or too late: nothing."""
        if not self._is_winding_up:
            self.loop.stop()

    def _main(self) -> None:
        if self.processor is not None:
            _pin(self.processor)
        loop = self.loop
        asyncio.set_event_loop(loop)
        self.native.enter(self._pools_tasks)
        try:
            while not self.scheduler.is_stopping:
                try:
                    loop.run_forever()
                except (SystemExit, KeyboardInterrupt):
                    # A task raised it, and its handle has it for whoever joins.
                    continue
            self._wind_up()
        finally:
            self.native.leave()
            asyncio.set_event_loop(None)
            try:
                loop.close()
            finally:
                self._has_ended = True

    def _wind_up(self) -> None:
        """Cancels and ends what runs here, with the loop still working for it."""
        loop = self.loop
        self._is_winding_up = True
        self.scheduler.drop_queued()
        # Dying tasks may start others; those are cancelled in their turn.
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(_settle(tasks))
            self.scheduler.drop_queued()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())


def _pin(processor: int) -> None:
    try:
        os.sched_setaffinity(0, {processor})
    except OSError:
        pass  # A container may forbid it, and the worker runs all the same.


async def _settle(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
