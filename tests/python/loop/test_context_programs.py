"""Random programs of callbacks, timers and tasks see the variables that they see on asyncio's loop,
in its order; and what they let go of is gone."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable", default="default")
other: contextvars.ContextVar[object] = contextvars.ContextVar("other", default="default")

DEPTH_MAX = 5


class Program:
    """What to do next is drawn; what is seen goes into the trace."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: int) -> None:
        self.loop = loop
        self.random = random.Random(seed)
        self.trace: list[object] = []
        self.handles: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.contexts = [contextvars.copy_context() for _ in range(3)]
        self.names = iter(range(100_000))
        # Of each timer another one: of equal ones asyncio does not say which is first.
        self.times = iter(range(100_000))

    def look(self, name: object) -> None:
        self.trace.append((name, variable.get(), other.get()))

    # ---- what runs ----

    def callback(self, name: int, depth: int) -> None:
        self.look(name)
        for _ in range(self.random.randrange(4)):
            self.step(name, depth)
        self.look(name)

    async def coroutine(self, name: int, depth: int) -> None:
        for turn in range(self.random.randrange(1, 4)):
            self.look((name, turn))
            self.step(name, depth)
            await asyncio.sleep(0)
        self.look((name, "end"))

    def step(self, name: int, depth: int) -> None:
        draw = self.random.randrange
        number = draw(14)
        if number == 0:
            variable.set(name)
        elif number == 1:
            other.set(draw(2))
        elif number == 2:
            token = variable.set("for a while")
            self.schedule(depth)
            variable.reset(token)
        elif number == 3 and self.handles:
            self.handles[draw(len(self.handles))].cancel()
        elif number == 4 and self.handles:
            handle = self.handles[draw(len(self.handles))]
            self.trace.append(handle._context.get(variable))  # type: ignore[attr-defined]
        elif number == 5:
            self.contexts[draw(3)] = contextvars.copy_context()
        elif number == 6:
            # Made and let go in this turn, as a timeout that did not pass.
            self.loop.call_later(1000, self.look, "never").cancel()
        elif number == 7 and self.tasks:
            self.tasks[draw(len(self.tasks))].cancel()
        else:
            self.schedule(depth)

    # ---- what schedules ----

    def schedule(self, depth: int) -> None:
        if depth == DEPTH_MAX:
            return
        arguments = next(self.names), depth + 1
        way = self.random.randrange(8)
        chosen = self.contexts[self.random.randrange(3)]
        call: Any = self.loop
        if way == 0:
            self.handles.append(call.call_at(-1e6 + next(self.times), self.callback, *arguments))
        elif way == 1:
            when = next(self.times)
            self.handles.append(
                call.call_later(-1e6 + when, self.callback, *arguments, context=chosen)
            )
        elif way == 2:
            self.handles.append(call.call_soon_threadsafe(self.callback, *arguments))
        elif way == 3:
            self.handles.append(call.call_soon(self.callback, *arguments, context=chosen))
        elif way == 4:
            self.tasks.append(call.create_task(self.coroutine(*arguments)))
        elif way == 5 and sys.version_info >= (3, 11):
            self.tasks.append(call.create_task(self.coroutine(*arguments), context=chosen))
        else:
            self.handles.append(call.call_soon(self.callback, *arguments))

    async def run(self) -> list[object]:
        for _ in range(6):
            self.schedule(0)
        for _ in range(100):
            await asyncio.sleep(0)
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for context in self.contexts:
            self.trace.append((context.get(variable), context.get(other)))
        return self.trace


@pytest.mark.no_faults("counts turns")
@pytest.mark.parametrize("seed", range(30))
def test_random_programs_see_what_they_see_on_asyncio(same_as_asyncio: Compare, seed: int) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> list[object]:
        def run() -> list[object]:
            return loop.run_until_complete(Program(loop, seed).run())

        return contextvars.Context().run(run)

    kind, trace = same_as_asyncio(scenario)
    assert kind == "returned"
    assert len(trace) > 20


# ---- what is let go ------------------------------------------------------------------------------


class Value:
    pass


def nothing() -> None:
    pass


WAYS: dict[str, Callable[[asyncio.AbstractEventLoop], asyncio.Handle]] = {
    "call_later": lambda loop: loop.call_later(1000, nothing),
    "call_at": lambda loop: loop.call_at(loop.time() + 1000, nothing),
    "call_soon": lambda loop: loop.call_soon(nothing),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(nothing),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_value_that_only_a_cancelled_handle_had_is_gone_with_the_turn(
    loop: asyncio.AbstractEventLoop, way: str, native: None
) -> None:
    """(asyncio's loop keeps it until the timer's time.)"""
    values: list[weakref.ref[Value]] = []
    left: list[int] = []

    def schedule_and_cancel() -> None:
        value = Value()
        values.append(weakref.ref(value))
        token = variable.set(value)
        WAYS[way](loop).cancel()
        variable.reset(token)

    def callback() -> None:
        for _ in range(3):
            schedule_and_cancel()

    def look() -> None:
        left.append(sum(value() is not None for value in values))
        if len(left) == 1:
            loop.call_soon(look)  # The handles of call_soon had their turn with this one.
        else:
            loop.stop()

    gc.disable()
    try:
        loop.call_soon(callback)
        loop.call_soon(loop.call_soon, look)
        loop.run_forever()
    finally:
        gc.enable()
    assert len(values) == 3
    assert left[-1] == 0


def test_a_value_of_the_turn_that_ends_a_run_is_gone_with_it(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    values: list[weakref.ref[Value]] = []

    def callback() -> None:
        value = Value()
        values.append(weakref.ref(value))
        token = variable.set(value)
        loop.call_later(1000, nothing).cancel()
        variable.reset(token)
        loop.stop()

    gc.disable()
    try:
        loop.call_soon(callback)
        loop.run_forever()
        assert values[0]() is None
    finally:
        gc.enable()


def test_the_arguments_of_a_cancelled_handle_are_gone_at_once(
    loop: asyncio.AbstractEventLoop,
) -> None:
    seen: list[object] = []
    ways: list[Callable[[Value], asyncio.Handle]] = [
        lambda value: loop.call_soon(id, value),
        lambda value: loop.call_later(1000, id, value),
        lambda value: loop.call_soon_threadsafe(id, value),
    ]

    def callback() -> None:
        for schedule in ways:
            value = Value()
            reference = weakref.ref(value)
            handle = schedule(value)
            del value
            seen.append(reference() is not None)
            handle.cancel()
            seen.append(reference() is None)
        loop.stop()

    loop.call_soon(callback)
    loop.run_forever()
    assert seen == [True] * 6


def test_a_value_lives_as_long_as_a_pending_timer_and_no_longer(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    values: list[weakref.ref[Value]] = []
    seen: list[bool] = []

    def with_value() -> asyncio.TimerHandle:
        value = Value()
        values.append(weakref.ref(value))
        variable.set(value)
        return loop.call_later(1000, nothing)

    async def main() -> None:
        handle: asyncio.TimerHandle | None = contextvars.copy_context().run(with_value)
        for _ in range(3):
            await asyncio.sleep(0)
        seen.append(values[0]() is not None)
        assert handle is not None
        handle.cancel()
        handle = None
        await asyncio.sleep(0)
        seen.append(values[0]() is None)

    loop.run_until_complete(main())
    assert seen == [True, True]
