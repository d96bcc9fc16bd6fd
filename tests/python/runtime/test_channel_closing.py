"""Channels that are closed under those who wait for them: tasks on every loop, and threads; and
`select` over each kind of channel."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import race, select, spawn
from blitzio.channel import (
    Broadcast,
    Channel,
    Closed,
    Empty,
    Lagged,
    Oneshot,
    Watch,
)
from tests.python.loop.support import PATIENCE, turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.python.runtime.conftest import Run


class Closing:
    """A channel, what waits for it, and what closes it."""

    def __init__(
        self,
        channel: Any,
        wait: Callable[[], Awaitable[Any]],
        blocking_wait: Callable[[], Any],
        again: Callable[[], object],
    ) -> None:
        self.channel = channel
        self.wait = wait
        self.blocking_wait = blocking_wait
        #: What answers at once, and says that it is closed.
        self.again = again


def receiving() -> Closing:
    made: Channel[int] = Channel(1)
    return Closing(made, made.recv, made.blocking_recv, made.try_recv)


def sending() -> Closing:
    made: Channel[int] = Channel(1)
    made.try_send(1)
    return Closing(
        made, lambda: made.send(2), lambda: made.blocking_send(2), lambda: made.try_send(2)
    )


def oneshot() -> Closing:
    made: Oneshot[int] = Oneshot()
    return Closing(made, made.recv, made.blocking_recv, made.try_recv)


def broadcast() -> Closing:
    made: Broadcast[int] = Broadcast(2)
    receiver = made.subscribe()
    return Closing(made, receiver.recv, receiver.blocking_recv, receiver.try_recv)


def watch() -> Closing:
    made = Watch(0)
    receiver = made.subscribe()
    return Closing(made, receiver.changed, receiver.blocking_changed, lambda: made.send(1))


KINDS = [receiving, sending, oneshot, broadcast, watch]
#: Where several may wait: a Oneshot has one receiver.
SHARED = [receiving, sending, broadcast, watch]


@pytest.mark.parametrize("kind", KINDS)
def test_closing_tells_the_task_that_waits(kind: Callable[[], Closing], run: Run) -> None:
    async def main() -> None:
        made = kind()
        task = asyncio.ensure_future(made.wait())
        await turns()
        assert not task.done()
        made.channel.close()
        with pytest.raises(Closed):
            await task
        assert made.channel.is_closed()
        with pytest.raises(Closed):
            made.again()
        with pytest.raises(Closed):
            await made.wait()

    run(main())


def test_a_sender_that_closes_whatever_happens_tells_the_receiver(run: Run) -> None:
    async def answer(oneshot: Oneshot[int], divisor: int) -> None:
        with contextlib.closing(oneshot):
            await asyncio.sleep(0)
            oneshot.send(42 // divisor)

    async def main() -> None:
        well: Oneshot[int] = Oneshot()
        answering = asyncio.ensure_future(answer(well, 1))
        assert await well.recv() == 42
        await answering
        badly: Oneshot[int] = Oneshot()
        answering = asyncio.ensure_future(answer(badly, 0))
        with pytest.raises(Closed):
            await badly.recv()
        with pytest.raises(ZeroDivisionError):
            await answering

    run(main())


@pytest.mark.parametrize("kind", SHARED)
def test_closing_tells_all_of_them(kind: Callable[[], Closing], run: Run) -> None:
    async def main() -> None:
        made = kind()
        tasks = [asyncio.ensure_future(made.wait()) for _ in range(5)]
        await turns()
        tasks[2].cancel()
        made.channel.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        expected = [Closed, Closed, asyncio.CancelledError, Closed, Closed]
        assert [type(outcome) for outcome in outcomes] == expected

    run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_closing_tells_the_thread_that_waits(kind: Callable[[], Closing]) -> None:
    made = kind()
    began = threading.Event()
    told: list[BaseException] = []

    def wait() -> None:
        began.set()
        try:
            made.blocking_wait()
        except Closed as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert began.wait(PATIENCE)
    # It waits by now, or will in a moment, and must be told either way; mostly it does.
    thread.join(0.01)
    made.channel.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert len(told) == 1
    with pytest.raises(Closed):
        made.blocking_wait()


@pytest.mark.parametrize("kind", SHARED)
def test_closing_tells_tasks_and_threads_together(kind: Callable[[], Closing], run: Run) -> None:
    made: list[Closing] = []

    def wait() -> str:
        try:
            made[0].blocking_wait()
        except Closed:
            return "told"
        return "not told"

    async def main() -> None:
        made.append(kind())
        loop = asyncio.get_running_loop()
        threads = [loop.run_in_executor(None, wait) for _ in range(2)]
        task = asyncio.ensure_future(made[0].wait())
        await turns(10)
        assert not task.done()
        made[0].channel.close()
        with pytest.raises(Closed):
            await task
        assert await asyncio.gather(*threads) == ["told", "told"]
        await loop.shutdown_default_executor()

    run(main())


def test_what_was_sent_before_comes_first(run: Run) -> None:
    """Closing in the same turn as the last message: the message is not lost."""

    async def main() -> None:
        channel: Channel[int] = Channel(2)
        broadcast: Broadcast[int] = Broadcast(2)
        oneshot: Oneshot[int] = Oneshot()
        watch = Watch(0)
        ear, eye = broadcast.subscribe(), watch.subscribe()
        tasks: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(waits)
            for waits in (channel.recv(), ear.recv(), oneshot.recv(), eye.changed())
        ]
        await turns()
        for each in (channel.try_send, broadcast.send, oneshot.send, watch.send):
            each(1)
        for made in (channel, broadcast, oneshot, watch):
            made.close()
        assert await asyncio.gather(*tasks) == [1, 1, 1, None]
        assert eye.borrow() == 1
        for receive in (channel.recv, ear.recv, oneshot.recv, eye.changed):
            with pytest.raises(Closed):
                await receive()

    run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_that_is_dropped_by_its_owner_lives_while_somebody_waits(
    kind: Callable[[], Closing], run: Run
) -> None:
    async def main() -> None:
        made = kind()
        gone = weakref.ref(made)
        task = asyncio.ensure_future(made.wait())
        await turns()
        del made
        gc.collect()
        assert gone() is None
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


# ---- select: one effect, whatever the channel ---------------------------------------------------


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_select_takes_one_message_of_each_kind_of_channel(run: Run) -> None:
    async def main() -> None:
        channel: Channel[str] = Channel(1)
        oneshot: Oneshot[str] = Oneshot()
        broadcast: Broadcast[str] = Broadcast(2)
        watch = Watch("")
        ear, eye = broadcast.subscribe(), watch.subscribe()

        def arms() -> list[Awaitable[Any]]:
            return [forever(), oneshot.recv(), ear.recv(), eye.changed(), channel.recv()]

        senders: list[Callable[[str], object]] = [
            oneshot.send,
            broadcast.send,
            watch.send,
            channel.try_send,
        ]
        values = ["value", "value", None, "value"]
        for index, (send, expected) in enumerate(zip(senders, values, strict=True), start=1):
            waiting = asyncio.ensure_future(select(arms()))
            await turns()
            assert not waiting.done()
            send("value")
            assert await waiting == (expected, index)
            if index == 1:
                oneshot = Oneshot()  # It has had its value.
        # Each was received once, and nothing else was.
        for receive in (oneshot.try_recv, ear.try_recv, channel.try_recv):
            with pytest.raises(Empty):
                receive()
        assert not eye.has_changed()

    run(main())


def test_select_leaves_the_messages_of_those_that_lose(run: Run) -> None:
    async def main() -> None:
        oneshot: Oneshot[int] = Oneshot()
        broadcast: Broadcast[int] = Broadcast(2)
        watch = Watch(0)
        ear, eye = broadcast.subscribe(), watch.subscribe()
        waiting = asyncio.ensure_future(select(oneshot.recv(), ear.recv(), eye.changed()))
        await turns()
        for send in (watch.send, broadcast.send, oneshot.send):
            send(1)
        # The first that could go is taken, in the order of the arguments; the others stay.
        assert await waiting == (1, 0)
        assert await select(eye.changed(), ear.recv()) == (None, 0)
        assert await race(ear.recv(), eye.changed()) == 1
        assert not eye.has_changed()
        with pytest.raises(Empty):
            ear.try_recv()
        with pytest.raises(Closed):
            await oneshot.recv()

    run(main())


def test_a_channel_that_is_closed_ends_the_select(run: Run) -> None:
    async def main() -> None:
        oneshot: Oneshot[int] = Oneshot()
        broadcast: Broadcast[int] = Broadcast(2)
        watch = Watch(0)
        ear, eye = broadcast.subscribe(), watch.subscribe()
        for made in (oneshot, broadcast, watch):
            arms: dict[Any, Callable[[], Awaitable[Any]]] = {
                oneshot: oneshot.recv,
                broadcast: ear.recv,
                watch: eye.changed,
            }
            waiting = asyncio.ensure_future(select(spawn(forever), arms[made](), forever()))
            await turns()
            made.close()
            with pytest.raises(Closed):
                await waiting

    run(main())


def test_select_tells_a_receiver_what_it_missed(run: Run) -> None:
    async def main() -> None:
        broadcast: Broadcast[int] = Broadcast(2)
        ear = broadcast.subscribe()
        for number in range(3):
            broadcast.send(number)
        with pytest.raises(Lagged) as lagged:
            await select(forever(), ear.recv())
        assert lagged.value.missed == 1
        assert await select(ear.recv(), forever()) == (1, 0)

    run(main())


def test_a_oneshot_can_be_waited_for_again_after_a_select_that_it_lost(run: Run) -> None:
    async def main() -> None:
        oneshot: Oneshot[int] = Oneshot()
        other: Channel[int] = Channel(1)
        other.try_send(5)
        assert await select(oneshot.recv(), other.recv()) == (5, 1)
        waiting = asyncio.ensure_future(select(oneshot.recv(), other.recv()))
        await turns()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        oneshot.send(6)
        assert await oneshot.recv() == 6

    run(main())
