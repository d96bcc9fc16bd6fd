"""`concurrent`, and what gets ahead of who blocks: work on several workers."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import blitzio
from blitzio import Runtime
from blitzio.task import (
    ConcurrencyUnavailable,
    Group,
    concurrent,
)
from blitzio.time import sleep
from tests.python.runtime.runtime_support import PATIENCE
from tests.python.runtime.task_support import give


def test_concurrent_needs_a_second_worker() -> None:
    async def main() -> Any:
        async with Group() as group:
            return await group.concurrent(give, 1)

    with pytest.raises(ConcurrencyUnavailable, match="use a Runtime of several workers"):
        blitzio.run(main())
    with Runtime(workers=1) as runtime, pytest.raises(ConcurrencyUnavailable):
        runtime.block_on(main)
    with Runtime(workers=2) as runtime:
        assert runtime.block_on(main) == 1


@pytest.mark.parametrize("strategy", ["work_stealing", "thread_per_core"])
def test_concurrent_work_gets_ahead_of_who_blocks(strategy: str) -> None:
    def block() -> bool:
        done = threading.Event()
        handle = concurrent(done.set, name="another")
        assert handle.name == "another"
        return done.wait(PATIENCE)

    async def block_after_a_wait() -> bool:
        await sleep(0.001)  # A timer ends it, so that nobody has said who runs again.
        return block()

    async def fail_late() -> None:
        raise KeyError

    with Runtime(workers=2, strategy=strategy) as runtime:
        for _ in range(20):
            assert runtime.spawn(block).blocking_join(PATIENCE)
            assert runtime.spawn(block_after_a_wait()).blocking_join(PATIENCE)
        with pytest.raises(KeyError):
            runtime.concurrent(fail_late()).blocking_join(PATIENCE)
    with pytest.raises(ConcurrencyUnavailable):
        concurrent(give(1))
    with Runtime(workers=1) as runtime:
        with pytest.raises(ConcurrencyUnavailable, match="use a Runtime of several workers"):
            runtime.concurrent(give(1))
        with pytest.raises(ConcurrencyUnavailable):
            runtime.spawn(concurrent, print).blocking_join(PATIENCE)


def test_work_from_outside_goes_to_a_worker_that_waits() -> None:
    async def block(began: threading.Event, release: threading.Event) -> None:
        await sleep(0.001)
        began.set()
        release.wait(PATIENCE)

    with Runtime(workers=2) as runtime:
        for _ in range(10):
            began, release = threading.Event(), threading.Event()
            blocker = runtime.spawn(block(began, release))
            assert began.wait(PATIENCE)
            assert runtime.spawn(pow, 2, 3).blocking_join(PATIENCE / 2) == 8
            release.set()
            blocker.blocking_join(PATIENCE)
