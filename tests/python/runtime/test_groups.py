"""`Group`: tasks that end together, on loops and runtimes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from blitzio.task import (
    Group,
)
from blitzio.time import sleep
from tests.python.runtime.runtime_support import forever
from tests.python.runtime.task_support import Probe, fail, give

if TYPE_CHECKING:
    from tests.python.runtime.conftest import Run


def test_a_group_waits_for_all(run_anywhere: Run) -> None:
    async def main() -> None:
        async with Group() as group:
            handles = [group.spawn(give, number) for number in range(10)]
            group.async_(give(0))
        assert [handle.try_join() for handle in handles] == list(range(10))
        assert len(group) == 0
        with pytest.raises(RuntimeError, match="Group is closed"):
            group.spawn(give(1))
        assert not group.cancel_requested

    run_anywhere(main())


def test_a_group_tells_what_is_left_of_it_and_whether_it_was_cancelled(run_anywhere: Run) -> None:
    def told(group: Group) -> tuple[int, bool]:
        assert len(group) == group.pending_count
        return group.pending_count, group.cancel_requested

    async def main() -> None:
        probe, cancelled, failed = Probe(), Group(), Group()
        assert told(cancelled) == (0, False)
        cancelled.spawn(probe.run())
        while not probe.started.is_set():
            await sleep(0)
        assert told(cancelled) == (1, False)
        cancelled.cancel()
        cancelled.cancel()
        assert told(cancelled)[1]
        await cancelled.wait()
        assert told(cancelled) == (0, True)

        failed.spawn(fail(KeyError("a child's")))
        with pytest.raises(KeyError):
            await failed.wait()
        assert told(failed) == (0, True)

    run_anywhere(main())


def test_several_tasks_wait_for_a_group(run_anywhere: Run) -> None:
    """Only the one that came last used to be woken."""

    async def main() -> None:
        for error in (None, KeyError("a child's")):
            end = asyncio.Event()

            async def child(end: asyncio.Event = end, error: Exception | None = error) -> None:
                await end.wait()
                if error is not None:
                    raise error

            group = Group()
            group.spawn(child())
            waiting = [asyncio.ensure_future(group.wait()) for _ in range(3)]
            await asyncio.sleep(0)
            end.set()
            ended = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
            assert ended == [error] * 3
            await group.wait()

    run_anywhere(main())


def test_a_failure_ends_the_block_although_another_task_waits(run_anywhere: Run) -> None:
    async def main() -> None:
        waiting = None
        with pytest.raises(KeyError):
            async with Group() as group:
                group.spawn(fail(KeyError("a child's")))
                waiting = asyncio.ensure_future(group.wait())
                await asyncio.get_running_loop().create_future()
        assert waiting is not None
        with pytest.raises(KeyError):
            await waiting

    run_anywhere(main())


def test_a_failure_cancels_the_others_and_the_block(run_anywhere: Run) -> None:
    async def main() -> None:
        probe = Probe()
        error = KeyError("first")
        with pytest.raises(KeyError) as caught:
            async with Group() as group:
                group.spawn(probe.run())
                while not probe.started.is_set():
                    await sleep(0)
                group.spawn(fail(error))
                await forever()
        assert caught.value is error
        assert probe.ended == "cancelled"
        task = asyncio.current_task()
        if sys.version_info >= (3, 11):
            assert task is not None
            assert task.cancelling() == 0
        await asyncio.sleep(0)

    run_anywhere(main())


def test_an_exception_of_the_block_cancels_the_children(run_anywhere: Run) -> None:
    async def main() -> None:
        probe = Probe()
        with pytest.raises(ValueError, match="the block's"):
            async with Group() as group:
                group.spawn(probe.run())
                while not probe.started.is_set():
                    await sleep(0)
                raise ValueError("the block's")
        assert probe.ended == "cancelled"

    run_anywhere(main())


def test_later_failures_are_noted(run_anywhere: Run) -> None:
    async def fail_when_cancelled() -> None:
        try:
            await forever()
        finally:
            raise ValueError("second")

    async def main() -> None:
        with pytest.raises(KeyError) as caught:
            async with Group() as group:
                group.spawn(fail_when_cancelled())
                await sleep(0.001)
                group.spawn(fail(KeyError("first")))
        if sys.version_info >= (3, 11):
            assert any("second" in note for note in caught.value.__notes__)

    run_anywhere(main())


def test_a_cancelled_group_ends(run_anywhere: Run) -> None:
    async def main() -> None:
        probe = Probe()
        async with Group() as group:
            group.spawn(probe.run())
            while not probe.started.is_set():
                await sleep(0)
            group.cancel()
            group.cancel()
            with pytest.raises(RuntimeError, match="Group is cancelling"):
                group.spawn(give(1))
        assert probe.ended == "cancelled"

    run_anywhere(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks do not count their cancellations")
def test_a_cancellation_that_comes_with_a_failure_is_not_lost(run_anywhere: Run) -> None:
    """As with asyncio's TaskGroup: the failure is raised, and the cancellation comes next."""

    async def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        task: Any = asyncio.current_task()
        with pytest.raises(ZeroDivisionError):
            async with Group() as group:
                group.spawn(fail)
                # The failure's, which the block has to itself.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.get_running_loop().create_future()
                task.cancel()  # From elsewhere, while the block is being left.
        assert task.cancelling() == 1
        with pytest.raises(asyncio.CancelledError):
            await sleep(0)
            await asyncio.sleep(0)
        task.uncancel()

    run_anywhere(main())


