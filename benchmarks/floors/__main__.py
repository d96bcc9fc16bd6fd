#!/usr/bin/env python3
"""How fast a workload of loops.py can be on any loop: its floor, beside uvloop and blitzio.

A floor is the same work with no loop in it. What asyncio's tasks, queues and timeouts cost is
measured on bare_loop.cpp, which keeps callbacks in an array and does nothing else; what the kernel,
OpenSSL and the protocol's own methods cost, by making the calls one after the other, without ever
waiting for readiness, those of small messages by bare_end.cpp. No loop can lead uvloop by more than
the last column says.

    ./dev.py bench floors --rounds 5
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import loops
from rich.console import Console
from rich.table import Table
from workloads import load_all

from floors import calls, messages, tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    Floor = Callable[[int], float]

ARMS = ["uvloop", *loops.OURS]


def build(name: str, folder: str) -> Any:
    """Compiles a module of this folder for this interpreter and imports it."""
    source = Path(__file__).with_name(f"{name}.cpp")
    target = Path(folder) / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_path("include")
    command = ["c++", "-std=c++20", "-O3", "-shared", "-fPIC", f"-I{include}"]
    subprocess.run([*command, str(source), "-o", str(target)], check=True)
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(name: str, floor: Floor, arms: dict[str, Any], rounds: int) -> list[float]:
    """Nanoseconds per operation: the floor's median, then that of each arm, taken alternately."""
    work = load_all()[name]
    samples: list[list[float]] = [[] for _ in range(1 + len(arms))]
    for number in range(rounds + 1):
        times = [floor(work.ops) / work.ops * 1e9]
        times += [loops.measure(factory, work, work.ops) for factory in arms.values()]
        if number == 0:
            continue  # For warming up.
        for values, time in zip(samples, times, strict=True):
            values.append(time)
    return [statistics.median(values) for values in samples]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("work", nargs="*", help="default: all that have a floor")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    args = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    with tempfile.TemporaryDirectory() as folder:
        bare_loop = build("bare_loop", folder)
        floors: dict[str, Floor] = {
            **tasks.floors(bare_loop),
            **messages.floors(bare_loop, build("bare_end", folder)),
            **calls.FLOORS,
        }
        unknown = sorted(set(args.work) - set(floors))
        if unknown:
            parser.error(f"no floor for {', '.join(unknown)}; there are: {', '.join(floors)}")
        arms = loops.find_arms(ARMS, console)
        table = Table(title="microseconds per operation")
        table.add_column("work")
        for column in ("floor", *arms, "lead", "at most"):
            table.add_column(column.removeprefix("blitzio-"), justify="right")
        for name in args.work or floors:
            floor, uvloop, *ours = measure(name, floors[name], arms, args.rounds)
            cells = [f"{value / 1000:.3g}" for value in (floor, uvloop, *ours)]
            leads = " / ".join(f"{uvloop / value:.2f}" for value in ours)
            table.add_row(load_all()[name].title, *cells, leads, f"{uvloop / floor:.2f}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
