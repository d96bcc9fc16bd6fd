"""What the tests of blitzio.task spawn."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from tests.python.runtime.runtime_support import forever


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def give(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


class Probe:
    """A coroutine that says how it ended."""

    def __init__(self) -> None:
        self.ended = ""
        self.started = threading.Event()

    async def run(self) -> None:
        self.started.set()
        try:
            await forever()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
