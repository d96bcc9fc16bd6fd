#!/usr/bin/env python3
"""Compares locks, channels and the scheduler with Tokio's.

The programs of both sides run alternately, each in a process of its own; a figure is the median
over the rounds, and the lead is Tokio's median divided by blitzio's: above 1 is ahead. Called by
`./dev.py bench core`, which builds both sides and hands its options on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from native.machine import describe

_NOT_IMPLEMENTED = 2
ARMS = ("blitzio", "tokio")

#: Figures of one benchmark by arm: one dictionary per round.
Rounds = dict[str, list[dict[str, Any]]]


def main() -> int:
    options = _parse()
    folders = {"blitzio": options.ours, "tokio": options.tokio}
    machine = describe()
    for name, value in machine.items():
        print(f"{name}: {value}")
    result: dict[str, Any] = {"machine": machine, "rounds": options.rounds}
    if options.part in ("all", "sync"):
        sync = _run_sync(folders, options)
        _print_sync(sync)
        result["sync"] = sync
    if options.part in ("all", "sched"):
        sched = _run_sched(folders, options)
        _print_sched(sched)
        result["sched"] = sched
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"\nwritten to {options.output}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev.py bench core", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "sync", "sched"), default="all")
    parser.add_argument("--ours", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--tokio", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--workers", default="0,1,2,4", help="of the scheduler: %(default)s")
    parser.add_argument("--only", default="", help="scheduler benchmarks with this in their name")
    parser.add_argument("--quick", action="store_true", help="to see that it runs, not to measure")
    parser.add_argument("--output", type=Path, help="a file for the figures, as JSON")
    return parser.parse_args()


def _figures(command: list[str]) -> dict[str, Any] | None:
    """Runs a program and returns what it prints, or None if it has no such benchmark."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == _NOT_IMPLEMENTED:
        return None
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


# ---- locks and channels -----------------------------------------------------------------------


def _run_sync(folders: dict[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    rounds: dict[str, Rounds] = {}
    quick = ["--quick"] if options.quick else []
    for number in range(options.rounds):
        for arm in _order(number):
            figures = _figures([str(folders[arm] / "bench_sync"), "--json", *quick])
            assert figures is not None
            for name, sample in figures["benchmarks"].items():
                rounds.setdefault(name, {}).setdefault(arm, []).append(sample)
    table = {}
    for name, by_arm in rounds.items():
        row: dict[str, Any] = {
            arm: {
                key: statistics.median(one[key] for one in by_arm[arm])
                for key in ("ns_per_op", "bytes_per_op", "allocs_per_op")
            }
            for arm in ARMS
        }
        row["lead"] = row["tokio"]["ns_per_op"] / row["blitzio"]["ns_per_op"]
        table[name] = row
    return table


def _print_sync(table: dict[str, Any]) -> None:
    print(
        f"\n{'':20} {'blitzio':>9} {'tokio':>9} {'lead':>6}"
        f" {'bytes/op':>9} {'tokio':>8} {'allocs/op':>10} {'tokio':>8}"
    )
    for name, row in table.items():
        ours, tokio = row["blitzio"], row["tokio"]
        print(
            f"{name:20} {ours['ns_per_op']:9.2f} {tokio['ns_per_op']:9.2f} {row['lead']:6.2f}"
            f" {ours['bytes_per_op']:9.2f} {tokio['bytes_per_op']:8.2f}"
            f" {ours['allocs_per_op']:10.5f} {tokio['allocs_per_op']:8.5f}"
        )


# ---- the scheduler ----------------------------------------------------------------------------


def _run_sched(folders: dict[str, Path], options: argparse.Namespace) -> list[dict[str, Any]]:
    listing = subprocess.run(
        [folders["blitzio"] / "bench_sched", "--list"], capture_output=True, text=True, check=True
    )
    names = [name for name in listing.stdout.split() if options.only in name]
    workers = [int(word) for word in options.workers.split(",")]
    quick = ["--quick"] if options.quick else []
    table = []
    for name in names:
        # What a task takes in memory does not depend on how many threads there are.
        for count in workers if not name.startswith("mem_") else [min(2, max(workers))]:
            rounds: Rounds = {arm: [] for arm in ARMS}
            for number in range(options.rounds):
                for arm in _order(number):
                    program = str(folders[arm] / "bench_sched")
                    figures = _figures([program, "--bench", name, "--workers", str(count), *quick])
                    if figures is not None:
                        rounds[arm].append(figures)
            row: dict[str, Any] = {"name": name, "workers": count}
            for arm, samples in rounds.items():
                row[arm] = _medians(samples)
            if row["blitzio"] and row["tokio"]:
                row["lead"] = row["tokio"]["value"] / row["blitzio"]["value"]
            table.append(row)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return table


def _medians(samples: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not samples:
        return None
    numbers = {key for key, value in samples[0].items() if isinstance(value, float)}
    medians = {key: statistics.median(sample[key] for sample in samples) for key in numbers}
    return {**medians, "unit": samples[0]["unit"]}


def _print_sched(table: list[dict[str, Any]]) -> None:
    print(
        f"\n{'':16} {'workers':>7} {'blitzio':>10} {'tokio':>10} {'lead':>6}"
        f" {'cpu':>10} {'tokio':>10}  unit"
    )
    for row in table:
        ours, tokio = row["blitzio"], row["tokio"]
        if ours is None or tokio is None:
            print(f"{row['name']:16} {row['workers']:7} {'not implemented':>21}")
            continue
        late = "".join(
            f"  {key.removeprefix('late_')} late {ours[key]:.0f} ({tokio[key]:.0f})"
            for key in ("late_p50_us", "late_p99_us")
            if key in ours
        )
        print(
            f"{row['name']:16} {row['workers']:7} {ours['value']:10.1f} {tokio['value']:10.1f}"
            f" {row['lead']:6.2f} {ours['cpu']:10.1f} {tokio['cpu']:10.1f}  {ours['unit']}{late}"
        )


def _order(number: int) -> tuple[str, ...]:
    """The arms, each first in every other round."""
    return ARMS if number % 2 == 0 else ARMS[::-1]


if __name__ == "__main__":
    sys.exit(main())
