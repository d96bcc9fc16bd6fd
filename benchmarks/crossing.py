"""Between threads, and between a thread and a task: the arms of primitives.py that cross."""

from __future__ import annotations

import importlib
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from blitzio import channel

#: Does so many operations; returns seconds.
Arm = Callable[[int], Awaitable[float]]
#: Of a queue: what puts, what gets.
Ends = tuple[Callable[[Any], Any], Callable[[], Any]]


def in_thread(work: Callable[[], object]) -> float:
    """Seconds that a thread takes for it, in which no loop runs."""
    taken: list[float] = []

    def run() -> None:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return taken[0]


def between_threads(make: Callable[[], Ends]) -> Arm:
    """One thread puts, another one gets."""

    async def run(ops: int) -> float:
        put, get = make()

        def produce() -> None:
            for number in range(ops):
                put(number)

        def consume() -> None:
            producer = threading.Thread(target=produce)
            producer.start()
            for _ in range(ops):
                get()
            producer.join()

        return in_thread(consume)

    return run


def from_thread(make: Callable[[], tuple[Ends, Callable[[], Awaitable[object]]]]) -> Arm:
    """A thread puts, a task gets; `make` also says how to close."""

    async def run(ops: int) -> float:
        (put, get), close = make()

        def produce() -> None:
            for number in range(ops):
                put(number)

        thread = threading.Thread(target=produce)
        start = time.perf_counter()
        thread.start()
        for _ in range(ops):
            await get()
        thread.join()
        seconds = time.perf_counter() - start
        await close()
        return seconds

    return run


def to_thread(make: Callable[[], tuple[Ends, Callable[[], Awaitable[object]]]]) -> Arm:
    """A task puts, a thread gets."""

    async def run(ops: int) -> float:
        (put, get), close = make()

        def consume() -> None:
            for _ in range(ops):
                get()

        thread = threading.Thread(target=consume)
        start = time.perf_counter()
        thread.start()
        for number in range(ops):
            await put(number)
        thread.join()
        seconds = time.perf_counter() - start
        await close()
        return seconds

    return run


def thread_lock(acquire: Callable[[], object], release: Callable[[], object]) -> Arm:
    async def run(ops: int) -> float:
        def work() -> None:
            for _ in range(ops):
                acquire()
                release()

        return in_thread(work)

    return run


def thread_queue() -> Ends:
    made: queue.Queue[Any] = queue.Queue(1_000)
    return made.put, made.get


def simple_queue() -> Ends:
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()
    return made.put, made.get


def thread_channel() -> Ends:
    made: channel.Channel[Any] = channel.Channel(1_000)
    return made.blocking_send, made.blocking_recv


def channel_to_task() -> tuple[Ends, Callable[[], Awaitable[object]]]:
    made: channel.Channel[Any] = channel.Channel(1_000)
    return (made.blocking_send, made.recv), _nothing


def channel_to_thread() -> tuple[Ends, Callable[[], Awaitable[object]]]:
    made: channel.Channel[Any] = channel.Channel(1_000)
    return (made.send, made.blocking_recv), _nothing


def installed_queue(
    package: str, *, to_task: bool
) -> Callable[[], tuple[Ends, Callable[[], Awaitable[object]]]]:
    """A queue of `package` between a thread and a task."""

    def make() -> tuple[Ends, Callable[[], Awaitable[object]]]:
        module = importlib.import_module(package)
        if package == "aiologic":
            simple = module.SimpleQueue()  # without a bound: who puts never waits
            green, tasks = (
                (simple.green_put, simple.green_get),
                (simple.async_put, simple.async_get),
            )
            return (green[0], tasks[1]) if to_task else (tasks[0], green[1]), _nothing
        made = module.Queue(1_000)
        threads, tasks = made.sync_q, made.async_q
        return (threads.put, tasks.get) if to_task else (tasks.put, threads.get), made.aclose

    return make


async def _nothing() -> None:
    pass
