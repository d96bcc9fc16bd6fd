"""What a Runtime tells of its parts: snapshots, as soon out of date as they are made."""

from __future__ import annotations

from dataclasses import dataclass


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
