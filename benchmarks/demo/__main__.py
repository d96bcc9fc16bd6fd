"""The demo: an aiohttp and a uvicorn application on each loop, under load, side by side.

Every arm is a server process of its own, pinned to one core; the load comes from another process on
another core. Arms alternate over several rounds; the table shows medians.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from demo.load import Figures, LoadError, generator_name, run_load
from demo.loops import LOOPS, loop_factory
from demo.server import APPLICATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Sample:
    figures: Figures
    cpu_us: float  # of the server, per request


def cpu_seconds(pid: int) -> float:
    """User and system time of a process; /proc/PID/stat, fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int | None, int | None]:
    """A core for the server and one for the load, or none to choose from."""
    available = sorted(os.sched_getaffinity(0))
    return (available[0], available[1]) if len(available) > 1 else (None, None)


@contextlib.contextmanager
def server(application: str, loop: str, cpu: int | None) -> Iterator[tuple[int, int]]:
    """Runs one arm; gives its pid and port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.server", application, loop],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        line = process.stdout.readline()
        if not line:
            raise LoadError(f"{application} on {loop} did not start (exit {process.wait(10)})")
        yield process.pid, int(line)
        process.stdin.close()
        if process.wait(20) != 0:
            raise LoadError(f"{application} on {loop} ended with exit code {process.returncode}")
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def measure(application: str, loop: str, connections: int, seconds: float) -> Sample:
    server_cpu, load_cpu = cores()
    with server(application, loop, server_cpu) as (pid, port):
        run_load(port, connections, min(1.0, seconds), load_cpu)  # Warms up.
        before = cpu_seconds(pid)
        figures = run_load(port, connections, seconds, load_cpu)
        used = cpu_seconds(pid) - before
    return Sample(figures, used / max(1, figures.requests) * 1e6)


def usable_loops(console: Console) -> list[str]:
    usable = []
    for name in LOOPS:
        try:
            loop_factory(name)
        except (ImportError, RuntimeError) as reason:
            console.print(f"[yellow]{name} is left out: {reason}")
        else:
            usable.append(name)
    return usable


def median(samples: list[Sample], field: str) -> float:
    if field == "cpu_us":
        return statistics.median(sample.cpu_us for sample in samples)
    values: list[float] = [getattr(sample.figures, field) for sample in samples]
    return statistics.median(values)


def show(application: str, arms: dict[str, list[Sample]], console: Console) -> None:
    table = Table(title=f"{application}: one server process, medians")
    table.add_column("loop", no_wrap=True)
    for column in ("requests/s", "x asyncio", "p50 ms", "p99 ms", "server CPU µs/request"):
        table.add_column(column, justify="right")
    base = median(arms["asyncio"], "per_second") if "asyncio" in arms else None
    for loop, samples in arms.items():
        rate = median(samples, "per_second")
        table.add_row(
            loop,
            f"{rate:,.0f}",
            f"{rate / base:.2f}" if base else "-",
            f"{median(samples, 'p50_ms'):.2f}",
            f"{median(samples, 'p99_ms'):.2f}",
            f"{median(samples, 'cpu_us'):.1f}",
            style="bold green" if loop.startswith("blitzio") else None,
        )
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=float, default=3.0, help="seconds of load per run")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.duration = 1, 1.0
    if args.rounds < 1 or args.duration <= 0 or args.connections < 1:
        parser.error("--rounds, --duration and --connections must be positive")
    console = Console()
    loops = usable_loops(console)
    console.print(f"load: {generator_name()}, {args.connections} keep-alive connections")
    results: dict[str, dict[str, list[Sample]]] = {
        application: {loop: [] for loop in loops} for application in APPLICATIONS
    }
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            job = progress.add_task("", total=len(APPLICATIONS) * args.rounds * len(loops))
            for round_number in range(args.rounds):
                for application, arms in results.items():
                    turn = round_number % len(loops)
                    for loop in loops[turn:] + loops[:turn]:
                        progress.update(job, description=f"{application} on {loop}")
                        sample = measure(application, loop, args.connections, args.duration)
                        arms[loop].append(sample)
                        progress.advance(job)
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
