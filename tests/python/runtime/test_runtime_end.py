"""How a blitzio.Runtime ends: shut down, dropped, interrupted, half made, forked."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
from typing import Any

import pytest

import blitzio
from blitzio import Config, JoinHandle, Runtime, compute, get_runtime, spawn, spawn_blocking
from tests.python.runtime.runtime_support import PATIENCE, double, forever, interrupted, until


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


def test_a_thread_that_blocks_cannot_wait_for_its_own_end() -> None:
    """It used to, for ever, and with it everybody who came to shut down as well."""

    def shut_down(runtime: Runtime) -> None:
        with pytest.raises(RuntimeError, match="shut down from one of its own threads"):
            runtime.shutdown()

    async def shut_down_computing(runtime: Runtime) -> None:
        await compute(shut_down, runtime)

    with Runtime(workers=1, compute_threads=1) as runtime:
        runtime.spawn_blocking(shut_down, runtime).blocking_join(PATIENCE)
        runtime.spawn(shut_down_computing, runtime).blocking_join(PATIENCE)
        assert not runtime.is_shut_down


def test_a_runtime_that_its_own_blocking_function_drops_shuts_down() -> None:
    """It used to wait for that function, which waited for it."""
    dropped = threading.Event()

    def keep(runtime: Runtime) -> str:
        assert dropped.wait(PATIENCE)
        return "kept"

    runtime = Runtime(workers=1)
    handle, threads = runtime.spawn_blocking(keep, runtime), runtime._blocking
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del runtime
        dropped.set()
        assert handle.blocking_join(PATIENCE) == "kept"
        until(lambda: threads.metrics()["threads"] == 0)
    assert any("unclosed runtime" in str(warning.message) for warning in caught)


def test_a_shutdown_that_was_interrupted_is_waited_for_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next one used to return at once, with everything still running."""
    waiting, go_on = threading.Event(), threading.Event()
    ended = []

    async def stubborn() -> None:
        try:
            await forever()
        finally:
            waiting.set()
            await asyncio.to_thread(go_on.wait)
            ended.append(True)

    runtime = Runtime(workers=1)
    handle = runtime.spawn(stubborn)
    until(lambda: runtime.metrics()["workers"][0]["tasks"] == 1)
    with pytest.raises(KeyboardInterrupt), interrupted(waiting.is_set):
        runtime.shutdown()
    assert runtime.is_shut_down and not ended
    go_on.set()
    runtime.shutdown()
    assert ended and handle.cancelled()


def test_a_signal_handler_shuts_down_what_is_shutting_down() -> None:
    """As the second of two SIGTERM does: it used to wait for the lock of what it interrupted."""
    waiting, go_on = threading.Event(), threading.Event()
    runtime = Runtime(workers=1)

    def block() -> None:
        waiting.set()
        assert go_on.wait(PATIENCE)

    async def stubborn() -> None:
        try:
            await forever()
        finally:
            # Until it is heard: one that comes just before a wait begins does not end it.
            while not go_on.is_set():
                signal.pthread_kill(main, signal.SIGUSR1)
                go_on.wait(0.01)

    def shut_down(signal_number: int, frame: object) -> None:
        if not go_on.is_set():
            go_on.set()
            runtime.shutdown()
            handled.append(runtime.is_shut_down)

    handled: list[bool] = []
    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, shut_down)
    try:
        runtime.spawn_blocking(block)
        runtime.spawn(stubborn)
        assert waiting.wait(PATIENCE)
        until(lambda: runtime.metrics()["workers"][0]["tasks"] == 1)
        runtime.shutdown()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert handled == [True]


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