def test_cancelling_who_waits_for_a_group_cancels_it(run_anywhere: Run) -> None:
    async def main() -> None:
        probe = Probe()

        async def grouped() -> None:
            async with Group() as group:
                group.spawn(probe.run())

        task = asyncio.ensure_future(grouped())
        while not probe.started.is_set():
            await sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert probe.ended == "cancelled"

    run_anywhere(main())


@pytest.mark.parametrize("is_begun", [False, True], ids=["first_step", "later"])
def test_a_child_that_waits_for_its_group_is_refused(is_begun: bool, run_anywhere: Run) -> None:
    """It waited for ever, and its group with it, even if that was cancelled."""

    async def main() -> None:
        group = Group()

        async def child() -> None:
            if is_begun:
                await asyncio.sleep(0)
            await group.wait()

        children = [group.spawn(child), group.spawn(forever)]
        with pytest.raises(RuntimeError, match="a task of a Group cannot wait for it"):
            await group.wait()
        assert [each.cancelled() for each in children] == [False, True]

    run_anywhere(main())


@pytest.mark.parametrize("end", ["cancelled by itself", "a sibling fails"])
def test_a_child_that_waits_for_its_group_is_cancelled_with_it(run_anywhere: Run, end: str) -> None:
    """It used to cancel itself again and again, and the group did not end."""

    async def main() -> None:
        group = Group()

        async def child() -> None:
            if end == "cancelled by itself":
                group.cancel()
            await group.wait()

        async def fail() -> None:
            raise ZeroDivisionError

        waiting = group.spawn(child)
        if end == "cancelled by itself":
            await group.wait()
            assert waiting.cancelled()
        else:
            group.spawn(fail)
            # On another worker: it may be refused to wait before that.
            with pytest.raises((ZeroDivisionError, RuntimeError)):
                await group.wait()
            assert waiting.is_finished()

    run_anywhere(main())


def test_a_group_may_be_waited_for_by_what_its_child_started(run_anywhere: Run) -> None:
    async def main() -> str:
        group = Group()
        waiting: list[asyncio.Task[None]] = []

        async def child() -> None:
            waiting.append(asyncio.ensure_future(group.wait()))
            await asyncio.sleep(0)

        group.spawn(child)
        await group.wait()
        await waiting[0]
        return "waited"

    assert run_anywhere(main()) == "waited"


def test_a_group_that_has_ended_is_not_entered_again(run_anywhere: Run) -> None:
    async def main() -> None:
        group = Group()
        async with group:
            pass
        with pytest.raises(RuntimeError, match="^Group is closed$"):
            async with group:
                pass

    run_anywhere(main())
