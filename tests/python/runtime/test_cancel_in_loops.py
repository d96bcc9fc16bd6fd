"""A cancellation that meets a result is delivered later, and is delivered: also to who calls again
and again, each time with the results at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from tests.python.runtime.cancel_support import KINDS, player

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

#: More turns than any test lets pass, so that a lost cancellation is seen as an end.
ROUNDS = 300


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    with player(request.param) as play:
        yield play


async def step() -> None:
    await asyncio.sleep(0)


def join_all() -> Awaitable[Any]:
    return blitzio.join_all(step(), step())


def try_join_all() -> Awaitable[Any]:
    return blitzio.try_join_all(step(), step())


def select() -> Awaitable[Any]:
    inbox: blitzio.channel.Channel[int] = blitzio.channel.Channel(1)
    inbox.try_send(1)
    return blitzio.select(inbox.recv(), step())


def race() -> Awaitable[Any]:
    return blitzio.race(step(), step())


def run_with_token() -> Awaitable[Any]:
    return blitzio.CancelToken().run(step())


CALLS = [join_all, try_join_all, select, race, run_with_token]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("turns", range(1, 9))
def test_it_ends_a_loop_of_calls(
    run: Callable[..., Any], call: Callable[[], Awaitable[Any]], turns: int
) -> None:
    async def work() -> None:
        for _ in range(ROUNDS):
            await call()

    async def main() -> None:
        task = asyncio.ensure_future(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


@pytest.mark.parametrize("call", CALLS)
def test_a_time_limit_ends_a_loop_of_calls(
    run: Callable[..., Any], call: Callable[[], Awaitable[Any]]
) -> None:
    async def main() -> None:
        async with blitzio.timeout(0.002):
            while True:
                await call()

    with pytest.raises(TimeoutError):
        run(main())


@pytest.mark.parametrize("call", CALLS)
def test_one_that_was_there_before_the_call_comes_in_it(
    run: Callable[..., Any], call: Callable[[], Awaitable[Any]]
) -> None:
    async def work() -> None:
        task: Any = asyncio.current_task()
        task.cancel()
        await call()
        raise AssertionError("not cancelled")

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.ensure_future(work())

    run(main())


def test_a_token_and_a_cancellation_in_one_turn(run: Callable[..., Any]) -> None:
    async def reluctant() -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "done"

    async def main() -> None:
        token = blitzio.CancelToken()
        goes_on = False

        async def work() -> None:
            nonlocal goes_on
            assert await token.run(reluctant()) == "done"
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            goes_on = True

        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        token.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not goes_on

    run(main())
