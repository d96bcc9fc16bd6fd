#!/usr/bin/env python3
"""Compares locks, queues, threads and spawning: blitzio's against asyncio's, anyio's and others'.

    ./dev.py bench primitives [--rounds N] [--only TEXT] [--loop NAME] [--json FILE]

Every question is asked on asyncio's loop, on uvloop and on ours, all arms alternating in this one
process. A figure is the median over the rounds, in nanoseconds for one operation; the lead is the
best peer's time divided by blitzio's on the same loop, taken per round and then the median: above 1
blitzio is ahead. Peers that are not installed (janus, aiologic, culsans, tonio) are left out; what
is no peer but the least that such a thing can take stands in brackets.

Questions of a pool spawn on two threads: let them have two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pools
from asking import OURS, Question, compare, has, loops, show
from crossing import (
    Arm,
    between_threads,
    channel_to_task,
    channel_to_thread,
    from_thread,
    installed_queue,
    simple_queue,
    thread_channel,
    thread_lock,
    thread_queue,
    to_thread,
)
from rich.console import Console

import blitzio
from blitzio import channel, sync

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TASKS = 8


# ---- locks ---------------------------------------------------------------------------------------


def hold(make: Callable[[], Any], tasks: int = 1) -> Arm:
    """`async with lock`, by several tasks in turn if there are several."""

    async def run(ops: int) -> float:
        lock = make()

        async def work() -> None:
            for _ in range(ops // tasks):
                async with lock:
                    if tasks > 1:
                        await asyncio.sleep(0)

        return await timed(work() for _ in range(tasks))

    return run


def signal(make: Callable[[], Any]) -> Arm:
    """One task sets an event, another one waits for it."""

    async def run(ops: int) -> float:
        there, back = [make()], [make()]

        async def answer() -> None:
            for _ in range(ops):
                await there[0].wait()
                there[0] = make()
                back[0].set()

        async def ask() -> None:
            for _ in range(ops):
                there[0].set()
                await back[0].wait()
                back[0] = make()

        return await timed((ask(), answer()))

    return run


def condition(make: Callable[[], Any], notify: str) -> Arm:
    async def run(ops: int) -> float:
        changed = make()
        turn = 0

        async def work(own: int) -> None:
            nonlocal turn
            for _ in range(ops // 2):
                async with changed:
                    while turn != own:
                        await changed.wait()
                    turn = 1 - own
                    getattr(changed, notify)()

        return await timed((work(0), work(1)))

    return run


def barrier(make: Callable[[int], Any]) -> Arm:
    async def run(ops: int) -> float:
        meeting = make(TASKS)

        async def work() -> None:
            for _ in range(ops // TASKS):
                await meeting.wait()

        return await timed(work() for _ in range(TASKS))

    return run


# ---- queues --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Queue:
    put: Callable[[Any], Awaitable[object]]
    get: Callable[[], Awaitable[object]]


def asyncio_queue(size: int) -> Queue:
    made: asyncio.Queue[Any] = asyncio.Queue(size)
    return Queue(made.put, made.get)


def anyio_stream(size: int) -> Queue:
    send, receive = anyio.create_memory_object_stream[Any](size)
    return Queue(send.send, receive.receive)


def blitzio_channel(size: int) -> Queue:
    made: channel.Channel[Any] = channel.Channel(size)
    return Queue(made.send, made.recv)


def stream(make: Callable[[int], Queue], size: int, pairs: int = 1) -> Arm:
    """Producers and consumers on one queue."""

    async def run(ops: int) -> float:
        made = make(size)

        async def produce() -> None:
            put = made.put
            for number in range(ops // pairs):
                await put(number)

        async def consume() -> None:
            get = made.get
            for _ in range(ops // pairs):
                await get()

        return await timed([work() for _ in range(pairs) for work in (produce, consume)])

    return run


# ---- spawning ------------------------------------------------------------------------------------


async def nothing() -> None:
    pass


def function() -> None:
    pass


async def create_task(ops: int) -> float:
    start = time.perf_counter()
    for _ in range(ops):
        await asyncio.create_task(nothing())
    return time.perf_counter() - start


async def spawn(ops: int) -> float:
    start = time.perf_counter()
    for _ in range(ops):
        await blitzio.spawn(nothing())
    return time.perf_counter() - start


if sys.version_info >= (3, 11):

    async def task_group(ops: int) -> float:
        start = time.perf_counter()
        for _ in range(ops // 100):
            async with asyncio.TaskGroup() as group:
                for _ in range(100):
                    group.create_task(nothing())
        return time.perf_counter() - start


async def anyio_group(ops: int) -> float:
    start = time.perf_counter()
    for _ in range(ops // 100):
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(nothing)
    return time.perf_counter() - start


async def gather(ops: int) -> float:
    start = time.perf_counter()
    for _ in range(ops // 100):
        await asyncio.gather(*[nothing() for _ in range(100)])
    return time.perf_counter() - start


async def spawn_many(ops: int) -> float:
    start = time.perf_counter()
    for _ in range(ops // 100):
        for handle in [blitzio.spawn(nothing()) for _ in range(100)]:
            await handle
    return time.perf_counter() - start


async def run_in_executor(ops: int) -> float:
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    for _ in range(ops):
        await loop.run_in_executor(None, function)
    return time.perf_counter() - start


async def anyio_thread(ops: int) -> float:
    start = time.perf_counter()
    for _ in range(ops):
        await anyio.to_thread.run_sync(function)
    return time.perf_counter() - start


async def spawn_blocking(ops: int) -> float:
    start = time.perf_counter()
    for _ in range(ops):
        await blitzio.spawn_blocking(function)
    return time.perf_counter() - start


# ---- the questions -------------------------------------------------------------------------------


async def timed(works: Any) -> float:
    """Seconds until all have ended, begun together."""
    tasks = [asyncio.ensure_future(work) for work in works]
    start = time.perf_counter()
    for task in tasks:
        await task
    return time.perf_counter() - start


def questions() -> list[Question]:
    mutex, lock = sync.Mutex(), threading.Lock()
    found = [
        Question(
            "lock",
            20_000,
            {OURS: hold(sync.Mutex), "asyncio": hold(asyncio.Lock), "anyio": hold(anyio.Lock)},
        ),
        Question(
            f"lock, {TASKS} tasks",
            4_000,
            {
                OURS: hold(sync.Mutex, TASKS),
                "asyncio": hold(asyncio.Lock, TASKS),
                "anyio": hold(anyio.Lock, TASKS),
            },
        ),
        Question(
            "semaphore",
            20_000,
            {
                OURS: hold(lambda: sync.Semaphore(2)),
                "asyncio": hold(lambda: asyncio.Semaphore(2)),
                "anyio": hold(lambda: anyio.Semaphore(2)),
            },
        ),
        Question(
            f"semaphore of 2, {TASKS} tasks",
            4_000,
            {
                OURS: hold(lambda: sync.Semaphore(2), TASKS),
                "asyncio": hold(lambda: asyncio.Semaphore(2), TASKS),
                "anyio": hold(lambda: anyio.Semaphore(2), TASKS),
            },
        ),
        Question(
            "event, there and back",
            4_000,
            {
                OURS: signal(sync.Event),
                "asyncio": signal(asyncio.Event),
                "anyio": signal(anyio.Event),
            },
        ),
        Question(
            "condition, in turn",
            4_000,
            {
                OURS: condition(sync.Condition, "signal"),
                "asyncio": condition(asyncio.Condition, "notify"),
                "anyio": condition(anyio.Condition, "notify"),
            },
        ),
    ]
    if sys.version_info >= (3, 11):
        found.append(
            Question(
                f"barrier of {TASKS}",
                4_000,
                {OURS: barrier(sync.Barrier), "asyncio": barrier(asyncio.Barrier)},
            )
        )
    for title, size, pairs in (("queue of 1", 1, 1), ("queue of 100", 100, 1), ("4 to 4", 100, 4)):
        found.append(
            Question(
                title,
                8_000,
                {
                    OURS: stream(blitzio_channel, size, pairs),
                    "asyncio": stream(asyncio_queue, size, pairs),
                    "anyio": stream(anyio_stream, size, pairs),
                },
            )
        )
    many: dict[str, Arm] = {OURS: spawn_many, "gather": gather, "anyio": anyio_group}
    if sys.version_info >= (3, 11):
        many["TaskGroup"] = task_group
    crossing = [name for name in ("janus", "aiologic", "culsans") if has(name)]
    found += [
        Question("spawn and await", 5_000, {OURS: spawn, "create_task": create_task}),
        Question("spawn 100, await all", 5_000, many),
        Question(
            "spawn_blocking",
            500,
            {OURS: spawn_blocking, "run_in_executor": run_in_executor, "anyio": anyio_thread},
        ),
        Question(
            "lock in a thread",
            20_000,
            {
                OURS: thread_lock(mutex.blocking_lock, mutex.unlock),
                "threading": thread_lock(lock.acquire, lock.release),
            },
        ),
        Question(
            "thread to thread",
            5_000,
            {
                OURS: between_threads(thread_channel),
                "queue.Queue": between_threads(thread_queue),
                "SimpleQueue": between_threads(simple_queue),
            },
        ),
        Question(
            "thread to task",
            2_000,
            {
                OURS: from_thread(channel_to_task),
                **{name: from_thread(installed_queue(name, to_task=True)) for name in crossing},
            },
        ),
        Question(
            "task to thread",
            2_000,
            {
                OURS: to_thread(channel_to_thread),
                **{name: to_thread(installed_queue(name, to_task=False)) for name in crossing},
            },
        ),
    ]
    return found + pools.questions()


# ---- the program ---------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="questions whose name has this text")
    parser.add_argument("--loop", action="append", choices=list(loops()))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = [question for question in questions() if options.only in question.name]
    rows = compare(chosen, options.loop or list(loops()), options.rounds)
    show(rows, Console(width=150))
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
