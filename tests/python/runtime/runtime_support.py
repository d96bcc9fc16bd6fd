"""What the tests of blitzio.Runtime spawn."""

from __future__ import annotations

import asyncio

PATIENCE = 30.0


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


async def forever() -> None:
    await asyncio.get_running_loop().create_future()
