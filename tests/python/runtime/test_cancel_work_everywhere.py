"""Cancelling at every await: work in threads, what waits for several, requests to end, and the Io
interface; see cancel_support."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import CancelToken, Shutdown, channel, join_all, race, spawn
from blitzio.io import Evented, Threaded
from tests.python.loop.support import PATIENCE
from tests.python.runtime.cancel_support import (
    CANCELLED,
    KINDS,
    Make,
    Scenario,
    cancel_everywhere,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from blitzio import JoinHandle
    from blitzio.io import IoFuture

# ---- threads
# ----------------------------------------------------------------------------------


def in_threads(start: Callable[[Callable[[Any], Any]], JoinHandle[Any]], expected: object) -> Make:
    """Work that others do: who waits may go, and the work goes on to its result."""

    async def make() -> Scenario:
        opened = threading.Event()
        calls: list[Any] = []

        def function(item: Any) -> Any:
            assert opened.wait(PATIENCE)
            calls.append(item)
            return item

        handle = start(function)

        async def work() -> Any:
            return await handle

        async def check(result: object) -> None:
            assert (await handle if result is CANCELLED else result) == expected
            assert sorted(calls) == [1, 2]

        return Scenario(work, opened.set, check)

    return make


def both(function: Callable[[Any], Any]) -> list[Any]:
    return [function(1), function(2)]


# ---- several at once
# ----------------------------------------------------------------------------------


async def race_of_receives() -> Scenario:
    first: channel.Channel[int] = channel.Channel(1)
    second: channel.Channel[int] = channel.Channel(1)

    def check(result: object) -> None:
        left = [len(first), len(second)]
        assert left == ([1, 1] if result is CANCELLED else [0, 1])

    async def work() -> int:
        return await race(first.recv(), second.recv())

    def let_go() -> None:
        first.try_send(1)
        second.try_send(2)

    return Scenario(work, let_go, check)


async def race_with_a_coroutine() -> Scenario:
    """Which has to be ended before the message can be given."""
    made: channel.Channel[int] = channel.Channel(1)
    ended = []

    async def other() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def work() -> Any:
        return await race(other(), made.recv())

    def check(result: object) -> None:
        assert ended == [True]
        assert (made.try_recv() if result is CANCELLED else result) == 1

    return Scenario(work, lambda: made.try_send(1), check)


async def join_of_handles() -> Scenario:
    """Somebody's already: they run on."""
    opened = asyncio.Event()

    async def one(number: int) -> int:
        await opened.wait()
        return number

    handles = [spawn(one(number)) for number in (1, 2)]

    async def work() -> Any:
        return await join_all(handles)

    async def check(result: object) -> None:
        assert result in (CANCELLED, (1, 2))
        assert [await handle for handle in handles] == [1, 2]

    return Scenario(work, opened.set, check)


# ---- requests to end
# ----------------------------------------------------------------------------------


async def token() -> Scenario:
    request = CancelToken()
    child = request.child()

    async def check(_: object) -> None:
        await child.cancelled()
        assert child.cancel_requested

    async def work() -> None:
        await child.cancelled()

    return Scenario(work, request.cancel, check)


async def under_a_token() -> Scenario:
    request = CancelToken()
    made: channel.Channel[int] = channel.Channel(1)

    async def work() -> int:
        return await request.run(made.recv())

    def check(result: object) -> None:
        assert (made.try_recv() if result is CANCELLED else result) == 1

    return Scenario(work, lambda: made.try_send(1), check)


async def ended_by_a_token() -> Scenario:
    """Both want its end, who cancels and the token: it has ended, once, when run() is over."""
    request = CancelToken()
    made: channel.Channel[int] = channel.Channel(1)
    ended = []

    async def receive() -> int:
        try:
            return await made.recv()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def work() -> int:
        return await request.run(receive())

    def check(result: object) -> None:
        assert result is CANCELLED
        assert ended == [True]
        made.try_send(1)
        assert made.try_recv() == 1

    return Scenario(work, request.cancel, check)


async def shutdown() -> Scenario:
    made = Shutdown(signals=())

    async def work() -> None:
        await made.wait()

    async def check(_: object) -> None:
        assert made.is_shutdown
        await made.wait()

    return Scenario(work, made.trigger, check, [made.close])


async def work_under_way() -> Scenario:
    made = Shutdown(signals=())
    guard = made.start_work()

    async def work() -> bool:
        return await made.wait_pending(20)

    async def check(result: object) -> None:
        assert result in (CANCELLED, True)
        assert made.pending_count == 0
        assert await made.wait_pending(0)

    return Scenario(work, guard.release, check, [made.close])


