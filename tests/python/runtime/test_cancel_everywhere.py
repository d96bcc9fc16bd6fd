"""Cancelling at every await: whatever waits is cancelled at each of its steps, and nothing is lost.

A scenario is one task that waits, what lets it go on, and what must hold afterwards. It runs once
undisturbed, which tells how often it is suspended; then once for each suspension and each manner:
cancelled while it waits; and cancelled in the very turn in which it was let go, the wake-up on its
way, where a lock or a message has an owner that will never run.
"""

from __future__ import annotations

import asyncio
import os
import socket
import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

import pytest

from blitzio import channel, net, select, spawn, sync, timeout
from tests.python.runtime.conftest import LOOPS

CANCELLED = object()
Work = Callable[[], Coroutine[Any, Any, Any]]


@dataclass
class Scenario:
    """`work` waits until `let_go` is called; `check` gets its result, or CANCELLED."""

    work: Work
    let_go: Callable[[], object]
    check: Callable[[Any], object]
    clean_up: list[Callable[[], object]] = field(default_factory=list)


Make = Callable[[], Coroutine[Any, Any, Scenario]]


@types.coroutine
def counted(
    inner: Coroutine[Any, Any, Any], on_suspension: Callable[[int], None]
) -> Generator[Any, Any, Any]:
    """Runs `inner`, and says each time that it is suspended."""
    step = 0
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            waits_for = inner.send(answer) if error is None else inner.throw(error)
        except StopIteration as stop:
            return stop.value
        step += 1
        on_suspension(step)
        answer = error = None
        try:
            answer = yield waits_for
        except BaseException as thrown:
            error = thrown


async def play(
    make: Callable[[], Coroutine[Any, Any, Scenario]], cancel_at: int, late: bool
) -> int:
    """Returns how often it was suspended."""
    scenario = await make()
    loop = asyncio.get_running_loop()
    steps = 0

    def on_suspension(step: int) -> None:
        nonlocal steps
        steps = step
        if step == cancel_at:
            loop.call_soon(disturb)
        elif step == 1:
            loop.call_soon(let_go)

    has_gone = False

    def let_go() -> None:
        nonlocal has_gone
        if not has_gone:
            has_gone = True
            scenario.let_go()

    def disturb() -> None:
        if late:
            let_go()
        task.cancel()
        # Who is not let go before must find what was meant for this one.
        loop.call_soon(let_go)

    async def run() -> Any:
        return await counted(scenario.work(), on_suspension)

    task = asyncio.ensure_future(run())
    try:
        result: Any = await asyncio.wait_for(asyncio.shield(task), 20)
    except asyncio.CancelledError:
        result = CANCELLED
    await asyncio.sleep(0)
    let_go()
    await asyncio.sleep(0)
    outcome = scenario.check(result)
    if asyncio.iscoroutine(outcome):
        await outcome
    for clean_up in scenario.clean_up:
        clean_up()
    return steps


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


async def read() -> Scenario:
    # A socket of Python's own for the other side: what it sends leaves at once and whole.
    listener = socket.create_server(("127.0.0.1", 0))
    ours = await net.TcpStream.connect(f"127.0.0.1:{listener.getsockname()[1]}")
    theirs, _ = listener.accept()

    async def check(result: object) -> None:
        assert (await ours.read_exact(4) if result is CANCELLED else result) == b"data"

    async def work() -> bytes:
        return await ours.read_exact(4)

    return Scenario(
        work, lambda: theirs.sendall(b"data"), check, [listener.close, ours.close, theirs.close]
    )


async def accept() -> Scenario:
    listener = net.TcpListener.bind("127.0.0.1:0")
    connecting: list[asyncio.Future[net.TcpStream]] = []

    async def connect() -> net.TcpStream:
        return await net.TcpStream.connect(listener.local_address)

    async def work() -> net.TcpStream:
        stream, _ = await listener.accept()
        return stream

    async def check(result: Any) -> None:
        stream = (await listener.accept())[0] if result is CANCELLED else result
        (await connecting[0]).close()
        stream.close()
        listener.close()

    return Scenario(work, lambda: connecting.append(asyncio.ensure_future(connect())), check)


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
    "read": read,
    "accept": accept,
}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("kind", ["blitzio", "asyncio"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_wherever_it_is_cancelled(name: str, kind: str) -> None:
    loop = LOOPS[kind]()
    try:
        steps = loop.run_until_complete(play(SCENARIOS[name], 0, False))
        assert steps >= 1, "a scenario that never waits shows nothing"
        before = descriptors()
        for cancel_at in range(1, steps + 1):
            for late in (False, True):
                loop.run_until_complete(play(SCENARIOS[name], cancel_at, late))
        assert descriptors() == before
    finally:
        loop.close()
