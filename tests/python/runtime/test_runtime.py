"""blitzio.Runtime: its workers, and what is spawned on them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import Runtime, get_runtime, spawn, spawn_blocking
from blitzio.runtime import BlockingPoolInfo, SchedulerInfo
from tests.python.runtime.runtime_support import PATIENCE, double

if TYPE_CHECKING:
    from collections.abc import Iterator

STRATEGIES = ("work_stealing", "thread_per_core", "single_threaded")


@pytest.fixture(params=STRATEGIES)
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    workers = 1 if request.param == "single_threaded" else 3
    with Runtime(workers=workers, strategy=request.param) as runtime:
        yield runtime


def test_a_coroutine_runs_on_a_worker_and_its_result_arrives(runtime: Runtime) -> None:
    async def where() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    assert runtime.spawn(double(4)).blocking_join(PATIENCE) == 8
    assert runtime.spawn(where()).blocking_join(PATIENCE).startswith("blitzio-worker-")


def test_functions_plain_or_async_are_called_on_a_worker(runtime: Runtime) -> None:
    def plain(*args: int) -> tuple[int, Runtime | None]:
        return sum(args), get_runtime()

    assert runtime.spawn(plain, 1, 2, 3).blocking_join(PATIENCE) == (6, runtime)
    assert runtime.spawn(double, 5).blocking_join(PATIENCE) == 10


def test_any_awaitable_can_be_spawned(runtime: Runtime) -> None:
    class Answer:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return 42

    assert runtime.spawn_future(Answer()).blocking_join(PATIENCE) == 42


def test_an_exception_reaches_every_joiner(runtime: Runtime) -> None:
    error = KeyError("mine")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise error

    def fail_plainly() -> None:
        raise error

    for work in (fail, fail_plainly):
        handle = runtime.spawn(work)
        for _ in range(2):
            with pytest.raises(KeyError) as caught:
                handle.blocking_join(PATIENCE)
            assert caught.value is error


def test_an_exception_that_nobody_asks_for_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise KeyError("lost")

    with Runtime(workers=1) as runtime:
        runtime.spawn(fail)
        runtime.spawn(double, 1).blocking_join(PATIENCE)
    gc.collect()
    assert "exception was never retrieved" in caplog.text


def test_a_detached_handle_reports_no_exception(caplog: pytest.LogCaptureFixture) -> None:
    started = threading.Event()

    async def fail() -> None:
        await asyncio.to_thread(started.wait)
        raise KeyError("unwanted")

    with Runtime(workers=1) as runtime:
        handle = runtime.spawn(fail)
        handle.detach()
        started.set()
        with pytest.raises(KeyError):
            handle.blocking_join(PATIENCE)
        del handle
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_what_exits_in_a_task_reaches_the_joiner_and_not_the_worker(runtime: Runtime) -> None:
    async def leave() -> None:
        await asyncio.sleep(0)
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        runtime.spawn(leave()).blocking_join(PATIENCE)
    assert runtime.spawn(double(1)).blocking_join(PATIENCE) == 2


def test_tasks_spawn_tasks(runtime: Runtime) -> None:
    async def tree(depth: int) -> int:
        if depth == 0:
            return 1
        handles = [spawn(tree(depth - 1)) for _ in range(3)]
        return sum([await handle for handle in handles])

    assert runtime.block_on(tree(5)) == 3**5


def test_the_spawners_context_is_seen_and_not_changed(runtime: Runtime) -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    async def look() -> str:
        seen = variable.get()
        variable.set("inner")
        await asyncio.sleep(0)
        return seen

    variable.set("outer")
    handle = runtime.spawn(look)
    variable.set("later")
    assert handle.blocking_join(PATIENCE) == "outer"
    assert variable.get() == "later"


def test_the_name_is_the_tasks(runtime: Runtime) -> None:
    async def name() -> str:
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    handle = runtime.spawn(name, name="worker bee")
    assert handle.blocking_join(PATIENCE) == "worker bee"
    assert handle.name == "worker bee"
    assert "worker bee" in repr(handle)


def test_work_that_has_not_started_moves_to_an_idle_worker() -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    async def occupy() -> str:
        # Two pieces that must run at the same time, and one worker that spawns them both.
        first, second = spawn(both.wait), spawn(both.wait)
        await first
        await second
        return "met"

    with Runtime(workers=2) as runtime:
        assert runtime.spawn(occupy).blocking_join(PATIENCE) == "met"
        assert sum(worker["steals"] for worker in runtime.metrics()["workers"]) >= 1


def test_with_thread_per_core_work_stays_where_it_was_spawned() -> None:
    async def places() -> set[int]:
        handles = [spawn(threading.get_ident) for _ in range(200)]
        return {await handle for handle in handles} - {threading.get_ident()}

    with Runtime(workers=3, strategy="thread_per_core") as runtime:
        assert runtime.block_on(places()) == set()
        seen = {runtime.spawn(threading.get_ident).blocking_join(PATIENCE) for _ in range(3)}
        assert len(seen) == 3


def test_a_flood_of_tasks_all_ends(runtime: Runtime) -> None:
    handles = [runtime.spawn(double, number) for number in range(3_000)]
    assert sum(handle.blocking_join(PATIENCE) for handle in handles) == sum(range(3_000)) * 2


def test_ten_thousand_joins_at_once() -> None:
    gate = asyncio.Event()

    async def main() -> int:
        async def waits() -> int:
            await gate.wait()
            return 1

        handle = spawn(waits())
        joins = [asyncio.ensure_future(handle.join()) for _ in range(10_000)]
        await asyncio.sleep(0)
        gate.set()
        return sum(await asyncio.gather(*joins))

    with Runtime(workers=1) as single:
        assert single.block_on(main()) == 10_000


def test_runtimes_live_side_by_side() -> None:
    with Runtime(workers=1) as one, Runtime(workers=1) as two:

        async def across() -> tuple[bool, bool]:
            there = two.spawn(get_runtime)
            return get_runtime() is one is Runtime.current(), await there is two

        assert one.block_on(across()) == (True, True)
    assert get_runtime() is None
    assert Runtime.current() is None


# ---- blocking functions ----------------------------------------------------------------------


def test_blocking_functions_run_in_threads_of_their_own(runtime: Runtime) -> None:
    together = threading.Barrier(4, timeout=PATIENCE)

    async def main() -> set[int]:
        handles = [spawn_blocking(together.wait) for _ in range(4)]
        return {await handle for handle in handles}

    assert runtime.block_on(main()) == {0, 1, 2, 3}
    name = runtime.spawn_blocking(lambda: threading.current_thread().name)
    assert name.blocking_join(PATIENCE).startswith("blitzio-blocking_")


def test_no_more_threads_block_than_are_allowed() -> None:
    active: list[int] = []
    most = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal most
        with lock:
            active.append(1)
            most = max(most, len(active))
        with lock:
            active.pop()

    with Runtime(workers=1, blocking_threads_max=2) as runtime:
        for handle in [runtime.spawn_blocking(work) for _ in range(100)]:
            handle.blocking_join(PATIENCE)
        assert runtime.metrics()["blocking"]["threads"] <= 2
    assert most <= 2


def test_a_blocking_function_is_cancelled_only_before_it_begins() -> None:
    started, release = threading.Event(), threading.Event()

    def work() -> bool:
        started.set()
        return release.wait(PATIENCE)

    with Runtime(workers=1, blocking_threads_max=1) as runtime:
        running = runtime.spawn_blocking(work)
        queued = runtime.spawn_blocking(pytest.fail, "cancelled, and run all the same")
        assert queued.cancel()
        with pytest.raises(asyncio.CancelledError):
            queued.blocking_join(PATIENCE)
        assert started.wait(PATIENCE)
        running.cancel()
        release.set()
        assert running.blocking_join(PATIENCE) is True


# ---- its parts -------------------------------------------------------------------------------


def test_the_scheduler_tells_of_its_workers(runtime: Runtime) -> None:
    started, release = threading.Event(), threading.Event()

    async def hold() -> None:
        started.set()
        release.wait(PATIENCE)

    info = runtime.scheduler()
    assert isinstance(info, SchedulerInfo)
    with pytest.raises(AttributeError):
        info.workers = 0  # type: ignore[misc]
    assert info == SchedulerInfo(info.strategy, info.workers, info.sleeping, info.queued)
    assert (info.strategy, info.workers) == (runtime.config.strategy, runtime.config.workers)
    assert 0 <= info.sleeping <= info.workers
    assert info.queued == 0
    handles = [runtime.spawn(hold())]
    assert started.wait(PATIENCE)
    try:
        assert runtime.scheduler().sleeping < info.workers
        if info.workers == 1:
            handles += [runtime.spawn(hold()) for _ in range(3)]
            assert runtime.scheduler().queued == 3
    finally:
        release.set()
    for handle in handles:
        handle.blocking_join(PATIENCE)
    assert runtime.scheduler().queued == 0


def test_the_blocking_pool_tells_of_its_threads() -> None:
    started, release = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        release.wait(PATIENCE)

    with Runtime(workers=1, blocking_threads_max=1, blocking_keep_alive=5) as runtime:
        assert runtime.blocking_pool() == BlockingPoolInfo(0, 0, 0, 1, 5)
        handles = [runtime.spawn_blocking(hold) for _ in range(3)]
        assert started.wait(PATIENCE)
        try:
            assert runtime.blocking_pool() == BlockingPoolInfo(1, 0, 2, 1, 5)
        finally:
            release.set()
        for handle in handles:
            handle.blocking_join(PATIENCE)
    assert runtime.blocking_pool().threads == 0


# ---- outside runtimes ------------------------------------------------------------------------


@pytest.mark.parametrize("run", [blitzio.run, asyncio.run])
def test_without_a_runtime_the_running_loop_serves(run: Any) -> None:
    async def main() -> tuple[int, int, bool]:
        task = asyncio.current_task()
        assert task is not None
        here = await spawn(threading.get_ident) == threading.get_ident()
        return await spawn(double(2)), await spawn_blocking(len, "four"), here

    assert run(main()) == (4, 4, True)


def test_without_a_runtime_and_a_loop_spawn_refuses() -> None:
    with pytest.raises(RuntimeError, match=r"spawn\(\) needs a Runtime, or a running event loop"):
        spawn(double(1))
    assert spawn_blocking(len, "four").blocking_join(PATIENCE) == 4


# ---- wrong use -------------------------------------------------------------------------------


@pytest.mark.parametrize("work", [42, None, "text"])
def test_only_functions_and_awaitables_can_be_spawned(runtime: Runtime, work: Any) -> None:
    with pytest.raises(TypeError, match="a function or a coroutine was expected"):
        runtime.spawn(work)
    with pytest.raises(TypeError, match="a function was expected"):
        runtime.spawn_blocking(work)


def test_a_coroutine_takes_no_arguments(runtime: Runtime) -> None:
    coroutine = double(1)
    with pytest.raises(TypeError, match="a coroutine takes no arguments"):
        runtime.spawn(coroutine, 1)  # type: ignore[call-overload]
    coroutine.close()


def test_a_worker_cannot_wait_for_itself(runtime: Runtime) -> None:
    async def main() -> None:
        current = get_runtime()
        assert current is not None
        with pytest.raises(RuntimeError, match="shut down from one of its own threads"):
            current.shutdown()
        with pytest.raises(RuntimeError, match="would block the event loop"):
            current.block_on(double, 1)
        with pytest.raises(RuntimeError, match="would block the event loop"):
            current.block_on(double(1))
        with pytest.raises(RuntimeError, match="would block the event loop"):
            current.spawn(double, 1).blocking_join()

    runtime.block_on(main())


def test_a_runtime_that_is_made_again_stays_what_it_is() -> None:
    """It lost its threads."""
    with Runtime(workers=1) as runtime:
        with pytest.raises(RuntimeError, match="made once"):
            runtime.__init__(workers=2)  # type: ignore[misc]
        assert runtime.config.workers == 1
        assert runtime.spawn(pow, 2, 3).blocking_join() == 8
