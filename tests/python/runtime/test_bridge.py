"""Native futures as awaitables, on every kind of loop; the mutex stands for all of them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from blitzio.sync import Mutex

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.python.runtime.conftest import LoopFactory, Run


async def settle() -> None:
    """Lets everything that can run now run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def waiting(mutex: Mutex) -> asyncio.Task[None]:
    """A task that stands in the queue of `mutex`."""
    task = asyncio.ensure_future(mutex.lock())
    await settle()
    assert isinstance(task, asyncio.Task)
    assert not task.done()
    return task


# ---- awaiting ------------------------------------------------------------------------------------


def test_what_is_ready_does_not_suspend_the_task() -> None:
    mutex = Mutex()
    with pytest.raises(StopIteration) as stop:
        mutex.lock().send(None)
    assert stop.value.value is None
    assert mutex.locked()


def test_what_is_pending_needs_a_loop() -> None:
    mutex = Mutex()
    assert mutex.try_lock()
    with pytest.raises(RuntimeError, match="no running event loop"):
        mutex.lock().send(None)
    mutex.unlock()
    assert mutex.try_lock(), "the failed wait has left the queue"


def test_a_pending_one_is_a_future_and_a_fresh_one_a_coroutine(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        lock = mutex.lock()
        assert inspect.isawaitable(lock)
        assert asyncio.iscoroutine(lock)
        is_future: Callable[[object], bool] = asyncio.isfuture
        assert not is_future(lock)
        assert lock.send(None) is lock
        assert is_future(lock)
        assert lock.get_loop() is asyncio.get_running_loop()
        assert not lock.done()
        assert "Mutex.lock waiting" in repr(lock)
        with pytest.raises(asyncio.InvalidStateError):
            lock.result()
        mutex.unlock()
        assert lock.done()
        assert lock.result() is None
        with pytest.raises(StopIteration):
            lock.send(None)
        assert mutex.locked()

    run(main())


def test_callbacks_come_in_order_each_in_its_context_and_not_once_removed(run: Run) -> None:
    variable = contextvars.ContextVar("variable", default="none")

    async def main() -> list[str]:
        mutex = Mutex()
        await mutex.lock()
        seen: list[str] = []
        lock = mutex.lock()
        lock.send(None)

        def note(_: object) -> None:
            seen.append(variable.get())

        def removed(_: object) -> None:
            raise AssertionError

        lock.add_done_callback(removed)
        for name in ("first", "second"):
            context = contextvars.copy_context()
            context.run(variable.set, name)
            lock.add_done_callback(note, context=context)
        assert lock.remove_done_callback(removed) == 1
        mutex.unlock()
        lock.add_done_callback(note)
        assert seen == []
        await settle()
        lock.close()
        return seen

    assert run(main()) == ["first", "second", "none"]


def test_it_is_awaited_once(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        lock = mutex.lock()
        await lock
        with pytest.raises(RuntimeError, match="already awaited"):
            await lock
        other = mutex.lock()
        task = asyncio.ensure_future(other)
        await settle()
        with pytest.raises(RuntimeError, match="being awaited already"):
            await other
        mutex.unlock()
        await task

    run(main())


def test_forgetting_to_await_is_warned_of() -> None:
    with pytest.warns(RuntimeWarning, match=r"'Mutex\.lock' was never awaited"):
        Mutex().lock()
    lock = Mutex().lock()
    lock.close()


def test_context_variables_survive_the_wait(run: Run) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def work(mutex: Mutex, value: int) -> int:
        variable.set(value)
        async with mutex:
            await asyncio.sleep(0)
            return variable.get()

    async def main() -> list[int]:
        mutex = Mutex()
        return await asyncio.gather(*(work(mutex, value) for value in range(10)))

    assert run(main()) == list(range(10))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks_wait_and_go_on(run: Run) -> None:
    async def main() -> None:
        if type(asyncio.get_running_loop()).__module__.startswith("uvloop"):
            pytest.skip("uvloop hands eager factories an argument that Python 3.13.0 has not")
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        mutex = Mutex()

        async def hold() -> None:
            async with mutex:
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(hold()) for _ in range(3)]
        assert mutex.locked()
        await asyncio.gather(*tasks)
        assert not mutex.locked()

    run(main())


def test_asyncio_combines_it(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(mutex.lock(), 0.001)
        both: asyncio.Future[Any] = asyncio.gather(mutex.lock(), mutex.lock())
        await settle()
        for _ in range(2):
            mutex.unlock()
            await settle()
        assert await both == [None, None]
        shielded: asyncio.Future[None] = asyncio.shield(mutex.lock())
        await settle()
        shielded.cancel()
        await settle()
        mutex.unlock()
        await settle()
        assert mutex.locked(), "the shielded one has it"
        done, _ = await asyncio.wait([asyncio.ensure_future(mutex.lock())], timeout=0)
        assert not done
        mutex.unlock()

    run(main())


def test_the_pure_python_task_waits_as_well(run: Run) -> None:
    task_type = asyncio.tasks._PyTask  # type: ignore[attr-defined]

    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        loop = asyncio.get_running_loop()
        first = task_type(mutex.lock(), loop=loop)
        second = task_type(mutex.lock(), loop=loop)
        await settle()
        first.cancel("enough")
        await settle()
        assert first.cancelled()
        mutex.unlock()
        await second

    run(main())


# ---- cancelling ----------------------------------------------------------------------------------


def test_cancelling_leaves_the_queue(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        first, second = await waiting(mutex), await waiting(mutex)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        mutex.unlock()
        await second

    run(main())


@pytest.mark.parametrize("grant_first", [True, False])
def test_a_lock_granted_to_a_cancelled_task_goes_to_the_next(run: Run, grant_first: bool) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        first, second = await waiting(mutex), await waiting(mutex)
        if grant_first:
            mutex.unlock()
            first.cancel()
        else:
            first.cancel()
            mutex.unlock()
        await second
        assert first.cancelled()
        assert mutex.locked()

    run(main())


def test_the_message_of_cancel_arrives(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()

        async def wait() -> str:
            try:
                await mutex.lock()
            except asyncio.CancelledError as cancelled:
                return str(cancelled.args)
            return "not cancelled"

        task = asyncio.ensure_future(wait())
        await settle()
        task.cancel("enough")
        assert await task == "('enough',)"

    run(main())


def test_a_task_cancelled_before_it_began_takes_nothing(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        task = asyncio.ensure_future(mutex.lock())
        task.cancel()
        await settle()
        assert not mutex.locked()

    run(main())


def test_closing_the_loop_gives_up_what_waits_there(any_loop: LoopFactory) -> None:
    mutex = Mutex()
    assert mutex.try_lock()
    loop = any_loop()

    async def wait() -> asyncio.Task[None]:
        return await waiting(mutex)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # uvloop's own, of the reader.
        task = loop.run_until_complete(wait())
        loop.close()
        gc.collect()
    mutex.unlock()
    assert mutex.try_lock(), "the lock did not go to a task that never runs again"
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_task_that_only_waits_is_kept_alive(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        done = asyncio.Event()

        async def work() -> None:
            async with mutex:
                done.set()

        reference = weakref.ref(asyncio.ensure_future(work()))
        await settle()
        gc.collect()
        assert reference() is not None
        mutex.unlock()
        await done.wait()

    run(main())


def test_an_abandoned_loop_goes_with_what_waits_on_it(
    any_loop: LoopFactory, request: pytest.FixtureRequest
) -> None:
    if "uvloop" in request.node.name:
        pytest.skip("an unclosed loop of uvloop's that has a reader keeps itself alive")
    mutex = Mutex()
    assert mutex.try_lock()

    def abandon() -> weakref.ref[Any]:
        loop = any_loop()
        task = loop.run_until_complete(waiting(mutex))
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        return weakref.ref(task)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The loop was not closed.
        reference = abandon()
        gc.collect()
        gc.collect()
    assert reference() is None
    mutex.unlock()
    assert mutex.try_lock()


# ---- threads and loops ---------------------------------------------------------------------------


def test_a_thread_wakes_a_task(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        task = await waiting(mutex)
        thread = threading.Thread(target=mutex.unlock)
        thread.start()
        await task
        thread.join()

    run(main())


def test_two_loops_and_a_thread_share_one_mutex(any_loop: LoopFactory) -> None:
    mutex = Mutex()
    rounds, total = 60, 0

    async def work() -> None:
        nonlocal total
        for _ in range(rounds):
            async with mutex:
                before = total
                await asyncio.sleep(0)
                total = before + 1

    def on_loop() -> None:
        loop = any_loop()
        loop.run_until_complete(asyncio.wait_for(work(), 30))
        loop.close()

    def on_thread() -> None:
        nonlocal total
        for _ in range(rounds):
            with mutex:
                before = total
                os.sched_yield()
                total = before + 1

    threads = [threading.Thread(target=target) for target in (on_loop, on_loop, on_thread)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == 3 * rounds


def test_a_loop_may_run_several_times(any_loop: LoopFactory) -> None:
    mutex = Mutex()
    loop = any_loop()
    assert mutex.try_lock()
    task = loop.run_until_complete(waiting(mutex))
    thread = threading.Thread(target=mutex.unlock)
    thread.start()
    thread.join()
    loop.run_until_complete(task)
    loop.close()


# ---- blocking ------------------------------------------------------------------------------------


def test_blocking_has_a_timeout_and_loses_nothing() -> None:
    mutex = Mutex()
    mutex.blocking_lock()
    with pytest.raises(TimeoutError, match=r"^Mutex\.blocking_lock\(\) did not end within"):
        mutex.blocking_lock(timeout=0.001)
    with pytest.raises(TimeoutError):
        mutex.blocking_lock(0)
    mutex.unlock()
    mutex.blocking_lock(timeout=0)
    mutex.unlock()


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_bad_timeout_is_a_value_error(timeout: float) -> None:
    mutex = Mutex()
    with pytest.raises(ValueError, match="timeout must be"):
        mutex.blocking_lock(timeout)
    with pytest.raises(TypeError):
        mutex.blocking_lock("soon")  # type: ignore[arg-type]
    assert not mutex.locked()


def test_blocking_a_running_loop_is_refused(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        with pytest.raises(RuntimeError, match="would block the event loop"):
            mutex.blocking_lock()
        with pytest.raises(RuntimeError, match="would block the event loop"):
            with mutex:
                pass
        assert not mutex.locked()

    run(main())


def test_a_signal_handler_runs_while_a_thread_blocks() -> None:
    mutex = Mutex()
    mutex.blocking_lock()
    before = signal.signal(signal.SIGUSR1, lambda *_: mutex.unlock())
    killer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    killer.start()
    try:
        mutex.blocking_lock()
    finally:
        killer.join()
        signal.signal(signal.SIGUSR1, before)


def _python(code: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=check,
    )


def test_ctrl_c_interrupts_a_blocking_wait() -> None:
    done = _python(
        """
        import os, signal, threading
        from blitzio.sync import Mutex

        mutex = Mutex()
        mutex.blocking_lock()
        try:
            # In the block: on a busy machine the signal comes before the wait.
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            mutex.blocking_lock()
        except KeyboardInterrupt:
            mutex.unlock()
            print("interrupted", mutex.try_lock())
        """
    )
    assert done.stdout == "interrupted True\n"


# ---- the end of things ---------------------------------------------------------------------------


@pytest.mark.parametrize("factory", ["blitzio.new_event_loop", "asyncio.SelectorEventLoop"])
def test_the_interpreter_ends_with_waiters_of_every_kind(factory: str) -> None:
    done = _python(
        f"""
        import asyncio, blitzio, threading
        from blitzio.sync import Mutex

        mutex = Mutex()
        mutex.try_lock()
        loop = {factory}()
        task = loop.create_task(mutex.lock())
        task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0.01))
        threading.Thread(target=mutex.blocking_lock, daemon=True).start()
        threading.Thread(target=lambda: asyncio.run(mutex.lock()), daemon=True).start()
        print("end", flush=True)
        """
    )
    assert done.stdout == "end\n"


def test_a_forked_child_leaves_the_waiters_to_the_parent(any_loop: LoopFactory) -> None:
    mutex = Mutex()
    assert mutex.try_lock()
    loop = any_loop()
    task = loop.run_until_complete(waiting(mutex))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        # The copy of the waiter is granted the copy of the lock; nothing reaches the parent's loop.
        mutex.unlock()
        os._exit(0 if mutex.locked() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not task.done()
    mutex.unlock()
    loop.run_until_complete(task)
    loop.close()
