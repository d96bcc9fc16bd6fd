"""`compute`, `parallel_map`, `parallel_for`."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest

from blitzio.task import (
    JoinHandle,
    compute,
    parallel_for,
    parallel_map,
)
from tests.python.runtime.runtime_support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.python.runtime.conftest import Run


def test_computing_runs_apart_and_gives_its_result(run_anywhere: Run) -> None:
    async def main() -> None:
        name = await compute(lambda: threading.current_thread().name)
        assert name.startswith("blitzio-compute_")
        with pytest.raises(KeyError):
            await compute(dict[str, int]().__getitem__, "none")
        squares = await parallel_map(range(1_000), lambda number: number * number)
        assert squares == [number * number for number in range(1_000)]
        assert await parallel_map([], str) == []
        assert await parallel_map("abc", str.upper, chunk=1) == ["A", "B", "C"]

    run_anywhere(main())


def test_parallel_for_is_done_when_every_call_is(run_anywhere: Run) -> None:
    async def main() -> None:
        seen: list[int] = []
        done = await parallel_for(range(1_000), seen.append)  # type: ignore[func-returns-value]
        assert done is None
        assert sorted(seen) == list(range(1_000))
        names: set[str] = set()
        await parallel_for("abc", lambda _: names.add(threading.current_thread().name), chunk=2)
        assert all(name.startswith("blitzio-compute_") for name in names)
        await parallel_for([], seen.append)
        with pytest.raises(KeyError):
            await parallel_for(["none"], dict[str, int]().__getitem__)

    run_anywhere(main())
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    variable.set(3)
    values: list[int] = []
    parallel_for([1, 2], lambda _: values.append(variable.get())).blocking_join(PATIENCE)
    assert values == [3, 3]


def test_a_failing_call_ends_a_parallel_map() -> None:
    calls = []

    def check(number: int) -> int:
        calls.append(number)
        if number == 3:
            raise KeyError(number)
        return number

    with pytest.raises(KeyError, match="3"):
        parallel_map(range(100_000), check, chunk=1).blocking_join(PATIENCE)
    assert len(calls) < 100_000


@pytest.mark.parametrize("start", [parallel_map, parallel_for])
def test_parallel_work_can_be_cancelled(start: Callable[..., JoinHandle[Any]]) -> None:
    entered, release = threading.Event(), threading.Event()

    def wait(_: int) -> None:
        entered.set()
        release.wait(PATIENCE)

    handle = start(range(1_000), wait, chunk=1)
    assert entered.wait(PATIENCE)
    assert handle.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        handle.blocking_join(PATIENCE)


def test_parallel_maps_nest_without_waiting_for_their_own_threads() -> None:
    def inner(number: int) -> int:
        return sum(parallel_map(range(number), lambda each: each).blocking_join())

    assert parallel_map([10] * 20, inner, chunk=1).blocking_join(PATIENCE) == [45] * 20


def test_computing_refuses_what_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="a function was expected"):
        compute(42)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a function was expected"):
        parallel_map([1], 42)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chunk must not be negative"):
        parallel_map([1], str, chunk=-1)
    with pytest.raises(TypeError, match="a function was expected"):
        parallel_for([1], None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chunk must not be negative"):
        parallel_for([1], str, chunk=-1)
