"""run_in_executor and the default executor."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import PATIENCE, soon

if TYPE_CHECKING:
    from collections.abc import Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]


def fail(exc: BaseException) -> None:
    raise exc


def test_the_result_comes_from_another_thread(loop: asyncio.AbstractEventLoop) -> None:
    def work(*args: int) -> tuple[int, ...]:
        assert threading.get_ident() != main_thread
        return args

    main_thread = threading.get_ident()
    for count in range(6):
        arguments = tuple(range(count))
        future = loop.run_in_executor(None, work, *arguments)
        assert isinstance(future, asyncio.Future)
        assert loop.run_until_complete(soon(future)) == arguments


@pytest.mark.parametrize("kind", [ValueError, KeyError, SystemExit])
def test_an_exception_reaches_the_awaiter(
    loop: asyncio.AbstractEventLoop, backend: str, kind: type[BaseException]
) -> None:
    if backend == "asyncio" and kind is SystemExit:
        pytest.skip("asyncio's run_until_complete waits for ever")
    error = kind("mine")
    with pytest.raises(kind) as caught:
        loop.run_until_complete(loop.run_in_executor(None, fail, error))
    assert caught.value is error


@pytest.mark.parametrize("name", ["CancelledError", "TimeoutError", "InvalidStateError"])
def test_an_exception_of_concurrent_futures_arrives_as_asyncio_s(
    loop: asyncio.AbstractEventLoop, name: str
) -> None:
    # A job that waits for a future of another thread's loop must not make its awaiter raise what
    # `except asyncio.CancelledError` does not catch.
    theirs, ours = getattr(concurrent.futures, name), getattr(asyncio, name)
    with pytest.raises(ours) as caught:
        loop.run_until_complete(loop.run_in_executor(None, fail, theirs("mine", 1)))
    assert type(caught.value) is ours
    assert caught.value.args == ("mine", 1)


def test_a_subclass_of_a_concurrent_futures_exception_arrives_as_it_is(
    loop: asyncio.AbstractEventLoop,
) -> None:
    class Own(concurrent.futures.CancelledError):
        pass

    with pytest.raises(Own):
        loop.run_until_complete(loop.run_in_executor(None, fail, Own()))


def test_many_at_once(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        futures = [loop.run_in_executor(None, pow, number, 2) for number in range(500)]
        assert await soon(asyncio.gather(*futures)) == [number**2 for number in range(500)]

    loop.run_until_complete(main())


def test_one_by_one_needs_one_thread(loop: asyncio.AbstractEventLoop, native: None) -> None:
    # asyncio's pool may start a second one.
    async def main() -> set[int]:
        return {await loop.run_in_executor(None, threading.get_ident) for _ in range(200)}

    assert len(loop.run_until_complete(soon(main()))) == 1


def test_blocked_threads_do_not_keep_others_waiting(loop: asyncio.AbstractEventLoop) -> None:
    count = 4
    barrier = threading.Barrier(count)

    async def main() -> None:
        futures = [loop.run_in_executor(None, barrier.wait, PATIENCE) for _ in range(count)]
        assert sorted(await soon(asyncio.gather(*futures))) == list(range(count))

    loop.run_until_complete(main())


def test_to_thread_carries_the_context(loop: asyncio.AbstractEventLoop) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def main() -> None:
        variable.set(5)
        assert await soon(asyncio.to_thread(variable.get)) == 5

    loop.run_until_complete(main())


def test_cancelling_the_future(loop: asyncio.AbstractEventLoop) -> None:
    release = threading.Event()

    async def main() -> None:
        future = loop.run_in_executor(None, release.wait, PATIENCE)
        await asyncio.sleep(0)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        release.set()

    loop.run_until_complete(main())


def test_threads_have_the_names_that_asyncio_gives_them(loop: asyncio.AbstractEventLoop) -> None:
    together = threading.Barrier(3)

    def name() -> str:
        together.wait(PATIENCE)
        return threading.current_thread().name

    async def main() -> list[str]:
        return await asyncio.gather(*[loop.run_in_executor(None, name) for _ in range(3)])

    assert sorted(loop.run_until_complete(main())) == ["asyncio_0", "asyncio_1", "asyncio_2"]
    loop.run_until_complete(loop.shutdown_default_executor())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]


def test_an_executor_of_ones_own(loop: asyncio.AbstractEventLoop) -> None:
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="own") as executor:

        def name() -> str:
            return threading.current_thread().name

        assert loop.run_until_complete(loop.run_in_executor(executor, name)) == "own_0"
        loop.set_default_executor(executor)
        assert loop.run_until_complete(loop.run_in_executor(None, name)) == "own_0"
        loop.run_until_complete(loop.shutdown_default_executor())
        with pytest.raises(RuntimeError, match="^Executor shutdown has been called$"):
            loop.run_in_executor(None, name)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 only warns")
def test_a_default_executor_must_be_a_thread_pool(same_as_asyncio: Compare) -> None:
    for bad in (None, 5, object()):
        same_as_asyncio(lambda loop, bad=bad: loop.set_default_executor(bad))  # type: ignore[misc]


def test_no_work_after_the_shutdown(same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        loop.run_until_complete(loop.run_in_executor(None, int))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.run_until_complete(loop.shutdown_default_executor())
        return loop.run_in_executor(None, int)

    assert same_as_asyncio(scenario)[1:] == (RuntimeError, "Executor shutdown has been called")


def test_the_shutdown_waits_for_the_work(loop: asyncio.AbstractEventLoop) -> None:
    started, release, finished = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        release.wait(PATIENCE)
        finished.set()

    async def main() -> None:
        loop.run_in_executor(None, work)
        while not started.is_set():
            await asyncio.sleep(0)
        loop.call_later(0.01, release.set)
        await soon(loop.shutdown_default_executor())
        assert finished.is_set()

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the timeout came in 3.12")
def test_the_shutdown_gives_up_after_its_timeout(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    release = threading.Event()

    async def main() -> None:
        future = loop.run_in_executor(None, release.wait, PATIENCE)
        with pytest.warns(RuntimeWarning, match="did not finishing joining its threads within 0.0"):
            await loop.shutdown_default_executor(0.01)  # type: ignore[call-arg,unused-ignore]
        release.set()
        await soon(future)

    loop.run_until_complete(main())


def test_closing_does_not_wait_for_the_work(loop: asyncio.AbstractEventLoop) -> None:
    started, release = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        release.wait(PATIENCE)

    async def main() -> None:
        loop.run_in_executor(None, work)
        while not started.is_set():
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    loop.close()
    assert not release.is_set()
    release.set()
