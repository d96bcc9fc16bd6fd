"""blitzio.Shutdown: signals, and work that is waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

import blitzio
from blitzio import Shutdown, WorkGuard, spawn_blocking

PATIENCE = 30.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("run", [blitzio.run, asyncio.run])
def test_a_signal_begins_the_shutdown(number: signal.Signals, run: object) -> None:
    before = signal.getsignal(number)

    async def main() -> None:
        with Shutdown() as shutdown:
            waiting = asyncio.ensure_future(shutdown.wait())
            await asyncio.sleep(0)
            os.kill(os.getpid(), number)
            await asyncio.wait_for(waiting, PATIENCE)
            assert shutdown.is_shutdown
            assert shutdown.received == number
            assert shutdown.token.cancel_requested

    assert callable(run)
    run(main())
    assert signal.getsignal(number) == before


def test_every_one_that_is_open_learns_of_a_signal() -> None:
    """Only the one that was made last used to."""
    with Shutdown() as outer, Shutdown() as inner:
        signal.raise_signal(signal.SIGTERM)
        assert inner.is_shutdown and outer.is_shutdown
        assert outer.received == signal.SIGTERM


def test_they_may_be_closed_in_any_order() -> None:
    """The handler of one that was closed used to be put back, and to swallow SIGTERM for good."""
    before = signal.getsignal(signal.SIGTERM)
    shutdowns = [Shutdown(), Shutdown(), Shutdown()]
    shutdowns[1].close()
    shutdowns[0].close()
    signal.raise_signal(signal.SIGTERM)
    assert [shutdown.is_shutdown for shutdown in shutdowns] == [False, False, True]
    shutdowns[2].close()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_that_is_put_back_too_late_passes_the_signal_on() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        shutdown = Shutdown()
        late = signal.getsignal(signal.SIGTERM)
        shutdown.close()
        signal.signal(signal.SIGTERM, late)
        signal.raise_signal(signal.SIGTERM)
        assert seen == [signal.SIGTERM] and not shutdown.is_shutdown
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_process_that_has_closed_it_ends_by_the_default() -> None:
    program = (
        "import blitzio, signal\n"
        "shutdown = blitzio.Shutdown()\n"
        "late = signal.getsignal(signal.SIGTERM)\n"
        "shutdown.close()\n"
        "signal.signal(signal.SIGTERM, late)\n"
        "signal.raise_signal(signal.SIGTERM)\n"
        "print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, b"")


def test_a_signal_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with Shutdown() as shutdown:
        signal.raise_signal(signal.SIGTERM)
        assert shutdown.is_shutdown


def test_work_under_way_is_waited_for() -> None:
    async def main() -> None:
        with Shutdown(signals=()) as shutdown:
            assert await shutdown.wait_pending()
            first, second = shutdown.start_work(), shutdown.start_work()
            assert shutdown.pending_count == 2
            shutdown.trigger()
            assert await shutdown.wait_pending(0.001) is False
            first.release()
            first.release()
            assert shutdown.pending_count == 1
            waiting = asyncio.ensure_future(shutdown.wait_pending())
            thread = spawn_blocking(shutdown.blocking_wait_pending, PATIENCE)
            await asyncio.sleep(0)
            assert not waiting.done()
            await asyncio.to_thread(second.release)
            assert await waiting is True
            assert await thread is True

    blitzio.run(main())


def test_a_guard_that_is_dropped_releases() -> None:
    with Shutdown(signals=()) as shutdown:
        guard: WorkGuard | None = shutdown.start_work()
        with shutdown.start_work():
            assert shutdown.pending_count == 2
        assert shutdown.pending_count == 1
        assert guard is not None
        guard = None
        assert shutdown.pending_count == 0
        assert shutdown.blocking_wait_pending(0)
        assert shutdown.blocking_wait(0.001) is False
        shutdown.trigger()
        assert shutdown.blocking_wait() is True
        assert repr(shutdown) == "<Shutdown shutting down pending=0>"


def test_two_threads_that_release_a_guard_release_it_once() -> None:
    with Shutdown(signals=()) as shutdown:
        guards = [shutdown.start_work() for _ in range(20_000)]
        begin = threading.Barrier(2)

        def release() -> None:
            begin.wait(PATIENCE)
            for guard in guards:
                guard.release()

        threads = [threading.Thread(target=release) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert shutdown.pending_count == 0


def test_signals_are_the_main_threads() -> None:
    found: list[BaseException] = []

    def elsewhere() -> None:
        try:
            Shutdown()
        except ValueError as error:
            found.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(PATIENCE)
    assert "main thread" in str(found[0])


def test_a_signal_without_a_name_is_refused() -> None:
    """Went wrong: the handler raised, when such a real-time signal came."""
    with pytest.raises(ValueError, match="is not a valid Signals"):
        Shutdown([signal.SIGRTMIN + 6])  # type: ignore[list-item]


def test_waiting_in_a_loops_thread_is_refused_though_nothing_is_pending() -> None:
    async def main() -> None:
        with Shutdown(signals=()) as shutdown:
            with pytest.raises(RuntimeError, match="would block the event loop"):
                shutdown.blocking_wait_pending()

    blitzio.run(main())


@pytest.mark.parametrize("wrong", [-1, float("nan"), "1", True])
def test_a_wrong_timeout_is_refused_though_nothing_is_pending(wrong: Any) -> None:
    with Shutdown(signals=()) as shutdown, pytest.raises((TypeError, ValueError)):
        shutdown.blocking_wait_pending(wrong)


def test_a_handler_that_others_put_there_meanwhile_stays() -> None:
    before = signal.getsignal(signal.SIGTERM)
    shutdown = Shutdown()
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        shutdown.close()
        shutdown.close()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
