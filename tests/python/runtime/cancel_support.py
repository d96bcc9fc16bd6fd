"""Cancelling at every await: whatever waits is cancelled at each of its steps, and nothing is lost.

A scenario is one task that waits, what lets it go on, and what must hold afterwards. It runs once
undisturbed, which tells how often it is suspended; then once for each suspension and each manner:
cancelled while it waits; and cancelled in the very turn in which it was let go, the wake-up on its
way, where a lock or a message has an owner that will never run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import blitzio
from tests.python.runtime.conftest import LOOPS

CANCELLED = object()
Work = Callable[[], Coroutine[Any, Any, Any]]


@dataclass
class Scenario:
    """`work` waits until `let_go` is called; `check` gets its result, or CANCELLED."""

    work: Work
    let_go: Callable[[], object]
    check: Callable[[Any], object]
    clean_up: list[Callable[[], object]] = field(default_factory=list)


Make = Callable[[], Coroutine[Any, Any, Scenario]]

#: On what a scenario is played: each kind of loop, and a worker of a Runtime.
KINDS = (*LOOPS, "worker")


@contextlib.contextmanager
def player(kind: str) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """What runs a coroutine to its end."""
    if kind == "worker":
        with blitzio.Runtime(workers=1) as runtime:
            yield runtime.block_on
        return
    loop = LOOPS[kind]()
    try:
        yield loop.run_until_complete
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


@types.coroutine
def counted(
    inner: Coroutine[Any, Any, Any], on_suspension: Callable[[int], None]
) -> Generator[Any, Any, Any]:
    """Runs `inner`, and says each time that it is suspended."""
    step = 0
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            waits_for = inner.send(answer) if error is None else inner.throw(error)
        except StopIteration as stop:
            return stop.value
        step += 1
        on_suspension(step)
        answer = error = None
        try:
            answer = yield waits_for
        except BaseException as thrown:
            error = thrown


async def play(
    make: Callable[[], Coroutine[Any, Any, Scenario]], cancel_at: int, late: bool
) -> int:
    """Returns how often it was suspended."""
    scenario = await make()
    loop = asyncio.get_running_loop()
    steps = 0

    def on_suspension(step: int) -> None:
        nonlocal steps
        steps = step
        if step == cancel_at:
            loop.call_soon(disturb)
        elif step == 1:
            loop.call_soon(let_go)

    has_gone = False

    def let_go() -> None:
        nonlocal has_gone
        if not has_gone:
            has_gone = True
            scenario.let_go()

    def disturb() -> None:
        if late:
            let_go()
        task.cancel()
        # Who is not let go before must find what was meant for this one.
        loop.call_soon(let_go)

    async def run() -> Any:
        return await counted(scenario.work(), on_suspension)

    task = asyncio.ensure_future(run())
    try:
        result: Any = await asyncio.wait_for(asyncio.shield(task), 60)
    except asyncio.CancelledError:
        result = CANCELLED
    await asyncio.sleep(0)
    let_go()
    await asyncio.sleep(0)
    outcome = scenario.check(result)
    if asyncio.iscoroutine(outcome):
        await outcome
    for clean_up in scenario.clean_up:
        clean_up()
    return steps


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def cancel_everywhere(make: Make, kind: str) -> None:
    """Plays a scenario on one of KINDS, undisturbed and then in every way."""
    with player(kind) as run:
        # What a thread does may have ended before anybody waits for it: on a busy machine, where
        # who wakes a thread makes way for it, time after time.
        patience = time.monotonic() + 60
        while not (steps := run(play(make, 0, False))):
            assert time.monotonic() < patience, "a scenario that never waits shows nothing"
        before = descriptors()
        for cancel_at in range(1, steps + 1):
            for late in (False, True):
                run(play(make, cancel_at, late))
        # A thread that was looking up a name finishes, and closes what it has opened for that; and
        # the loop hears of the end of what it had the kernel's ring begin.
        patience = time.monotonic() + 30
        while descriptors() > before and time.monotonic() < patience:
            run(asyncio.sleep(0.01))
        # Less, if such a thread of the first round has only now come to its end.
        assert descriptors() <= before
