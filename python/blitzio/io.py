"""Io: one handle for tasks, time, files, network, processes and signals, so that code takes one and
runs on threads, on an event loop, or in a simulation.

    async def fetch_both(io: Io) -> list[bytes]:
        futures = [io.async_(fetch, io, name) for name in ("a", "b")]
        return [await future for future in futures]

    with Evented() as evented:
        evented.io().run(fetch_both, evented.io())

    def test_fetch_both():
        for seed in range(100):
            with Deterministic(seed=seed) as world:
                world.run(fetch_both)

`async_` may run at once; `concurrent` must run at the same time as its starter, or raises
`ConcurrencyUnavailable`. Futures are awaited and cancelled as often as one likes.

`Reader` and `Writer` read and write any stream through a buffer of the caller's.
"""

from __future__ import annotations

from blitzio._io.evented import Evented
from blitzio._io.handle import Io, IoFuture, IoGroup
from blitzio._io.reader import Reader
from blitzio._io.sim_loop import Deadlock
from blitzio._io.threaded import Threaded
from blitzio._io.world import Deterministic, Faults
from blitzio._io.writer import AllocatingWriter, Writer
from blitzio._task.concurrent import ConcurrencyUnavailable

__all__ = (
    "AllocatingWriter",
    "ConcurrencyUnavailable",
    "Deadlock",
    "Deterministic",
    "Evented",
    "Faults",
    "Io",
    "IoFuture",
    "IoGroup",
    "Reader",
    "Threaded",
    "Writer",
)
