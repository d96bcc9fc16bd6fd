"""Futures, tasks and task factories."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import others_that_hold

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


def test_futures_are_asyncios_and_belong_to_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    future = loop.create_future()
    assert isinstance(future, asyncio.Future)
    assert future.get_loop() is loop
    future.cancel()


def test_tasks_are_asyncios_and_have_names(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> str | None:
        task = asyncio.current_task()
        assert task is not None
        assert task.get_loop() is loop
        return task.get_name()

    assert loop.run_until_complete(loop.create_task(main(), name="mine")) == "mine"
    unnamed = loop.run_until_complete(loop.create_task(main()))
    assert unnamed is not None
    assert unnamed.startswith("Task-")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks take a context from 3.11 on")
def test_a_task_runs_in_the_context_it_was_given(loop: asyncio.AbstractEventLoop) -> None:
    context = contextvars.copy_context()

    async def main() -> str:
        before = variable.get()
        variable.set("set by the task")
        return before

    context.run(variable.set, "given")
    given: dict[str, Any] = {"context": context}
    assert loop.run_until_complete(loop.create_task(main(), **given)) == "given"
    assert context[variable] == "set by the task"
    assert variable.get() == "default"


def test_cancelling_a_task(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> str:
        task = loop.create_task(asyncio.sleep(1000))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        return "finished"

    assert loop.run_until_complete(main()) == "cancelled"


def test_thousands_of_tasks(loop: asyncio.AbstractEventLoop) -> None:
    async def one(number: int) -> int:
        for _ in range(3):
            await asyncio.sleep(0)
        return number

    async def main() -> list[int]:
        return await asyncio.gather(*[one(number) for number in range(5000)])

    assert loop.run_until_complete(main()) == list(range(5000))


def test_all_tasks_and_current_task(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        mine = asyncio.current_task()
        other = loop.create_task(asyncio.sleep(0))
        assert asyncio.all_tasks() == {mine, other}
        await other

    loop.run_until_complete(main())
    assert asyncio.all_tasks(loop) == set()


def test_a_coroutine_is_wanted(same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        return loop.create_task(123)  # type: ignore[arg-type]

    assert same_as_asyncio(scenario)[1] is TypeError


@pytest.mark.parametrize("factory", [123, "text", object()])
def test_a_factory_must_be_callable(factory: Any, same_as_asyncio: Compare) -> None:
    same_as_asyncio(lambda loop: loop.set_task_factory(factory))


def test_a_factory_makes_the_tasks(loop: asyncio.AbstractEventLoop) -> None:
    calls: list[tuple[Any, dict[str, Any]]] = []

    class MyTask(asyncio.Task[Any]):
        pass

    def factory(
        loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **kwargs: Any
    ) -> asyncio.Task[Any]:
        calls.append((loop, kwargs))
        return MyTask(coro, loop=loop, **kwargs)

    assert loop.get_task_factory() is None
    loop.set_task_factory(factory)  # type: ignore[arg-type]
    assert loop.get_task_factory() is factory

    task = loop.create_task(asyncio.sleep(0, "done"), name="named")
    assert isinstance(task, MyTask)
    assert task.get_name() == "named"
    assert loop.run_until_complete(task) == "done"
    assert calls[0][0] is loop

    loop.set_task_factory(None)
    assert loop.get_task_factory() is None
    plain = loop.create_task(asyncio.sleep(0))
    assert type(plain) is asyncio.Task
    loop.run_until_complete(plain)


CALLS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "name": {"name": "mine"},
    "context": {"context": contextvars.copy_context()},
    "unknown": {"eager": True},
}


@pytest.mark.parametrize("name", CALLS)
def test_a_factory_is_given_what_asyncio_gives(name: str, same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        given: list[set[str]] = []

        def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
            given.append({key for key, value in kwargs.items() if value is not None})
            kwargs.pop("eager", None)
            return asyncio.Task(coro, loop=loop, **kwargs)

        loop.set_task_factory(factory)
        coroutine = asyncio.sleep(0)
        try:
            task = loop.create_task(coroutine, **CALLS[name])
        except TypeError:
            coroutine.close()
            return "TypeError"
        loop.run_until_complete(task)
        return given, task.get_name() if "name" in CALLS[name] else None

    same_as_asyncio(scenario)


def with_two(loop: Any, coro: Any) -> asyncio.Task[Any]:
    """What factories took until 3.11."""
    return asyncio.Task(coro, loop=loop)


def with_context(loop: Any, coro: Any, context: Any = None) -> asyncio.Task[Any]:
    """What 3.11 asks for."""
    given: dict[str, Any] = {"context": context} if sys.version_info >= (3, 11) else {}
    return asyncio.Task(coro, loop=loop, **given)


FACTORIES: dict[str, Any] = {
    "two arguments": with_two,
    "two and a context": with_context,
    "asyncio's eager one": getattr(asyncio, "eager_task_factory", None),
}


@pytest.mark.parametrize("how", ["loop", "loop, name", "asyncio", "asyncio, name", "gather", "run"])
@pytest.mark.parametrize("name", FACTORIES)
def test_a_factory_is_handed_nothing_that_it_does_not_know(
    name: str, how: str, same_as_asyncio: Compare
) -> None:
    """A name that was not given is passed to none; whether one that was is, is the version's."""
    if FACTORIES[name] is None:
        pytest.skip("eager tasks came in 3.12")

    async def work() -> str:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.get_name() if "name" in how else "done"

    async def start(loop: asyncio.AbstractEventLoop) -> Any:
        if how == "gather":
            return await asyncio.gather(work(), work())
        create = asyncio.create_task if "asyncio" in how else loop.create_task
        coroutine = work()
        try:
            return await create(coroutine, **({"name": "mine"} if "name" in how else {}))
        finally:
            coroutine.close()

    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        loop.set_task_factory(FACTORIES[name])
        return loop.run_until_complete(work() if how == "run" else start(loop))

    kind, *rest = same_as_asyncio(scenario)
    if "name" not in how:
        assert (kind, rest) in (("returned", ["done"]), ("returned", [["done", "done"]]))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came in 3.12")
