"""Calling a loop's methods costs no look-up: what the loop keeps for itself is not in its dict."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dis
import signal
import sys
import sysconfig
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = [
    pytest.mark.usefixtures("native"),
    pytest.mark.skipif(
        sys.version_info < (3, 12), reason="methods are remembered for objects with a dict there"
    ),
]


async def numbers() -> AsyncGenerator[int]:
    for number in range(3):
        yield number


async def use_everything() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    loop.add_signal_handler(signal.SIGUSR2, int)
    assert await loop.run_in_executor(None, int) == 0
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        loop.set_default_executor(executor)
        assert await loop.run_in_executor(None, int) == 0
    child = await asyncio.create_subprocess_exec("true")
    assert await child.wait() == 0
    generator = numbers()
    assert await generator.__anext__() == 0
    loop.set_debug(True)
    loop.set_debug(False)
    loop.remove_signal_handler(signal.SIGUSR2)


def test_a_loop_keeps_nothing_in_its_dict(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(use_everything())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert vars(loop) == {}


def schedule(loop: asyncio.AbstractEventLoop) -> None:
    for _ in range(100):
        loop.call_soon(int)


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")) or sys.implementation.name != "cpython",
    reason="remembers no methods",
)
def test_the_interpreter_remembers_a_loop_s_methods(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(use_everything())
    for _ in range(10):
        schedule(loop)
        loop.run_until_complete(asyncio.sleep(0))
    get_instructions: Any = dis.get_instructions  # The argument is newer than 3.10.
    names = {
        instruction.opname
        for instruction in get_instructions(schedule, adaptive=True)
        if instruction.argval == "call_soon"
    }
    assert names == {"LOAD_ATTR_METHOD_LAZY_DICT"}


def test_a_program_may_keep_in_it_what_it_likes(loop: asyncio.AbstractEventLoop) -> None:
    loop.mine = 3  # type: ignore[attr-defined]
    assert vars(loop) == {"mine": 3}
    schedule(loop)
    loop.run_until_complete(asyncio.sleep(0))
