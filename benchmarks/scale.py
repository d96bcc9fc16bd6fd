#!/usr/bin/env python3
"""How a loop's cost and memory grow: with connections, and with timers.

Each figure comes from a fresh process. A server echoes 64 bytes on 1 to 10,000 connections, all of
them busy, and what it takes of the processor per round trip is compared; so is its memory while as
many connections are idle. Timers: scheduling and cancelling one while 100 to 1,000,000 are pending,
and the memory that these take.

    python benchmarks/scale.py --rounds 3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from demo.arms import cores, cpu_seconds, memory_kb, server, usable_loops
from demo.loops import loop_factory
from rich.console import Console
from rich.table import Table

CONNECTIONS = (1, 100, 1_000, 10_000)
TIMERS = (100, 10_000, 1_000_000)
PAYLOAD = b"x" * 64
#: Round trips of one run: some seconds of a processor's time, which is counted in hundredths.
ROUND_TRIPS = 50_000
SPARE_DESCRIPTORS = 100
#: Who may wait to be accepted: half of what the server lets.
BACKLOG = 50

#: Of `--check`: how many, and bytes of each at most.
CHECKED = {"connections": (5_000, 730), "timers": (100_000, 200)}
#: A figure above its limit is taken again: the least counts.
ATTEMPTS = 3

Figures = dict[str, float]


# ---- connections ---------------------------------------------------------------------------------


def wait_until_accepted(port: int) -> None:
    """Returns when all who have connected are accepted: who finds the backlog full tries again a
    second later."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as last:
        last.sendall(PAYLOAD)
        last.recv(4096)


class Clients:
    """Connections of this process to an echo server, driven by epoll."""

    def __init__(self, port: int, count: int) -> None:
        self.sockets = {}
        self.poller = select.epoll()
        for number in range(count):
            if number % BACKLOG == BACKLOG - 1:
                wait_until_accepted(port)
            client = socket.create_connection(("127.0.0.1", port), timeout=60)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            self.sockets[client.fileno()] = client
            self.poller.register(client.fileno(), select.EPOLLIN)

    def round_trips(self, count: int) -> None:
        """Keeps one message in flight on each connection, until `count` have come back."""
        left_to_send = max(count, len(self.sockets))
        missing = left_to_send
        for client in self.sockets.values():
            client.send(PAYLOAD)
            left_to_send -= 1
        while missing > 0:
            for fd, _ in self.poller.poll(60):
                client = self.sockets[fd]
                if client.recv(4096) != PAYLOAD:
                    raise AssertionError("the echo differs")
                missing -= 1
                if left_to_send > 0:
                    client.send(PAYLOAD)
                    left_to_send -= 1

    def close(self) -> None:
        for client in self.sockets.values():
            client.close()
        self.poller.close()


def connections(loop: str, count: int, round_trips: int = ROUND_TRIPS) -> Figures:
    server_cpu, client_cpu = cores()
    if client_cpu is not None:
        os.sched_setaffinity(0, {client_cpu})
    with server("echo", loop, server_cpu) as (pid, port):
        first = Clients(port, 1)
        first.round_trips(100)
        before_kb = memory_kb(pid, "VmRSS")
        clients = Clients(port, count)
        # Each has been accepted once the one after all of them is served.
        last = Clients(port, 1)
        last.round_trips(1)
        idle_kb = memory_kb(pid, "VmRSS") - before_kb
        used = 0.0
        if round_trips:
            clients.round_trips(2 * count)
            before = cpu_seconds(pid)
            clients.round_trips(round_trips)
            used = cpu_seconds(pid) - before
        for each in (first, clients, last):
            each.close()
    return {"us": used / max(round_trips, 1) * 1e6, "bytes": idle_kb * 1024 / count}


# ---- timers --------------------------------------------------------------------------------------


def nothing() -> None:
    """What a timer does here."""


