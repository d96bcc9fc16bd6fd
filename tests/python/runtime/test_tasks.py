"""blitzio.task: handles, and joining several, on loops and runtimes."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import Runtime
from blitzio.task import (
    JoinHandle,
    join_all,
    spawn,
    spawn_future,
    try_join_all,
    yield_now,
)
from blitzio.time import sleep, timeout
from tests.python.runtime.runtime_support import PATIENCE, forever
from tests.python.runtime.task_support import Probe, fail, give

if TYPE_CHECKING:
    from tests.python.runtime.conftest import Run


# ---- handles ---------------------------------------------------------------------------------


def test_a_handle_tells_its_state(run_anywhere: Run) -> None:
    async def main() -> None:
        handle = spawn(give(5))
        assert not handle.is_finished()
        assert handle.try_join() is None
        assert await handle == 5
        assert await handle.join() == 5
        assert (handle.is_finished(), handle.try_join(), handle.cancelled()) == (True, 5, False)
        assert not handle.cancel()
        assert repr(handle) == "<JoinHandle finished>"

    run_anywhere(main())


def test_cancelling_a_handle_ends_its_task(run_anywhere: Run) -> None:
    async def main() -> None:
        probe = Probe()
        handle = spawn(probe.run())
        while not probe.started.is_set():
            await sleep(0)
        assert handle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handle
        assert (handle.cancelled(), probe.ended) == (True, "cancelled")

    run_anywhere(main())


def test_work_cancelled_before_it_starts_never_does(run_anywhere: Run) -> None:
    async def main() -> None:
        probe = Probe()
        # On a runtime another worker may have started it already.
        handles = [spawn(probe.run()) for _ in range(3)]
        for handle in handles:
            handle.cancel()
        for handle in handles:
            with pytest.raises(asyncio.CancelledError):
                await handle

    run_anywhere(main())
    gc.collect()  # A coroutine that was never awaited would warn now.


def test_cancelling_who_waits_leaves_the_work_alone(run_anywhere: Run) -> None:
    async def main() -> None:
        handle = spawn(forever)
        waiter = asyncio.ensure_future(handle.join())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert not handle.is_finished()
        with pytest.raises(TimeoutError):
            await timeout(0.001, handle)
        assert not handle.is_finished()
        handle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handle

    run_anywhere(main())


def test_a_handle_is_joined_from_threads_and_loops_at_once() -> None:
    with Runtime(workers=1) as runtime:
        release = threading.Event()
        handle = runtime.spawn_blocking(lambda: release.wait(PATIENCE) and "value")
        found: list[Any] = []

        def in_thread() -> None:
            found.append(handle.blocking_join(PATIENCE))

        def in_loop() -> None:
            found.append(asyncio.run(handle.join()))

        threads = [threading.Thread(target=target) for target in (in_thread, in_loop) * 3]
        for thread in threads:
            thread.start()
        with pytest.raises(TimeoutError, match="did not end within"):
            handle.blocking_join(0.001)
        release.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert found == ["value"] * 6


def test_a_waiter_whose_loop_is_closed_is_forgotten() -> None:
    with Runtime(workers=1) as runtime:
        handle: JoinHandle[None] = runtime.spawn(forever)
        loop = asyncio.SelectorEventLoop()
        waiter = loop.create_task(handle.join())
        loop.run_until_complete(asyncio.sleep(0))
        waiter.cancel()
        loop.run_until_complete(asyncio.gather(waiter, return_exceptions=True))
        other = loop.create_task(handle.join())
        loop.run_until_complete(asyncio.sleep(0))
        other._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()
        handle.cancel()
        with pytest.raises(asyncio.CancelledError):
            handle.blocking_join(PATIENCE)
        del other, waiter


def test_yielding_lets_others_run(run_anywhere: Run) -> None:
    async def main() -> None:
        seen = []

        async def other() -> None:
            seen.append("other")

        task = asyncio.ensure_future(other())
        await yield_now()
        seen.append("self")
        await task
        assert seen == ["other", "self"]
        assert await spawn_future(asyncio.sleep(0, "future")) == "future"

    run_anywhere(main())


# ---- joining ---------------------------------------------------------------------------------


def test_join_all_gives_all_results_in_order(run_anywhere: Run) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(give(3))
        assert await join_all(spawn(give(1)), give(2), task) == (1, 2, 3)
        assert await join_all([give(1), give(2)]) == (1, 2)
        assert await join_all() == await join_all([]) == ()

    run_anywhere(main())


def test_join_all_fails_at_once_and_ends_what_it_owns(run_anywhere: Run) -> None:
    async def main() -> None:
        owned, reference = Probe(), Probe()
        handle = spawn(reference.run())
        with pytest.raises(KeyError):
            await join_all(owned.run(), handle, fail(KeyError()))
        assert owned.ended == "cancelled"
        assert not handle.is_finished()
        handle.cancel()
        await try_join_all(handle)

    run_anywhere(main())


def test_cancelling_join_all_ends_what_it_owns(run_anywhere: Run) -> None:
    async def main() -> None:
        owned, reference = Probe(), Probe()
        handle = spawn(reference.run())
        joining = asyncio.ensure_future(join_all(owned.run(), handle))
        while not (owned.started.is_set() and reference.started.is_set()):
            await sleep(0)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert owned.ended == "cancelled"
        assert not handle.is_finished()
        handle.cancel()
        await try_join_all(handle)
        assert reference.ended == "cancelled"

    run_anywhere(main())


def test_try_join_all_tells_what_became_of_each(run_anywhere: Run) -> None:
    async def main() -> None:
        error = KeyError()
        handle = spawn(forever)
        handle.cancel()
        outcomes: tuple[Any, ...] = await try_join_all([give(1), fail(error), handle])
        first, second, third = outcomes
        assert (first, second) == (1, error)
        assert isinstance(third, asyncio.CancelledError)

    run_anywhere(main())


def test_joining_what_cannot_be_awaited_is_refused(run_anywhere: Run) -> None:
    async def main() -> None:
        both: tuple[Any, ...] = (join_all, try_join_all)
        for join in both:
            with pytest.raises(TypeError, match="an awaitable was expected, got 42"):
                await join(give(1), 42)
            with pytest.raises(TypeError, match="an awaitable was expected"):
                await join(42)

    run_anywhere(main())
    gc.collect()
