"""RwLock, Semaphore, Notify, Event and Barrier; the bridge's tests hold the mutex."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

import pytest

from blitzio.sync import (
    Barrier,
    Condition,
    Event,
    Guard,
    Mutex,
    Notify,
    RwLock,
    Semaphore,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.python.runtime.conftest import Run


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_mutex_on_its_way_to_the_next_is_locked(run: Run) -> None:
    async def main() -> None:
        mutex = Mutex()
        assert mutex.try_lock()
        waiting = asyncio.ensure_future(mutex.lock())
        await settle()
        mutex.unlock()
        assert (mutex.locked(), mutex.try_lock()) == (True, False)
        with pytest.raises(RuntimeError, match="not locked"):
            mutex.unlock()
        condition = Condition(mutex)
        with pytest.raises(RuntimeError, match="mutex is not locked"):
            await condition.wait()
        assert repr(condition) == "<blitzio.sync.Condition [locked, waiters:0]>"
        await waiting
        mutex.unlock()
        assert not mutex.locked()

    run(main())


def test_readers_share_and_a_writer_waits_for_them(run: Run) -> None:
    async def main() -> None:
        lock = RwLock()
        async with lock.read() as guard, lock.read():
            assert guard.held()
            assert lock.try_write() is None
            writer = asyncio.ensure_future(write(lock))
            await settle()
            assert lock.try_read() is None, "no reader overtakes the writer"
        await writer
        assert not guard.held()
        assert lock.try_write() is not None

    async def write(lock: RwLock) -> None:
        async with lock.write():
            assert lock.try_read() is None

    run(main())


def test_a_guard_is_for_one_holder_and_gives_back_when_it_dies(run: Run) -> None:
    async def main() -> None:
        lock = RwLock()
        guard = await lock.write()
        with pytest.raises(RuntimeError, match="in use already"):
            await guard
        guard.release()
        with pytest.raises(RuntimeError, match="holds nothing"):
            guard.release()
        async with guard:
            waiting = asyncio.ensure_future(enter(lock.write()))
            await settle()
            waiting.cancel()
            await settle()
        guard = await lock.write()
        del guard
        gc.collect()
        assert lock.try_write() is not None

    async def enter(guard: Guard) -> None:
        async with guard:
            raise AssertionError

    run(main())


def test_a_held_guard_is_entered_once(run: Run) -> None:
    async def main() -> None:
        lock, semaphore = RwLock(), Semaphore(2)
        guard = lock.try_write()
        assert guard is not None
        with guard as entered:
            assert entered is guard
            assert guard.held()
            with pytest.raises(RuntimeError, match="in use already"):
                await guard
            with pytest.raises(RuntimeError, match="in use already"):
                async with guard:
                    pass
            guard.downgrade()
            async with lock.read():
                assert lock.try_write() is None
        assert not guard.held()
        async with await lock.read() as reader:
            assert lock.try_write() is None
            reader.release()
            assert lock.try_write() is not None
        await semaphore.acquire()
        async with semaphore.adopt():
            assert semaphore.available_permits == 1
        with await semaphore.permit(2) as permits:
            permits.forget()
        assert semaphore.available_permits == 0

    run(main())


def test_threads_block_for_a_rw_lock() -> None:
    lock = RwLock()
    writer = lock.blocking_write()
    with pytest.raises(TimeoutError):
        lock.blocking_read(0.001)
    writer.release()
    reader = lock.blocking_read()
    with lock.read():
        assert lock.try_write() is None
    assert lock.try_write() is None
    reader.release()
    assert lock.try_write() is not None


def test_permits_come_back_at_the_end_of_the_block(run: Run) -> None:
    async def main() -> None:
        semaphore = Semaphore(3)
        async with semaphore:
            assert semaphore.available_permits == 2
            async with semaphore.permit(2):
                assert not semaphore.try_acquire()
        assert semaphore.available_permits == 3

    run(main())
    semaphore = Semaphore(1)
    with semaphore:
        with pytest.raises(TimeoutError):
            semaphore.blocking_acquire(timeout=0.001)
    assert semaphore.try_acquire()


def test_a_waiter_for_many_permits_is_not_overtaken(run: Run) -> None:
    async def main() -> list[int]:
        semaphore = Semaphore(2)
        await semaphore.acquire(2)
        order: list[int] = []

        async def take(count: int) -> None:
            await semaphore.acquire(count)
            order.append(count)

        many, few = asyncio.ensure_future(take(2)), asyncio.ensure_future(take(1))
        await settle()
        semaphore.release()
        await settle()
        assert order == []
        semaphore.release()
        await many
        semaphore.release()
        await few
        return order

    assert run(main()) == [2, 1]


def test_forgotten_permits_are_gone_and_adopted_ones_are_given_back(run: Run) -> None:
    async def main() -> None:
        semaphore = Semaphore(3)
        async with semaphore.permit(2) as guard:
            guard.forget()
            assert not guard.held()
            with pytest.raises(RuntimeError, match="holds no permits"):
                guard.forget()
        assert semaphore.available_permits == 1
        async with semaphore.permit() as guard:
            guard.release()
        assert semaphore.available_permits == 1
        assert semaphore.try_acquire()
        adopted = semaphore.adopt()
        assert adopted.held()
        adopted.release()
        assert semaphore.available_permits == 1
        await semaphore.acquire()
        guard = semaphore.adopt()
        del guard
        gc.collect()
        assert semaphore.available_permits == 1
        async with RwLock().write() as lock_guard:
            with pytest.raises(RuntimeError, match="no permits"):
                lock_guard.forget()
        with pytest.raises(ValueError, match="count must be from 1"):
            semaphore.adopt(0)

    run(main())


def test_more_permits_than_there_can_be_are_refused_however_they_are_given_back() -> None:
    most = 2**31 - 1
    semaphore = Semaphore(most)
    with pytest.raises(ValueError, match="at most"), semaphore.permit() as guard:
        semaphore.release()
        guard.release()
    with pytest.raises(ValueError, match="at most"), semaphore:
        semaphore.release()
    guard = semaphore.adopt()
    with pytest.raises(ValueError, match="at most"):
        guard.release()
    guard = semaphore.adopt()
    del guard
    gc.collect()
    assert semaphore.available_permits == most


def test_who_waits_for_a_closed_semaphore_fails(run: Run) -> None:
    async def main() -> None:
        semaphore = Semaphore(1)
        assert semaphore.try_acquire()
        waiting = [asyncio.ensure_future(semaphore.acquire()) for _ in range(2)]

        async def enter() -> None:
            async with semaphore.permit():
                pass

        waiting.append(asyncio.ensure_future(enter()))
        await asyncio.sleep(0)
        closed = [semaphore.is_closed]
        semaphore.close()
        semaphore.close()
        closed.append(semaphore.is_closed)
        assert closed == [False, True]
        for each in waiting:
            with pytest.raises(RuntimeError, match="closed"):
                await each
        semaphore.release()
        with pytest.raises(RuntimeError, match="closed"):
            await semaphore.acquire(2)

    run(main())


def test_a_write_lock_becomes_a_read_lock_without_a_gap(run: Run) -> None:
    async def main() -> None:
        lock = RwLock()
        guard = lock.try_write()
        assert guard is not None
        reader = asyncio.ensure_future(lock.read().__aenter__())
        await asyncio.sleep(0)
        guard.downgrade()
        held = await reader
        assert lock.try_write() is None
        with pytest.raises(RuntimeError, match="holds no write lock"):
            guard.downgrade()
        guard.release()
        with pytest.raises(RuntimeError, match="holds no write lock"):
            guard.downgrade()
        held.release()
        assert lock.try_write() is not None

    run(main())


@pytest.mark.parametrize("count", [0, -1, 1 << 31])
def test_bad_counts_are_value_errors(count: int) -> None:
    semaphore = Semaphore(1)
    for method in (semaphore.acquire, semaphore.try_acquire, semaphore.release, semaphore.permit):
        with pytest.raises(ValueError, match="count must be from 1"):
            method(count)
    with pytest.raises(TypeError):
        semaphore.try_acquire("one")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="permits must be from 0"):
        Semaphore(-1)
    with pytest.raises(ValueError, match="parties must be from 1"):
        Barrier(0)
    semaphore.release((1 << 31) - 2)
    with pytest.raises(ValueError, match="at most"):
        semaphore.release()


def test_a_notification_is_remembered_once_and_passed_on_by_the_cancelled(run: Run) -> None:
    async def main() -> None:
        notify = Notify()
        notify.notify_one()
        notify.notify_one()
        await notify.wait()
        assert not notify.try_wait()
        first, second = (asyncio.ensure_future(notify.wait()) for _ in range(2))
        await settle()
        notify.notify_one()
        first.cancel()
        await second
        waiters = [asyncio.ensure_future(notify.wait()) for _ in range(20)]
        await settle()
        notify.notify_all()
        await asyncio.gather(*waiters)
        assert not notify.try_wait()

    run(main())


def test_an_event_lets_everybody_go_even_if_cleared_at_once(run: Run) -> None:
    async def main() -> None:
        event = Event()
        waiters = [asyncio.ensure_future(event.wait()) for _ in range(20)]
        cancelled = asyncio.ensure_future(event.wait())
        await settle()
        cancelled.cancel()
        event.set()
        event.clear()
        await asyncio.gather(*waiters)
        assert not event.is_set()
        event.set()
        await event.wait()

    run(main())


def test_an_event_is_heard_in_threads_and_tasks(run: Run) -> None:
    event = Event()
    heard: list[bool] = []

    def hear() -> None:
        event.blocking_wait(10)
        heard.append(event.is_set())

    threads = [threading.Thread(target=hear) for _ in range(3)]
    for thread in threads:
        thread.start()

    async def main() -> None:
        asyncio.get_running_loop().call_soon(event.set)
        await event.wait()

    run(main())
    for thread in threads:
        thread.join()
    assert heard == [True] * 3


def test_a_barrier_has_one_leader_each_time(run: Run) -> None:
    async def main() -> None:
        barrier = Barrier(3)
        assert barrier.parties == 3
        for _ in range(2):
            left = asyncio.ensure_future(barrier.wait())
            await settle()
            left.cancel()
            await settle()
            leaders: list[bool] = await asyncio.gather(*(barrier.wait() for _ in range(3)))
            assert sorted(leaders) == [False, False, True]

    run(main())


def test_a_barrier_between_threads() -> None:
    barrier = Barrier(2)
    leaders: list[bool] = []
    thread = threading.Thread(target=lambda: leaders.append(barrier.blocking_wait()))
    thread.start()
    leaders.append(barrier.blocking_wait(10))
    thread.join()
    assert sorted(leaders) == [False, True]


def test_wrong_arguments_are_told_of_the_call() -> None:
    """Of a RwLock it was "RwLock.blocking_read()", of all others the name alone."""
    lock = RwLock()
    calls: list[Callable[..., object]] = [
        *(Mutex().blocking_lock, Semaphore(1).blocking_acquire, Notify().blocking_wait),
        *(Event().blocking_wait, Barrier(1).blocking_wait, lock.blocking_read, lock.blocking_write),
    ]
    for call in calls:
        name = call.__name__
        with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected .* 'patience'$"):
            call(patience=1)