def test_eager_tasks_of_a_group(loop: asyncio.AbstractEventLoop) -> None:
    order: list[str] = []

    async def child(number: int) -> int:
        order.append(f"child {number}")
        if number:
            await asyncio.sleep(0)
        return number

    async def main() -> list[int]:
        async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
            tasks = [group.create_task(child(number), name=f"n{number}") for number in range(3)]
            order.append("main")
        assert [task.get_name() for task in tasks] == ["n0", "n1", "n2"]
        return [task.result() for task in tasks]

    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    assert loop.run_until_complete(main()) == [0, 1, 2]
    assert order == ["child 0", "child 1", "child 2", "main"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came in 3.12")
def test_eager_tasks(loop: asyncio.AbstractEventLoop) -> None:
    order: list[str] = []

    async def child() -> None:
        order.append("child")

    async def main() -> None:
        task = loop.create_task(child())
        order.append("main")
        await task

    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    loop.run_until_complete(main())
    assert order == ["child", "main"]


def test_a_pending_task_that_is_lost_is_reported(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    import gc

    async def main() -> None:
        async def forever() -> None:
            await asyncio.Future()

        task = loop.create_task(forever())
        await asyncio.sleep(0)
        del task
        gc.collect()

    loop.run_until_complete(main())
    assert [report["message"] for report in reports] == ["Task was destroyed but it is pending!"]


def test_the_exception_of_a_task_that_failed_eagerly_is_in_no_cycle(
    loop: asyncio.AbstractEventLoop,
) -> None:
    if sys.version_info < (3, 13, 2):
        pytest.skip("older frames of asyncio's own keep it")

    async def fail() -> None:
        raise KeyError

    async def main() -> None:
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        task = loop.create_task(fail())
        exc = task.exception()
        reference = weakref.ref(task)
        gc.disable()
        try:
            del task
            assert reference() is None
            assert others_that_hold(exc) == []
        finally:
            gc.enable()

    loop.run_until_complete(main())
