"""`compute`, `parallel_map`, `parallel_for`."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from blitzio._compute import thread_count
from blitzio._native import ThreadPool
from blitzio._runtime.parallel import ParallelWork
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


@pytest.mark.parametrize("chunk", [0, 1])
def test_they_nest_with_a_time_limit_as_well(chunk: int) -> None:
    """Went wrong: who waited with one did not take part, and with all of the threads doing so
    nobody did."""
    count = 4 * thread_count()
    at_once = threading.Barrier(thread_count())

    def inner(number: int) -> int:
        if number < thread_count():
            at_once.wait(PATIENCE)
        work = parallel_map(range(10), lambda each: each, chunk=chunk)
        return sum(work.blocking_join(PATIENCE))

    assert parallel_map(range(count), inner, chunk=1).blocking_join(PATIENCE) == [45] * count


def wait_within(limit: float, function: Callable[[int], object]) -> None:
    """Starts a parallel call of one chunk in the only thread of a pool, and waits there for it."""
    pool = ThreadPool(1, 0.0, "test")

    def wait() -> None:
        work: ParallelWork[int, None] = ParallelWork(
            [*range(10)], function, 10, pool, 1, keeps_results=False
        )
        work.start()
        try:
            with pytest.raises(TimeoutError):
                work.handle.blocking_join(limit)
        finally:
            work.cancel()

    try:
        pool.spawn(wait).blocking_join(PATIENCE)
    finally:
        pool.shutdown()


def test_who_takes_part_with_a_time_limit_leaves_between_two_items(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    seen: list[int] = []

    def call(item: int) -> None:
        nonlocal now
        seen.append(item)
        now += 1

    monkeypatch.setattr("blitzio._runtime.parallel.time", SimpleNamespace(monotonic=lambda: now))
    wait_within(0.001, call)
    assert seen == [0]


def test_without_time_to_wait_it_takes_no_part() -> None:
    seen: list[int] = []
    wait_within(0, seen.append)
    assert seen == []


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
    for wrong in ("1", 1.5, -0.5, None):
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            parallel_map([1], str, chunk=wrong)  # type: ignore[arg-type]