def timers(loop_name: str, count: int, operations: int = 50_000) -> Figures:
    loop = loop_factory(loop_name)()

    async def run() -> Figures:
        before_kb = memory_kb(os.getpid(), "VmRSS")
        kept = None
        for number in range(count):
            kept = loop.call_later(1000 + number % 1000, nothing)
        grown_kb = memory_kb(os.getpid(), "VmRSS") - before_kb
        del kept
        start = time.perf_counter()
        for number in range(operations):
            loop.call_later(10 + number % 50, nothing).cancel()
            if number % 1_000 == 0:
                await asyncio.sleep(0)
        seconds = time.perf_counter() - start
        return {"us": seconds / max(operations, 1) * 1e6, "bytes": grown_kb * 1024 / count}

    figures = loop.run_until_complete(run())
    # Closing a loop with a million timers is not the question.
    print(json.dumps(figures), flush=True)
    os._exit(0)


# ---- the comparison ------------------------------------------------------------------------------


def in_new_process(kind: str, loop: str, count: int, *options: str) -> Figures:
    done = subprocess.run(
        [sys.executable, __file__, *options, "--only", kind, loop, str(count)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def medians(samples: list[Figures]) -> Figures:
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def show(kind: str, figures: dict[str, dict[int, Figures]], console: Console) -> None:
    counts = list(next(iter(figures.values())))
    what = "CPU of the server per round trip" if kind == "connections" else "schedule and cancel"
    each = "idle connection" if kind == "connections" else "pending timer"
    table = Table(title=f"{kind}: {what}, µs; memory per {each}, bytes")
    table.add_column("loop", no_wrap=True)
    for count in counts:
        table.add_column(f"{count:,}", justify="right")
    table.add_column("last / first", justify="right")
    table.add_column(f"bytes at {counts[-1]:,}", justify="right")
    for loop, row in figures.items():
        table.add_row(
            loop,
            *(f"{row[count]['us']:.2f}" for count in counts),
            f"{row[counts[-1]]['us'] / row[counts[0]]['us']:.2f}",
            f"{row[counts[-1]]['bytes']:.0f}",
            style="bold green" if loop.startswith("blitzio") else None,
        )
    console.print(table)


def check(loops: list[str], descriptors: int, console: Console) -> int:
    """Compares the memory that each takes with its limit. Returns the exit status."""
    table = Table(title="memory, bytes")
    for column in ("loop", "idle connection", "of", "pending timer", "of"):
        table.add_column(column, no_wrap=True)
    passed = []
    for loop in loops:
        row = [loop]
        for kind, (count, limit) in CHECKED.items():
            if kind == "connections":
                count = min(count, descriptors - SPARE_DESCRIPTORS)
            least = float("inf")
            for _ in range(ATTEMPTS):
                least = min(least, in_new_process(kind, loop, count, "--check")["bytes"])
                if least <= limit:
                    break
            else:
                passed.append(f"{kind} on {loop}: {least:.0f} bytes each")
            row += [f"{least:.0f}", str(limit)]
        table.add_row(*row)
    console.print(table)
    for line in passed:
        console.print(f"[red]more memory than before: {line}")
    return 1 if passed else 0


def descriptors() -> int:
    """Raises the limit as far as it may go; returns it."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes per figure")
    parser.add_argument("--kind", choices=("connections", "timers"), help="default: both")
    parser.add_argument("--loops", help="comma-separated (default: all that are installed)")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    parser.add_argument("--check", action="store_true", help="fail if a limit of memory is passed")
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    limit = descriptors()
    if args.only:
        kind, loop, count = args.only
        measured = connections if kind == "connections" else timers
        # For the memory alone nothing need be done with them.
        words = (0,) if args.check else ()
        print(json.dumps(measured(loop, int(count), *words)))
        return 0
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    console = Console(width=None if sys.stdout.isatty() else 130)
    loops = args.loops.split(",") if args.loops else usable_loops(console)
    if args.check:
        return check([loop for loop in loops if loop.startswith("blitzio")], limit, console)
    results: dict[str, dict[str, dict[int, list[Figures]]]] = {}
    possible = [count for count in CONNECTIONS if count + SPARE_DESCRIPTORS <= limit]
    for kind, counts in (("connections", possible), ("timers", TIMERS)):
        if args.kind not in (None, kind):
            continue
        samples: dict[str, dict[int, list[Figures]]] = {loop: {} for loop in loops}
        for _ in range(args.rounds):
            for count in counts:
                for loop in loops:
                    figures = in_new_process(kind, loop, count)
                    samples[loop].setdefault(count, []).append(figures)
        results[kind] = samples
        show(
            kind,
            {a: {n: medians(s) for n, s in row.items()} for a, row in samples.items()},
            console,
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
