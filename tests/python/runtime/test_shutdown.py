"""blitzio.Shutdown: signals, and work that is waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

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
