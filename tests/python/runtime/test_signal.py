"""blitzio.signal: listeners on every kind of loop and in threads, beside asyncio's and Python's own
handlers."""

from __future__ import annotations

import asyncio
import os
import signal as signals
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import Shutdown, signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.python.runtime.conftest import Run

PATIENCE = 20.0
USR1 = signals.SIGUSR1
USR2 = signals.SIGUSR2
INT = signals.SIGINT


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers_are_back() -> Iterator[None]:
    """What Python knows of, and what the kernel does with a signal that nobody handles."""
    before = [signals.getsignal(number) for number in (USR1, USR2, INT)]
    yield
    assert [signals.getsignal(number) for number in (USR1, USR2, INT)] == before
    for number in (USR1, USR2, INT):
        assert not catches(number) or number == INT


def catches(number: int) -> bool:
    """Whether the process has any handler for it, as the kernel sees it."""
    with open("/proc/self/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def test_a_stream_gives_what_arrives(run: Run) -> None:
    async def main() -> None:
        with signal.stream(USR1, USR2) as arrivals:
            assert arrivals.signals == (USR1, USR2)
            assert arrivals.try_next() is None
            send(USR1)
            assert await arrivals.next() is USR1
            seen = []
            waiting = asyncio.ensure_future(arrivals.next())
            await asyncio.sleep(0)
            send(USR2)
            assert await waiting is USR2
            send(USR2)
            send(USR1)
            async for number in arrivals:
                seen.append(number)
                if len(seen) == 2:
                    break
            assert set(seen) == {USR1, USR2}
        assert not catches(USR1)

    run(main())


def test_arrivals_that_nobody_took_coalesce() -> None:
    with signal.stream(USR1) as arrivals, signal.stream(USR1) as marker:
        for _ in range(5):
            send(USR1)
            marker.blocking_next(timeout=PATIENCE)  # It has heard of it; so has the other, before.
        assert arrivals.try_next() is USR1
        assert arrivals.try_next() is None


def test_a_cancelled_wait_loses_nothing(run: Run) -> None:
    async def main() -> None:
        with signal.stream(USR1) as arrivals:
            waiting = asyncio.ensure_future(arrivals.next())
            await asyncio.sleep(0)
            waiting.cancel()
            send(USR1)
            await asyncio.sleep(0)
            assert waiting.cancelled()
            assert await arrivals.next() is USR1

    run(main())


def test_wait_and_ctrl_c_return(run: Run) -> None:
    async def main() -> None:
        waiting = asyncio.ensure_future(signal.wait(USR1, USR2))
        await asyncio.sleep(0)
        send(USR2)
        assert await waiting is USR2
        stopping = asyncio.ensure_future(signal.ctrl_c())
        await asyncio.sleep(0)
        send(INT)
        await stopping
        assert not catches(USR2)

    run(main())


@pytest.mark.parametrize("run_main", [blitzio.run, asyncio.run])
def test_ctrl_c_cancels_nothing_while_somebody_listens(run_main: Callable[..., Any]) -> None:
    async def main() -> str:
        for _ in range(2):
            waiting = asyncio.ensure_future(signal.ctrl_c())
            await asyncio.sleep(0)
            send(INT)
            await waiting
        await asyncio.sleep(0)
        return "not cancelled"

    assert run_main(main()) == "not cancelled"

    async def interrupted() -> None:
        send(INT)
        await asyncio.sleep(PATIENCE)

    with pytest.raises(KeyboardInterrupt):
        run_main(interrupted())


def test_a_stream_from_before_the_loop_hears_ctrl_c_in_it() -> None:
    """asyncio.Runner installs its handler before the main task begins."""

    async def main() -> None:
        for _ in range(2):
            waiting = asyncio.ensure_future(arrivals.next())
            await asyncio.sleep(0)
            send(INT)
            assert await waiting is INT

    with signal.stream(INT) as arrivals:
        blitzio.run(main())
        asyncio.run(main())


def test_all_loops_and_threads_hear() -> None:
    ready = threading.Barrier(5)
    heard: list[Any] = []

    def on_a_loop(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        async def main() -> None:
            with signal.stream(USR1) as arrivals:
                waiting = asyncio.ensure_future(arrivals.next())
                await asyncio.sleep(0)
                ready.wait(PATIENCE)
                heard.append(await waiting)

        loop = factory()
        loop.run_until_complete(main())
        loop.close()

    def blocking() -> None:
        with signal.stream(USR1) as arrivals:
            ready.wait(PATIENCE)
            heard.append(arrivals.blocking_next(timeout=PATIENCE))

    kinds = (blitzio.new_event_loop, asyncio.SelectorEventLoop, blitzio.new_event_loop)
    threads = [threading.Thread(target=on_a_loop, args=(kind,)) for kind in kinds]
    threads.append(threading.Thread(target=blocking))
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    send(USR1)
    for thread in threads:
        thread.join(PATIENCE)
    assert heard == [USR1] * 4


def test_a_handler_of_signal_signal_is_called_besides(run: Run) -> None:
    calls: list[int] = []
    before = signals.signal(USR1, lambda number, _: calls.append(number))
    try:

        async def main() -> None:
            assert await once(USR1) is USR1
            while not calls:
                await asyncio.sleep(0)  # It runs when the main thread gets to it.

        run(main())
        send(USR1)
        while len(calls) < 2:
            pass  # The handler was put back, and runs between two instructions.
    finally:
        signals.signal(USR1, before)


async def once(number: signals.Signals) -> Any:
    waiting = asyncio.ensure_future(signal.wait(number))
    await asyncio.sleep(0)
    send(number)
    return await waiting


@pytest.mark.parametrize("handler_first", [True, False])
def test_handlers_of_loops_and_streams_hear_both(run: Run, handler_first: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        called = asyncio.Event()
        if handler_first:
            loop.add_signal_handler(USR1, called.set)
        with signal.stream(USR1) as arrivals:
            if not handler_first:
                loop.add_signal_handler(USR1, called.set)
            waiting = asyncio.ensure_future(arrivals.next())
            await asyncio.sleep(0)
            send(USR1)
            assert await waiting is USR1
            await called.wait()
        called.clear()
        send(USR1)
        await called.wait()  # Still there, after the stream has gone.
        assert loop.remove_signal_handler(USR1)

    run(main())


def test_our_loops_handlers_take_nothing_from_who_waits() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with signal.stream(USR1) as arrivals:
            for change in (
                lambda: loop.add_signal_handler(USR1, int),
                lambda: loop.remove_signal_handler(USR1),
            ):
                waiting = asyncio.ensure_future(arrivals.next())
                await asyncio.sleep(0)
                change()
                send(USR1)
                assert await waiting is USR1

    blitzio.run(main())


def test_a_shutdown_and_a_stream_hear_both() -> None:
    async def main() -> None:
        with signal.stream(signals.SIGTERM) as arrivals:
            waiting = asyncio.ensure_future(arrivals.next())
            await asyncio.sleep(0)
            with Shutdown() as shutdown:
                send(signals.SIGTERM)
                assert await waiting is signals.SIGTERM
                await shutdown.wait()
            waiting = asyncio.ensure_future(arrivals.next())
            await asyncio.sleep(0)
            send(signals.SIGTERM)
            assert await waiting is signals.SIGTERM

    blitzio.run(main())


def test_closing_ends_what_waits(run: Run) -> None:
    async def main() -> None:
        arrivals = signal.stream(USR1)
        waits = [asyncio.ensure_future(arrivals.next()) for _ in range(3)]
        await asyncio.sleep(0)
        arrivals.close()
        arrivals.close()
        for waiting in waits:
            with pytest.raises(RuntimeError, match="stream is closed"):
                await waiting
        assert [number async for number in arrivals] == []
        with pytest.raises(RuntimeError, match="stream is closed"):
            await arrivals.next()

    run(main())


def test_a_stream_tells_whether_it_is_closed() -> None:
    told: list[bool] = []
    with signal.stream(signals.SIGUSR1) as arrivals:
        told.append(arrivals.is_closed)
    told.append(arrivals.is_closed)
    arrivals.close()
    told.append(arrivals.is_closed)
    assert told == [False, True, True]


def test_a_dropped_stream_stops_listening() -> None:
    arrivals = signal.stream(USR1)
    assert catches(USR1)
    assert repr(arrivals) == "<SignalStream SIGUSR1>"
    del arrivals
    assert not catches(USR1)


def test_blocking_waits_time_out_and_are_refused_on_a_loop() -> None:
    with pytest.raises(TimeoutError):
        signal.blocking_wait(USR1, timeout=0.001)

    async def main() -> None:
        with pytest.raises(RuntimeError):
            signal.blocking_wait(USR1)

    blitzio.run(main())


@pytest.mark.parametrize(
    ("numbers", "error"),
    [
        ((), ValueError),
        ((signals.SIGKILL,), ValueError),
        ((USR1, signals.SIGSEGV), ValueError),
        ((0,), ValueError),
        ((1000,), ValueError),
        (("SIGUSR1",), TypeError),
    ],
)
def test_what_cannot_be_listened_for_is_refused(
    numbers: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        signal.stream(*numbers)
    assert not catches(USR1)


def test_a_blocked_main_thread_still_runs_its_own_handlers() -> None:
    """A listener must not make the kernel restart what a handler of Python interrupts."""
    program = """
import signal, sys, threading
from blitzio import signal as signals
def handler(number, frame):
    signal.signal(number, signal.SIG_IGN)  # More may be on their way.
    raise SystemExit(7)
signal.signal(signal.SIGUSR1, handler)
with signals.stream(signal.SIGUSR1):
    print("ready", flush=True)
    sys.stdin.buffer.raw.read(1)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        while child.poll() is None:
            child.send_signal(USR1)
            try:
                child.wait(0.05)
            except subprocess.TimeoutExpired:
                pass  # It may not have been in read() yet.
    assert child.returncode == 7


def test_what_is_given_has_the_type_that_is_promised() -> None:
    """Signals for Signals; an int only for what has no name."""
    unnamed = signals.SIGRTMIN + 1
    with signal.stream(USR1, USR2) as named, signal.stream(unnamed, USR1) as mixed:
        assert [type(number) for number in mixed.signals] == [int, signals.Signals]
        send(USR1)
        send(unnamed)
        assert type(named.blocking_next(timeout=PATIENCE)) is signals.Signals
        given = [mixed.blocking_next(timeout=PATIENCE) for _ in range(2)]
        assert {int(number): type(number) for number in given} == {
            USR1: signals.Signals,
            unnamed: int,
        }
