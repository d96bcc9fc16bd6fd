"""What the tests of blitzio.Runtime spawn."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import blitzio

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 30.0


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def until(is_so: Callable[[], object]) -> None:
    """Of what other threads are about to do."""
    patience = blitzio.Instant.now() + blitzio.Duration.from_secs(int(PATIENCE))
    while not is_so():
        assert blitzio.Instant.now() < patience
        threading.Event().wait(0.001)
