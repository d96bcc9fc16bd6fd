"""What a Runtime tells of its parts: snapshots, as soon out of date as they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from blitzio._native import ThreadPool


class PoolMetrics(TypedDict):
    """Of threads that call functions."""

    threads: int
    """How many there are, those that are ending included."""
    idle: int
    """How many of them wait for work."""
    queued: int
    """How many functions wait for a thread."""


class WorkerMetrics(TypedDict):
    """Of one worker."""

    polls: int
    """Pieces of spawned work that it has started."""
    steals: int
    """Times it took work from another worker."""
    parks: int
    """Times it had nothing to do."""
    yields: int
    """Turns that ended with work left, so that the loop had its turn."""
    queued: int
    """Pieces of work in its queue."""
    tasks: int
    """Tasks of its loop that have not ended; 0 once the runtime has shut down."""
    loop: dict[str, int]
    """`Loop.metrics()` of its loop; empty once the runtime has shut down."""


class RuntimeMetrics(TypedDict):
    """Of a runtime: what `Runtime.metrics()` gives."""

    workers: list[WorkerMetrics]
    injected: int
    """Pieces of work that wait for any worker."""
    blocking: PoolMetrics
    """The threads of `spawn_blocking`."""
    compute: PoolMetrics
    """The threads of `compute` and `parallel_map`: with `compute_threads` the runtime's own, else
    those of the process."""


def pool_metrics(pool: ThreadPool) -> PoolMetrics:
    counts = pool.metrics()
    return {"threads": counts["threads"], "idle": counts["idle"], "queued": counts["queued"]}


@dataclass(frozen=True)
class SchedulerInfo:
    """The state of a runtime's workers.

    Attributes:
        strategy: "work_stealing", "thread_per_core" or "single_threaded"; never "auto".
        workers: how many there are.
        sleeping: how many of them have nothing to do.
        queued: how much spawned work waits for a worker.
    """

    strategy: str
    workers: int
    sleeping: int
    queued: int


@dataclass(frozen=True)
class BlockingPoolInfo:
    """The state of a runtime's threads for spawn_blocking().

    Attributes:
        threads: how many there are, those that are ending included.
        idle: how many of them wait for work.
        queued: how many functions wait for a thread.
        threads_max: how many threads there may be.
        keep_alive: seconds that a thread stays without work.
    """

    threads: int
    idle: int
    queued: int
    threads_max: int
    keep_alive: float
