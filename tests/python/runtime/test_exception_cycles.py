"""What is raised to a caller is freed when it is dropped: it is in no cycle with its own traceback,
which would keep everything in the frames that it passed until the garbage collector comes."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import CancelToken, Group, join_all, net, process, race, select
from blitzio._net.connect import _connect_first
from blitzio._runtime.blocking import run_to_its_end
from blitzio.sync import Condition

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Work = Callable[[], Awaitable[object]]


class Witness:
    """Is in a frame that the traceback of what is raised has."""


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("mine")


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def slow_to_end() -> None:
    try:
        await forever()
    finally:
        for _ in range(3):
            await asyncio.sleep(0)


async def fail_in_a_group() -> None:
    async with Group() as group:
        group.spawn(fail)
        await forever()


async def fail_in_a_group_that_is_left() -> None:
    async with Group() as group:
        group.spawn(fail)


async def fail_to_read_output() -> None:
    child = process.spawn("true", stdout="pipe")
    await child.wait()
    assert child.stdout is not None
    child.stdout.close()
    await child.wait_with_output()


async def fail_to_copy() -> None:
    a, b = net.UnixStream.pair()
    a.close()
    b.close()
    await net.copy_bidirectional(a, b)


async def fail_to_connect() -> None:
    nobody = []
    for _ in range(2):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            nobody.append(net.Address(*bound.getsockname()))
    await _connect_first(nobody)


def fail_at_once() -> None:
    raise ValueError("mine")


FAILURES: dict[str, Work] = {
    "join_all": lambda: join_all(forever(), fail()),
    "select": lambda: select(forever(), fail()),
    "race": lambda: race(fail(), forever()),
    "CancelToken.run": lambda: CancelToken().run(fail()),
    "Group, in its block": fail_in_a_group,
    "Group, at its end": fail_in_a_group_that_is_left,
    "Child.wait_with_output": fail_to_read_output,
    "copy_bidirectional": fail_to_copy,
    "connect": fail_to_connect,
    "run_to_its_end": lambda: run_to_its_end(fail_at_once),
}


async def end_a_group() -> None:
    async with Group() as group:
        group.spawn(slow_to_end)


async def end_a_child() -> None:
    await process.spawn("sleep", "60").end()


async def wait_for_a_condition() -> None:
    condition, loop = Condition(), asyncio.get_running_loop()
    async with condition:
        # Somebody has the mutex for a while.
        loop.call_soon(condition.mutex.try_lock)
        loop.call_later(0.01, condition.mutex.unlock)
        await condition.wait()


async def run_a_function_to_its_end() -> None:
    release = threading.Event()
    asyncio.get_running_loop().call_later(0.01, release.set)
    await run_to_its_end(release.wait, 30)


INTERRUPTIONS: dict[str, Work] = {
    "join_all": lambda: join_all(slow_to_end(), slow_to_end()),
    "select": lambda: select(slow_to_end(), slow_to_end()),
    "CancelToken.run": lambda: CancelToken().run(slow_to_end()),
    "Group": end_a_group,
    "Child.end": end_a_child,
    "Condition.wait": wait_for_a_condition,
    "run_to_its_end": run_a_function_to_its_end,
}


async def watched(work: Work, seen: list[weakref.ref[Witness]]) -> None:
    witness = Witness()
    seen.append(weakref.ref(witness))
    await work()


async def left_behind(work: Work, cancellations: int) -> str:
    """What `work` raised; its traceback, if that lives on."""
    seen: list[weakref.ref[Witness]] = []
    task = asyncio.ensure_future(watched(work, seen))
    for _ in range(cancellations):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])
    raised = "CancelledError" if task.cancelled() else repr(task.exception())
    del task
    for _ in range(3):
        await asyncio.sleep(0)  # The loop's own references go.
    return raised if seen[0]() is None else f"{raised}, kept by {gc.get_referrers(seen[0]())}"


def without_collector(work: Work, cancellations: int) -> str:
    gc.collect()
    gc.disable()
    try:
        return blitzio.run(left_behind(work, cancellations))
    finally:
        gc.enable()


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_freed(name: str) -> None:
    if name == "run_to_its_end" and not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("without the GIL what another thread made is freed when that comes to it")
    raised = without_collector(FAILURES[name], 0)
    assert "Error" in raised
    assert "kept" not in raised


@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_a_cancellation_is_freed(name: str) -> None:
    if sys.version_info >= (3, 14) and name in ("join_all", "select", "CancelToken.run"):
        pytest.skip("asyncio.wait() of CPython 3.14 has its task in a cycle with the exception")
    # By the second one, what is to be waited for is being waited for.
    assert without_collector(INTERRUPTIONS[name], 2) == "CancelledError"


def test_the_tests_see_a_cycle() -> None:
    async def keep() -> None:
        error: Any = ValueError("kept by its own traceback")
        raise error

    assert "kept by [" in without_collector(keep, 0)
