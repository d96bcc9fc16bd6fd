"""blitzio.Runtime: its workers, what is spawned on them, and its end."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import os
import socket
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import (
    Config,
    JoinHandle,
    Runtime,
    compute,
    get_runtime,
    parallel_map,
    spawn,
    spawn_blocking,
)
from blitzio.runtime import BlockingPoolInfo, SchedulerInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
STRATEGIES = ("work_stealing", "thread_per_core", "single_threaded")


@pytest.fixture(params=STRATEGIES)
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    workers = 1 if request.param == "single_threaded" else 3
    with Runtime(workers=workers, strategy=request.param) as runtime:
        yield runtime


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


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
            return get_runtime() is one, await there is two

        assert one.block_on(across()) == (True, True)
    assert get_runtime() is None


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


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"workers": 65}, ValueError, "workers must be from 0 to 64"),
        ({"workers": -1}, ValueError, "workers must be from 0 to 64"),
        ({"workers": 1.5}, TypeError, "workers must be an int, not float"),
        ({"workers": 2, "strategy": "single_threaded"}, ValueError, "workers must be 0 or 1"),
        ({"strategy": "greedy"}, ValueError, "strategy must be one of 'auto', "),
        ({"strategy": 1}, TypeError, "strategy must be a str"),
        ({"affinity": "random"}, ValueError, "affinity must be one of 'auto', "),
        ({"stack_bytes": 100}, ValueError, "stack_bytes must be 0 or from 32768"),
        ({"blocking_threads_max": 0}, ValueError, "blocking_threads_max must be from 1"),
        ({"blocking_keep_alive": -1}, ValueError, "blocking_keep_alive must not be negative"),
        ({"blocking_keep_alive": "1"}, TypeError, "blocking_keep_alive must be seconds"),
        ({"backend": "carrier pigeon"}, ValueError, "backend must be one of"),
        ({"compute_threads": 1025}, ValueError, "compute_threads must be from 0 to 1024"),
        ({"task_pooling": 1}, TypeError, "task_pooling must be a bool"),
        ({"timer_tick": 0}, ValueError, "timer_tick must be from 1e-06 to 1.0 seconds"),
        ({"timer_tick": True}, TypeError, "timer_tick must be seconds as a number"),
        ({"timers_max": -1}, ValueError, "timers_max must be from 0"),
        ({"iopoll": True}, ValueError, "iopoll is had by no backend"),
        ({"sqpoll": True, "defer_taskrun": True}, ValueError, "exclude each other"),
        ({"single_issuer": False, "defer_taskrun": True}, ValueError, "needs single_issuer"),
        ({"registered_files": 1}, TypeError, "registered_files must be a bool or None"),
        ({"sqpoll": True, "backend": "epoll"}, ValueError, "only io_uring has sqpoll"),
        ({"no_such_option": 1}, TypeError, "no_such_option"),
    ],
)
def test_wrong_options_are_named(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Runtime(**options)


def test_the_config_is_resolved() -> None:
    with Runtime(workers=2, stack_bytes=1 << 20) as runtime:
        assert runtime.config.strategy == "work_stealing"
        assert runtime.config.affinity == "none"
        assert runtime.block_on(double, 2) == 4
    with Runtime(Config(strategy="thread_per_core"), workers=2) as pinned:
        assert pinned.config.affinity == "sequential"
        used = [pinned.spawn(os.sched_getaffinity, 0).blocking_join(PATIENCE) for _ in range(2)]
        assert [len(processors) for processors in used] == [1, 1]


def test_a_loop_has_no_more_timers_than_allowed() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        first = loop.call_later(60, print)
        loop.call_later(60, print)
        with pytest.raises(RuntimeError, match="as many timers as its Config.timers_max allows"):
            loop.call_later(60, print)
        first.cancel()
        loop.call_later(60, print)

    loop = blitzio.new_event_loop(Config(timers_max=2, timer_tick=0.01))
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_what_only_io_uring_has_is_used_or_refused() -> None:
    async def main() -> bytes:
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(b"there")
        data = await reader.readexactly(4)
        writer.close()
        return data

    for options in (
        {"single_issuer": True, "defer_taskrun": True},
        {"single_issuer": False, "defer_taskrun": False},
        {"registered_buffers": True, "registered_files": True},
        {"sqpoll": True},
    ):
        config = Config(backend="io_uring", **options)  # type: ignore[arg-type]
        try:
            loop = blitzio.new_event_loop(config)
        except RuntimeError as refused:
            assert "io_uring" in str(refused)
            continue
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(b"back")
            try:
                assert loop.run_until_complete(main()) == b"back"
                assert theirs.recv(16) == b"there"
            finally:
                loop.close()


def test_a_runtime_may_compute_on_threads_of_its_own() -> None:
    async def main() -> tuple[str, list[int]]:
        name = await compute(lambda: threading.current_thread().name)
        return name, await parallel_map(range(100), lambda number: number + 1)

    with Runtime(workers=1, compute_threads=1, task_pooling=False) as runtime:
        names = {runtime.block_on(main)[0] for _ in range(3)}
        assert names == {"blitzio-compute_0"}
        assert runtime.block_on(main)[1] == list(range(1, 101))


def test_a_worker_cannot_wait_for_itself(runtime: Runtime) -> None:
    async def main() -> None:
        current = get_runtime()
        assert current is not None
        with pytest.raises(RuntimeError, match="shut down from one of its own workers"):
            current.shutdown()
        with pytest.raises(RuntimeError, match="would block the event loop"):
            current.block_on(double, 1)
        with pytest.raises(RuntimeError, match="would block the event loop"):
            current.spawn(double, 1).blocking_join()

    runtime.block_on(main())


# ---- the end ---------------------------------------------------------------------------------


def test_shutdown_cancels_what_runs_and_what_waits() -> None:
    running = threading.Event()
    cancelled = []

    async def stubborn() -> None:
        running.set()
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # The loop still works for whoever cleans up.
            cancelled.append(True)
            raise

    runtime = Runtime(workers=2)
    handles = [runtime.spawn(stubborn)] + [runtime.spawn(forever) for _ in range(10)]
    assert running.wait(PATIENCE)
    runtime.shutdown()
    runtime.shutdown()
    assert cancelled == [True]
    assert runtime.is_shut_down
    for handle in handles:
        assert handle.is_finished()
        assert handle.cancelled()


def test_a_stopped_runtime_takes_no_more() -> None:
    runtime = Runtime(workers=1)
    runtime.shutdown()
    for spawn_on in (runtime.spawn, runtime.spawn_future):
        with pytest.raises(RuntimeError, match="has shut down"):
            spawn_on(double(1))
    with pytest.raises(RuntimeError, match="has shut down"):
        runtime.spawn_blocking(len, "four")
    assert "shut down" in repr(runtime)


def test_waiters_on_other_loops_see_the_end() -> None:
    async def main(handle: JoinHandle[None]) -> str:
        try:
            await handle
        except asyncio.CancelledError:
            return "cancelled"
        return "ended"

    runtime = Runtime(workers=1)
    handle = runtime.spawn(forever)

    async def outside() -> str:
        waiting = asyncio.ensure_future(main(handle))
        await asyncio.sleep(0)
        await asyncio.to_thread(runtime.shutdown)
        return await waiting

    assert asyncio.run(outside()) == "cancelled"


def test_a_runtime_that_cannot_be_made_has_nothing_to_shut_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: Any) -> None:
        raise OSError(errno.EMFILE, "no descriptors")

    monkeypatch.setattr("blitzio.runtime.Scheduler", fail)
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    with pytest.raises(OSError):
        Runtime(workers=1)
    gc.collect()
    assert unraisable == []


def test_a_runtime_whose_second_thread_cannot_start_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_one(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError, match="start new thread"):
            Runtime(workers=2)
        gc.collect()
    assert unraisable == []
    assert not [warning for warning in caught if "unclosed runtime" in str(warning.message)]
    assert not started[0].is_alive()


def test_a_runtime_that_is_dropped_shuts_down() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runtime = Runtime(workers=1)
        handle = runtime.spawn(forever)
        del runtime
        gc.collect()
        with pytest.raises(asyncio.CancelledError):
            handle.blocking_join(PATIENCE)
    assert any("unclosed runtime" in str(warning.message) for warning in caught)


def test_work_raced_against_shutdown_always_ends() -> None:
    for _ in range(5):
        runtime = Runtime(workers=2)
        handles: list[JoinHandle[int]] = []

        def spawn_many(runtime: Runtime = runtime, handles: Any = handles) -> None:
            try:
                while True:
                    handles.append(runtime.spawn(double, 1))
            except RuntimeError:
                pass

        spawner = threading.Thread(target=spawn_many)
        spawner.start()
        runtime.block_on(double, 1)
        runtime.shutdown()
        spawner.join(PATIENCE)
        for handle in handles:
            handle._block(PATIENCE)
            assert handle.is_finished()


def test_ctrl_c_ends_what_block_on_waits_for() -> None:
    program = (
        "import asyncio, blitzio, os, signal\n"
        "async def main():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        await asyncio.sleep(100)\n"
        "    except asyncio.CancelledError:\n"
        "        print('cleaned up')\n"
        "        raise\n"
        "with blitzio.Runtime(workers=1) as runtime:\n"
        "    try:\n"
        "        runtime.block_on(main)\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )
    # The signal may come before block_on() waits; the end of the runtime cleans up then.
    assert sorted(done.stdout.splitlines()) == ["cleaned up", "interrupted"]
    assert done.stderr == ""


def test_the_interpreter_ends_with_everything_in_flight() -> None:
    program = (
        "import asyncio, blitzio, threading\n"
        "runtime = blitzio.Runtime(workers=2)\n"
        "async def forever():\n"
        "    await asyncio.get_running_loop().create_future()\n"
        "handles = [runtime.spawn(forever) for _ in range(100)]\n"
        "jobs = [runtime.spawn_blocking(threading.Event().wait, 0.05) for _ in range(10)]\n"
        "runtime.spawn(lambda: None).blocking_join()\n"
        "print('end')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_none_of_its_parents_runtimes() -> None:
    with Runtime(workers=1) as runtime:
        runtime.block_on(double, 1)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                try:
                    runtime.spawn(double(1))
                except RuntimeError as error:
                    assert "belongs to the parent process" in str(error)
                    with Runtime(workers=1) as own:
                        assert own.block_on(double, 4) == 8
                        assert spawn_blocking(len, "four").blocking_join(PATIENCE) == 4
                    status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert runtime.block_on(double, 2) == 4


def test_run_with_makes_runs_and_ends() -> None:
    seen = []

    async def main(number: int) -> int:
        seen.append(get_runtime())
        return await spawn(double, number)

    assert blitzio.run_with(Config(workers=2), main, 3) == 6
    assert seen[0] is not None and seen[0].is_shut_down

    async def inside() -> None:
        blitzio.run_with(Config(), double(1))

    with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
        blitzio.run(inside())
