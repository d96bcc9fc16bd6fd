"""The types that users see: checked by mypy in the lint job, and importable at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("blitzio._native", exc_type=ImportError)

import blitzio

if TYPE_CHECKING:
    import asyncio

    from typing_extensions import assert_type


async def answer() -> int:
    return 42


def test_run_has_the_type_of_its_coroutine() -> None:
    result = blitzio.run(answer())
    if TYPE_CHECKING:
        assert_type(result, int)
    assert result == 42


def test_a_loop_is_an_asyncio_loop() -> None:
    loop: asyncio.AbstractEventLoop = blitzio.new_event_loop(blitzio.Config())
    future = loop.run_in_executor(None, str, 5)
    if TYPE_CHECKING:
        assert_type(future, asyncio.Future[str])
    assert loop.run_until_complete(future) == "5"
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_methods_of_the_loop_have_precise_types() -> None:
    loop = blitzio.new_event_loop()
    task = loop.create_task(answer(), name="answer")
    handle = loop.call_soon(int)
    if TYPE_CHECKING:
        assert_type(task, asyncio.Task[int])
        assert_type(handle, asyncio.Handle)
        assert_type(loop.backend, str)
        assert_type(loop.metrics(), dict[str, int])
        assert_type(loop.run_until_complete(task), int)
    assert loop.run_until_complete(task) == 42
    loop.close()


def test_the_policy_makes_our_loops() -> None:
    policy: asyncio.AbstractEventLoopPolicy = blitzio.EventLoopPolicy()
    loop = policy.new_event_loop()
    assert isinstance(loop, blitzio.Loop)
    loop.close()


def test_what_is_imported_late_is_known_to_type_checkers() -> None:
    short = blitzio.time.Duration.from_millis(1)
    if TYPE_CHECKING:
        assert_type(short, blitzio.Duration)
    assert isinstance(short, blitzio.Duration)
