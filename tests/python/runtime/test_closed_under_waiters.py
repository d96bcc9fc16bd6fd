"""A loop that is closed, and a Runtime that is shut down, under those who wait there: they are told
or dropped, what was meant for them goes to others, and nothing stays open."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import fs, spawn_blocking, sync, time
from tests.python.loop.support import PATIENCE, turns
from tests.python.runtime import test_cancel_everywhere as waits
from tests.python.runtime import test_cancel_files_everywhere as file_waits
from tests.python.runtime import test_cancel_io_everywhere as io_waits
from tests.python.runtime import test_cancel_net_everywhere as net_waits
from tests.python.runtime import test_cancel_work_everywhere as work_waits
from tests.python.runtime.cancel_support import CANCELLED, Make, Scenario, descriptors
from tests.python.runtime.conftest import LOOPS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

#: Scenarios of the cancel tests whose `check` may run on another loop than their `work`.
SCENARIOS: dict[str, Make] = {
    name: scenarios[name]
    for scenarios, names in (
        (
            waits.SCENARIOS,
            (
                *("mutex", "read_lock", "write_lock", "semaphore", "notify", "condition"),
                *("send", "receive", "receive_with_a_limit", "receive_from_either"),
                *("oneshot", "broadcast", "watch", "event", "barrier"),
            ),
        ),
        (
            io_waits.SCENARIOS,
            (
                *("read", "write", "accept", "receive_datagram", "send_datagram"),
                *("child", "program", "hear"),
            ),
        ),
        (net_waits.SCENARIOS, ("read_vectored", "peek", "write_vectored", "accept_unix")),
        (
            work_waits.SCENARIOS,
            (
                *("spawn_blocking", "compute", "parallel_map", "token", "under_a_token"),
                *("shutdown", "work_under_way", "descriptor", "future_of_a_thread"),
            ),
        ),
    )
    for name in names
}
WITH_FILES = ("reading", "line_of_text", "flushing", "watching")


async def finish(scenario: Scenario) -> None:
    scenario.let_go()
    await turns()
    outcome = scenario.check(CANCELLED)
    if asyncio.iscoroutine(outcome):
        await outcome
    for clean_up in scenario.clean_up:
        clean_up()


async def begin(make: Make) -> tuple[Scenario, asyncio.Task[Any]]:
    scenario = await make()

    async def work() -> Any:
        return await scenario.work()

    task = asyncio.get_running_loop().create_task(work())
    await turns(5)
    assert not task.done()
    # asyncio would tell that it was destroyed while it was pending, which is the point.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return scenario, task


def close_under(make: Make, kind: str, *, let_go_first: bool) -> None:
    """The loop is closed while a task waits there; the rest happens on another loop. With
    `let_go_first` the one who waits is let go while it is still there, where it can never run."""
    first, second = LOOPS[kind](), LOOPS[kind]()
    try:
        scenario, task = first.run_until_complete(begin(make))
        first.run_until_complete(first.shutdown_default_executor())
        first.close()
        gone = weakref.ref(task)

        async def rest(tasks: list[asyncio.Task[Any]]) -> None:
            if let_go_first:
                scenario.let_go()
                scenario.let_go = lambda: None
                await turns()
            tasks.clear()
            gc.collect()
            assert gone() is None
            await finish(scenario)

        tasks = [task]
        del task
        second.run_until_complete(asyncio.wait_for(rest(tasks), PATIENCE))
        second.run_until_complete(second.shutdown_default_executor())
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("let_go_first", [False, True], ids=["dropped", "let_go"])
@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_loop_is_closed_under_who_waits(name: str, kind: str, let_go_first: bool) -> None:
    close_under(SCENARIOS[name], kind, let_go_first=let_go_first)


@pytest.mark.parametrize("let_go_first", [False, True], ids=["dropped", "let_go"])
@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("name", WITH_FILES)
def test_a_loop_is_closed_under_who_waits_for_a_file(
    name: str, kind: str, let_go_first: bool, tmp_path: Path
) -> None:
    fs.set_inline_writes(False)
    try:
        close_under(file_waits.SCENARIOS[name](tmp_path), kind, let_go_first=let_go_first)
    finally:
        fs.set_inline_writes(True)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_loop_is_closed_under_timers_groups_and_joins(kind: str) -> None:
    """They are the loop's alone: they go with it, and so does what they hold."""
    loop = LOOPS[kind]()
    held: list[weakref.ref[Any]] = []
    tasks: list[asyncio.Task[Any]] = []

    class Thing:
        pass

    async def work(wait: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        thing = Thing()
        held.append(weakref.ref(thing))
        await wait()
        assert isinstance(thing, Thing)

    async def grouped() -> None:
        async with blitzio.Group() as group:
            group.spawn(work(lambda: time.sleep(3600)))

    async def limited() -> None:
        async with blitzio.timeout(3600):
            await asyncio.get_running_loop().create_future()

    async def joined() -> None:
        await blitzio.spawn(work(lambda: time.sleep(3600)))

    async def ticking() -> None:
        clock = blitzio.interval(3600)
        await clock.tick()
        await clock.tick()

    async def main() -> None:
        waits: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            lambda: time.sleep(3600),
            limited,
            joined,
            ticking,
            grouped,
        ]
        tasks.extend(asyncio.get_running_loop().create_task(work(wait)) for wait in waits)
        await turns(5)
        for task in asyncio.all_tasks():
            task._log_destroy_pending = False  # type: ignore[attr-defined]

    loop.run_until_complete(main())
    assert len(held) == 7
    assert all(each() is not None for each in held)
    loop.close()
    tasks.clear()
    del loop
    gc.collect()
    assert [each for each in held if each() is not None] == []


# ---- a Runtime ----------------------------------------------------------------------------------


# What its own threads have begun a Runtime waits for.
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "spawn_blocking"])
def test_a_runtime_is_shut_down_under_who_waits(name: str) -> None:
    """Who waits is cancelled; the rest happens on another runtime."""
    made: list[Scenario] = []
    waiting = sync.Event()

    async def work() -> Any:
        scenario = await SCENARIOS[name]()
        made.append(scenario)
        asyncio.get_running_loop().call_soon(waiting.set)
        return await scenario.work()

    with blitzio.Runtime(workers=1) as first:
        handle = first.spawn(work)
        waiting.blocking_wait(PATIENCE)
    assert handle.is_finished()
    assert handle.cancelled()
    with pytest.raises(asyncio.CancelledError):
        handle.blocking_join()
    with pytest.raises(RuntimeError, match="shut down"):
        first.spawn(work)
    with blitzio.Runtime(workers=1) as second:
        second.block_on(finish(made[0]))


def test_a_runtime_that_is_shut_down_ends_threads_that_wait_for_its_work() -> None:
    """They block for what will never be: they are told."""
    runtime = blitzio.Runtime(workers=1)
    handle = runtime.spawn(asyncio.sleep, 3600)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        thread = loop.run_in_executor(None, handle.blocking_join)
        task = asyncio.ensure_future(handle.join())
        await turns()
        assert not task.done()
        await spawn_blocking(runtime.shutdown)
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.CancelledError):
            await thread
        await loop.shutdown_default_executor()

    before = descriptors()
    blitzio.run(main())
    assert descriptors() <= before
