"""Running, stopping and closing a loop."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]
    LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def test_the_backend_is_the_one_asked_for(
    loop: asyncio.AbstractEventLoop, backend: str, native: None
) -> None:
    assert loop.backend == backend  # type: ignore[attr-defined]


def test_metrics_are_counters_that_grow(loop: asyncio.AbstractEventLoop, native: None) -> None:
    before: dict[str, int] = loop.metrics()  # type: ignore[attr-defined]
    loop.run_until_complete(asyncio.sleep(0))
    after: dict[str, int] = loop.metrics()  # type: ignore[attr-defined]
    assert before.keys() == after.keys()
    assert all(isinstance(value, int) for value in after.values())
    assert all(after[name] >= before[name] for name in before)


def test_run_until_complete_gives_the_result(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> int:
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is loop
        assert loop.is_running()
        return 42

    assert loop.run_until_complete(main()) == 42
    assert not loop.is_running()


def test_run_until_complete_takes_futures_and_awaitables(loop: asyncio.AbstractEventLoop) -> None:
    class Awaitable:
        def __await__(self) -> Any:
            return asyncio.sleep(0, "awaited").__await__()

    future: asyncio.Future[str] = loop.create_future()
    loop.call_soon(future.set_result, "future")
    assert loop.run_until_complete(future) == "future"
    assert loop.run_until_complete(Awaitable()) == "awaited"


def test_run_until_complete_raises_what_the_coroutine_raises(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        loop.run_until_complete(main())


def test_stopping_early_says_so(same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> None:
        future = loop.create_future()
        loop.call_soon(loop.stop)
        loop.run_until_complete(future)

    assert same_as_asyncio(scenario)[1] is RuntimeError


def test_stop_before_run_forever_runs_one_turn(loop: asyncio.AbstractEventLoop) -> None:
    ran: list[int] = []
    loop.call_soon(ran.append, 1)
    loop.stop()
    loop.run_forever()
    assert ran == [1]


def test_stop_lets_what_is_due_run_and_keeps_the_rest(loop: asyncio.AbstractEventLoop) -> None:
    order: list[str] = []

    def first() -> None:
        order.append("first")
        loop.stop()
        loop.call_soon(order.append, "next run")

    loop.call_soon(first)
    loop.call_soon(order.append, "second")
    loop.run_forever()
    assert order == ["first", "second"]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert order == ["first", "second", "next run"]


def test_a_loop_can_run_again_and_again(loop: asyncio.AbstractEventLoop) -> None:
    for number in range(5):
        assert loop.run_until_complete(asyncio.sleep(0, number)) == number


def test_a_loop_can_move_between_threads(loop: asyncio.AbstractEventLoop) -> None:
    results: list[int] = []

    def work(number: int) -> None:
        results.append(loop.run_until_complete(asyncio.sleep(0.001, number)))

    for number in range(3):
        thread = threading.Thread(target=work, args=(number,))
        thread.start()
        thread.join(PATIENCE)
    work(3)
    assert results == [0, 1, 2, 3]


def test_a_running_loop_cannot_run_again(loop: asyncio.AbstractEventLoop, backend: str) -> None:
    if backend == "asyncio" and sys.version_info[:3] == (3, 13, 0):
        pytest.skip("3.13.0's run_forever forgets the running loop when it refuses to run")

    async def main() -> None:
        coroutine = asyncio.sleep(0)
        for run in (loop.run_forever, lambda: loop.run_until_complete(coroutine)):
            with pytest.raises(RuntimeError, match="^This event loop is already running$"):
                run()
        coroutine.close()
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_a_second_loop_cannot_run_inside_a_first(
    loop: asyncio.AbstractEventLoop, new_loop: LoopFactory
) -> None:
    async def main() -> None:
        other = new_loop()
        with pytest.raises(
            RuntimeError, match="^Cannot run the event loop while another loop is running$"
        ):
            other.run_until_complete(other.create_future())
        other.close()
        assert asyncio.get_running_loop() is loop

    loop.run_until_complete(main())


def test_a_running_loop_cannot_be_closed(same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> None:
        async def main() -> None:
            loop.close()

        loop.run_until_complete(main())

    assert same_as_asyncio(scenario) == (
        "raised",
        RuntimeError,
        "Cannot close a running event loop",
    )


def test_closing_twice_is_harmless(loop: asyncio.AbstractEventLoop) -> None:
    loop.close()
    loop.close()
    assert loop.is_closed()


def test_fixtures_of_suites_may_ask_for_asyncios_private_flag(new_loop: LoopFactory) -> None:
    loop: Any = new_loop()
    assert loop._closed is False
    loop.close()
    assert loop._closed is True


def test_closing_drops_what_was_scheduled(loop: asyncio.AbstractEventLoop) -> None:
    class Payload:
        def method(self) -> None:
            raise AssertionError("must not run")

    payload = Payload()
    gone = weakref.ref(payload)
    loop.call_soon(payload.method)
    loop.call_later(1000, payload.method)
    loop.close()
    del payload
    gc.collect()
    assert gone() is None


async def _nothing() -> None:
    pass


CLOSED_LOOP_CALLS: dict[str, Callable[[asyncio.AbstractEventLoop], Any]] = {
    "call_soon": lambda loop: loop.call_soon(print),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(print),
    "call_later": lambda loop: loop.call_later(1, print),
    "call_at": lambda loop: loop.call_at(1, print),
    "run_forever": lambda loop: loop.run_forever(),
    "run_in_executor": lambda loop: loop.run_in_executor(None, print),
    "add_reader": lambda loop: loop.add_reader(0, print),
    "add_writer": lambda loop: loop.add_writer(1, print),
    "remove_reader": lambda loop: loop.remove_reader(0),
    "remove_writer": lambda loop: loop.remove_writer(1),
    "add_signal_handler": lambda loop: loop.add_signal_handler(10, print),
    "stop": lambda loop: loop.stop(),
    "time": lambda loop: loop.time() > 0,
    "is_running": lambda loop: loop.is_running(),
    "set_debug": lambda loop: loop.set_debug(True),
    "create_future": lambda loop: loop.create_future().done(),
    "remove_signal_handler": lambda loop: loop.remove_signal_handler(10),
}


@pytest.mark.parametrize("name", CLOSED_LOOP_CALLS)
def test_a_closed_loop_answers_like_asyncio(name: str, same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        loop.close()
        return CLOSED_LOOP_CALLS[name](loop)

    same_as_asyncio(scenario)


def test_a_closed_loop_takes_no_coroutine(loop: asyncio.AbstractEventLoop) -> None:
    loop.close()
    for call in (loop.create_task, loop.run_until_complete):
        coroutine = _nothing()
        with pytest.raises(RuntimeError, match="^Event loop is closed$"):
            call(coroutine)
        coroutine.close()


def test_an_unclosed_loop_warns_and_closes_itself(new_loop: LoopFactory) -> None:
    loop = new_loop()
    with pytest.warns(ResourceWarning, match="unclosed event loop <.*Loop running=False"):
        del loop
        gc.collect()


def test_repr_tells_the_state(loop: asyncio.AbstractEventLoop, native: None) -> None:
    assert repr(loop) == f"<Loop running=False closed=False debug={loop.get_debug()}>"
    loop.close()
    assert "closed=True" in repr(loop)


def test_loops_are_subclassable_and_carry_attributes(
    loop: asyncio.AbstractEventLoop,
) -> None:
    calls: list[str] = []
    base: Any = type(loop)

    class Mine(base):  # type: ignore[misc]
        def call_exception_handler(self, context: dict[str, Any]) -> None:
            calls.append(context["message"])

    mine = Mine()
    mine.anything = 1
    assert weakref.ref(mine)() is mine
    mine.call_soon(lambda: 1 / 0)
    mine.call_soon(mine.stop)
    mine.run_forever()
    mine.close()
    assert len(calls) == 1


def test_async_generators_left_open_are_finalised(loop: asyncio.AbstractEventLoop) -> None:
    closed: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def main() -> None:
        async for _ in numbers():
            break
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert closed == ["closed"]


def test_shutdown_asyncgens_closes_and_reports(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    async def bad() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("in finally")

    generator = bad()

    async def main() -> None:
        async for _ in generator:
            break

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    (report,) = reports
    assert report["message"].startswith("an error occurred during closing of asynchronous gen")
    assert isinstance(report["exception"], ValueError)
    assert report["asyncgen"] is generator


def test_an_async_generator_after_the_shutdown_warns(loop: asyncio.AbstractEventLoop) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        await loop.shutdown_asyncgens()
        with pytest.warns(ResourceWarning, match="was scheduled after loop.shutdown_asyncgens"):
            async for _ in numbers():
                pass

    loop.run_until_complete(main())


def test_hooks_and_origin_tracking_are_put_back(loop: asyncio.AbstractEventLoop) -> None:
    def mine(_: Any) -> None:
        pass

    old = sys.get_asyncgen_hooks()
    depth = sys.get_coroutine_origin_tracking_depth()
    sys.set_asyncgen_hooks(firstiter=mine)
    try:
        loop.set_debug(True)

        async def main() -> int:
            assert sys.get_asyncgen_hooks().firstiter is not mine
            return sys.get_coroutine_origin_tracking_depth()

        assert loop.run_until_complete(main()) > 0
        assert sys.get_asyncgen_hooks().firstiter is mine
        assert sys.get_coroutine_origin_tracking_depth() == depth
    finally:
        sys.set_asyncgen_hooks(*old)


def test_switching_debug_while_running_switches_origin_tracking(
    loop: asyncio.AbstractEventLoop,
) -> None:
    loop.set_debug(False)

    async def main() -> list[bool]:
        seen = []
        for enabled in (True, False):
            loop.set_debug(enabled)
            assert loop.get_debug() is enabled
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(sys.get_coroutine_origin_tracking_depth() > 0)
        return seen

    assert loop.run_until_complete(main()) == [True, False]
