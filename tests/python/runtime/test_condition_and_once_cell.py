"""blitzio.sync.Condition and OnceCell: between tasks, threads and loops."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import spawn_blocking
from blitzio.sync import Condition, Mutex, OnceCell
from tests.python.asleep import do_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

PATIENCE = 30.0


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# ---- Condition -------------------------------------------------------------------------------


def test_a_signal_lets_the_first_go_and_a_broadcast_all(run: Run) -> None:
    async def main() -> None:
        condition, gone = Condition(), []

        async def wait(number: int) -> None:
            async with condition:
                await condition.wait()
                gone.append(number)

        tasks = [asyncio.ensure_future(wait(number)) for number in range(4)]
        await turns()
        async with condition:
            condition.signal()
        await turns()
        assert gone == [0]
        async with condition:
            condition.broadcast()
        await asyncio.gather(*tasks)
        assert gone == [0, 1, 2, 3]
        condition.signal(3)  # Not remembered.
        assert repr(condition) == "<blitzio.sync.Condition [unlocked, waiters:0]>"

    run(main())


def test_waiting_needs_the_mutex(run: Run) -> None:
    async def main() -> None:
        condition = Condition(Mutex())
        with pytest.raises(RuntimeError, match="mutex is not locked"):
            await condition.wait()
        async with condition:
            with pytest.raises(RuntimeError, match="would block the event loop"):
                condition.blocking_wait()
            assert condition.mutex.locked()

    run(main())
    with pytest.raises(TypeError, match="mutex must be a Mutex or None"):
        Condition(threading.Lock())  # type: ignore[arg-type]


def test_a_cancelled_wait_has_the_mutex_again_and_passes_its_signal_on(run: Run) -> None:
    async def main() -> None:
        condition, ends = Condition(), []

        async def wait(number: int) -> None:
            async with condition:
                try:
                    await condition.wait()
                finally:
                    assert condition.mutex.locked()
                    ends.append(number)

        first, second = (asyncio.ensure_future(wait(number)) for number in range(2))
        await turns()
        # Signalled and cancelled at the same moment: the signal is the second one's then.
        condition.signal()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.wait_for(second, PATIENCE)
        assert ends == [0, 1]
        assert not condition.mutex.locked()

    run(main())


def test_who_is_cancelled_on_the_way_to_the_mutex_passes_its_signal_on(run: Run) -> None:
    async def main() -> None:
        condition, ends = Condition(), []

        async def wait(number: int) -> None:
            async with condition:
                try:
                    await condition.wait()
                finally:
                    assert condition.mutex.locked()
                    ends.append(number)

        first, second, third = (asyncio.ensure_future(wait(number)) for number in range(3))
        await turns()
        async with condition:
            condition.signal()
            await turns()  # The first was told, and waits for the mutex.
            first.cancel()
            await turns()
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.wait_for(second, PATIENCE)
        assert ends == [0, 1]
        await turns()
        assert not third.done()  # There was one signal.
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third

    run(main())


def test_threads_and_tasks_wait_for_each_other(run: Run) -> None:
    async def main() -> None:
        condition, items = Condition(), list[int]()

        def produce() -> None:
            for number in range(20):
                with condition:
                    while items:
                        condition.blocking_wait(PATIENCE)
                    items.append(number)
                    condition.broadcast()

        producer = spawn_blocking(produce)
        got: list[int] = []
        while len(got) < 20:
            async with condition:
                await condition.wait_for(lambda: items)
                got.append(items.pop())
                condition.broadcast()
        await producer
        assert got == list(range(20))

    run(main())


def test_a_thread_stops_waiting_when_the_time_is_over() -> None:
    condition = Condition()
    with condition:
        with pytest.raises(TimeoutError):
            condition.blocking_wait(0.001)
        assert condition.mutex.locked()
    assert not condition.mutex.locked()


def test_a_handler_that_raises_leaves_a_wait_with_the_mutex() -> None:
    """It left without while another thread had it, and the end of the block unlocked that one's."""
    condition, handled = Condition(), list[int]()
    main = threading.get_native_id()

    class Interrupted(Exception):
        pass

    def handle(number: int, _: object) -> None:
        handled.append(number)
        raise Interrupted(len(handled))

    def signal_and_hold() -> None:
        with condition:
            condition.signal()
            for count in (1, 2):
                while not do_wait(main):
                    pass
                signal.raise_signal(signal.SIGUSR1)
                while not (len(handled) == count and do_wait(main)):
                    pass
            assert condition.mutex.locked()

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with condition:
            holding = spawn_blocking(signal_and_hold)
            with pytest.raises(Interrupted) as raised:
                condition.blocking_wait(PATIENCE)
        # The second does not hide the first.
        assert raised.value.args == (2,)
        assert isinstance(raised.value.__context__, Interrupted)
        assert raised.value.__context__.args == (1,)
        holding.blocking_join(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_thread_waits_for_what_it_wants() -> None:
    condition, values = Condition(), list[int]()

    def wait() -> int:
        with condition:
            return condition.blocking_wait_for(lambda: values[-1] if len(values) > 1 else 0)

    waiting = spawn_blocking(wait)
    for value in (1, 2):
        with condition:
            values.append(value)
            condition.signal()
    assert waiting.blocking_join(PATIENCE) == 2
    with condition:
        assert condition.blocking_wait_for(lambda: "there", timeout=0) == "there"
        with pytest.raises(TimeoutError):
            condition.blocking_wait_for(lambda: None, timeout=0.001)
        assert condition.mutex.locked()
        with pytest.raises(ValueError, match="timeout must be None or seconds from 0 on"):
            condition.blocking_wait_for(lambda: True, timeout=-1)


# ---- OnceCell --------------------------------------------------------------------------------


def test_of_many_one_makes_the_value(run: Run) -> None:
    async def main() -> None:
        cell: OnceCell[int] = OnceCell()
        calls = []

        async def make() -> int:
            calls.append(1)
            await turns()
            return 42

        assert (cell.get(), cell.get("none"), cell.is_set()) == (None, "none", False)
        values = await asyncio.gather(*[cell.get_or_init(make) for _ in range(10)])
        assert values == [42] * 10
        assert calls == [1]
        assert (cell.get(), cell.is_set()) == (42, True)
        assert repr(cell) == "<blitzio.sync.OnceCell [set]>"
        assert await cell.get_or_init(lambda: 43) == 42
        with pytest.raises(RuntimeError, match="is set already"):
            cell.set(1)

    run(main())


def test_a_failed_initialiser_leaves_the_cell_to_the_next(run: Run) -> None:
    async def main() -> None:
        cell: OnceCell[str] = OnceCell()

        async def fail() -> str:
            await turns()
            raise KeyError("first")

        first = asyncio.ensure_future(cell.get_or_init(fail))
        await turns()
        with pytest.raises(RuntimeError, match="is being initialised"):
            cell.set("other")
        second = asyncio.ensure_future(cell.get_or_init(lambda: "second"))
        with pytest.raises(KeyError):
            await first
        assert await second == "second"
        other: OnceCell[int] = OnceCell()
        cancelled = asyncio.ensure_future(other.get_or_init(lambda: asyncio.sleep(60, 1)))
        await turns()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        other.set(2)
        assert other.get() == 2

    run(main())


def test_threads_share_a_cell() -> None:
    cell: OnceCell[int] = OnceCell()
    entered, release = threading.Event(), threading.Event()
    calls = []

    def make() -> int:
        calls.append(1)
        entered.set()
        release.wait(PATIENCE)
        return 7

    handles = [spawn_blocking(cell.blocking_get_or_init, make) for _ in range(5)]
    assert entered.wait(PATIENCE)
    with pytest.raises(TimeoutError):
        cell.blocking_get_or_init(make, 0.001)
    release.set()
    assert [handle.blocking_join(PATIENCE) for handle in handles] == [7] * 5
    assert calls == [1]


def test_a_signal_of_the_system_costs_no_place_in_the_line() -> None:
    """Whoever was interrupted while it locked the mutex again had to stand at the end again."""
    condition = Condition()
    mutex = condition.mutex
    order: list[str] = []

    def until(text: str) -> None:
        give_up = time.monotonic() + 20
        while text not in repr(mutex) and time.monotonic() < give_up:
            time.sleep(0.001)

    def lock() -> None:
        with mutex:
            order.append("other")

    def work() -> None:
        while "waiters:1" not in repr(condition):
            time.sleep(0.001)
        with mutex:
            condition.signal()
            until("waiters:1")  # The main thread locks it again.
            other.start()
            until("waiters:2")
            heard.clear()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            heard.wait(20)
            until("waiters:2")

    def ring(*_: object) -> None:
        heard.set()
        raise InterruptedError

    heard = threading.Event()
    other, worker = threading.Thread(target=lock), threading.Thread(target=work)
    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with condition:
            worker.start()
            with pytest.raises(InterruptedError):
                condition.blocking_wait(20)
            order.append("interrupted")
        worker.join()
        other.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert order == ["interrupted", "other"]
