"""HTTP applications on each loop, under load, side by side: aiohttp and uvicorn, or what is named.

Every arm is a server process of its own, pinned to one core; the load comes from another process on
another core. Arms alternate over several rounds; the tables show medians. What steadies best is the
processor time that the server takes for a request: compare that first.

With --floor there are arms that are no loops, but do only what a loop cannot save for a request, on
epoll and on a ring (floors/serving.py). No loop of that kind leads uvloop by more than `at most`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from floors.building import built, is_buildable
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from demo.applications import APPLICATIONS
from demo.arms import cores, cpu_seconds, memory_kb, server, usable_loops
from demo.load import Figures, LoadError, generator_name, run_load
from demo.loops import FLOORS

#: What each of ours cannot be under.
FLOOR_OF = {"blitzio-epoll": "floor", "blitzio-io_uring": "floor-ring"}


@dataclass(frozen=True)
class Sample:
    figures: Figures
    cpu_us: float  # of the server, per request
    memory_mb: float  # of the server, its most


def measure(application: str, loop: str, connections: int, seconds: float) -> Sample:
    server_cpu, load_cpu = cores()
    with server(application, loop, server_cpu) as (pid, port):
        run_load(port, connections, min(1.0, seconds), load_cpu)  # Warms up.
        before = cpu_seconds(pid)
        figures = run_load(port, connections, seconds, load_cpu)
        used = cpu_seconds(pid) - before
        memory = memory_kb(pid) / 1024
    return Sample(figures, used / max(1, figures.requests) * 1e6, memory)


def measure_all(
    applications: list[str], loops: list[str], args: argparse.Namespace, console: Console
) -> dict[str, dict[str, list[Sample]]]:
    """Each application on each loop, which take turns at being first."""
    results: dict[str, dict[str, list[Sample]]] = {
        application: {loop: [] for loop in loops} for application in applications
    }
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        job = progress.add_task("", total=len(applications) * args.rounds * len(loops))
        for round_number in range(args.rounds):
            for application, arms in results.items():
                turn = round_number % len(loops)
                for loop in loops[turn:] + loops[:turn]:
                    progress.update(job, description=f"{application} on {loop}")
                    sample = measure(application, loop, args.connections, args.duration)
                    arms[loop].append(sample)
                    progress.advance(job)
    return results


def median(samples: list[Sample], field: str) -> float:
    in_sample = field in ("cpu_us", "memory_mb")
    values: list[float] = [getattr(s if in_sample else s.figures, field) for s in samples]
    return statistics.median(values)


def floors_of(loops: list[str]) -> list[str]:
    """What can be built here of them."""
    floors = [FLOOR_OF[loop] for loop in loops if loop in FLOOR_OF]
    return [floor for floor in floors if is_buildable(FLOORS[floor])]


def lead(arm: str, arms: dict[str, list[Sample]]) -> str:
    """uvloop's time over that of the arm: the median of what it is in each round."""
    pairs = zip(arms.get("uvloop", []), arms.get(arm, []), strict=False)
    ratios = [peer.cpu_us / own.cpu_us for peer, own in pairs if own.cpu_us]
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


def show(application: str, arms: dict[str, list[Sample]], console: Console) -> None:
    table = Table(title=f"{application}: one server process, medians")
    table.add_column("loop", no_wrap=True)
    has_floor = not arms.keys().isdisjoint(FLOORS)
    leads = ("lead over uvloop", *(["at most"] if has_floor else []))
    columns = ("server CPU µs/request", *leads, "requests/s", "x asyncio")
    for column in (*columns, "p50 ms", "p99 ms", "memory MB"):
        table.add_column(column, justify="right")
    base = median(arms["asyncio"], "per_second") if "asyncio" in arms else None
    for loop, samples in arms.items():
        rate = median(samples, "per_second")
        cpu_us = median(samples, "cpu_us")
        table.add_row(
            loop,
            f"{cpu_us:.1f}",
            lead(loop, arms),
            *([lead(FLOOR_OF.get(loop, ""), arms)] if has_floor else []),
            f"{rate:,.0f}",
            f"{rate / base:.2f}" if base else "-",
            f"{median(samples, 'p50_ms'):.2f}",
            f"{median(samples, 'p99_ms'):.2f}",
            f"{median(samples, 'memory_mb'):.1f}",
            style="bold green" if loop.startswith("blitzio") else None,
        )
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "application",
        nargs="*",
        default=["aiohttp", "uvicorn"],
        help=f"of: {', '.join(APPLICATIONS)}, or all (default: aiohttp uvicorn)",
    )
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=float, default=3.0, help="seconds of load per run")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--floor", action="store_true", help="and what no loop can be under")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.duration = 1, 1.0
    if args.rounds < 1 or args.duration <= 0 or args.connections < 1:
        parser.error("--rounds, --duration and --connections must be positive")
    chosen = list(APPLICATIONS) if args.application == ["all"] else args.application
    if unknown := sorted(set(chosen) - set(APPLICATIONS)):
        parser.error(f"no such application: {', '.join(unknown)}")
    console = Console(width=None if sys.stdout.isatty() else 150)
    loops = usable_loops(console)
    floors = floors_of(loops) if args.floor else []
    modules = ["bare_loop", *(FLOORS[floor] for floor in floors)] if floors else []
    console.print(f"load: {generator_name()}, {args.connections} keep-alive connections")
    try:
        with built(modules):
            results = measure_all(chosen, [*loops, *floors], args, console)
    except LoadError as error:
        console.print(f"[red]{error}")
        return 1
    for application, arms in results.items():
        show(application, arms, console)
    if args.json:
        args.json.write_text(
            json.dumps(
                {
                    application: {loop: [asdict(s) for s in samples] for loop, samples in a.items()}
                    for application, a in results.items()
                },
                indent=1,
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
