"""What signal handlers do in the middle of what they interrupt: in the same thread, which then may
hold a lock. A handler runs where CPython looks for signals: behind a call, as those that take a
lock and give it back are.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import net
from blitzio._runtime.parallel import ParallelWork
from tests.python.runtime.runtime_support import PATIENCE, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable


class Interrupted:
    """A lock, and a handler that runs when it was taken, or given back, for the n-th time."""

    def __init__(self, lock: Any, at: int, handler: Callable[[], None], edge: str) -> None:
        self.lock = lock
        self.left = at
        self.handler = handler
        self.edge = edge

    def __enter__(self) -> None:
        self.lock.acquire()
        self.meet("taken")

    def __exit__(self, *exc_info: object) -> None:
        self.lock.release()
        self.meet("given back")

    def meet(self, edge: str) -> None:
        if edge == self.edge:
            self.left -= 1
            if self.left == 0:
                self.handler()


@pytest.mark.parametrize("edge", ["taken", "given back"])
def test_a_handler_ends_work_in_the_middle_of_what_waits_for_it(edge: str) -> None:
    """As the garbage collector does, with a guard in a cycle."""
    shutdown = blitzio.Shutdown(())
    guard = shutdown.start_work()
    shutdown._lock = Interrupted(shutdown._lock, 1, guard.release, edge)  # type: ignore[assignment]
    assert shutdown.blocking_wait_pending(PATIENCE)
    assert shutdown.pending_count == 0


@pytest.mark.parametrize("edge", ["taken", "given back"])
@pytest.mark.parametrize("at", range(1, 4))
def test_a_handler_closes_a_pool_in_the_middle_of_lending(at: int, edge: str) -> None:
    made: list[Connection] = []

    def connect() -> Connection:
        made.append(Connection())
        return made[-1]

    pool = net.Pool(connect_in_task, blocking_connect=connect)
    pool._lock = Interrupted(pool._lock, at, pool.close, edge)  # type: ignore[assignment]
    try:
        for _ in range(2):
            with pool.blocking_acquire(PATIENCE):
                pass
    except RuntimeError as error:
        assert "closed" in str(error)
    pool.close()
    assert made and all(connection.is_closed for connection in made)


class Connection:
    is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def connect_in_task() -> Connection:
    raise AssertionError("nobody connects in a task")


def test_ctrl_c_ends_the_wait_for_a_function_that_blocks() -> None:
    """It used to be heard when that function returned."""
    gate = threading.Event()
    runtime = blitzio.Runtime(workers=1)
    handle = runtime.spawn_blocking(gate.wait, PATIENCE)
    with pytest.raises(KeyboardInterrupt), interrupted(lambda: runtime.is_shut_down):
        runtime.shutdown()
    assert not handle.is_finished()
    gate.set()
    runtime.shutdown()
    assert handle.is_finished()


@pytest.mark.parametrize(
    "program",
    [
        "blitzio.spawn_blocking(block)",
        "blitzio.compute(block)",
        "threaded = Threaded(); threaded.io().concurrent(block).blocking_await()",
        "runtime = blitzio.Runtime(workers=1); runtime.spawn_blocking(block)",
        "blitzio.run(asyncio.to_thread(block))",
        "blitzio.run_with(blitzio.Config(workers=1), lambda: asyncio.to_thread(block))",
    ],
)
def test_ctrl_c_ends_a_program_whose_threads_block(program: str) -> None:
    """As with asyncio, one may have to say it again."""
    lines = (
        "import asyncio, blitzio, threading",
        "from blitzio.io import Threaded",
        "def block():",
        "    print('blocks', flush=True)",
        "    threading.Event().wait()",
        program,
    )
    process = subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "blocks\n"
            for _ in range(100):
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(0.3)
                    break
                except subprocess.TimeoutExpired:
                    pass
            assert process.returncode is not None
        finally:
            process.kill()


class NoThreads:
    """A pool whose threads never come."""

    def submit(self, run: Callable[[], object]) -> None:
        pass


def interrupted_map(at: int, edge: str, handler: Callable[[ParallelWork[int, Any]], None]) -> Any:
    """A parallel map of which this thread does all, as who waits in it helps: its handle."""
    pool: Any = NoThreads()
    work: ParallelWork[int, Any] = ParallelWork([1, 2, 3], abs, 1, pool, 1, keeps_results=True)
    work._lock = Interrupted(work._lock, at, lambda: handler(work), edge)  # type: ignore[assignment]
    work.start()
    work.run()
    return work.handle


@pytest.mark.parametrize("edge", ["taken", "given back"])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_handler_cancels_parallel_work_that_its_thread_takes_part_in(at: int, edge: str) -> None:
    def cancel(work: ParallelWork[int, Any]) -> None:
        work.handle.cancel()

    handle = interrupted_map(at, edge, cancel)
    try:
        assert handle.blocking_join(PATIENCE) == [1, 2, 3]
    except asyncio.CancelledError:
        assert handle.cancelled()


@pytest.mark.parametrize("at", range(1, 8))
def test_parallel_work_that_is_interrupted_by_an_exception_ends(at: int) -> None:
    def raise_in(work: ParallelWork[int, Any]) -> None:
        raise KeyboardInterrupt

    handle = interrupted_map(at, "given back", raise_in)
    try:
        assert handle.blocking_join(PATIENCE) == [1, 2, 3]
    except KeyboardInterrupt:
        pass
    assert handle.is_finished()
