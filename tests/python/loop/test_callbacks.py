"""call_soon, call_soon_threadsafe and handles."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


def run_pending(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_callbacks_run_in_the_order_they_were_scheduled(loop: asyncio.AbstractEventLoop) -> None:
    order: list[int] = []
    for number in range(1000):
        loop.call_soon(order.append, number)
    run_pending(loop)
    assert order == list(range(1000))


@pytest.mark.parametrize("count", range(8))
def test_arguments_arrive(loop: asyncio.AbstractEventLoop, count: int) -> None:
    seen: list[tuple[Any, ...]] = []

    def callback(*args: Any) -> None:
        seen.append(args)

    arguments = tuple(object() for _ in range(count))
    loop.call_soon(callback, *arguments)
    run_pending(loop)
    assert seen == [arguments]


def test_every_kind_of_callable_is_called(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []

    class Callable_:
        def __call__(self, text: str) -> None:
            seen.append(text)

        def method(self, text: str) -> None:
            seen.append(text)

        @classmethod
        def of_class(cls, text: str) -> None:
            seen.append(text)

    loop.call_soon(seen.append, "builtin method")
    loop.call_soon(lambda text: seen.append(text), "lambda")
    loop.call_soon(partial(seen.append, "partial"))
    loop.call_soon(Callable_(), "instance")
    loop.call_soon(Callable_().method, "method")
    loop.call_soon(Callable_.of_class, "classmethod")
    run_pending(loop)
    assert seen == ["builtin method", "lambda", "partial", "instance", "method", "classmethod"]


def test_what_a_callback_schedules_waits_for_the_next_turn(
    loop: asyncio.AbstractEventLoop,
) -> None:
    order: list[str] = []

    def outer() -> None:
        order.append("outer")
        loop.call_soon(order.append, "inner")

    loop.call_soon(outer)
    loop.call_soon(order.append, "sibling")
    run_pending(loop)
    run_pending(loop)
    assert order == ["outer", "sibling", "inner"]


def test_a_cancelled_handle_does_not_run_and_lets_go(loop: asyncio.AbstractEventLoop) -> None:
    class Payload:
        def method(self) -> None:
            raise AssertionError("must not run")

    payload = Payload()
    gone = weakref.ref(payload)
    handle = loop.call_soon(payload.method)
    assert not handle.cancelled()
    handle.cancel()
    handle.cancel()
    assert handle.cancelled()
    del payload
    gc.collect()
    assert gone() is None
    run_pending(loop)


def test_a_callback_can_cancel_a_later_one(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []
    handles: list[asyncio.Handle] = []
    loop.call_soon(lambda: handles[0].cancel())
    handles.append(loop.call_soon(seen.append, "must not run"))
    run_pending(loop)
    assert seen == []


def test_callbacks_see_the_context_of_their_scheduling(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []

    def look() -> None:
        seen.append(variable.get())
        variable.set("changed by the callback")

    token = variable.set("scheduled")
    loop.call_soon(look)
    loop.call_later(0, look)
    variable.reset(token)
    own = contextvars.copy_context()
    own.run(variable.set, "own")
    loop.call_soon(look, context=own)
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert sorted(seen) == ["own", "scheduled", "scheduled"]
    assert own[variable] == "changed by the callback"
    assert variable.get() == "default"


def test_handles_look_like_asyncios(loop: asyncio.AbstractEventLoop) -> None:
    def callback() -> None:
        pass

    loop.set_debug(False)
    handle = loop.call_soon(callback)
    assert repr(handle).startswith("<Handle test_handles_look_like_asyncios.<locals>.callback()")
    handle.cancel()
    assert repr(handle) == "<Handle cancelled>"
    timer = loop.call_later(1000, callback)
    assert repr(timer).startswith(f"<TimerHandle when={timer.when()} test_handles")
    timer.cancel()
    assert repr(timer).startswith(f"<TimerHandle cancelled when={timer.when()}")


def test_handles_know_where_they_were_made_in_debug_mode(loop: asyncio.AbstractEventLoop) -> None:
    loop.set_debug(True)
    handles: list[Any] = [
        loop.call_soon(print),
        loop.call_soon_threadsafe(print),
        loop.call_later(1000, print),
        loop.call_at(loop.time() + 1000, print),
    ]
    for handle in handles:
        frame = handle._source_traceback[-1]
        assert frame.name == "test_handles_know_where_they_were_made_in_debug_mode"
        assert "created at" in repr(handle)
        handle.cancel()
    loop.set_debug(False)
    undebugged: Any = loop.call_soon(print)
    assert undebugged._source_traceback is None
    undebugged.cancel()


def test_other_threads_wake_a_sleeping_loop(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[int] = []

    def work(number: int) -> None:
        for _ in range(100):
            loop.call_soon_threadsafe(seen.append, number)
        loop.call_soon_threadsafe(finished.release)

    finished = threading.Semaphore(0)
    done = loop.create_future()

    def collect() -> None:
        for _ in threads:
            finished.acquire()
        loop.call_soon_threadsafe(done.set_result, None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    collector = threading.Thread(target=collect)
    loop.call_soon(collector.start)
    for thread in threads:
        loop.call_soon(thread.start)
    loop.run_until_complete(asyncio.wait_for(done, PATIENCE))
    for thread in (*threads, collector):
        thread.join(PATIENCE)
    assert sorted(seen) == sorted(list(range(4)) * 100)


def test_calls_from_one_thread_keep_their_order(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[int] = []

    def work() -> None:
        for number in range(2000):
            loop.call_soon_threadsafe(seen.append, number)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=work)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join(PATIENCE)
    assert seen == list(range(2000))


def test_a_threadsafe_call_before_the_loop_runs_is_kept(loop: asyncio.AbstractEventLoop) -> None:
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(loop.stop))
    thread.start()
    thread.join(PATIENCE)
    loop.run_forever()


async def coroutine_function() -> None:
    pass


BAD_CALLS: dict[str, Callable[[asyncio.AbstractEventLoop], Any]] = {
    "call_soon, no callable": lambda loop: loop.call_soon("text"),  # type: ignore[arg-type]
    "call_later, no callable": lambda loop: loop.call_later(1, 5),  # type: ignore[arg-type]
    "call_at, no callable": lambda loop: loop.call_at(1, None),  # type: ignore[arg-type]
    "threadsafe, no callable": lambda loop: loop.call_soon_threadsafe(b""),  # type: ignore[arg-type]
    "executor, no callable": lambda loop: loop.run_in_executor(None, 1),  # type: ignore[arg-type]
    "call_soon, coroutine function": lambda loop: loop.call_soon(coroutine_function),
    "call_later, coroutine function": lambda loop: loop.call_later(1, coroutine_function),
    "call_at, coroutine function": lambda loop: loop.call_at(1, coroutine_function),
    "threadsafe, coroutine function": lambda loop: loop.call_soon_threadsafe(coroutine_function),
    "executor, coroutine function": lambda loop: loop.run_in_executor(None, coroutine_function),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_debug_mode_refuses_what_cannot_be_called(name: str, same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        loop.set_debug(True)
        return BAD_CALLS[name](loop)

    assert same_as_asyncio(scenario)[1] is TypeError


def test_wrong_arguments_are_type_errors(loop: asyncio.AbstractEventLoop) -> None:
    untyped: Any = loop
    calls: tuple[Callable[[], Any], ...] = (
        lambda: untyped.call_soon(),
        lambda: untyped.call_soon_threadsafe(),
        lambda: untyped.call_later(),
        lambda: untyped.call_later(1),
        lambda: untyped.call_at(1),
        lambda: untyped.call_soon(print, other=1),
        lambda: untyped.call_later(1, print, other=1),
        lambda: untyped.call_later("soon", print),
        lambda: untyped.run_in_executor(None),
    )
    for call in calls:
        with pytest.raises(TypeError):
            call()


def test_debug_mode_refuses_other_threads(loop: asyncio.AbstractEventLoop) -> None:
    loop.set_debug(True)
    found: list[str] = []

    calls: tuple[Callable[[], Any], ...] = (
        lambda: loop.call_soon(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
    )

    def work() -> None:
        for call in calls:
            try:
                call()
            except RuntimeError as exc:
                found.append(str(exc))

    async def main() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(PATIENCE)

    loop.run_until_complete(main())
    assert (
        found
        == ["Non-thread-safe operation invoked on an event loop other than the current one"] * 3
    )


def test_slow_callbacks_are_logged_in_debug_mode(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    assert loop.slow_callback_duration == 0.1
    loop.slow_callback_duration = 0.0

    def slow_one() -> None:
        pass

    loop.call_soon(slow_one)
    run_pending(loop)
    messages = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert any("Executing <Handle" in text and "slow_one" in text for text in messages)
    assert all("seconds" in text for text in messages if "Executing" in text)


def test_a_slow_step_is_logged_as_its_task(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow_coroutine() -> None:
        await asyncio.sleep(0)

    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    loop.run_until_complete(slow_coroutine())
    messages = [record.getMessage() for record in caplog.records]
    assert any(
        text.startswith("Executing <Task ") and "slow_coroutine" in text for text in messages
    )


def test_a_subclass_overrides_native_methods(native: None) -> None:
    import blitzio

    class Counting(blitzio.Loop):
        calls = 0

        def call_soon(  # type: ignore[override]
            self, *args: Any, **keywords: Any
        ) -> asyncio.Handle:
            self.calls += 1
            return super().call_soon(*args, **keywords)

    loop = Counting()
    run_pending(loop)
    assert loop.calls == 1
    loop.run_until_complete(asyncio.sleep(0))
    assert loop.calls > 1
    loop.close()


def test_call_soon_is_a_method_like_others(native: None) -> None:
    """Up to 3.11 a descriptor of ours stands for it, which keeps the bound method during a run."""
    import blitzio

    method = blitzio.Loop.call_soon
    assert method.__name__ == "call_soon"
    assert method.__qualname__.endswith("Loop.call_soon")
    assert method.__doc__ is not None
    assert "next turn" in method.__doc__
    assert str(inspect.signature(method)) == "(self, /, callback, *args, context=None)"
    with pytest.raises(TypeError, match=r"needs an argument"):
        method()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="doesn't apply to a 'int' object"):
        method(3)  # type: ignore[arg-type,call-arg]

    seen: list[Any] = []

    def use_one() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop: Any = blitzio.Loop()

        def own(*args: Any, **keywords: Any) -> asyncio.Handle:
            seen.append("own")
            return method(loop, *args, **keywords)

        async def main() -> None:
            for call in (loop.call_soon, loop.call_soon, partial(method, loop)):
                call(seen.append, len(seen))
                await asyncio.sleep(0)
            # What is set on the object goes before the class, also for asyncio's C code.
            loop.call_soon = own
            await asyncio.sleep(0)
            del loop.call_soon

        loop.run_until_complete(main())
        loop.close()
        return weakref.ref(loop)

    gone = use_one()
    assert seen[:3] == [0, 1, 2]
    assert "own" in seen[3:]
    # A bound method refers to its loop: kept, it would be a cycle.
    gc.collect()
    assert gone() is None


def test_who_is_told_of_a_failure_does_not_run_the_handle_again(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    runs: list[int] = []
    told: list[tuple[object, ...]] = []

    def fail(number: int) -> None:
        runs.append(number)
        raise ValueError

    def run_again(_loop: object, context: Any) -> None:
        context["handle"]._run()
        told.append(context["handle"]._args)

    loop.set_exception_handler(run_again)
    handle: Any = loop.call_soon(fail, 3)
    run_pending(loop)
    assert runs == [3]
    assert told == [(3,)]
    assert handle._args is None


def test_native_methods_are_redefined_in_subclasses_alone(native: None) -> None:
    import blitzio
    from blitzio._native import LoopBase

    assert blitzio.Loop.__dict__["call_soon"].__objclass__ is blitzio.Loop
    for wrong in (int, 3):
        with pytest.raises(TypeError, match="a subclass of .*LoopBase.* was expected"):
            LoopBase._redefine_in(wrong)  # type: ignore[arg-type]
