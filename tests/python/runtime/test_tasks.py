"""blitzio.task: handles, joining, groups, cancel tokens, and compute, on loops and runtimes."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import Runtime
from blitzio.channel import Channel
from blitzio.task import (
    CancelToken,
    ConcurrencyUnavailable,
    Group,
    JoinHandle,
    compute,
    concurrent,
    join_all,
    parallel_for,
    parallel_map,
    spawn,
    spawn_blocking,
    spawn_future,
    try_join_all,
    yield_now,
)
from blitzio.time import sleep, timeout
from tests.python.runtime.runtime_support import PATIENCE, forever

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["blitzio", "asyncio", "uvloop", "runtime"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine on a loop of ours, on a foreign one, on a worker."""
    if request.param == "runtime":
        with Runtime(workers=2) as runtime:
            yield runtime.block_on
        return
    if request.param == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        loop = uvloop.new_event_loop()
    elif request.param == "asyncio":
        loop = asyncio.SelectorEventLoop()
    else:
        loop = blitzio.new_event_loop()
    yield loop.run_until_complete
    loop.close()


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def give(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


class Probe:
    """A coroutine that says how it ended."""

    def __init__(self) -> None:
        self.ended = ""
        self.started = threading.Event()

    async def run(self) -> None:
        self.started.set()
        try:
            await forever()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise


# ---- handles ---------------------------------------------------------------------------------


def test_a_handle_tells_its_state(run: Run) -> None:
    async def main() -> None:
        handle = spawn(give(5))
        assert not handle.is_finished()
        assert handle.try_join() is None
        assert await handle == 5
        assert await handle.join() == 5
        assert (handle.is_finished(), handle.try_join(), handle.cancelled()) == (True, 5, False)
        assert not handle.cancel()
        assert repr(handle) == "<JoinHandle finished>"

    run(main())


def test_cancelling_a_handle_ends_its_task(run: Run) -> None:
    async def main() -> None:
        probe = Probe()
        handle = spawn(probe.run())
        while not probe.started.is_set():
            await sleep(0)
        assert handle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handle
        assert (handle.cancelled(), probe.ended) == (True, "cancelled")

    run(main())


def test_work_cancelled_before_it_starts_never_does(run: Run) -> None:
    async def main() -> None:
        probe = Probe()
        # On a runtime another worker may have started it already.
        handles = [spawn(probe.run()) for _ in range(3)]
        for handle in handles:
            handle.cancel()
        for handle in handles:
            with pytest.raises(asyncio.CancelledError):
                await handle

    run(main())
    gc.collect()  # A coroutine that was never awaited would warn now.


def test_cancelling_who_waits_leaves_the_work_alone(run: Run) -> None:
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

    run(main())


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


def test_yielding_lets_others_run(run: Run) -> None:
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

    run(main())


# ---- joining ---------------------------------------------------------------------------------


def test_join_all_gives_all_results_in_order(run: Run) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(give(3))
        assert await join_all(spawn(give(1)), give(2), task) == (1, 2, 3)
        assert await join_all([give(1), give(2)]) == (1, 2)
        assert await join_all() == await join_all([]) == ()

    run(main())


def test_join_all_fails_at_once_and_ends_what_it_owns(run: Run) -> None:
    async def main() -> None:
        owned, reference = Probe(), Probe()
        handle = spawn(reference.run())
        with pytest.raises(KeyError):
            await join_all(owned.run(), handle, fail(KeyError()))
        assert owned.ended == "cancelled"
        assert not handle.is_finished()
        handle.cancel()
        await try_join_all(handle)

    run(main())


def test_cancelling_join_all_ends_what_it_owns(run: Run) -> None:
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

    run(main())


def test_try_join_all_tells_what_became_of_each(run: Run) -> None:
    async def main() -> None:
        error = KeyError()
        handle = spawn(forever)
        handle.cancel()
        outcomes: tuple[Any, ...] = await try_join_all([give(1), fail(error), handle])
        first, second, third = outcomes
        assert (first, second) == (1, error)
        assert isinstance(third, asyncio.CancelledError)

    run(main())


def test_joining_what_cannot_be_awaited_is_refused(run: Run) -> None:
    async def main() -> None:
        both: tuple[Any, ...] = (join_all, try_join_all)
        for join in both:
            with pytest.raises(TypeError, match="an awaitable was expected, got 42"):
                await join(give(1), 42)
            with pytest.raises(TypeError, match="an awaitable was expected"):
                await join(42)

    run(main())
    gc.collect()


# ---- groups ----------------------------------------------------------------------------------


def test_a_group_waits_for_all(run: Run) -> None:
    async def main() -> None:
        async with Group() as group:
            handles = [group.spawn(give, number) for number in range(10)]
            group.async_(give(0))
        assert [handle.try_join() for handle in handles] == list(range(10))
        assert len(group) == 0
        with pytest.raises(RuntimeError, match="Group is closed"):
            group.spawn(give(1))
        assert not group.cancel_requested

    run(main())


def test_a_group_tells_what_is_left_of_it_and_whether_it_was_cancelled(run: Run) -> None:
    def told(group: Group) -> tuple[int, bool]:
        assert len(group) == group.pending_count
        return group.pending_count, group.cancel_requested

    async def main() -> None:
        probe, cancelled, failed = Probe(), Group(), Group()
        assert told(cancelled) == (0, False)
        cancelled.spawn(probe.run())
        while not probe.started.is_set():
            await sleep(0)
        assert told(cancelled) == (1, False)
        cancelled.cancel()
        cancelled.cancel()
        assert told(cancelled)[1]
        await cancelled.wait()
        assert told(cancelled) == (0, True)

        failed.spawn(fail(KeyError("a child's")))
        with pytest.raises(KeyError):
            await failed.wait()
        assert told(failed) == (0, True)

    run(main())


def test_several_tasks_wait_for_a_group(run: Run) -> None:
    """Only the one that came last used to be woken."""

    async def main() -> None:
        for error in (None, KeyError("a child's")):
            end = asyncio.Event()

            async def child(end: asyncio.Event = end, error: Exception | None = error) -> None:
                await end.wait()
                if error is not None:
                    raise error

            group = Group()
            group.spawn(child())
            waiting = [asyncio.ensure_future(group.wait()) for _ in range(3)]
            await asyncio.sleep(0)
            end.set()
            ended = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
            assert ended == [error] * 3
            await group.wait()

    run(main())


def test_a_failure_ends_the_block_although_another_task_waits(run: Run) -> None:
    async def main() -> None:
        waiting = None
        with pytest.raises(KeyError):
            async with Group() as group:
                group.spawn(fail(KeyError("a child's")))
                waiting = asyncio.ensure_future(group.wait())
                await asyncio.get_running_loop().create_future()
        assert waiting is not None
        with pytest.raises(KeyError):
            await waiting

    run(main())


def test_a_failure_cancels_the_others_and_the_block(run: Run) -> None:
    async def main() -> None:
        probe = Probe()
        error = KeyError("first")
        with pytest.raises(KeyError) as caught:
            async with Group() as group:
                group.spawn(probe.run())
                while not probe.started.is_set():
                    await sleep(0)
                group.spawn(fail(error))
                await forever()
        assert caught.value is error
        assert probe.ended == "cancelled"
        task = asyncio.current_task()
        if sys.version_info >= (3, 11):
            assert task is not None
            assert task.cancelling() == 0
        await asyncio.sleep(0)

    run(main())


def test_an_exception_of_the_block_cancels_the_children(run: Run) -> None:
    async def main() -> None:
        probe = Probe()
        with pytest.raises(ValueError, match="the block's"):
            async with Group() as group:
                group.spawn(probe.run())
                while not probe.started.is_set():
                    await sleep(0)
                raise ValueError("the block's")
        assert probe.ended == "cancelled"

    run(main())


def test_later_failures_are_noted(run: Run) -> None:
    async def fail_when_cancelled() -> None:
        try:
            await forever()
        finally:
            raise ValueError("second")

    async def main() -> None:
        with pytest.raises(KeyError) as caught:
            async with Group() as group:
                group.spawn(fail_when_cancelled())
                await sleep(0.001)
                group.spawn(fail(KeyError("first")))
        if sys.version_info >= (3, 11):
            assert any("second" in note for note in caught.value.__notes__)

    run(main())


def test_a_cancelled_group_ends(run: Run) -> None:
    async def main() -> None:
        probe = Probe()
        async with Group() as group:
            group.spawn(probe.run())
            while not probe.started.is_set():
                await sleep(0)
            group.cancel()
            group.cancel()
            with pytest.raises(RuntimeError, match="Group is cancelling"):
                group.spawn(give(1))
        assert probe.ended == "cancelled"

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks do not count their cancellations")
def test_a_cancellation_that_comes_with_a_failure_is_not_lost(run: Run) -> None:
    """As with asyncio's TaskGroup: the failure is raised, and the cancellation comes next."""

    async def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        task: Any = asyncio.current_task()
        with pytest.raises(ZeroDivisionError):
            async with Group() as group:
                group.spawn(fail)
                # The failure's, which the block has to itself.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.get_running_loop().create_future()
                task.cancel()  # From elsewhere, while the block is being left.
        assert task.cancelling() == 1
        with pytest.raises(asyncio.CancelledError):
            await sleep(0)
            await asyncio.sleep(0)
        task.uncancel()

    run(main())


def test_cancelling_who_waits_for_a_group_cancels_it(run: Run) -> None:
    async def main() -> None:
        probe = Probe()

        async def grouped() -> None:
            async with Group() as group:
                group.spawn(probe.run())

        task = asyncio.ensure_future(grouped())
        while not probe.started.is_set():
            await sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert probe.ended == "cancelled"

    run(main())


@pytest.mark.parametrize("is_begun", [False, True], ids=["first_step", "later"])
def test_a_child_that_waits_for_its_group_is_refused(is_begun: bool, run: Run) -> None:
    """It waited for ever, and its group with it, even if that was cancelled."""

    async def main() -> None:
        group = Group()

        async def child() -> None:
            if is_begun:
                await asyncio.sleep(0)
            await group.wait()

        children = [group.spawn(child), group.spawn(forever)]
        with pytest.raises(RuntimeError, match="a task of a Group cannot wait for it"):
            await group.wait()
        assert [each.cancelled() for each in children] == [False, True]

    run(main())


@pytest.mark.parametrize("end", ["cancelled by itself", "a sibling fails"])
def test_a_child_that_waits_for_its_group_is_cancelled_with_it(run: Run, end: str) -> None:
    """It used to cancel itself again and again, and the group did not end."""

    async def main() -> None:
        group = Group()

        async def child() -> None:
            if end == "cancelled by itself":
                group.cancel()
            await group.wait()

        async def fail() -> None:
            raise ZeroDivisionError

        waiting = group.spawn(child)
        if end == "cancelled by itself":
            await group.wait()
            assert waiting.cancelled()
        else:
            group.spawn(fail)
            # On another worker: it may be refused to wait before that.
            with pytest.raises((ZeroDivisionError, RuntimeError)):
                await group.wait()
            assert waiting.is_finished()

    run(main())


def test_a_group_may_be_waited_for_by_what_its_child_started(run: Run) -> None:
    async def main() -> str:
        group = Group()
        waiting: list[asyncio.Task[None]] = []

        async def child() -> None:
            waiting.append(asyncio.ensure_future(group.wait()))
            await asyncio.sleep(0)

        group.spawn(child)
        await group.wait()
        await waiting[0]
        return "waited"

    assert run(main()) == "waited"


def test_concurrent_needs_a_second_worker() -> None:
    async def main() -> Any:
        async with Group() as group:
            return await group.concurrent(give, 1)

    with pytest.raises(ConcurrencyUnavailable, match="use a Runtime of several workers"):
        blitzio.run(main())
    with Runtime(workers=1) as runtime, pytest.raises(ConcurrencyUnavailable):
        runtime.block_on(main)
    with Runtime(workers=2) as runtime:
        assert runtime.block_on(main) == 1


@pytest.mark.parametrize("strategy", ["work_stealing", "thread_per_core"])
def test_concurrent_work_gets_ahead_of_who_blocks(strategy: str) -> None:
    def block() -> bool:
        done = threading.Event()
        handle = concurrent(done.set, name="another")
        assert handle.name == "another"
        return done.wait(PATIENCE)

    async def block_after_a_wait() -> bool:
        await sleep(0.001)  # A timer ends it, so that nobody has said who runs again.
        return block()

    async def fail_late() -> None:
        raise KeyError

    with Runtime(workers=2, strategy=strategy) as runtime:
        for _ in range(20):
            assert runtime.spawn(block).blocking_join(PATIENCE)
            assert runtime.spawn(block_after_a_wait()).blocking_join(PATIENCE)
        with pytest.raises(KeyError):
            runtime.concurrent(fail_late()).blocking_join(PATIENCE)
    with pytest.raises(ConcurrencyUnavailable):
        concurrent(give(1))
    with Runtime(workers=1) as runtime:
        with pytest.raises(ConcurrencyUnavailable, match="use a Runtime of several workers"):
            runtime.concurrent(give(1))
        with pytest.raises(ConcurrencyUnavailable):
            runtime.spawn(concurrent, print).blocking_join(PATIENCE)


def test_work_from_outside_goes_to_a_worker_that_waits() -> None:
    async def block(began: threading.Event, release: threading.Event) -> None:
        await sleep(0.001)
        began.set()
        release.wait(PATIENCE)

    with Runtime(workers=2) as runtime:
        for _ in range(10):
            began, release = threading.Event(), threading.Event()
            blocker = runtime.spawn(block(began, release))
            assert began.wait(PATIENCE)
            assert runtime.spawn(pow, 2, 3).blocking_join(PATIENCE / 2) == 8
            release.set()
            blocker.blocking_join(PATIENCE)


# ---- cancel tokens ---------------------------------------------------------------------------


def test_a_token_wakes_all_who_wait(run: Run) -> None:
    async def main() -> None:
        token = CancelToken()
        child = token.child()
        waiting = [asyncio.ensure_future(each.cancelled()) for each in (token, child) * 3]
        thread = spawn_blocking(token.blocking_wait, PATIENCE)
        await asyncio.sleep(0)
        assert not token.cancel_requested
        token.check()
        token.cancel()
        token.cancel()
        await asyncio.gather(*waiting)
        assert await thread is True
        assert token.is_cancelled
        assert child.cancel_requested
        assert token.child().cancel_requested
        with pytest.raises(asyncio.CancelledError):
            token.check()
        await token.cancelled()

    run(main())


def test_a_childs_cancellation_is_its_own(run: Run) -> None:
    async def main() -> None:
        token = CancelToken()
        child = token.child()
        child.cancel()
        assert (token.cancel_requested, child.cancel_requested) == (False, True)
        assert (repr(token), repr(child)) == ("<CancelToken open>", "<CancelToken cancelled>")

    run(main())


def test_what_is_no_token_has_no_children() -> None:
    with pytest.raises(TypeError, match="parent must be a CancelToken or None, not 42"):
        CancelToken(42)  # type: ignore[arg-type]


def test_a_token_limits_what_it_runs(run: Run) -> None:
    async def main() -> None:
        token = CancelToken()
        assert await token.run(give(1)) == 1
        with pytest.raises(KeyError):
            await token.run(fail(KeyError()))
        probe = Probe()
        running = asyncio.ensure_future(token.run(probe.run()))
        while not probe.started.is_set():
            await sleep(0)
        token.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert probe.ended == "cancelled"
        with pytest.raises(asyncio.CancelledError):
            await token.run(give(1))
        with pytest.raises(RuntimeError, match="would block the event loop"):
            token.blocking_wait()

    run(main())


@pytest.mark.parametrize("who", ["token", "caller"])
def test_what_is_received_as_a_token_or_the_caller_is_cancelled_is_not_lost(
    run: Run, who: str
) -> None:
    async def attempt(channel: Channel[str], receive: Callable[[], Any], turns: int) -> str:
        token = CancelToken()
        running = asyncio.ensure_future(token.run(receive()))
        await sleep(0.001)
        channel.try_send("message")
        for _ in range(turns):
            await asyncio.sleep(0)
        if who == "token":
            token.cancel()
        else:
            running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            received: str = await running
            return received
        return channel.try_recv()

    async def main() -> None:
        channel: Channel[str] = Channel(1)

        async def receive() -> str:
            return await channel.recv()

        for turns in range(8):
            assert await attempt(channel, channel.recv, turns) == "message"
            if who == "token":
                # What a coroutine has returned goes with its caller, as with asyncio.wait().
                assert await attempt(channel, receive, turns) == "message"

    run(main())


def test_the_result_of_work_that_a_token_cancelled_in_vain_is_told(run: Run) -> None:
    async def main() -> None:
        async def stubborn(end: asyncio.Future[str]) -> str:
            with contextlib.suppress(asyncio.CancelledError):
                await forever()
            return await end

        token = CancelToken()
        end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = asyncio.ensure_future(token.run(stubborn(end)))
        await sleep(0.001)
        token.cancel()
        await sleep(0.001)
        end.set_result("kept")
        assert await running == "kept"

    run(main())


def test_waiting_for_a_token_in_a_thread_has_an_end() -> None:
    token = CancelToken()
    assert token.blocking_wait(0.001) is False
    token.cancel()
    assert token.blocking_wait() is True


# ---- compute ---------------------------------------------------------------------------------


def test_computing_runs_apart_and_gives_its_result(run: Run) -> None:
    async def main() -> None:
        name = await compute(lambda: threading.current_thread().name)
        assert name.startswith("blitzio-compute_")
        with pytest.raises(KeyError):
            await compute(dict[str, int]().__getitem__, "none")
        squares = await parallel_map(range(1_000), lambda number: number * number)
        assert squares == [number * number for number in range(1_000)]
        assert await parallel_map([], str) == []
        assert await parallel_map("abc", str.upper, chunk=1) == ["A", "B", "C"]

    run(main())


def test_parallel_for_is_done_when_every_call_is(run: Run) -> None:
    async def main() -> None:
        seen: list[int] = []
        done = await parallel_for(range(1_000), seen.append)  # type: ignore[func-returns-value]
        assert done is None
        assert sorted(seen) == list(range(1_000))
        names: set[str] = set()
        await parallel_for("abc", lambda _: names.add(threading.current_thread().name), chunk=2)
        assert all(name.startswith("blitzio-compute_") for name in names)
        await parallel_for([], seen.append)
        with pytest.raises(KeyError):
            await parallel_for(["none"], dict[str, int]().__getitem__)

    run(main())
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    variable.set(3)
    values: list[int] = []
    parallel_for([1, 2], lambda _: values.append(variable.get())).blocking_join(PATIENCE)
    assert values == [3, 3]


def test_a_failing_call_ends_a_parallel_map() -> None:
    calls = []

    def check(number: int) -> int:
        calls.append(number)
        if number == 3:
            raise KeyError(number)
        return number

    with pytest.raises(KeyError, match="3"):
        parallel_map(range(100_000), check, chunk=1).blocking_join(PATIENCE)
    assert len(calls) < 100_000


@pytest.mark.parametrize("start", [parallel_map, parallel_for])
def test_parallel_work_can_be_cancelled(start: Callable[..., JoinHandle[Any]]) -> None:
    entered, release = threading.Event(), threading.Event()

    def wait(_: int) -> None:
        entered.set()
        release.wait(PATIENCE)

    handle = start(range(1_000), wait, chunk=1)
    assert entered.wait(PATIENCE)
    assert handle.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        handle.blocking_join(PATIENCE)


def test_parallel_maps_nest_without_waiting_for_their_own_threads() -> None:
    def inner(number: int) -> int:
        return sum(parallel_map(range(number), lambda each: each).blocking_join())

    assert parallel_map([10] * 20, inner, chunk=1).blocking_join(PATIENCE) == [45] * 20


def test_computing_refuses_what_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="a function was expected"):
        compute(42)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a function was expected"):
        parallel_map([1], 42)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chunk must not be negative"):
        parallel_map([1], str, chunk=-1)
    with pytest.raises(TypeError, match="a function was expected"):
        parallel_for([1], None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chunk must not be negative"):
        parallel_for([1], str, chunk=-1)
