"""Work that waits for its own end: refused, as asyncio refuses a task that awaits itself."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import Group, Runtime, compute, parallel_for, spawn, spawn_blocking
from blitzio.io import Threaded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from blitzio import JoinHandle
    from tests.python.runtime.conftest import LoopFactory, Run

PATIENCE = 30.0

#: By which a task waits for a handle.
WAYS: dict[str, Callable[[JoinHandle[Any]], Any]] = {
    "await": lambda handle: handle,
    "join": lambda handle: handle.join(),
    "race": lambda handle: blitzio.race(handle.join()),
}


@pytest.fixture(params=WAYS)
def wait(request: pytest.FixtureRequest) -> Callable[[JoinHandle[Any]], Coroutine[Any, Any, Any]]:
    async def wait_so(handle: JoinHandle[Any]) -> Any:
        return await WAYS[request.param](handle)

    return wait_so


async def refusal(waiting: Coroutine[Any, Any, Any]) -> str:
    """What an endless wait is told, by way of the coroutine that waits."""
    with pytest.raises(RuntimeError) as raised:
        await waiting
    return str(raised.value)


def asyncios_words() -> str:
    async def own() -> str:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(RuntimeError) as raised:
            await task
        return str(raised.value)

    loop = asyncio.SelectorEventLoop()
    try:
        return loop.run_until_complete(own()).partition("<")[0]
    finally:
        loop.close()


def test_a_task_that_awaits_its_own_handle_is_refused(run: Run, wait: Any) -> None:
    async def main() -> tuple[str, str]:
        own: list[JoinHandle[tuple[str, str]]] = []

        async def task() -> tuple[str, str]:
            await asyncio.sleep(0)
            return await refusal(wait(own[0])), repr(asyncio.current_task())

        own.append(spawn(task()))
        words, me = await own[0]
        return words, me

    words, me = run(main())
    assert words == asyncios_words() + me


def test_so_is_one_in_its_first_step(run: Run, wait: Any) -> None:
    async def main() -> str:
        own: list[JoinHandle[str]] = []

        async def task() -> str:
            return await refusal(wait(own[0]))

        own.append(spawn(task()))
        return await own[0]

    assert run(main()).startswith(asyncios_words() + "<")


def test_so_is_one_of_a_task_factory(any_loop: LoopFactory) -> None:
    async def main() -> list[str]:
        own: list[JoinHandle[list[str]]] = []

        async def task() -> list[str]:
            first = await refusal(own[0].join())
            await asyncio.sleep(0)
            return [first, await refusal(own[0].join())]

        own.append(spawn(task))
        return await own[0]

    loop = any_loop()
    loop.set_task_factory(lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs))
    try:
        first, second = loop.run_until_complete(asyncio.wait_for(main(), PATIENCE))
    finally:
        loop.close()
    assert first.partition("<")[0] == second.partition("<")[0] == asyncios_words()


def test_so_is_any_awaitable(run: Run) -> None:
    class Waits:
        def __await__(self) -> Any:
            return refusal(own[0].join()).__await__()

    own: list[JoinHandle[str]] = []

    async def main() -> str:
        own.append(blitzio.spawn_future(Waits()))
        return await own[0]

    try:
        assert run(main()).startswith(asyncios_words())
    finally:
        own.clear()


def test_so_is_a_child_of_a_group(run: Run) -> None:
    async def main() -> str:
        own: list[JoinHandle[str]] = []

        async def child() -> str:
            return await refusal(own[0].join())

        async with Group() as group:
            own.append(group.spawn(child()))
        found: str = own[0].try_join() or ""
        return found

    assert run(main()).startswith(asyncios_words())


def test_a_child_that_fails_of_it_ends_its_group(run: Run) -> None:
    async def main() -> None:
        own: list[JoinHandle[None]] = []

        async def child() -> None:
            await own[0]

        async with Group() as group:
            own.append(group.spawn(child()))

    with pytest.raises(RuntimeError, match="^Task cannot await on itself: "):
        run(main())


def test_a_task_of_a_runtime_that_awaits_its_own_handle_is_refused(wait: Any) -> None:
    own: list[JoinHandle[str]] = []
    is_known = threading.Event()

    async def task(later: bool) -> str:
        is_known.wait(PATIENCE)
        if later:
            await asyncio.sleep(0)
        return await refusal(wait(own[-1]))

    with Runtime(workers=2) as runtime:
        for later in (False, True):
            is_known.clear()
            own.append(runtime.spawn(task(later)))
            is_known.set()
            assert own[-1].blocking_join(PATIENCE).startswith(asyncios_words())
    own.clear()


@pytest.mark.parametrize("limit", [blitzio.timeout, asyncio.wait_for], ids=["blitzio", "asyncio"])
def test_a_time_limit_around_it_changes_nothing(run: Run, limit: Any) -> None:
    if limit is asyncio.wait_for and sys.version_info < (3, 12):
        pytest.skip("asyncio.wait_for() awaits in another task")

    async def main() -> str:
        own: list[JoinHandle[str]] = []

        async def task() -> str:
            if limit is asyncio.wait_for:
                return await refusal(limit(own[0].join(), PATIENCE))
            with pytest.raises(RuntimeError, match="^Task cannot await on itself: "):
                await limit(PATIENCE, own[0].join())
            async with limit(PATIENCE):
                return await refusal(own[0].join())

        own.append(spawn(task()))
        return await own[0]

    assert run(main()).startswith(asyncios_words())


def test_it_may_be_one_of_several_that_a_task_waits_for(run: Run) -> None:
    async def main() -> list[Any]:
        own: list[JoinHandle[list[Any]]] = []

        async def task() -> list[Any]:
            event = blitzio.sync.Notify()
            asyncio.get_running_loop().call_soon(event.notify_one)
            found: list[Any] = [await blitzio.race(own[0].join(), event.wait())]
            found.append(await blitzio.select(own[0], asyncio.sleep(0, "late")))
            found.append(await blitzio.select([asyncio.sleep(0, "late"), own[0].join(), own[0]]))
            with pytest.raises(TimeoutError):
                async with blitzio.timeout(0):
                    await blitzio.race(own[0].join(), asyncio.Event().wait())
            return found

        own.append(spawn(task()))
        return await own[0]

    assert run(main()) == [None, ("late", 1), ("late", 0)]


def test_so_it_may_in_the_first_step_of_what_another_race_starts(run: Run) -> None:
    """Whether it has rivals is a matter of the wait, not of who else waits around it."""

    async def main() -> tuple[str, str]:
        own: list[JoinHandle[Any]] = []

        async def task() -> tuple[str, str]:
            return await refusal(own[0].join()), await blitzio.race(
                own[0].join(), asyncio.sleep(0, "late")
            )

        own.append(spawn(task()))
        never: Any = asyncio.Event().wait()
        found: tuple[str, str] = await blitzio.race(own[0].join(), never)
        return found

    words, other = run(main())
    assert words.startswith(asyncios_words())
    assert other == "late"


def test_others_of_its_loop_and_thread_may_wait_for_it(run: Run) -> None:
    async def main() -> list[str]:
        done = asyncio.Event()

        async def task() -> str:
            # A task that this one makes is another, also one that it steps in the middle of its own
            # first step.
            inner = asyncio.ensure_future(wait_for_it())
            spawned = spawn(wait_for_it())
            await asyncio.sleep(0)
            done.set()
            others.extend([inner, spawned])
            return "result"

        async def wait_for_it() -> str:
            return await own[0]

        others: list[Any] = []
        own = [spawn(task())]
        assert await own[0] == "result"
        assert done.is_set()
        return [await other for other in others]

    assert run(main()) == ["result", "result"]


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("start", [spawn_blocking, compute], ids=["spawn_blocking", "compute"])
def test_a_call_that_joins_its_own_handle_is_refused(start: Any, timeout: float | None) -> None:
    own: list[JoinHandle[None]] = []
    is_known = threading.Event()

    def call() -> None:
        is_known.wait(PATIENCE)
        own[0].blocking_join(timeout)

    own.append(start(call))
    is_known.set()
    with pytest.raises(RuntimeError, match="^Task cannot await on itself: <JoinHandle running>$"):
        own[0].blocking_join(PATIENCE)
    own.clear()


def test_so_is_one_that_awaits_it_on_a_loop_of_its_own(any_loop: LoopFactory) -> None:
    own: list[JoinHandle[str]] = []
    is_known = threading.Event()

    def call() -> str:
        is_known.wait(PATIENCE)
        loop = any_loop()
        try:
            return loop.run_until_complete(refusal(own[0].join()))
        finally:
            loop.close()

    own.append(spawn_blocking(call))
    is_known.set()
    assert own[0].blocking_join(PATIENCE).startswith("Task cannot await on itself: <JoinHandle ")
    own.clear()


def test_a_call_may_wait_for_another_in_its_thread() -> None:
    assert spawn_blocking(lambda: spawn_blocking(pow, 2, 3).blocking_join()).blocking_join() == 8


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_so_is_a_parallel_call(timeout: float | None) -> None:
    own: list[JoinHandle[None]] = []
    is_known = threading.Event()

    def call(_: int) -> None:
        is_known.wait(PATIENCE)
        own[0].blocking_join(timeout)

    own.append(parallel_for(range(8), call))
    is_known.set()
    with pytest.raises(RuntimeError, match="^Task cannot await on itself: <JoinHandle "):
        own[0].blocking_join(PATIENCE)
    own.clear()


def test_so_are_tasks_of_a_threaded_io() -> None:
    def main() -> None:
        own: list[Any] = []
        is_known = threading.Event()

        def call() -> None:
            is_known.wait(PATIENCE)
            own[-1].blocking_await()

        async def task() -> None:
            is_known.wait(PATIENCE)
            await asyncio.sleep(0)
            await own[-1]

        for work in (call, task):
            is_known.clear()
            own.append(io.concurrent(work))
            is_known.set()
            with pytest.raises(RuntimeError, match="^Task cannot await on itself: "):
                own[-1].blocking_await(PATIENCE)

    with Threaded() as threaded:
        io = threaded.io()
        io.run(main)


@pytest.mark.parametrize(
    ("error", "is_kept"),
    [
        (KeyboardInterrupt, True),
        (SystemExit, True),
        (asyncio.CancelledError, True),
        (AttributeError, False),
        (ValueError, False),
    ],
)
def test_an_interrupt_of_a_foreign_tasks_get_coro_is_raised(
    any_loop: LoopFactory, error: type[BaseException], is_kept: bool
) -> None:
    """An error means that such a task tells nothing; then it may wait."""
    seen: list[object] = []

    class Foreign:
        def get_coro(self) -> object:
            raise error

    def begin(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **kwargs: Any
    ) -> asyncio.Future[Any]:
        """As an eager factory of 3.12, with a task of its own kind."""
        foreign: Any = Foreign()
        asyncio.tasks._enter_task(loop, foreign)
        try:
            coroutine.send(None)
            seen.append("waits")
        except BaseException as raised:
            seen.append(type(raised))
        finally:
            asyncio.tasks._leave_task(loop, foreign)
            coroutine.close()
        done: asyncio.Future[Any] = loop.create_future()
        done.set_result(None)
        return done

    async def own() -> None:
        await handles[0]

    async def main() -> None:
        loop.set_task_factory(begin)
        handles.append(spawn(own))
        while not seen:
            await asyncio.sleep(0)

    handles: list[JoinHandle[None]] = []
    loop = any_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert seen == [error if is_kept else "waits"]
