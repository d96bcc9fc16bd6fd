"""A Dask cluster in processes, driven from one; prints what it saw as JSON.

Its processes come from this one and must find `dask_loop/sitecustomize.py` on their path: that is
where they get their loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from distributed import Client, LocalCluster, Scheduler, Worker, worker_client


def square(number: int) -> int:
    return number * number


def total(*numbers: int) -> int:
    return sum(numbers)


def fail(text: str) -> None:
    raise ZeroDivisionError(text)


def spawning(number: int) -> int:
    """A task that submits tasks and waits for them on its worker."""
    with worker_client() as client:
        inner = client.submit(square, number, pure=False)
        return int(inner.result()) + 1


async def worker_loop(dask_worker: Worker) -> tuple[int, str]:
    return os.getpid(), describe(asyncio.get_running_loop())


def describe(loop: asyncio.AbstractEventLoop) -> str:
    return str(getattr(loop, "backend", "asyncio"))


async def scheduler_loop(dask_scheduler: Scheduler) -> str:
    return describe(asyncio.get_running_loop())


def large(size: int) -> bytes:
    return os.urandom(1) * size


async def work(processes: bool) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    async with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2,
            threads_per_worker=1,
            processes=processes,
            dashboard_address=None,
            asynchronous=True,
            protocol="tcp://",
            host="127.0.0.1",
        ) as cluster,
        Client(cluster, asynchronous=True) as client,  # type: ignore[no-untyped-call]
    ):
        await client.wait_for_workers(2)
        seen["client"] = describe(asyncio.get_running_loop())
        seen["scheduler"] = await client.run_on_scheduler(scheduler_loop)
        workers = await client.run(worker_loop)
        seen["workers"] = [loop for _, loop in workers.values()]
        seen["processes"] = len({os.getpid(), *(pid for pid, _ in workers.values())})
        squares = client.map(square, range(100))
        seen["total"] = await client.submit(total, *squares)
        failing = client.submit(fail, "on purpose")
        try:
            await failing
        except ZeroDivisionError as error:
            seen["error"] = str(error)
        seen["spawned"] = await client.gather(client.map(spawning, range(5)))
        # From worker to worker and to the client: a value too large for one read.
        first, second = sorted(workers)
        blob = client.submit(large, 5_000_000, workers=[first], pure=False)
        seen["moved"] = await client.submit(len, blob, workers=[second])
        seen["fetched"] = len(await blob)
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(sys.argv[1] == "processes"))))
