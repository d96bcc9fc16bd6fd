"""JoinHandle's edges: work that begins when it is awaited, odd awaitables, closed loops."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import threading
import traceback
import types
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import Duration, JoinHandle, Runtime, spawn, spawn_blocking, spawn_future

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.python.runtime.conftest import Run

PATIENCE = 30.0


async def give(value: Any) -> Any:
    return value


def test_work_that_is_awaited_at_once_needs_no_turn_of_the_loop() -> None:
    async def main() -> tuple[int, list[str]]:
        # Started from the queue, which lets so many others begin when they are awaited.
        first = spawn(give(0))
        while not first.is_finished():
            await asyncio.sleep(0)
        turns: list[str] = []
        asyncio.get_running_loop().call_soon(turns.append, "turn")
        return sum([await spawn(give(number)) for number in range(10)]), turns.copy()

    assert blitzio.run(main()) == (45, [])


@pytest.mark.parametrize("behind", [0, 1, 8])
def test_a_start_that_is_taken_back_ends_its_turn_no_later(behind: int) -> None:
    """It was counted on as queued, so the loop ran what the next turn is for, or crashed."""
    ran: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def work() -> None:
            loop.call_soon(ran.append, "next turn")
            await asyncio.sleep(0.01)

        async def wait() -> None:
            for number in range(behind):
                loop.call_soon(ran.append, str(number))
            await handle

        loop.call_later(0, ran.append, "end of the turn")
        task = asyncio.create_task(wait())
        handle = spawn(work())  # Is to begin behind it, in the same turn.
        await task

    blitzio.run(main())
    assert ran == ["end of the turn", *map(str, range(behind)), "next turn"]


def test_awaiting_in_a_row_does_not_starve_the_loop(run: Run) -> None:
    async def main() -> None:
        others = False

        def other() -> None:
            nonlocal others
            others = True

        asyncio.get_running_loop().call_soon(other)
        for _ in range(1_000):
            await spawn(give(None))
            if others:
                return
        pytest.fail("a thousand awaits, and nobody else had a turn")

    run(main())


def test_work_that_begins_when_awaited_is_a_task_of_its_own(run: Run) -> None:
    async def main() -> None:
        outer = asyncio.current_task()
        variable = contextvars.ContextVar("variable", default="unset")
        variable.set("outer")

        async def inner() -> tuple[bool, str]:
            seen = variable.get()
            variable.set("inner")
            task = asyncio.current_task()
            same = task is outer
            await asyncio.sleep(0)
            assert asyncio.current_task() is task
            return same, seen

        assert await spawn(inner) == (False, "outer")
        assert asyncio.current_task() is outer
        assert variable.get() == "outer"

    run(main())


def test_tasks_that_each_await_the_next_may_be_many() -> None:
    async def nest(depth: int) -> int:
        return depth and 1 + await spawn(nest, depth - 1)

    with Runtime(workers=1) as runtime:
        assert runtime.block_on(nest, 2_000) == 2_000


def test_cancelling_who_awaits_leaves_work_that_it_started(run: Run) -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def work() -> str:
            await release.wait()
            return "done"

        handle = spawn(work)

        async def wait() -> None:
            await handle

        waiter = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        release.set()
        assert await handle == "done"

    run(main())


@pytest.mark.parametrize("workers", [1, 2])
def test_tracebacks_and_notes_arrive(workers: int) -> None:
    async def fail(suspends: bool) -> None:
        if suspends:
            await asyncio.sleep(0)
        error = ValueError("mine")
        if hasattr(error, "add_note"):
            error.add_note("a note")
        raise error

    async def main(suspends: bool) -> None:
        with pytest.raises(ValueError, match="mine") as caught:
            await spawn(fail, suspends)
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert names[-1] == "fail"
        assert getattr(caught.value, "__notes__", ["a note"]) == ["a note"]

    with Runtime(workers=workers) as runtime:
        for suspends in (False, True):
            runtime.block_on(main, suspends)


def test_everybody_who_awaits_wakes_as_the_task_that_it_is(run: Run) -> None:
    async def main() -> None:
        number = contextvars.ContextVar("number", default=0)
        go = asyncio.Event()
        handle = spawn(go.wait())

        async def wait(own: int) -> tuple[int, bool, int]:
            number.set(own)
            task = asyncio.current_task()
            await handle
            return own, asyncio.current_task() is task, number.get()

        waiters = [asyncio.ensure_future(wait(own)) for own in range(1, 4)]
        await asyncio.sleep(0)
        go.set()
        assert await asyncio.gather(*waiters) == [(own, True, own) for own in range(1, 4)]
        assert number.get() == 0

    run(main())


def test_a_forked_child_does_not_take_its_parents_loop_for_its_own(run: Run) -> None:
    async def main() -> int:
        child = os.fork()
        if child == 0:
            work = give(1)
            try:
                spawn(work)
            except RuntimeError as error:
                os._exit(0 if "running event loop" in str(error) else 2)
            os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of forking beside threads.
        assert run(main()) == 0


def test_what_exits_in_a_first_step_reaches_the_joiner() -> None:
    async def leave() -> None:
        raise SystemExit(3)

    with Runtime(workers=1) as runtime:
        with pytest.raises(SystemExit):
            runtime.spawn(leave()).blocking_join(PATIENCE)
        assert runtime.block_on(give, 1) == 1


def test_anything_that_can_be_awaited_is_work(run: Run) -> None:
    class Odd:
        def __await__(self) -> Generator[Any, None, str]:
            yield from asyncio.sleep(0).__await__()
            return "odd"

    @types.coroutine
    def generator() -> Generator[Any, None, str]:
        yield from asyncio.sleep(0).__await__()
        return "generator"

    async def main() -> None:
        works: tuple[tuple[Any, str], ...] = ((Odd, "odd"), (generator, "generator"))
        for work, result in works:
            assert await spawn(work()) == result
            assert await spawn(work) == result
        assert await spawn_future(spawn(give(1))) == 1
        odd: Any = Odd()
        with pytest.raises(TypeError, match="an awaitable takes no arguments"):
            spawn(odd, 1)

    run(main())


def test_a_task_factory_is_asked() -> None:
    made = []

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Future[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        assert await spawn(give(1)) == 1
        loop.set_task_factory(None)

    blitzio.run(main())
    assert len(made) == 1


def test_time_limits_are_durations_or_numbers() -> None:
    forever = spawn_blocking(threading.Event().wait, 0.2)
    for limit in (0.001, Duration.from_millis(1)):
        with pytest.raises(TimeoutError, match="did not end within"):
            forever.blocking_join(limit)
    with pytest.raises(ValueError, match="timeout must be None or seconds"):
        forever.blocking_join(-1)
    with pytest.raises(TypeError, match="a duration must be"):
        forever.blocking_join("soon")  # type: ignore[arg-type]
    forever.blocking_join(PATIENCE)


def test_work_whose_loop_is_closed_has_ended() -> None:
    loop = blitzio.new_event_loop()

    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> JoinHandle[None]:
        handle = spawn(forever)
        await asyncio.sleep(0)
        return handle

    handle = loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    with pytest.raises(asyncio.CancelledError):
        handle.blocking_join(PATIENCE)


def test_a_handle_in_a_cycle_is_collected() -> None:
    class Node:
        handle: Any = None

    node = Node()
    node.handle = spawn_blocking(lambda node: node, node)
    node.handle.blocking_join(PATIENCE)
    gone = weakref.ref(node.handle)
    del node
    gc.collect()
    assert gone() is None


def test_private_ends_are_not_for_others() -> None:
    handle = spawn_blocking(len, "four")
    handle.blocking_join(PATIENCE)
    with pytest.raises(asyncio.InvalidStateError):
        handle._finish(1)
    with pytest.raises(TypeError):
        JoinHandle()
    assert JoinHandle[int].__origin__ is JoinHandle  # type: ignore[attr-defined]


def test_threads_spawn_cancel_and_join_at_once() -> None:
    async def work(number: int) -> int:
        if number % 3 == 0:
            await asyncio.sleep(0)
        return number

    def hammer(runtime: Runtime, ends: list[str]) -> None:
        for number in range(200):
            handle = runtime.spawn(work, number)
            if number % 2:
                handle.cancel()
            try:
                assert handle.blocking_join(PATIENCE) == number
                ends.append("result")
            except asyncio.CancelledError:
                ends.append("cancelled")

    ends: list[str] = []
    with Runtime(workers=2) as runtime:
        threads = [threading.Thread(target=hammer, args=(runtime, ends)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert len(ends) == 800
    assert ends.count("result") >= 400


def test_a_running_loop_is_not_blocked_even_for_what_is_there() -> None:
    async def main() -> None:
        handle = blitzio.spawn_blocking(int)
        assert await handle == 0
        with pytest.raises(RuntimeError, match="would block the event loop"):
            handle.blocking_join()
        with pytest.raises(RuntimeError, match="would block the event loop"):
            handle.blocking_join(PATIENCE)
        assert handle.try_join() == 0

    blitzio.run(main())
    handle = blitzio.spawn_blocking(int)
    assert handle.blocking_join(PATIENCE) == 0
    with pytest.raises(ValueError, match="timeout must be None or seconds"):
        handle.blocking_join(-1)


def test_what_a_loop_of_others_is_given_may_be_called_with_anything() -> None:
    given: list[Any] = []

    class Loop(asyncio.SelectorEventLoop):
        def call_soon(  # type: ignore[override]
            self, callback: Any, *args: Any, context: Any = None
        ) -> asyncio.Handle:
            if any(isinstance(each, JoinHandle) for each in args):
                given.append(callback)
            return super().call_soon(callback, *args, context=context)

    async def main() -> None:
        assert await spawn(pow, 2, 3) == 8
        (start,) = given
        for wrong in (None, 42, start):
            with pytest.raises(TypeError, match="JoinHandle"):
                start(wrong)

    loop = Loop()
    loop.run_until_complete(main())
    loop.close()
