"""`Pool`: connections that are lent again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from blitzio import net
from blitzio.net import (
    UnixStream,
)
from tests.python.runtime.net_support import settle

if TYPE_CHECKING:
    from tests.python.runtime.conftest import Run


def test_pool_closes_a_connection_whose_health_cannot_be_told(run: Run) -> None:
    made: list[UnixStream] = []

    async def connect() -> UnixStream:
        ours, theirs = UnixStream.pair()
        made.extend((ours, theirs))
        return ours

    def is_healthy(stream: UnixStream) -> bool:
        raise ZeroDivisionError

    async def main() -> None:
        with net.Pool(connect, is_healthy=is_healthy) as pool:
            async with pool.acquire():
                pass
            with pytest.raises(ZeroDivisionError):
                async with pool.acquire():
                    pass
            assert made[0].is_closed
            assert pool.lent_count == pool.idle_count == 0
        made[1].close()

    run(main())


def test_pool_lends_again_and_serves_in_order(run: Run) -> None:
    made: list[UnixStream] = []

    async def connect() -> UnixStream:
        await asyncio.sleep(0)
        ours, theirs = UnixStream.pair()
        made.append(theirs)
        return ours

    async def main() -> None:
        made.clear()
        order: list[int] = []
        async with net.Pool(connect, connections_max=1) as pool:

            async def use(number: int) -> None:
                async with pool.acquire() as stream:
                    order.append(number)
                    await stream.write_all(b"x")
                    await asyncio.sleep(0)

            tasks = [asyncio.ensure_future(use(i)) for i in range(4)]
            await settle()
            tasks[2].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert order == [0, 1, 3]
            assert len(made) == 1
            assert (pool.lent_count, pool.idle_count) == (0, 1)
            made[0].close()  # no longer healthy
            await use(4)
            assert len(made) == 2
            with pytest.raises(KeyError):
                async with pool.acquire():
                    raise KeyError
            assert pool.idle_count == 0
            async with pool.acquire():
                waiting = asyncio.ensure_future(use(5))
                await settle()
                pool.close()
            with pytest.raises(RuntimeError, match="the pool is closed"):
                await waiting
        for stream in made:
            stream.close()

    run(main())
    with pytest.raises(ValueError, match="connections_max"):
        net.Pool(connect, connections_max=0)
