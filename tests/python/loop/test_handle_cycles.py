"""Handles that what they keep alive refers to: the collector finds such cycles, as it does with
asyncio's handles, once the loop has no more use for the handle."""

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
    Schedule = Callable[[asyncio.AbstractEventLoop, "Holder"], asyncio.Handle]

_holder: contextvars.ContextVar[Holder] = contextvars.ContextVar("_holder")


class Holder:
    """Of a handle, in a variable of that handle's context: as a request of a server may be."""

    handle: asyncio.Handle

    def react(self, *_: object) -> None:
        pass

    def fail(self) -> None:
        raise ValueError


def _cancelled(handle: asyncio.Handle) -> asyncio.Handle:
    handle.cancel()
    return handle


SCHEDULES: dict[str, Schedule] = {
    "soon": lambda loop, holder: loop.call_soon(holder.react),
    "soon, many arguments": lambda loop, holder: loop.call_soon(holder.react, *range(300)),
    "soon, cancelled": lambda loop, holder: _cancelled(loop.call_soon(holder.react)),
    "threadsafe": lambda loop, holder: loop.call_soon_threadsafe(holder.react),
    "later": lambda loop, holder: loop.call_later(0, holder.react),
    "later, cancelled": lambda loop, holder: _cancelled(loop.call_later(60, holder.react)),
}


@pytest.fixture(params=SCHEDULES)
def schedule(backend: str, request: pytest.FixtureRequest) -> Schedule:
    if backend == "asyncio" and request.param == "later, cancelled":
        pytest.skip("asyncio keeps its timers until half are cancelled")
    return SCHEDULES[request.param]


def _hold(loop: asyncio.AbstractEventLoop, schedule: Schedule) -> weakref.ref[Holder]:
    holder = Holder()
    _holder.set(holder)
    holder.handle = schedule(loop, holder)
    return weakref.ref(holder)


def _in_a_context(loop: asyncio.AbstractEventLoop, schedule: Schedule) -> weakref.ref[Holder]:
    return contextvars.copy_context().run(_hold, loop, schedule)


