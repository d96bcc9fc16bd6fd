#!/usr/bin/env python3
"""Compares echo servers: blitzio on each of its drivers, Tokio, raw epoll and raw io_uring.

Every server runs under the same loads, in rotating order; a figure is the median over the rounds.
The generator costs about as much as a server does, so the processor time of the server per request
is the figure to compare first. `pinned` has the server on one processor and the generator on the
other; `shared` lets both use two, with two workers and two threads. Called by `./dev.py bench net`,
which builds everything and hands its options on.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from native.machine import describe

_FIGURES = (
    "server_cpu_us_per_request",
    "requests_per_second",
    "p50_us",
    "p99_us",
    "p999_us",
)


@dataclass(frozen=True)
class Load:
    connections: int
    depth: int
    payload: int

    def __str__(self) -> str:
        return f"{self.connections} x {self.depth} x {self.payload} B"


LOADS = (
    Load(1, 1, 64),
    Load(50, 1, 1024),
    Load(50, 16, 64),
    Load(1000, 1, 64),
    Load(10_000, 1, 64),
    Load(10, 1, 65536),
)
IDLE_CONNECTIONS = 8_000 if os.sysconf("SC_OPEN_MAX") < 10_100 else 10_000


def main() -> int:
    options = _parse()
    servers = _servers(options)
    machine = describe()
    for name, value in machine.items():
        print(f"{name}: {value}")
    loads = [load for load in LOADS if options.only in str(load)]
    result: dict[str, Any] = {"machine": machine, "rounds": options.rounds, "loads": []}
    for placement in options.placements.split(","):
        for load in loads:
            row = _compare(servers, load, placement, options)
            _print(placement, load, row)
            result["loads"].append({"placement": placement, "load": str(load), "servers": row})
    result["idle"] = {
        name: _run(options, ["--idle", str(IDLE_CONNECTIONS)], _command(server, 1))
        for name, server in servers.items()
    }
    print(f"\nmemory per connection of {IDLE_CONNECTIONS:,} that rest, in bytes of resident memory")
    for name, figures in result["idle"].items():
        print(f"  {name:18} {figures['bytes_per_connection']:8.0f}")
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"\nwritten to {options.output}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev.py bench net", description=__doc__)
    parser.add_argument("--ours", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--tokio", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=2.0, help="default: %(default)s")
    parser.add_argument("--placements", default="pinned,shared", help="default: %(default)s")
    parser.add_argument("--only", default="", help="loads with this in their name, as printed")
    parser.add_argument("--output", type=Path, help="a file for the figures, as JSON")
    return parser.parse_args()


def _servers(options: argparse.Namespace) -> dict[str, list[str]]:
    """The servers that can run here, by name: the words before and after port and workers."""
    ours = options.ours
    servers = {
        "blitzio epoll": [str(ours / "bench_echo"), "--backend", "epoll"],
        "blitzio io_uring": [str(ours / "bench_echo"), "--backend", "io_uring"],
        "blitzio poll": [str(ours / "bench_echo"), "--backend", "poll"],
        "tokio": [str(options.tokio / "bench_echo")],
        "raw epoll": [str(ours / "bench_raw_epoll")],
        "raw io_uring": [str(ours / "bench_raw_io_uring")],
    }
    return {name: words for name, words in servers.items() if Path(words[0]).is_file()}


def _command(server: list[str], workers: int) -> list[str]:
    return [server[0], "0", str(workers), *server[1:]]


def _run(options: argparse.Namespace, load: list[str], server: list[str]) -> dict[str, Any]:
    command = [str(options.ours / "bench_load"), *load, "--", *server]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _compare(
    servers: dict[str, list[str]], load: Load, placement: str, options: argparse.Namespace
) -> dict[str, Any]:
    words = ["--connections", str(load.connections), "--depth", str(load.depth)]
    words += ["--payload", str(load.payload)]
    workers = 1 if placement == "pinned" else 2
    if placement == "pinned":
        words += ["--server-cpus", "0", "--load-cpus", "1"]
    elif load.connections > 1:
        words += ["--threads", "2"]
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
    names = list(servers)
    for number in range(options.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            seconds = ["--seconds", str(options.seconds)]
            samples[name].append(
                _run(options, [*words, *seconds], _command(servers[name], workers))
            )
    return {
        name: {
            **{key: statistics.median(one[key] for one in samples[name]) for key in _FIGURES},
            "syscalls_per_request": _syscalls(options, words, _command(server, workers)),
        }
        for name, server in servers.items()
    }


def _syscalls(options: argparse.Namespace, load: list[str], server: list[str]) -> float | None:
    """System calls per request, on a short run of its own; None without strace."""
    if shutil.which("strace") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        traced = ["strace", "-c", "-f", "-o", str(counts), *server]
        figures = _run(options, [*load, "--seconds", "1"], traced)
        total = re.search(
            r"^100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s+(?:\d+\s+)?total$",
            counts.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    if total is None:
        return None
    return float(total.group(1)) / float(figures["requests_with_warm_up"])


def _print(placement: str, load: Load, row: dict[str, Any]) -> None:
    print(
        f"\n{placement}, {load}\n{'':20} {'cpu us/req':>10} {'req/s':>9} {'p50 us':>8}"
        f" {'p99 us':>8} {'p99.9':>8} {'syscalls':>9}"
    )
    for name, figures in row.items():
        calls = figures["syscalls_per_request"]
        print(
            f"{name:20} {figures['server_cpu_us_per_request']:10.2f}"
            f" {figures['requests_per_second']:9.0f} {figures['p50_us']:8.1f}"
            f" {figures['p99_us']:8.1f} {figures['p999_us']:8.1f}"
            f" {'-' if calls is None else f'{calls:.2f}':>9}"
        )


if __name__ == "__main__":
    sys.exit(main())
