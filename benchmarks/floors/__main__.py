#!/usr/bin/env python3
"""How fast a workload of loops.py can be on any loop: its floor, beside uvloop and blitzio.

A floor is the same work with no loop in it. What asyncio's tasks, queues and timeouts cost is
measured on bare_loop.cpp, which keeps callbacks in an array and does nothing else; what the kernel,
OpenSSL and the protocol's own methods cost, by making the calls one after the other, without ever
waiting for readiness, those of messages by bare_end.cpp. No loop can lead uvloop, or the best of
asyncio, uvloop and rloop, by more than the last two columns say; none that asks epoll in each turn
by more than their second figures, where there is one (`asked`), and none on a ring by more than
their third (`ring`, bare_ring.cpp).

    ./dev.py bench floors --rounds 5
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import statistics
import sys
from typing import TYPE_CHECKING, Any

import loops
from rich.console import Console
from rich.table import Table
from workloads import load_all

from floors import calls, connecting, messages, tasks
from floors.building import built, is_buildable

if TYPE_CHECKING:
    from collections.abc import Callable

    Floor = Callable[[int], float]

PEERS = ["uvloop", "asyncio", "rloop"]
MODULES = ("bare_loop", "bare_end", "bare_connect", "bare_ring")


def kinds_of_floors() -> dict[str, dict[str, Floor]]:
    """By kind and workload: a function that does so many operations and returns the seconds."""
    bare = bare_loop, bare_end, _ = [importlib.import_module(name) for name in MODULES[:3]]
    kinds: dict[str, dict[str, Floor]] = {
        "floor": {
            **tasks.floors(bare_loop),
            **messages.floors(bare_loop, bare_end),
            **connecting.floors(*bare),
            **calls.FLOORS,
        },
        "asked": {**messages.asked_floors(bare_loop, bare_end), **connecting.asked_floors(*bare)},
    }
    if is_buildable("bare_ring"):
        bare_ring = importlib.import_module("bare_ring")
        kinds["ring"] = messages.ring_floors(bare_loop, bare_end, bare_ring)
    return kinds


def measure(
    name: str, floors: dict[str, Floor], arms: dict[str, Any], rounds: int
) -> dict[str, float]:
    """Nanoseconds per operation, medians, of the floors and each arm, which take turns. An arm that
    cannot do the work is left out."""
    work = load_all()[name]
    samples: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        times = {kind: floor(work.ops) / work.ops * 1e9 for kind, floor in floors.items()}
        for arm, factory in arms.items():
            with contextlib.suppress(NotImplementedError):  # rloop has no TLS.
                times[arm] = loops.measure(factory, work, work.ops)
        if number == 0:
            continue  # For warming up.
        for arm, time in times.items():
            samples.setdefault(arm, []).append(time)
    return {arm: statistics.median(values) for arm, values in samples.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("work", nargs="*", help="default: all that have a floor")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    args = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    with built(filter(is_buildable, MODULES)):
        kinds = kinds_of_floors()
        floors = kinds["floor"]
        unknown = sorted(set(args.work) - set(floors))
        if unknown:
            parser.error(f"no floor for {', '.join(unknown)}; there are: {', '.join(floors)}")
        table = Table(title="microseconds per operation; leads over uvloop and over the best peer")
        table.add_column("work")
        measured = [*kinds, *PEERS, *loops.OURS]
        for column in [*measured, "leads", "at most", "over best", "at most"]:
            table.add_column(column.removeprefix("blitzio-"), justify="right")
        arms = loops.find_arms([*PEERS, *loops.OURS], console)
        for name in args.work or floors:
            own = {kind: functions[name] for kind, functions in kinds.items() if name in functions}
            times = measure(name, own, arms, args.rounds)
            cells = [f"{times[arm] / 1000:.3g}" if arm in times else "-" for arm in measured]
            for peer in (times["uvloop"], min(times[arm] for arm in PEERS if arm in times)):
                cells.append(" / ".join(f"{peer / times[arm]:.2f}" for arm in loops.OURS))
                cells.append(" / ".join(f"{peer / times[kind]:.2f}" for kind in own))
            table.add_row(load_all()[name].title, *cells)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
