"""What the loop benchmarks do: one coroutine per workload, the same on every loop.

A workload sets up whatever it needs, then does `bench.ops` operations inside `with bench.timed():`.
Only what is inside counts: connecting and tearing down do not, unless they are the point.
Client and server share one loop and one thread: the figure is the loop's whole cost per operation.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

Run = Callable[["Bench"], Awaitable[None]]


@dataclass(frozen=True)
class Workload:
    """`ops`: operations of one timed run, chosen to last some 50 ms on a slow loop."""

    name: str
    title: str
    unit: str
    ops: int
    run: Run


WORKLOADS: dict[str, Workload] = {}


class Bench:
    """One timed run of one workload on one loop."""

    def __init__(self, ops: int) -> None:
        self.ops = ops
        self.seconds = 0.0

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start


def workload(name: str, title: str, unit: str, ops: int) -> Callable[[Run], Run]:
    """Registers a coroutine function as a workload."""

    def register(run: Run) -> Run:
        WORKLOADS[name] = Workload(name, title, unit, ops, run)
        return run

    return register


def load_all() -> dict[str, Workload]:
    """Imports every module of workloads; returns them by name, in the order of the report."""
    from workloads import (  # noqa: F401  Importing registers.
        connections,
        datagrams,
        files,
        net,
        processes,
        scheduling,
        sockets,
        streams,
        tasks,
        threads,
        tls,
        transports,
    )

    return WORKLOADS
