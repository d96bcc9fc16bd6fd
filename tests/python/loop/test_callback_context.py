"""Each callback runs in a copy of the context that was current when it was scheduled. Equal copies
are shared behind the scenes; nobody may be able to tell."""

from __future__ import annotations

import contextvars
import gc
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable", default="default")


def run_pending(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def in_new_context(function: Callable[..., object], *args: object) -> Any:
    return contextvars.Context().run(function, *args)


@pytest.mark.parametrize("setter", [0, 1, 2])
def test_what_one_callback_sets_no_other_sees(loop: asyncio.AbstractEventLoop, setter: int) -> None:
    seen: list[object] = []

    def look(number: int) -> None:
        seen.append(variable.get())
        if number == setter:
            variable.set("set")

    for number in range(3):
        loop.call_soon(look, number)
    loop.call_later(0, look, 3)
    in_new_context(run_pending, loop)
    loop.call_soon(look, 4)
    run_pending(loop)
    assert seen == ["default"] * len(seen)
    assert len(seen) >= 4


def test_a_callback_sees_what_was_set_when_it_was_scheduled(
    loop: asyncio.AbstractEventLoop,
) -> None:
    seen: list[object] = []

    def schedule() -> None:
        for value in ("one", "one", "two"):
            variable.set(value)
            loop.call_soon(lambda: seen.append(variable.get()))
        variable.set("three")

    in_new_context(schedule)
    run_pending(loop)
    assert seen == ["one", "one", "two"]


def test_a_running_callback_that_sets_leaves_what_it_scheduled_alone(
    loop: asyncio.AbstractEventLoop,
) -> None:
    seen: list[object] = []

    def look(name: str) -> None:
        seen.append((name, variable.get()))

    def first() -> None:
        loop.call_soon(look, "before")
        variable.set("set")
        loop.call_soon(look, "after")
        variable.set("set again")

    loop.call_soon(first)
    loop.call_soon(look, "sibling")
    run_pending(loop)
    run_pending(loop)
    assert seen == [("sibling", "default"), ("before", "default"), ("after", "set")]


def test_a_callback_that_fails_after_setting_is_alone_with_it(
    loop: asyncio.AbstractEventLoop,
) -> None:
    seen: list[object] = []
    failures: list[object] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail() -> None:
        variable.set("set")
        raise ValueError("on purpose")

    loop.call_soon(fail)
    loop.call_soon(lambda: seen.append(variable.get()))
    run_pending(loop)
    assert seen == ["default"]
    assert [type(failure) for failure in failures] == [ValueError]


def test_a_callback_run_inside_another_has_a_context_of_its_own(
    loop: asyncio.AbstractEventLoop,
) -> None:
    seen: list[object] = []
    handles: list[Any] = []

    def outer() -> None:
        variable.set("outer")
        handles[1]._run()
        seen.append(variable.get())

    def inner() -> None:
        seen.append(variable.get())
        variable.set("inner")

    handles.append(loop.call_soon(outer))
    handles.append(loop.call_soon(inner))
    loop.call_soon(lambda: seen.append(variable.get()))
    run_pending(loop)
    # asyncio's handles keep their callback and run a second time.
    assert seen[:2] == ["default", "outer"]
    assert seen[-1] == "default"


def _get_context(handle: asyncio.Handle) -> contextvars.Context:
    context = handle._context  # type: ignore[attr-defined]
    assert isinstance(context, contextvars.Context)
    return context


def test_the_context_of_a_handle_is_its_own(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[object] = []

    def look() -> None:
        seen.append(variable.get())

    handles = [loop.call_soon(look) for _ in range(3)]
    first = _get_context(handles[1])
    assert _get_context(handles[1]) is first
    first.run(variable.set, "before the run")
    run_pending(loop)
    assert seen == ["default", "before the run", "default"]
    assert _get_context(handles[0]) is not _get_context(handles[2])


def test_the_context_of_a_running_handle_is_the_current_one(
    loop: asyncio.AbstractEventLoop,
) -> None:
    seen: list[object] = []
    kept: list[contextvars.Context] = []
    handles: list[asyncio.Handle] = []

    def first() -> None:
        context = _get_context(handles[0])
        variable.set("during the run")
        assert context[variable] == "during the run"
        kept.append(context)

    handles.append(loop.call_soon(first))
    loop.call_soon(lambda: seen.append(variable.get()))
    loop.call_soon(lambda: seen.append(variable.get()))
    run_pending(loop)
    kept[0].run(variable.set, "after the run")
    assert seen == ["default", "default"]
    assert _get_context(handles[0]) is kept[0]


def test_what_a_callback_set_is_seen_in_its_handle(loop: asyncio.AbstractEventLoop) -> None:
    handles = [loop.call_soon(variable.set, number) for number in range(3)]
    handles.append(loop.call_soon(int))
    run_pending(loop)
    assert [_get_context(handle).get(variable) for handle in handles] == [0, 1, 2, None]


def test_a_context_that_is_kept_while_nothing_is_set_is_not_shared_on(
    loop: asyncio.AbstractEventLoop,
) -> None:
    kept: list[contextvars.Context] = []
    handles: list[asyncio.Handle] = []
    seen: list[object] = []
    handles.append(loop.call_soon(lambda: kept.append(_get_context(handles[0]))))
    loop.call_soon(lambda: kept[0].run(variable.set, "set by a sibling"))
    loop.call_soon(lambda: seen.append(variable.get()))
    run_pending(loop)
    assert seen == ["default"]
    assert kept[0][variable] == "set by a sibling"


def test_threads_share_nothing_they_set(new_loop: LoopFactory) -> None:
    """Two loops run callbacks with equal contexts at the same time."""
    both = threading.Barrier(2)
    wrong: list[object] = []

    def work(name: str) -> None:
        loop = new_loop()

        def look(left: int) -> None:
            if variable.get() != "default":
                wrong.append((name, variable.get()))
            if left % 3 == 0:
                variable.set(name)
            if left % 50 == 0:
                both.wait(60)  # In the middle of a callback of both.

        for left in range(200):
            loop.call_soon(look, left)
        run_pending(loop)
        loop.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_values_live_no_longer_than_the_handles(loop: asyncio.AbstractEventLoop) -> None:
    class Value:
        pass

    def schedule() -> weakref.ref[Value]:
        value = Value()
        variable.set(value)
        for _ in range(3):
            loop.call_soon(variable.get)
        return weakref.ref(value)

    value = in_new_context(schedule)
    gc.collect()
    assert value() is not None
    run_pending(loop)
    gc.collect()
    assert value() is None


def test_a_loop_that_is_reachable_only_from_its_callbacks_context_is_collected(
    new_loop: LoopFactory,
) -> None:
    def abandon() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = new_loop()
        variable.set(loop)
        for _ in range(3):
            loop.call_soon(int)
            loop.call_later(1000, int)
        return weakref.ref(loop)

    loop = in_new_context(abandon)
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert loop() is None


def test_pending_callbacks_take_one_object_each(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    """Neither a context nor a tuple beside the handle."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("each handle has a context of its own without the GIL")
    count = 2000

    def later() -> None:
        loop.call_later(1000, max, 1, 2)

    def soon() -> None:
        loop.call_soon(bool, 1)

    for schedule in (later, soon):
        schedule()  # Makes what the others share, and the queue.
        before = sys.getallocatedblocks()
        for _ in range(count):
            schedule()
        assert sys.getallocatedblocks() - before <= count + count // 10
    run_pending(loop)
