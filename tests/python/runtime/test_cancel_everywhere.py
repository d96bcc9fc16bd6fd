"""Cancelling at every await: locks, channels, tasks and timers; see cancel_support."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import Group, channel, join_all, select, spawn, sync, time, timeout, try_join_all
from tests.python.loop.support import turns
from tests.python.runtime.cancel_support import (
    CANCELLED,
    KINDS,
    Make,
    Scenario,
    cancel_everywhere,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# ---- what waits
# ----------------------------------------------------------------------------------


def is_free(lock: sync.Mutex) -> None:
    assert lock.try_lock()
    lock.unlock()


async def mutex() -> Scenario:
    lock = sync.Mutex()
    assert lock.try_lock()

    async def work() -> None:
        async with lock:
            await asyncio.sleep(0)

    return Scenario(work, lock.unlock, lambda _: is_free(lock))


async def mutex_behind_another() -> Scenario:
    lock = sync.Mutex()
    assert lock.try_lock()
    others = 0

    async def other() -> None:
        nonlocal others
        async with lock:
            others += 1

    async def work() -> None:
        behind = asyncio.ensure_future(other())
        async with lock:
            pass
        await behind

    def check(_: object) -> None:
        is_free(lock)

    return Scenario(work, lock.unlock, check)


def rw_lock(side: str) -> Make:
    async def make() -> Scenario:
        lock = sync.RwLock()
        held = lock.try_write()
        assert held is not None

        async def work() -> None:
            async with getattr(lock, side)():
                await asyncio.sleep(0)

        def check(_: object) -> None:
            free = lock.try_write()
            assert free is not None
            free.release()

        return Scenario(work, held.release, check)

    return make


async def semaphore() -> Scenario:
    permits = sync.Semaphore(3)
    assert permits.try_acquire(3)

    async def work() -> None:
        async with permits.permit(2):
            await asyncio.sleep(0)

    def check(_: object) -> None:
        assert permits.available_permits == 3

    return Scenario(work, lambda: permits.release(3), check)


async def notify() -> Scenario:
    bell = sync.Notify()

    def check(result: object) -> None:
        # A notification whose waiter is gone is remembered.
        assert bell.try_wait() == (result is CANCELLED)

    async def work() -> None:
        await bell.wait()

    return Scenario(work, bell.notify_one, check)


async def condition() -> Scenario:
    changed = sync.Condition()
    ready = False

    async def work() -> None:
        async with changed:
            while not ready:
                await changed.wait()

    def let_go() -> None:
        nonlocal ready
        ready = True
        changed.broadcast()

    async def check_free(result: object) -> None:
        async with changed:
            pass

    return Scenario(work, let_go, check_free)


async def send() -> Scenario:
    made: channel.Channel[int] = channel.Channel(1)
    made.try_send(1)
    received = []

    async def work() -> None:
        await made.send(2)

    def check(result: object) -> None:
        while True:
            try:
                received.append(made.try_recv())
            except channel.Empty:
                break
        assert received == ([1] if result is CANCELLED else [1, 2])

    return Scenario(work, lambda: received.append(made.try_recv()), check)


async def receive() -> Scenario:
    made: channel.Channel[int] = channel.Channel(1)

    def check(result: object) -> None:
        assert (made.try_recv() if result is CANCELLED else result) == 1

    async def work() -> int:
        return await made.recv()

    return Scenario(work, lambda: made.try_send(1), check)


async def receive_with_a_limit() -> Scenario:
    made: channel.Channel[int] = channel.Channel(1)

    def check(result: object) -> None:
        assert (made.try_recv() if result is CANCELLED else result) == 1

    async def work() -> int:
        async with timeout(20):
            return await made.recv()

    return Scenario(work, lambda: made.try_send(1), check)


async def receive_from_either() -> Scenario:
    first: channel.Channel[int] = channel.Channel(1)
    second: channel.Channel[int] = channel.Channel(1)

    def check(result: object) -> None:
        left = [len(first), len(second)]
        assert left == ([1, 1] if result is CANCELLED else [0, 1])

    async def work() -> int:
        value, _ = await select(first.recv(), second.recv())
        return value

    def let_go() -> None:
        first.try_send(1)
        second.try_send(2)

    return Scenario(work, let_go, check)


async def oneshot() -> Scenario:
    made: channel.Oneshot[int] = channel.Oneshot()

    def check(result: object) -> None:
        assert (made.try_recv() if result is CANCELLED else result) == 1

    async def work() -> int:
        return await made.recv()

    return Scenario(work, lambda: made.send(1), check)


async def broadcast() -> Scenario:
    made: channel.Broadcast[int] = channel.Broadcast(2)
    receiver = made.subscribe()

    def check(result: object) -> None:
        assert (receiver.try_recv() if result is CANCELLED else result) == 1

    async def work() -> int:
        return await receiver.recv()

    return Scenario(work, lambda: made.send(1), check)


async def watch() -> Scenario:
    made = channel.Watch(0)
    receiver = made.subscribe()

    def check(result: object) -> None:
        assert receiver.has_changed() == (result is CANCELLED)
        assert receiver.borrow_and_update() == 1

    async def work() -> None:
        await receiver.changed()

    return Scenario(work, lambda: made.send(1), check)


async def join() -> Scenario:
    ended = asyncio.Event()

    async def other() -> str:
        await ended.wait()
        return "result"

    handle = spawn(other)

    async def check(_: object) -> None:
        assert await handle == "result"

    async def work() -> str:
        return await handle

    return Scenario(work, ended.set, check)


async def group() -> Scenario:
    opened = asyncio.Event()
    ended = []

    async def child(number: int) -> None:
        try:
            await opened.wait()
        finally:
            ended.append(number)

    async def work() -> None:
        async with Group() as children:
            for number in range(3):
                children.spawn(child(number))

    def check(_: object) -> None:
        assert sorted(ended) == [0, 1, 2]

    return Scenario(work, opened.set, check)


def wait_for_all(join: Callable[..., Awaitable[Any]]) -> Make:
    async def make() -> Scenario:
        first: channel.Channel[int] = channel.Channel(1)
        second: channel.Channel[int] = channel.Channel(1)

        def check(result: object) -> None:
            # Both or none: what came with the cancellation was given up by nobody.
            left = [len(first), len(second)]
            assert left == ([1, 1] if result is CANCELLED else [0, 0])
            assert result in (CANCELLED, (1, 2))

        async def work() -> Any:
            return await join(first.recv(), second.recv())

        def let_go() -> None:
            first.try_send(1)
            second.try_send(2)

        return Scenario(work, let_go, check)

    return make


async def ticks() -> Scenario:
    """Time lets it go by itself."""
    clock = time.interval(0.001)

    async def work() -> None:
        for _ in range(2):
            await clock.tick()
        await time.sleep(0.001)
        await time.sleep_until(time.now() + time.Duration.from_millis(1))

    async def check(_: object) -> None:
        await clock.tick()

    return Scenario(work, lambda: None, check)


async def event() -> Scenario:
    flag = sync.Event()

    async def work() -> None:
        await flag.wait()

    async def check(_: object) -> None:
        await flag.wait()
        # Of who has gone nothing is left that would wake the next one.
        flag.clear()
        late = asyncio.ensure_future(flag.wait())
        await turns()
        assert not late.done()
        flag.set()
        await late

    return Scenario(work, flag.set, check)


async def barrier() -> Scenario:
    gate = sync.Barrier(2)
    others: list[asyncio.Future[bool]] = []

    async def other() -> bool:
        return await gate.wait()

    async def work() -> bool:
        return await gate.wait()

    async def check(result: object) -> None:
        if result is CANCELLED:
            # Who left is not counted, unless the gate had opened already.
            await asyncio.sleep(0)
            if others[0].done():
                return
            others.append(asyncio.ensure_future(other()))
            assert sorted(await asyncio.gather(*others)) == [False, True]
        else:
            assert await others[0] != result

    return Scenario(work, lambda: others.append(asyncio.ensure_future(other())), check)


async def cell() -> Scenario:
    value: sync.OnceCell[int] = sync.OnceCell()
    opened = asyncio.Event()

    async def make() -> int:
        await opened.wait()
        return 1

    async def make_now() -> int:
        return 2

    async def work() -> int:
        return await value.get_or_init(make)

    async def check(result: object) -> None:
        expected = 2 if result is CANCELLED else 1
        assert await value.get_or_init(make_now) == expected

    return Scenario(work, opened.set, check)


SCENARIOS: dict[str, Make] = {
    "mutex": mutex,
    "mutex_behind_another": mutex_behind_another,
    "read_lock": rw_lock("read"),
    "write_lock": rw_lock("write"),
    "semaphore": semaphore,
    "notify": notify,
    "condition": condition,
    "send": send,
    "receive": receive,
    "receive_with_a_limit": receive_with_a_limit,
    "receive_from_either": receive_from_either,
    "oneshot": oneshot,
    "broadcast": broadcast,
    "watch": watch,
    "join": join,
    "group": group,
    "wait_for_all": wait_for_all(join_all),
    "outcomes_of_all": wait_for_all(try_join_all),
    "ticks": ticks,
    "event": event,
    "barrier": barrier,
    "cell": cell,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_wherever_it_is_cancelled(name: str, kind: str) -> None:
    cancel_everywhere(SCENARIOS[name], kind)
