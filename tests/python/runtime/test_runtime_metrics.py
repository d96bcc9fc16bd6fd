"""What a Runtime tells of itself: every counter of metrics(), and the options by name."""

from __future__ import annotations

import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest

import blitzio
from blitzio._options import Options
from blitzio._runtime.info import PoolMetrics, RuntimeMetrics, WorkerMetrics
from tests.python.loop.support import PATIENCE
from tests.python.runtime.runtime_support import until

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_names_are_those_of_the_documentation() -> None:
    loop = blitzio.new_event_loop()
    names = loop.metrics().keys()
    loop.close()
    with blitzio.Runtime(workers=2) as runtime:
        metrics = runtime.metrics()
        assert metrics.keys() == RuntimeMetrics.__annotations__.keys()
        assert len(metrics["workers"]) == 2
        for worker in metrics["workers"]:
            assert worker.keys() == WorkerMetrics.__annotations__.keys()
            assert worker["loop"].keys() == names
        for pool in (metrics["blocking"], metrics["compute"]):
            assert pool.keys() == PoolMetrics.__annotations__.keys()
    left = runtime.metrics()
    assert left.keys() == metrics.keys()
    assert [worker["loop"] for worker in left["workers"]] == [{}, {}]
    assert [worker["tasks"] for worker in left["workers"]] == [0, 0]
    assert left["blocking"] == {"threads": 0, "idle": 0, "queued": 0}


def test_workers_count_what_they_do() -> None:
    opened = blitzio.sync.Event()
    blocked = threading.Event()
    began = threading.Event()

    def block() -> None:
        began.set()
        assert blocked.wait(PATIENCE)

    with blitzio.Runtime(workers=1) as runtime:

        def worker() -> WorkerMetrics:
            return runtime.metrics()["workers"][0]

        until(lambda: worker()["parks"] >= 1)
        before = worker()
        assert (before["polls"], before["steals"], before["queued"]) == (0, 0, 0)
        waiting = [runtime.spawn(opened.wait) for _ in range(3)]
        until(lambda: worker()["tasks"] == 3)
        assert worker()["polls"] == 3
        # With the worker blocked, what is spawned waits: for any worker, or in its queue.
        busy = runtime.spawn(block)
        assert began.wait(PATIENCE)
        queued = [runtime.spawn(int) for _ in range(5)]
        metrics = runtime.metrics()
        assert metrics["injected"] + metrics["workers"][0]["queued"] == 5
        blocked.set()
        busy.blocking_join()
        for handle in queued:
            handle.blocking_join()
        after = worker()
        assert (after["polls"], after["queued"], runtime.metrics()["injected"]) == (9, 0, 0)
        opened.set()
        for each in waiting:
            each.blocking_join()
        until(lambda: worker()["tasks"] == 0)
        until(lambda: worker()["parks"] > before["parks"])
        assert worker()["loop"]["transports"] == 0


def test_turns_that_end_with_work_left_are_counted() -> None:
    with blitzio.Runtime(workers=1) as runtime:
        began, opened = threading.Event(), threading.Event()

        def block() -> None:
            began.set()
            assert opened.wait(PATIENCE)

        runtime.spawn(block).detach()
        assert began.wait(PATIENCE)
        many = [runtime.spawn(int) for _ in range(2000)]
        opened.set()
        for handle in many:
            handle.blocking_join()
        assert runtime.metrics()["workers"][0]["yields"] >= 1


def test_an_idle_worker_steals() -> None:
    """What a worker that then blocks has spawned is taken over by the other, and counted there."""
    taken = threading.Event()

    async def spawn_and_block() -> None:
        for _ in range(8):
            blitzio.spawn(taken.set).detach()
        assert taken.wait(PATIENCE)

    with blitzio.Runtime(workers=2, strategy="work_stealing") as runtime:
        runtime.block_on(spawn_and_block)
        assert sum(worker["steals"] for worker in runtime.metrics()["workers"]) >= 1


@pytest.mark.parametrize("pool", ["blocking", "compute"])
def test_threads_are_counted(pool: str) -> None:
    opened, began = threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        assert opened.wait(PATIENCE)

    with blitzio.Runtime(workers=1, blocking_threads_max=1, compute_threads=1) as runtime:

        def counts() -> tuple[int, int, int]:
            found: Any = runtime.metrics()[pool]  # type: ignore[literal-required]
            return found["threads"], found["idle"], found["queued"]

        async def start(function: Callable[[], object]) -> Any:
            start_one = blitzio.spawn_blocking if pool == "blocking" else blitzio.compute
            return start_one(function)

        assert counts() == (0, 0, 0)
        first = runtime.block_on(start(block))
        assert began.wait(PATIENCE)
        second = runtime.block_on(start(int))
        assert counts() == (1, 0, 1)
        opened.set()
        first.blocking_join()
        second.blocking_join()
        until(lambda: counts() == (1, 1, 0))


def test_without_computing_threads_of_its_own_it_tells_of_the_processs() -> None:
    with blitzio.Runtime(workers=1) as runtime:
        opened, began = threading.Event(), threading.Event()

        def block() -> None:
            began.set()
            assert opened.wait(PATIENCE)

        handle = blitzio.compute(block)
        assert began.wait(PATIENCE)
        assert runtime.metrics()["compute"]["threads"] >= 1
        opened.set()
        handle.blocking_join()


def test_the_options_are_those_of_a_config() -> None:
    config = {field.name: field.type for field in fields(blitzio.Config)}
    assert Options.__annotations__.keys() == config.keys()
    hints = get_type_hints(blitzio.Config)
    assert {name: hints[name] for name in config} == get_type_hints(Options)
