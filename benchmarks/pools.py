"""Pools of threads that run coroutines: the questions of primitives.py that spawn from elsewhere.

What there is beside a `Runtime`: threads that each run a loop, taken in turn, which people make by
hand; and TonIO, a runtime in Rust after Tokio's model for Python without the GIL (left out where it
is not installed), whose tasks are none of asyncio's.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from asking import FLOORS, OURS, Question, has, loops
from crossing import Arm, in_thread

import blitzio

THREADS = 2

_Work = Coroutine[Any, Any, Any]


@dataclass(frozen=True)
class Pool:
    #: From a task of a loop elsewhere: what is awaited for the end.
    spawn: Callable[[_Work], Awaitable[Any]]
    #: From a thread: what blocks until the end.
    start: Callable[[_Work], Callable[[], Any]]
    #: From a task of the pool's.
    spawn_inside: Callable[[_Work], Awaitable[Any]]


MakePool = Callable[[], AbstractContextManager[Pool]]


@contextlib.contextmanager
def runtime() -> Iterator[Pool]:
    with blitzio.Runtime(workers=THREADS) as made:
        yield Pool(made.spawn, lambda work: made.spawn(work).blocking_join, blitzio.spawn)


def loops_in_threads(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> MakePool:
    def run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        loop.close()

    @contextlib.contextmanager
    def pool() -> Iterator[Pool]:
        loops = [make_loop() for _ in range(THREADS)]
        threads = [threading.Thread(target=run, args=(loop,)) for loop in loops]
        for thread in threads:
            thread.start()
        turn = itertools.cycle(loops)

        def spawn(work: _Work) -> Awaitable[Any]:
            return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, next(turn)))

        def start(work: _Work) -> Callable[[], Any]:
            return asyncio.run_coroutine_threadsafe(work, next(turn)).result

        try:
            yield Pool(spawn, start, asyncio.create_task)
        finally:
            for loop in loops:
                loop.call_soon_threadsafe(loop.stop)
            for thread in threads:
                thread.join()

    return pool


async def nothing() -> None:
    pass


# ---- the arms ------------------------------------------------------------------------------------


def from_a_task(make: MakePool, at_once: int = 1) -> Arm:
    async def run(ops: int) -> float:
        with make() as pool:
            start = time.perf_counter()
            for _ in range(ops // at_once):
                for work in [pool.spawn(nothing()) for _ in range(at_once)]:
                    await work
            return time.perf_counter() - start

    return run


def from_a_thread(make: MakePool, at_once: int = 1) -> Arm:
    async def run(ops: int) -> float:
        with make() as pool:

            def spawn() -> None:
                for _ in range(ops // at_once):
                    for wait in [pool.start(nothing()) for _ in range(at_once)]:
                        wait()

            return in_thread(spawn)

    return run


async def _timed(ops: int, at_once: int, spawn: Callable[[_Work], Awaitable[Any]]) -> float:
    start = time.perf_counter()
    for _ in range(ops // at_once):
        for work in [spawn(nothing()) for _ in range(at_once)]:
            await work
    return time.perf_counter() - start


def inside(make: MakePool, at_once: int = 1) -> Arm:
    async def run(ops: int) -> float:
        with make() as pool:
            seconds: float = await pool.spawn(_timed(ops, at_once, pool.spawn_inside))
            return seconds

    return run


@functools.cache
def _tonio_runtime() -> Any:
    return importlib.import_module("tonio").runtime(threads=THREADS)  # One in a process, for ever.


def inside_tonio(at_once: int = 1) -> Arm:
    async def run(ops: int) -> float:
        spawn = importlib.import_module("tonio.colored").spawn
        seconds: float = _tonio_runtime().run_until_complete(_timed(ops, at_once, spawn))
        return seconds

    return run


async def bare_hops(ops: int) -> float:
    """There and back between two threads with nothing but a lock each way: what is to be had."""
    there, back = threading.Lock(), threading.Lock()
    there.acquire()
    back.acquire()

    def answer() -> None:
        for _ in range(ops):
            there.acquire()
            back.release()

    def ask() -> None:
        for _ in range(ops):
            there.release()
            back.acquire()

    thread = threading.Thread(target=answer)
    thread.start()
    seconds = in_thread(ask)
    thread.join()
    return seconds


# ---- the questions -------------------------------------------------------------------------------


def questions() -> list[Question]:
    """Spawning on two threads: from a task of another loop, from a thread, and from there."""
    makes = {OURS: runtime, "loops in threads": loops_in_threads(loops()["asyncio"])}
    if has("uvloop"):
        makes["uvloops in threads"] = loops_in_threads(loops()["uvloop"])
    found = []
    for count in (1, 100):
        title = "pool, {}: " + ("spawn and await" if count == 1 else f"spawn {count}, await all")
        ops = 1_000 if count == 1 else 5_000
        tasks = {name: from_a_task(make, count) for name, make in makes.items()}
        threads = {name: from_a_thread(make, count) for name, make in makes.items()}
        if count == 1:
            threads[FLOORS[0]] = bare_hops
        within = {name: inside(make, count) for name, make in makes.items()}
        if has("tonio"):
            within["tonio"] = inside_tonio(count)
        found += [
            Question(title.format("from a loop"), ops, tasks),
            Question(title.format("from a thread"), ops, threads),
            Question(title.format("inside"), 5_000, within),
        ]
    return found
