"""One loop used from many threads, through the calls that may come from anywhere."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import PATIENCE, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture
def background(loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own."""
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_run_coroutine_threadsafe(background: asyncio.AbstractEventLoop) -> None:
    answers: list[int] = []

    async def double(number: int) -> int:
        await asyncio.sleep(0.001)
        return number * 2

    def work(number: int) -> None:
        for _ in range(20):
            future = asyncio.run_coroutine_threadsafe(double(number), background)
            answers.append(future.result(PATIENCE))

    in_threads(6, work)
    assert sorted(answers) == sorted(number * 2 for number in range(6) for _ in range(20))


def test_an_exception_comes_back(background: asyncio.AbstractEventLoop) -> None:
    async def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run_coroutine_threadsafe(fail(), background).result(PATIENCE)


def test_a_coroutine_can_be_cancelled_from_outside(background: asyncio.AbstractEventLoop) -> None:
    cancelled = threading.Event()
    started = threading.Event()

    async def forever() -> None:
        started.set()
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    future = asyncio.run_coroutine_threadsafe(forever(), background)
    assert started.wait(PATIENCE)
    future.cancel()
    assert cancelled.wait(PATIENCE)


def test_timers_that_other_threads_set_are_due_in_the_loop_s(
    background: asyncio.AbstractEventLoop,
) -> None:
    # Not what asyncio promises, but outside of debug mode what it does, once it is awake.
    ran: list[int] = []
    all_ran = threading.Event()

    def run(number: int) -> None:
        assert asyncio.get_running_loop() is background
        ran.append(number)
        if len(ran) == 4 * 25:
            all_ran.set()

    def work(number: int) -> None:
        for step in range(25):
            background.call_later(0.0001 * step, run, number)
            background.call_at(background.time() + PATIENCE, ran.append, -1).cancel()
        background.call_soon_threadsafe(int)

    in_threads(4, work)
    assert all_ran.wait(PATIENCE)
    assert sorted(ran) == sorted([0, 1, 2, 3] * 25)


def test_cancelling_handles_from_other_threads(background: asyncio.AbstractEventLoop) -> None:
    ran = 0

    def count() -> None:
        nonlocal ran
        ran += 1

    cancelled = 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal cancelled
        for number in range(200):
            handle = background.call_soon_threadsafe(count)
            if number % 2:
                handle.cancel()
                with lock:
                    cancelled += 1

    in_threads(4, work)
    done = threading.Event()
    background.call_soon_threadsafe(done.set)
    assert done.wait(PATIENCE)
    # A handle that had run before it was cancelled counts as both.
    assert 800 - cancelled <= ran <= 800


def test_closing_while_others_call_raises_or_accepts(new_loop: LoopFactory) -> None:
    for _ in range(10):
        loop = new_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        errors: list[str] = []
        gate = threading.Barrier(4)

        def call(loop: Any = loop, gate: Any = gate, errors: Any = errors) -> None:
            gate.wait(PATIENCE)
            try:
                for _ in range(10_000):
                    loop.call_soon_threadsafe(int)
            except RuntimeError as exc:
                errors.append(str(exc))

        callers = [threading.Thread(target=call) for _ in range(3)]
        for caller in callers:
            caller.start()
        gate.wait(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()
        for caller in callers:
            caller.join(PATIENCE)
        assert set(errors) <= {"Event loop is closed"}


def test_two_loops_talk(loop: asyncio.AbstractEventLoop, new_loop: LoopFactory) -> None:
    other = new_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()

    async def ask(number: int) -> int:
        async def answer() -> int:
            assert asyncio.get_running_loop() is other
            return number + 1

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer(), other))

    async def main() -> None:
        for number in range(200):
            assert await soon(ask(number)) == number + 1

    loop.run_until_complete(main())
    other.call_soon_threadsafe(other.stop)
    thread.join(PATIENCE)
    other.close()
