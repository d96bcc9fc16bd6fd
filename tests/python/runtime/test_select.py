"""blitzio.select and race: one effect, whatever is waited for."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import Instant, race, select, sleep, spawn, timeout
from blitzio.channel import Channel, Empty
from blitzio.sync import Mutex

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def fail(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


class Probe:
    """A coroutine that says how it ended."""

    ended = ""

    async def run(self) -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise


def test_the_first_to_end_wins(run: Run) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        assert await select(forever(), asyncio.sleep(0, "two"), future) == ("two", 1)
        future.set_result("done")
        assert await select([forever(), future]) == ("done", 1)
        assert await race(forever(), spawn(pow, 2, 3)) == 8

    run(main())


def test_of_several_that_are_ready_the_first_in_order_wins(run: Run) -> None:
    async def main() -> None:
        free = Mutex()
        assert await select(free.lock(), asyncio.sleep(0)) == (None, 0)
        free.unlock()
        other = Mutex()
        assert await select(other.lock(), free.lock()) == (None, 0)
        # The loser was dropped as it was: it holds nothing.
        assert free.try_lock()

    run(main())


def test_a_lock_that_loses_is_not_held(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        result: Any = await select(mutex.lock(), asyncio.sleep(0.001, "time"))
        assert result == ("time", 1)
        waiting = asyncio.ensure_future(select(mutex.lock(), forever()))
        await asyncio.sleep(0)
        mutex.unlock()
        assert await waiting == (None, 0)
        mutex.unlock()
        assert mutex.try_lock()

    run(main())


def test_a_message_is_received_by_one_branch_alone(run: Run) -> None:
    async def main() -> None:
        first: Channel[int] = Channel(4)
        second: Channel[int] = Channel(4)
        await first.send(1)
        await second.send(2)
        assert await select(first.recv(), second.recv()) == (1, 0)
        assert second.try_recv() == 2
        full: Channel[int] = Channel(1)
        await full.send(1)
        assert await select(full.send(2), asyncio.sleep(0.001, "time")) == ("time", 1)
        assert full.try_recv() == 1
        with pytest.raises(Empty):
            full.try_recv()

    run(main())


def test_a_failure_of_the_first_is_raised(run: Run) -> None:
    async def main() -> None:
        probe = Probe()
        with pytest.raises(KeyError):
            await select(probe.run(), fail(KeyError()))
        assert probe.ended == "cancelled"

    run(main())


def test_select_leaves_what_is_somebodys_and_race_does_not(run: Run) -> None:
    async def main() -> None:
        probe = Probe()
        task = asyncio.ensure_future(probe.run())
        handle = spawn(forever)
        assert await select(task, handle, asyncio.sleep(0.001, 1)) == (1, 2)
        assert not task.done()
        assert not handle.is_finished()
        assert await race(task, handle, asyncio.sleep(0.001, 2)) == 2
        await asyncio.wait([task])
        assert probe.ended == "cancelled"
        with pytest.raises(asyncio.CancelledError):
            await handle

    run(main())


def test_cancelling_ends_what_is_owned(run: Run) -> None:
    async def main() -> None:
        mutex, probe = Mutex(), Probe()
        await mutex.lock()
        waiting = asyncio.ensure_future(select(probe.run(), mutex.lock()))
        await sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert probe.ended == "cancelled"
        mutex.unlock()
        assert mutex.try_lock()

    run(main())


class Slow:
    """A coroutine that takes its time to end."""

    def __init__(self) -> None:
        self.is_ending = asyncio.Event()
        self.may_end = asyncio.Event()

    async def run(self) -> None:
        try:
            await forever()
        finally:
            self.is_ending.set()
            await self.may_end.wait()


def test_what_the_first_received_is_not_lost_when_the_caller_is_cancelled(run: Run) -> None:
    got: list[Any] = []

    async def take(channel: Channel[str], slow: Slow) -> None:
        got.append(await select(channel.recv(), slow.run()))
        await forever()

    async def main() -> None:
        channel: Channel[str] = Channel(1)
        slow = Slow()
        task = asyncio.ensure_future(take(channel, slow))
        await sleep(0.001)
        await channel.send("message")
        await slow.is_ending.wait()
        # The message has left the channel, and the call waits for the other's end.
        task.cancel("late")
        await sleep(0)
        slow.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert got == [("message", 0)]

    run(main())


@pytest.mark.parametrize("is_cleaning_up", [False, True])
def test_a_time_limit_that_is_over_while_the_others_end_is_no_cancellation(
    run: Run, is_cleaning_up: bool
) -> None:
    async def main() -> None:
        channel: Channel[str] = Channel(1)
        slow = Slow()

        limits: list[Any] = []

        async def take() -> tuple[Any, int]:
            if is_cleaning_up:
                with pytest.raises(asyncio.CancelledError):
                    await forever()
            async with timeout(60) as limit:
                limits.append(limit)
                first: tuple[Any, int] = await select(channel.recv(), slow.run())
            assert limit.expired
            await sleep(0.001)
            return first

        task = asyncio.ensure_future(take())
        await sleep(0.001)
        if is_cleaning_up:
            task.cancel()  # Counted as long as the task lives.
            await sleep(0.001)
        await channel.send("message")
        await slow.is_ending.wait()
        limits[0].reschedule(Instant.now())
        while not limits[0].expired:
            await sleep(0)
        slow.may_end.set()
        assert await task == ("message", 0)

    run(main())


def test_wrong_arguments_are_refused(run: Run) -> None:
    async def main() -> None:
        both: tuple[Any, ...] = (select, race)
        for function in both:
            with pytest.raises(TypeError, match="an awaitable was expected"):
                await function(forever(), 42)
            with pytest.raises(ValueError, match="^at least one awaitable is needed$"):
                await function([])
            with pytest.raises(ValueError, match="^at least one awaitable is needed$"):
                await function()

    run(main())
    gc.collect()


def test_what_one_select_has_another_is_refused(run: Run) -> None:
    """It waited for ever."""

    async def main() -> None:
        channel: Channel[int] = Channel(1)
        received = channel.recv()
        first = asyncio.ensure_future(select(received))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already awaited"):
            await select(received)
        # Nor does dropping the second end it for the first.
        channel.try_send(1)
        assert await first == (1, 0)

    run(main())


def test_one_that_is_given_twice_is_refused(run: Run) -> None:
    async def main() -> None:
        waiting = Channel[int](1).recv()
        with pytest.raises(RuntimeError, match="already awaited"):
            await select(waiting, waiting)

    run(main())


def test_what_an_exception_selects_as_it_is_made_is_not_ended_by_it(run: Run) -> None:
    async def main() -> None:
        mutex, other = Mutex(), Mutex()
        await mutex.lock()
        await other.lock()
        waiting: Any = mutex.lock()
        selecting: Any = select(other.lock(), waiting)

        class Selecting(Exception):
            def __init__(self) -> None:
                self.step = selecting.send(None)

        with pytest.raises(ValueError, match="coroutine already executing"):
            waiting.throw(Selecting)
        mutex.unlock()
        with pytest.raises(StopIteration) as ended:
            selecting.send(None)
        assert ended.value.value == (None, 1)

    run(main())
