"""`CancelToken`, on loops and runtimes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from blitzio.channel import Channel
from blitzio.task import (
    CancelToken,
    spawn_blocking,
)
from blitzio.time import sleep
from tests.python.runtime.runtime_support import PATIENCE, forever
from tests.python.runtime.task_support import Probe, fail, give

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.python.runtime.conftest import Run


def test_a_token_wakes_all_who_wait(run_anywhere: Run) -> None:
    async def main() -> None:
        token = CancelToken()
        child = token.child()
        waiting = [asyncio.ensure_future(each.cancelled()) for each in (token, child) * 3]
        thread = spawn_blocking(token.blocking_wait, PATIENCE)
        await asyncio.sleep(0)
        assert not token.cancel_requested
        token.check()
        token.cancel()
        token.cancel()
        await asyncio.gather(*waiting)
        assert await thread is True
        assert token.is_cancelled
        assert child.cancel_requested
        assert token.child().cancel_requested
        with pytest.raises(asyncio.CancelledError):
            token.check()
        await token.cancelled()

    run_anywhere(main())


def test_a_childs_cancellation_is_its_own(run_anywhere: Run) -> None:
    async def main() -> None:
        token = CancelToken()
        child = token.child()
        child.cancel()
        assert (token.cancel_requested, child.cancel_requested) == (False, True)
        assert (repr(token), repr(child)) == ("<CancelToken open>", "<CancelToken cancelled>")

    run_anywhere(main())


def test_what_is_no_token_has_no_children() -> None:
    with pytest.raises(TypeError, match="parent must be a CancelToken or None, not 42"):
        CancelToken(42)  # type: ignore[arg-type]


def test_a_token_limits_what_it_runs(run_anywhere: Run) -> None:
    async def main() -> None:
        token = CancelToken()
        assert await token.run(give(1)) == 1
        with pytest.raises(KeyError):
            await token.run(fail(KeyError()))
        probe = Probe()
        running = asyncio.ensure_future(token.run(probe.run()))
        while not probe.started.is_set():
            await sleep(0)
        token.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert probe.ended == "cancelled"
        with pytest.raises(asyncio.CancelledError):
            await token.run(give(1))
        with pytest.raises(RuntimeError, match="would block the event loop"):
            token.blocking_wait()

    run_anywhere(main())


@pytest.mark.parametrize("who", ["token", "caller"])
def test_what_is_received_as_a_token_or_the_caller_is_cancelled_is_not_lost(
    run_anywhere: Run, who: str
) -> None:
    async def attempt(channel: Channel[str], receive: Callable[[], Any], turns: int) -> str:
        token = CancelToken()
        running = asyncio.ensure_future(token.run(receive()))
        await sleep(0.001)
        channel.try_send("message")
        for _ in range(turns):
            await asyncio.sleep(0)
        if who == "token":
            token.cancel()
        else:
            running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            received: str = await running
            return received
        return channel.try_recv()

    async def main() -> None:
        channel: Channel[str] = Channel(1)

        async def receive() -> str:
            return await channel.recv()

        for turns in range(8):
            assert await attempt(channel, channel.recv, turns) == "message"
            if who == "token":
                # What a coroutine has returned goes with its caller, as with asyncio.wait().
                assert await attempt(channel, receive, turns) == "message"

    run_anywhere(main())


def test_the_result_of_work_that_a_token_cancelled_in_vain_is_told(run_anywhere: Run) -> None:
    async def main() -> None:
        async def stubborn(end: asyncio.Future[str]) -> str:
            with contextlib.suppress(asyncio.CancelledError):
                await forever()
            return await end

        token = CancelToken()
        end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = asyncio.ensure_future(token.run(stubborn(end)))
        await sleep(0.001)
        token.cancel()
        await sleep(0.001)
        end.set_result("kept")
        assert await running == "kept"

    run_anywhere(main())


def test_waiting_for_a_token_in_a_thread_has_an_end() -> None:
    token = CancelToken()
    assert token.blocking_wait(0.001) is False
    token.cancel()
    assert token.blocking_wait() is True
