"""Channels: order, closing, cancelling, and everybody at once."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio.channel import (
    Broadcast,
    Channel,
    ChannelError,
    Closed,
    Empty,
    Full,
    Lagged,
    Oneshot,
    Watch,
)
from tests.python.process.support import program

if TYPE_CHECKING:
    from tests.python.runtime.conftest import LoopFactory, Run


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# ---- Channel -------------------------------------------------------------------------------------


def test_values_come_in_order_and_full_and_empty_are_told() -> None:
    channel: Channel[int] = Channel(2)
    assert (channel.capacity, len(channel), bool(channel)) == (2, 0, True)
    assert (channel.is_empty(), channel.is_full()) == (True, False)
    with pytest.raises(Empty, match="nothing to receive"):
        channel.try_recv()
    channel.try_send(1)
    assert (channel.is_empty(), channel.is_full()) == (False, False)
    channel.try_send(2)
    assert (channel.is_empty(), channel.is_full()) == (False, True)
    with pytest.raises(Full, match="is full"):
        channel.try_send(3)
    assert [channel.try_recv(), channel.try_recv()] == [1, 2]
    assert issubclass(Full, ChannelError)


@pytest.mark.parametrize("capacity", [0, -1, 1 << 40])
def test_a_bad_capacity_is_a_value_error(capacity: int) -> None:
    for channel in (Channel, Broadcast):
        with pytest.raises(ValueError, match="capacity must be from 1"):
            channel(capacity)


def test_after_close_the_rest_is_received(run: Run) -> None:
    async def main() -> None:
        channel: Channel[int] = Channel(1)
        await channel.send(1)
        sender = asyncio.ensure_future(channel.send(2))
        await settle()
        channel.close()
        channel.close()
        assert channel.is_closed()
        with pytest.raises(Closed):
            await sender
        with pytest.raises(Closed):
            channel.try_send(3)
        assert [value async for value in channel] == [1]
        for receive in (channel.recv, channel.try_recv):
            with pytest.raises(Closed):
                received = receive()
                if not isinstance(received, int):
                    await received

    run(main())


@pytest.mark.parametrize("send_first", [True, False])
def test_cancelling_a_receive_loses_no_value(run: Run, send_first: bool) -> None:
    async def main() -> None:
        channel: Channel[int] = Channel(4)
        first, second = (asyncio.ensure_future(channel.recv()) for _ in range(2))
        await settle()
        if send_first:
            channel.try_send(1)
            first.cancel()
        else:
            first.cancel()
            channel.try_send(1)
        assert await second == 1
        assert first.cancelled()

    run(main())


def test_cancelling_a_send_sends_nothing_and_frees_the_value(run: Run) -> None:
    class Value:
        pass

    async def main() -> None:
        channel: Channel[object] = Channel(1)
        channel.try_send(0)
        value = Value()
        reference = weakref.ref(value)
        sender = asyncio.ensure_future(channel.send(value))
        await settle()
        sender.cancel()
        await settle()
        del value, sender
        gc.collect()
        assert reference() is None
        assert channel.try_recv() == 0
        with pytest.raises(Empty):
            channel.try_recv()

    run(main())


def test_loops_and_threads_send_and_receive_at_once(any_loop: LoopFactory) -> None:
    channel: Channel[int] = Channel(3)
    count, received = 200, []
    lock = threading.Lock()

    def keep(value: int) -> None:
        with lock:
            received.append(value)

    def on_loop(loop: asyncio.AbstractEventLoop, first: int | None) -> None:
        async def work() -> None:
            if first is None:
                async for value in channel:
                    keep(value)
            else:
                for value in range(first, first + count):
                    await channel.send(value)

        loop.run_until_complete(asyncio.wait_for(work(), 30))
        loop.close()

    def receive() -> None:
        try:
            while True:
                keep(channel.blocking_recv())
        except Closed:
            pass

    def send(first: int) -> None:
        for value in range(first, first + count):
            channel.blocking_send(value)

    senders = [
        threading.Thread(target=on_loop, args=(any_loop(), 0)),
        threading.Thread(target=send, args=(count,)),
    ]
    receivers = [
        threading.Thread(target=on_loop, args=(any_loop(), None)),
        threading.Thread(target=receive),
    ]
    for thread in senders + receivers:
        thread.start()
    for thread in senders:
        thread.join()
    channel.close()
    for thread in receivers:
        thread.join()
    assert sorted(received) == list(range(2 * count))


def test_blocking_forms_time_out() -> None:
    channel: Channel[int] = Channel(1)
    with pytest.raises(TimeoutError):
        channel.blocking_recv(0.001)
    channel.blocking_send(1)
    with pytest.raises(TimeoutError):
        channel.blocking_send(2, timeout=0.001)
    assert channel.blocking_recv() == 1
    with pytest.raises(Empty):
        channel.try_recv()


@pytest.mark.parametrize("kind", [Channel, Broadcast, Oneshot, Watch])
def test_the_collector_sees_through_channels(kind: Any) -> None:
    class Owner:
        channel: object

    owner = Owner()
    channel: Any = kind(owner) if kind is Watch else kind() if kind is Oneshot else kind(2)
    owner.channel = channel
    if kind is not Watch:
        channel.send(owner) if kind is not Channel else channel.try_send(owner)
    reference = weakref.ref(owner)
    del owner, channel
    gc.collect()
    assert reference() is None


def test_what_is_being_sent_is_garbage_with_whoever_it_refers_to() -> None:
    class Owner:
        sending: Any

    owner = Owner()
    owner.sending = Channel[Owner](1).send(owner)
    reference = weakref.ref(owner)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # It is not awaited.
        del owner
        gc.collect()
    assert reference() is None


# ---- Oneshot -------------------------------------------------------------------------------------


def test_a_oneshot_carries_one_value(run: Run) -> None:
    async def main() -> None:
        oneshot: Oneshot[str] = Oneshot()
        with pytest.raises(Empty):
            oneshot.try_recv()
        given_up = asyncio.ensure_future(oneshot.recv())
        await settle()
        with pytest.raises(RuntimeError, match="somebody else is receiving"):
            oneshot.try_recv()
        given_up.cancel()
        await settle()
        thread = threading.Thread(target=oneshot.send, args=("value",))
        receiver = asyncio.ensure_future(oneshot.recv())
        await settle()
        thread.start()
        assert await receiver == "value"
        thread.join()
        with pytest.raises(Closed):
            oneshot.send("again")
        with pytest.raises(Closed):
            await oneshot.recv()

    run(main())


def test_a_closed_oneshot_tells_its_receiver(run: Run) -> None:
    async def main() -> None:
        oneshot: Oneshot[str] = Oneshot()
        receiver = asyncio.ensure_future(oneshot.recv())
        await settle()
        oneshot.close()
        with pytest.raises(Closed):
            await receiver
        assert oneshot.is_closed()

    run(main())


# ---- Broadcast -----------------------------------------------------------------------------------


def test_every_receiver_gets_every_value_or_learns_what_it_missed(run: Run) -> None:
    async def main() -> None:
        broadcast: Broadcast[int] = Broadcast(4)
        fast, slow = broadcast.subscribe(), broadcast.subscribe()
        waiting = asyncio.ensure_future(fast.recv())
        await settle()
        broadcast.send(0)
        assert await waiting == 0
        for value in range(1, 7):
            broadcast.send(value)
        with pytest.raises(Lagged, match="3 values were overwritten") as lagged:
            await slow.recv()
        assert lagged.value.missed == 3
        broadcast.close()
        assert [value async for value in slow] == [3, 4, 5, 6]
        with pytest.raises(Closed):
            slow.try_recv()
        with pytest.raises(Closed):
            broadcast.send(8)

    run(main())


# ---- Watch ---------------------------------------------------------------------------------------


def test_a_watch_tells_of_news_once(run: Run) -> None:
    async def main() -> None:
        watch: Watch[int] = Watch(0)
        receiver = watch.subscribe()
        assert not receiver.has_changed()
        changed = asyncio.ensure_future(receiver.changed())
        await settle()
        watch.send(1)
        await changed
        assert (receiver.borrow(), watch.borrow()) == (1, 1)
        watch.send(2)
        assert receiver.has_changed()
        assert receiver.borrow_and_update() == 2
        with pytest.raises(TimeoutError):
            await asyncio.get_running_loop().run_in_executor(None, receiver.blocking_changed, 0.001)
        watch.close()
        with pytest.raises(Closed):
            await receiver.changed()
        with pytest.raises(Closed):
            watch.send(3)

    run(main())


def test_a_receiver_knows_how_far_it_is_behind() -> None:
    broadcast: Broadcast[int] = Broadcast(2)
    receiver = broadcast.subscribe()
    assert (len(receiver), bool(receiver)) == (0, True)
    for number in range(3):
        broadcast.send(number)
    assert len(receiver) == 3
    with pytest.raises(Lagged):
        receiver.try_recv()
    assert (receiver.try_recv(), len(receiver)) == (1, 1)


def test_a_watched_value_is_replaced_by_what_is_made_of_it() -> None:
    watch: Watch[tuple[int, ...]] = Watch(())
    receiver = watch.subscribe()
    watch.send_modify(lambda value: (*value, 1))
    assert receiver.has_changed()
    assert receiver.borrow_and_update() == (1,)
    assert not watch.send_if_modified(lambda value: value)
    assert not receiver.has_changed()
    assert watch.send_if_modified(lambda value: (*value, 2))
    assert receiver.borrow_and_update() == (1, 2)
    watch.send_modify(lambda value: value)
    assert receiver.has_changed(), "also if it is the same"
    assert receiver.borrow_and_update() == (1, 2)

    def fail(_value: object) -> Any:
        raise LookupError

    for send in (watch.send_modify, watch.send_if_modified):
        with pytest.raises(LookupError):
            send(fail)
        with pytest.raises(TypeError):
            send(42)  # type: ignore[arg-type]
    assert not receiver.has_changed()

    def close(value: Any) -> Any:
        watch.close()
        return (*value, 3)

    for change in (close, fail):  # Closed meanwhile, and before.
        for send in (watch.send_modify, watch.send_if_modified):
            with pytest.raises(Closed):
                send(change)
    assert watch.borrow() == (1, 2)


def test_no_change_is_lost_when_several_threads_make_them() -> None:
    watch: Watch[int] = Watch(0)
    receiver = watch.subscribe()

    def count() -> None:
        for number in range(300):
            if number % 2:
                watch.send_modify(lambda value: value + 1)
            else:
                assert watch.send_if_modified(lambda value: value + 1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert receiver.borrow_and_update() == 1200


def test_a_change_that_others_came_before_is_made_again() -> None:
    watch: Watch[list[str]] = Watch([])
    seen: list[list[str]] = []

    def change(value: list[str]) -> list[str]:
        seen.append(value)
        if len(seen) == 1:
            watch.send(["other"])
        return [*value, "mine"]

    watch.send_modify(change)
    assert seen == [[], ["other"]]
    assert watch.borrow() == ["other", "mine"]


def test_what_a_value_does_when_it_dies_may_use_the_channel() -> None:
    broadcast: Broadcast[object] = Broadcast(1)
    watch: Watch[object] = Watch(None)

    class Restless:
        def __del__(self) -> None:
            broadcast.send("died")
            watch.send("died")

    for channel in (broadcast, watch):
        channel.send(Restless())
        channel.send(1)
    assert watch.borrow() in ("died", 1)


# ---- types ---------------------------------------------------------------------------------------


def test_generic_types_can_be_subscripted() -> None:
    """As annotations that are evaluated, aliases and calls."""
    receive: Any = Channel[int](1).recv()
    kinds: list[Any] = [
        Channel,
        Oneshot,
        Broadcast,
        type(Broadcast[int](1).subscribe()),
        Watch,
        type(Watch(0).subscribe()),
        blitzio.JoinHandle,
        type(receive),
    ]
    for kind in kinds:
        alias = kind[int]
        assert (alias.__origin__, alias.__args__) == (kind, (int,))
    receive.close()
    made = Channel[int](2)
    made.try_send(1)
    assert type(made) is Channel
    assert made.try_recv() == 1


@pytest.mark.parametrize("name", ["Channel", "Broadcast"])
def test_one_that_there_is_no_memory_for_leaves_nothing(name: str) -> None:
    """The collector met what was left of it."""
    source = f"""
import gc, pathlib, resource
from blitzio import channel
used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)
try:
    channel.{name}(2**30)
except MemoryError:
    print("refused")
gc.collect()
print([each for each in gc.get_objects() if type(each) is channel.{name}])
"""
    ended = program(source)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "refused\n[]\n", "")