def _run_what_is_due(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_later(0.001, loop.stop)
    loop.run_forever()


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_what_a_handle_and_its_context_hold_is_collected(
    loop: asyncio.AbstractEventLoop, schedule: Schedule, debug: bool
) -> None:
    loop.set_debug(debug)
    holders = [_in_a_context(loop, schedule) for _ in range(3)]
    _run_what_is_due(loop)
    gc.collect()
    assert [holder() for holder in holders] == [None] * 3


def test_what_another_thread_cancelled_is_collected(loop: asyncio.AbstractEventLoop) -> None:
    def schedule(loop: asyncio.AbstractEventLoop, holder: Holder) -> asyncio.Handle:
        handle = loop.call_later(0, holder.react)
        canceller = threading.Thread(target=handle.cancel)
        canceller.start()
        canceller.join()
        return handle

    holders = []

    def run() -> None:
        holders.append(_in_a_context(loop, schedule))
        loop.call_later(0, loop.stop)

    loop.call_soon(run)
    loop.run_forever()
    gc.collect()
    assert [holder() for holder in holders] == [None]


def test_a_pending_handle_is_not(loop: asyncio.AbstractEventLoop) -> None:
    reacted = []

    def schedule(loop: asyncio.AbstractEventLoop, holder: Holder) -> asyncio.Handle:
        return loop.call_soon(lambda: reacted.append(_holder.get() is holder))

    holder = _in_a_context(loop, schedule)
    gc.collect()
    assert holder() is not None
    _run_what_is_due(loop)
    assert reacted == [True]
    gc.collect()
    assert holder() is None


def test_a_loop_that_refers_to_its_handles_is_collected(
    new_loop: LoopFactory, schedule: Schedule
) -> None:
    def run() -> weakref.ref[Holder]:
        loop = new_loop()
        holder = Holder()
        holder.handle = schedule(loop, holder)
        loop.set_exception_handler(holder.react)
        _run_what_is_due(loop)
        loop.close()
        return weakref.ref(holder)

    holder = run()
    gc.collect()
    assert holder() is None


def test_a_loop_closed_over_what_was_pending_is_collected(new_loop: LoopFactory) -> None:
    loop = new_loop()
    holders = [
        _in_a_context(loop, lambda loop, holder: loop.call_soon(holder.react)),
        _in_a_context(loop, lambda loop, holder: loop.call_later(60, holder.react)),
    ]
    loop.close()
    gc.collect()
    assert [holder() for holder in holders] == [None] * 2


class Closer:
    """Closes its loop when debug mode looks at it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    @property  # type: ignore[misc]
    def __class__(self) -> type[Closer]:
        self.loop.close()
        return Closer

    def __call__(self, *_: object) -> None:
        pass


def test_a_loop_closed_while_it_schedules_is_collected(new_loop: LoopFactory) -> None:
    # Weak references to what is in a cycle are dead even if the cycle cannot be broken.
    marker = object()

    def schedule() -> None:
        loop = new_loop()
        loop.set_debug(True)
        loop.call_soon(Closer(loop), marker)
        assert loop.is_closed()

    before = sys.getrefcount(marker)
    schedule()
    gc.collect()
    assert sys.getrefcount(marker) == before


def test_a_loop_that_keeps_what_failed_is_collected(new_loop: LoopFactory) -> None:
    def run() -> weakref.ref[Holder]:
        loop = new_loop()
        holder = Holder()
        reports: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        loop.call_soon(holder.fail)
        _run_what_is_due(loop)
        loop.close()
        (report,) = reports
        assert report["exception"].__traceback__ is not None
        return weakref.ref(holder)

    holder = run()
    gc.collect()
    assert holder() is None


@pytest.mark.usefixtures("native")
def test_handles_that_programs_make_are_collected(loop: asyncio.AbstractEventLoop) -> None:
    handle_type: Any = type(loop.call_soon(int))
    timer_type: Any = type(loop.call_later(0, int))

    class Handle(handle_type):  # type: ignore[misc]
        pass

    class Timer(timer_type):  # type: ignore[misc]
        pass

    holders = []
    for type_, when in ((handle_type, ()), (timer_type, (1.0,)), (Handle, ()), (Timer, (1.0,))):
        holder = Holder()
        holder.handle = type_(*when, holder.react, (holder,) * 9, loop)
        holders.append(weakref.ref(holder))
        del holder
    gc.collect()
    assert [holder() for holder in holders] == [None] * 4


class Quitter:
    """Closes its loop when it is dropped."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def __call__(self) -> None:
        pass

    def __del__(self) -> None:
        self.loop.close()


def test_a_timer_whose_callback_closes_the_loop_when_it_is_dropped(new_loop: LoopFactory) -> None:
    loop = new_loop()
    handle = loop.call_later(60, Quitter(loop))
    handle.cancel()
    assert loop.is_closed()
    assert handle.cancelled()


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_collector_learns_of_cancelled_timers_that_are_kept(
    loop: asyncio.AbstractEventLoop, count: int
) -> None:
    # At the latest when the turn ends, also if it is the last.
    kept: list[asyncio.TimerHandle] = []

    def cancel_some() -> None:
        for _ in range(count):
            loop.call_later(60, int).cancel()
            kept.append(loop.call_later(60, int))
            kept[-1].cancel()
        loop.stop()

    def check() -> None:
        assert [gc.is_tracked(handle) for handle in kept] == [True] * count
        kept.clear()
        cancel_some()

    loop.call_soon(cancel_some)
    loop.run_forever()
    loop.call_soon(check)
    loop.run_forever()
    assert [gc.is_tracked(handle) for handle in kept] == [True] * count


def test_a_timer_kept_by_its_bound_cancel_alone_is_collected(
    loop: asyncio.AbstractEventLoop,
) -> None:
    holders = []

    def hold() -> weakref.ref[Holder]:
        holder = Holder()
        _holder.set(holder)
        holder.react = loop.call_later(60, int).cancel  # type: ignore[assignment,method-assign]
        holder.react()
        return weakref.ref(holder)

    def run() -> None:
        holders.append(contextvars.copy_context().run(hold))
        loop.call_soon(loop.stop)

    loop.call_soon(run)
    loop.run_forever()
    _run_what_is_due(loop)  # asyncio's loop forgets a cancelled timer that stands first.
    gc.collect()
    assert [holder() for holder in holders] == [None]


@pytest.mark.usefixtures("native")
def test_a_timer_may_be_cancelled_by_its_callback_that_is_called_by_hand(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        handle: Any = loop.call_later(60, lambda: handle.cancel())
        handle._run()
        assert handle.cancelled()
        assert not handle._scheduled
        assert gc.is_tracked(handle)

    loop.run_until_complete(main())