async def descriptor() -> Scenario:
    reader, writer = os.pipe()
    waiting = blitzio.AsyncFd.adopt(reader)

    async def work() -> bytes:
        await waiting.readable()
        return os.read(reader, 4)

    async def check(result: object) -> None:
        assert (await work() if result is CANCELLED else result) == b"data"

    return Scenario(
        work, lambda: os.write(writer, b"data"), check, [waiting.close, lambda: os.close(writer)]
    )


# ---- the Io interface
# ----------------------------------------------------------------------------------


def future(make_io: Callable[[], Any]) -> Make:
    """Of a function in another thread: it runs on while somebody has the future."""

    async def make() -> Scenario:
        implementation = make_io()
        opened = threading.Event()

        def function() -> str:
            assert opened.wait(PATIENCE)
            return "result"

        started: IoFuture[str] = implementation.io().async_(function)

        async def work() -> str:
            return await started.await_()

        async def check(result: object) -> None:
            assert result in (CANCELLED, "result")
            assert await started == "result"

        return Scenario(work, opened.set, check, [implementation.close])

    return make


def choice(make_io: Callable[[], Any]) -> Make:
    async def make() -> Scenario:
        implementation = make_io()
        io = implementation.io()
        made: channel.Channel[int] = channel.Channel(1)

        async def work() -> Any:
            return await io.select(timer=io.sleep(3600), message=made.recv())

        def check(result: object) -> None:
            assert result in (CANCELLED, ("message", 1))
            assert len(made) == (result is CANCELLED)

        return Scenario(work, lambda: made.try_send(1), check, [implementation.close])

    return make


def io_group(make_io: Callable[[], Any]) -> Make:
    async def make() -> Scenario:
        implementation = make_io()
        io = implementation.io()
        opened = blitzio.sync.Event()
        began: list[int] = []
        ended: list[int] = []

        async def child(number: int) -> None:
            began.append(number)
            try:
                await opened.wait()
            finally:
                ended.append(number)

        async def work() -> None:
            async with io.group() as children:
                for number in (1, 2):
                    children.async_(child, number)

        def check(result: object) -> None:
            # Whoever was cancelled before it began never does.
            assert sorted(ended) == sorted(began)
            assert result is CANCELLED or sorted(ended) == [1, 2]

        return Scenario(work, opened.set, check, [implementation.close])

    return make


def evented() -> Evented:
    return Evented(workers=1)


SCENARIOS: dict[str, Make] = {
    "spawn_blocking": in_threads(lambda f: blitzio.spawn_blocking(both, f), [1, 2]),
    "compute": in_threads(lambda f: blitzio.compute(both, f), [1, 2]),
    "parallel_map": in_threads(lambda f: blitzio.parallel_map((1, 2), f), [1, 2]),
    "parallel_for": in_threads(lambda f: blitzio.parallel_for((1, 2), f), None),
    "race_of_receives": race_of_receives,
    "race_with_a_coroutine": race_with_a_coroutine,
    "join_of_handles": join_of_handles,
    "token": token,
    "under_a_token": under_a_token,
    "ended_by_a_token": ended_by_a_token,
    "shutdown": shutdown,
    "work_under_way": work_under_way,
    "descriptor": descriptor,
    "future_of_a_thread": future(lambda: Threaded(async_limit=1)),
    "future_of_a_worker": future(evented),
    "choice_of_an_io": choice(evented),
    "group_of_threads": io_group(lambda: Threaded(async_limit=2)),
    "group_of_a_worker": io_group(evented),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_wherever_it_is_cancelled(name: str, kind: str) -> None:
    cancel_everywhere(SCENARIOS[name], kind)


def test_what_is_not_waited_for_any_more_can_be_cancelled() -> None:
    """Work in threads that has not begun: cancelling its handle is the end of it."""
    began = threading.Event()
    opened = threading.Event()
    calls: list[str] = []

    def busy() -> None:
        began.set()
        assert opened.wait(PATIENCE)

    async def main() -> None:
        first = blitzio.spawn_blocking(busy)
        while not began.is_set():
            await asyncio.sleep(0.001)
        behind = blitzio.spawn_blocking(calls.append, "never")
        waiting = asyncio.ensure_future(behind.join())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert behind.cancel()
        opened.set()
        await first
        with pytest.raises(asyncio.CancelledError):
            await behind
        assert calls == []

    with blitzio.Runtime(workers=1, blocking_threads_max=1) as runtime:
        runtime.block_on(main)
