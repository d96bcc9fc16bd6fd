#!/usr/bin/env python3
"""Compares event loops: asyncio, uvloop, rloop, zuvloop and blitzio on each of its drivers.

All arms run in this one process, alternately and in a rotating order, so that whatever the machine
does meanwhile hits them alike. A figure is the median over the rounds; the lead is a peer's time
divided by blitzio's, taken per round and then the median. Pin the process for steadier figures:

    taskset -c 1 python benchmarks/loops.py --rounds 15
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import math
import os
import platform
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from workloads import Bench, Workload, load_all

Factory = Callable[[], asyncio.AbstractEventLoop]

#: zuvloop is for CPython 3.14 only.
PEERS = ("asyncio", "uvloop", "rloop", "zuvloop")
OURS = ("blitzio-epoll", "blitzio-io_uring")


def find_arms(names: list[str] | None, console: Console) -> dict[str, Factory]:
    """The loops that are installed and can run here, by name."""
    arms: dict[str, Factory] = {"asyncio": asyncio.SelectorEventLoop}
    for name in PEERS[1:]:
        try:
            arms[name] = importlib.import_module(name).new_event_loop
        except ImportError:
            console.print(f"[yellow]{name} is not installed: left out")
    import blitzio

    for arm in OURS:
        backend = arm.removeprefix("blitzio-")
        config = blitzio.Config(backend=backend)
        try:
            blitzio.new_event_loop(config).close()
        except RuntimeError as reason:
            console.print(f"[yellow]{arm} cannot run here: {reason}")
            continue
        arms[arm] = lambda config=config: blitzio.new_event_loop(config)  # type: ignore[misc]
    if names:
        unknown = sorted(set(names) - set(arms))
        if unknown:
            sys.exit(f"no such loop: {', '.join(unknown)}; there are: {', '.join(arms)}")
        arms = {name: arms[name] for name in names}
    return arms


def measure(factory: Factory, work: Workload, ops: int) -> float:
    """One run on a fresh loop; nanoseconds per operation."""
    loop = factory()
    bench = Bench(ops)
    gc.collect()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(work.run(bench))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return bench.seconds / ops * 1e9


def compare(
    arms: dict[str, Factory], chosen: list[Workload], rounds: int, scale: float, console: Console
) -> dict[str, dict[str, list[float]]]:
    """Every workload on every arm, `rounds` times; nanoseconds per operation of each round."""
    samples: dict[str, dict[str, list[float]]] = {}
    with Progress(console=console, transient=True) as progress:
        job = progress.add_task("measuring", total=len(chosen) * (rounds + 1) * len(arms))
        for work in chosen:
            progress.update(job, description=work.title)
            ops = max(100, int(work.ops * scale))
            samples[work.name] = {name: [] for name in arms}
            names = list(arms)
            for round_number in range(rounds + 1):
                turn = round_number % len(names)
                for name in names[turn:] + names[:turn]:
                    progress.advance(job)
                    if name not in samples[work.name]:
                        continue
                    try:
                        value = measure(arms[name], work, ops)
                    except NotImplementedError:  # rloop has no TLS.
                        del samples[work.name][name]
                        continue
                    if round_number > 0:  # The first is for warming up.
                        samples[work.name][name].append(value)
    return samples


def lead(samples: dict[str, list[float]], peer: str, ours: str) -> float | None:
    if peer not in samples or ours not in samples:
        return None
    return statistics.median(
        theirs / mine for theirs, mine in zip(samples[peer], samples[ours], strict=True)
    )


def geometric_mean(values: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def report(
    samples: dict[str, dict[str, list[float]]], works: dict[str, Workload], console: Console
) -> dict[str, dict[str, float]]:
    """Prints the table; returns the leads over uvloop and over the best peer, per arm and row."""
    arms = max((list(row) for row in samples.values()), key=len)
    ours = [arm for arm in arms if arm in OURS]
    peers = [arm for arm in arms if arm in PEERS]
    table = Table(title="median time per operation; lead = peer's time / blitzio's")
    table.add_column("work")
    for arm in arms:
        table.add_column(arm, justify="right")
    for arm in ours:
        table.add_column(f"{arm.removeprefix('blitzio-')}\nover uvloop", justify="right")
        table.add_column(f"{arm.removeprefix('blitzio-')}\nover best", justify="right")
    leads: dict[str, dict[str, float]] = {}
    for name, row in samples.items():
        cells = [works[name].title]
        cells += [
            f"{statistics.median(row[arm]) / 1000:.2f} µs" if arm in row else "-" for arm in arms
        ]
        for arm in ours:
            over = {peer: value for peer in peers if (value := lead(row, peer, arm)) is not None}
            if "uvloop" in over:
                leads.setdefault(f"{arm} over uvloop", {})[name] = over["uvloop"]
            if over:
                leads.setdefault(f"{arm} over best", {})[name] = min(over.values())
            cells.append(colour(over.get("uvloop")))
            cells.append(colour(min(over.values(), default=None)))
        table.add_row(*cells)
    console.print(table)
    for title, values in leads.items():
        console.print(f"geometric mean, {title}: {geometric_mean(list(values.values())):.2f}")
    return leads


def markdown(samples: dict[str, dict[str, list[float]]], works: dict[str, Workload]) -> str:
    """The table of README.md: microseconds, and the leads over uvloop and over the best peer."""
    peers = [name for name in PEERS if any(name in row for row in samples.values())]
    head = ["work", *peers, *(f"{arm.removeprefix('blitzio-')} | lead | over best" for arm in OURS)]
    columns = 1 + len(peers) + 3 * len(OURS)
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (columns - 1)]
    for name, row in samples.items():
        cells = [works[name].title]
        cells += [f"{statistics.median(row[a]) / 1000:.2f}" if a in row else "-" for a in peers]
        for arm in OURS:
            if arm not in row:
                cells += ["-"] * 3
                continue
            over = {peer: value for peer in peers if (value := lead(row, peer, arm)) is not None}
            cells.append(f"{statistics.median(row[arm]) / 1000:.2f}")
            cells.append(f"{over['uvloop']:.2f}" if "uvloop" in over else "-")
            cells.append(f"{min(over.values()):.2f}" if over else "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def colour(value: float | None) -> str:
    if value is None:
        return "-"
    return f"[{'green' if value >= 1.0 else 'red'}]{value:.2f}"


def plot(leads: dict[str, dict[str, float]], works: dict[str, Workload], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shown = {title: values for title, values in leads.items() if title.endswith("over uvloop")}
    if not shown:
        return
    rows = list(next(iter(shown.values())))
    figure, axes = pyplot.subplots(figsize=(9, 0.4 * len(rows) + 1.5))
    height = 0.8 / len(shown)
    for index, (title, values) in enumerate(shown.items()):
        places = [place + index * height for place in range(len(rows))]
        axes.barh(places, [values[row] for row in rows], height=height, label=title)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(rows))])
    axes.set_yticklabels([works[row].title for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("uvloop's time / blitzio's time (more is better)")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> int:
    works = load_all()
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("work", nargs="*", help=f"of: {', '.join(works)} (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds per arm")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many operations")
    parser.add_argument("--loops", help="comma-separated arms (default: all that are installed)")
    parser.add_argument("--cpu", type=int, help="run on this processor alone, children too")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    parser.add_argument("--plot", type=Path, help="draw the leads over uvloop (.svg or .png)")
    args = parser.parse_args()
    unknown = sorted(set(args.work) - set(works))
    if unknown:
        parser.error(f"no such work: {', '.join(unknown)}; there are: {', '.join(works)}")
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    if args.cpu is not None:
        try:
            os.sched_setaffinity(0, {args.cpu})
        except OSError as error:
            parser.error(f"--cpu {args.cpu}: {error.strerror}")
    console = Console(width=None if sys.stdout.isatty() else 170)
    arms = find_arms(args.loops.split(",") if args.loops else None, console)
    chosen = [works[name] for name in args.work] or list(works.values())
    samples = compare(arms, chosen, args.rounds, args.scale, console)
    leads = report(samples, works, console)
    if args.json:
        versions = {"python": platform.python_version(), "kernel": platform.release()}
        args.json.write_text(
            json.dumps({"versions": versions, "samples_ns": samples, "leads": leads}, indent=1)
        )
    if args.markdown:
        args.markdown.write_text(markdown(samples, works), encoding="utf-8")
    if args.plot:
        plot(leads, works, args.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
