"""What looks at tasks from outside: all_tasks, and from CPython 3.14 on asyncio's call graphs and
`python -m asyncio`, which reads another process's memory."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import turns

if TYPE_CHECKING:
    from collections.abc import Coroutine

needs_graphs = pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")


async def inner(gate: asyncio.Event) -> None:
    await gate.wait()


async def outer(gate: asyncio.Event) -> None:
    async with asyncio.timeout(60):  # type: ignore[attr-defined,unused-ignore]
        await asyncio.create_task(inner(gate), name="the inner one")


def test_all_tasks_has_what_has_not_ended(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        task = loop.create_task(inner(gate))
        assert asyncio.all_tasks() == {task, asyncio.current_task()}
        await turns()
        assert task in asyncio.all_tasks(loop)
        gate.set()
        await task
        assert asyncio.all_tasks(loop) == {asyncio.current_task()}

    loop.run_until_complete(main())
    assert asyncio.all_tasks(loop) == set()


@needs_graphs
@pytest.mark.parametrize("eager", [False, True])
def test_a_call_graph_goes_through_tasks(loop: Any, eager: bool) -> None:
    async def main() -> None:
        if eager:
            loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        gate = asyncio.Event()
        waiting = loop.create_task(outer(gate), name="the outer one")
        await turns()
        (below,) = (task for task in asyncio.all_tasks() if task.get_name() == "the inner one")
        graph = asyncio.capture_call_graph(below)  # type: ignore[attr-defined,unused-ignore]
        assert [entry.frame.f_code.co_name for entry in graph.call_stack] == ["wait", "inner"]
        assert [each.future for each in graph.awaited_by] == [waiting]
        text = io.StringIO()
        asyncio.print_call_graph(below, file=text)  # type: ignore[attr-defined,unused-ignore]
        assert "the inner one" in text.getvalue()
        assert "the outer one" in text.getvalue()
        # The graph of who runs has its frames too.
        own = asyncio.capture_call_graph()  # type: ignore[attr-defined,unused-ignore]
        assert own.future is asyncio.current_task()
        gate.set()
        await waiting

    loop.run_until_complete(main())


@needs_graphs
def test_a_group_is_seen_to_wait_for_its_children(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        task = loop.create_task(gather_two(inner(gate), inner(gate)))
        await turns()
        children = asyncio.all_tasks() - {task, asyncio.current_task()}
        assert len(children) == 2
        for child in children:
            graph = asyncio.capture_call_graph(child)  # type: ignore[attr-defined,unused-ignore]
            assert [each.future for each in graph.awaited_by] == [task]
        gate.set()
        await task

    loop.run_until_complete(main())


async def gather_two(*both: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
        for each in both:
            group.create_task(each)


_SLEEPER = """
import asyncio, sys
import blitzio

async def below():
    print("ready", flush=True)
    await asyncio.sleep(60)

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(below(), name="the sleeper")

LOOP.run(main())
"""


@needs_graphs
def test_another_process_lists_the_tasks() -> None:
    listings = []
    for name in ("asyncio", "blitzio"):
        sleeper = subprocess.Popen(
            [sys.executable, "-c", _SLEEPER.replace("LOOP", name)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with sleeper:
            assert sleeper.stdout is not None
            try:
                assert sleeper.stdout.readline() == "ready\n"
                listings.append(
                    subprocess.run(
                        [sys.executable, "-m", "asyncio", "ps", str(sleeper.pid)],
                        capture_output=True,
                        text=True,
                        timeout=60,
                        check=False,
                    )
                )
            finally:
                sleeper.kill()
    theirs, ours = listings
    if theirs.returncode != 0:
        pytest.skip(f"not permitted here: {theirs.stderr.strip().splitlines()[-1]}")
    assert ours.returncode == 0, ours.stderr
    assert "the sleeper" in theirs.stdout
    assert "the sleeper" in ours.stdout
    # The same tasks, wherever they are in memory.
    assert len(ours.stdout.splitlines()) == len(theirs.stdout.splitlines())
