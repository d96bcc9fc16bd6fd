"""The bare loop, as what it is measured with needs it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any


def make_loop(bare_loop: Any, *, for_tasks: bool = True) -> Any:
    """`for_tasks`: it is asyncio's C code that calls `call_soon`, not the program."""
    arguments = (bare_loop.Handle(), asyncio.Task, asyncio.Future)
    if sys.version_info >= (3, 12) or not for_tasks:
        return bare_loop.Loop(*arguments)

    class Loop(bare_loop.Loop):  # type: ignore[misc]
        """Keeps the bound method, which asyncio's C code would make for each step of a task."""

        __slots__ = ("call_soon",)

    loop = Loop(*arguments)
    loop.call_soon = super(Loop, loop).call_soon
    return loop
