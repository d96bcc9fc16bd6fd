"""`SimLoop`: an asyncio loop whose clock and order are simulated.

One callback runs per turn. Of those that are ready, steps of tasks are chosen by the seed; other
callbacks keep their order among themselves, which asyncio promises and code counts on. The clock
stands still while anything is ready, and then jumps to the next timer:

    ready callbacks? ──yes──▶ run one of them
          │ no
    descriptors ready (wakes from other threads)? ──yes──▶ their callbacks are ready
          │ no
    timers? ──yes──▶ the clock jumps to the first
          │ no
    Deadlock

There is no network: sockets of the machine would bring in its time and order.

Threads: the one that runs it.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import select
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable


class Deadlock(RuntimeError):
    """No task can run, and nothing is to come that could change that. The text names who waits."""


class SimLoop(asyncio.BaseEventLoop):
    """Belongs to a world, which calls run()."""

    # Of BaseEventLoop, which its stub does not show.
    _ready: Any
    _scheduled: list[Any]
    _timer_cancelled_count: int

    def __init__(self, random_source: random.Random, step_ns: int) -> None:
        super().__init__()
        self._now_ns = 0
        self._step_ns = step_ns
        self._random = random_source
        self._readers: dict[int, asyncio.Handle] = {}
        self._poll = select.poll()
        self._numbers: dict[asyncio.Task[Any], int] = {}
        self._task_count = 0
        self.fingerprint = 0
        #: (time in seconds, what, subject), if it is kept.
        self.trace: list[tuple[float, str, Any]] | None = None
        self._clock_resolution = 1e-9
        self.set_task_factory(self._make_task)

    # ---- time and order ----------------------------------------------------------------------

    def time(self) -> float:
        return self._now_ns / 1e9

    def now_ns(self) -> int:
        return self._now_ns

    def note(self, what: str, subject: Any) -> None:
        """Something happened: part of the fingerprint, and of the trace if it is kept."""
        text = f"{self._now_ns} {what} {subject}"
        self.fingerprint = zlib.crc32(text.encode(), self.fingerprint)
        if self.trace is not None:
            self.trace.append((self.time(), what, subject))

    def _run_once(self) -> None:
        self._take_due_timers()
        if not self._ready:
            self._find_something()
        handle = self._choose()
        if handle._cancelled:
            return
        task = getattr(handle._callback, "__self__", None)
        if isinstance(task, asyncio.Task):
            self.note("run", self._numbers.get(task, 0))
        self._now_ns += self._step_ns
        handle._run()

    def _choose(self) -> Any:
        ready = self._ready
        index = self._random.randrange(len(ready)) if len(ready) > 1 else 0
        if not _is_step(ready[index]):
            # The first of its kind.
            index = next(i for i, handle in enumerate(ready) if not _is_step(handle))
        handle = ready[index]
        del ready[index]
        return handle

    def _find_something(self) -> None:
        if self._readers and self._deliver_readers():
            return
        due_ns = self._first_due()
        if due_ns is None:
            raise Deadlock(self._who_waits())
        self._now_ns = due_ns
        self.note("time", "")
        self._take_due_timers()

    def _take_due_timers(self) -> None:
        while (due_ns := self._first_due()) is not None and due_ns <= self._now_ns:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            self._ready.append(timer)

    def _first_due(self) -> int | None:
        """When the first timer is due that was not cancelled."""
        while self._scheduled:
            timer = self._scheduled[0]
            if not timer._cancelled:
                return _to_ns(timer.when())
            heapq.heappop(self._scheduled)
            timer._scheduled = False
            self._timer_cancelled_count -= 1
        return None

    def _who_waits(self) -> str:
        waiting = sorted(
            (number, task) for task, number in self._numbers.items() if not task.done()
        )
        lines = [f"  {_place(task)}" for _, task in waiting]
        return "every task waits, and nothing is to come:\n" + "\n".join(lines)

    # ---- tasks -------------------------------------------------------------------------------

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Those that have not ended, in the order of their making."""
        return list(self._numbers)

    def _make_task(self, loop: Any, coroutine: Any, **options: Any) -> Any:
        options.pop("eager_start", None)
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=self, **options)
        self._task_count += 1
        self._numbers[task] = self._task_count
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.note("finish", self._numbers.pop(task, 0))

    # ---- what is not simulated ---------------------------------------------------------------

    def add_reader(  # type: ignore[override]
        self, fd: Any, callback: Callable[..., object], *args: Any
    ) -> None:
        """For wakes from other threads. Sockets belong to io.net."""
        number = fd if isinstance(fd, int) else fd.fileno()
        self._readers[number] = asyncio.Handle(callback, args, self, None)
        self._poll.register(number, select.POLLIN)

    def remove_reader(self, fd: Any) -> bool:
        number = fd if isinstance(fd, int) else fd.fileno()
        if self._readers.pop(number, None) is None:
            return False
        self._poll.unregister(number)
        return True

    def _deliver_readers(self) -> bool:
        events = self._poll.poll(0)
        self._ready.extend(self._readers[fd] for fd, _ in events if fd in self._readers)
        return bool(events)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """In place, at once: threads have no order that a seed could choose."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            future.set_exception(error)
        return future

    async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError("a simulation has no names but those of its world; use io.net")

    def _write_to_self(self) -> None:
        pass  # It never sleeps.

    def _process_events(self, event_list: Iterable[Any]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._readers.clear()
        super().close()


def _to_ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _is_step(handle: Any) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)


def _place(task: asyncio.Task[Any]) -> str:
    """Its name, and where each of its coroutines waits for the next."""
    places = []
    coroutine: Any = task.get_coro()
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None:
            # No coroutine of Python's: what the innermost waits for.
            places.append(repr(coroutine))
            break
        name = coroutine.__qualname__.rpartition("<locals>.")[2]
        places.append(f"{name} ({os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno})")
        coroutine = coroutine.cr_await
    return f"{task.get_name()}: {' > '.join(places)}"
