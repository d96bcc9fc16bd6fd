#!/usr/bin/env python3
"""Compares files: blitzio.fs, aiofiles, anyio, threads, and plain blocking calls, on three loops.

All arms run in this one process, alternately and in a rotating order. A figure is the median over
the rounds of one operation's time; the lead is a peer's time divided by blitzio's, on the same
loop, taken per round and then the median. Plain calls, which block the loop, are the floor.

    taskset -c 1 python benchmarks/files.py --rounds 7 --folder /var/tmp
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import importlib.util
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import blitzio
from blitzio import fs

SMALL_BYTES = 4096
LARGE_BYTES = 64 << 20
DEPTHS = (1, 32)
OURS = "blitzio.fs"

Step = Callable[[int], Awaitable[object]]


@dataclass(frozen=True)
class Place:
    """Where the arms work."""

    folder: Path
    data: bytes
    offsets: tuple[int, ...]
    target: str = ""  # an empty folder

    def small(self, index: int) -> str:
        return f"{self.folder}/small{index}"

    def new(self, index: int) -> str:
        return f"{self.target}/new{index}"

    @property
    def large(self) -> str:
        return f"{self.folder}/large"


# ---- the arms: (work, what is opened) → a step per operation -----------------------------------


async def blitzio_arm(place: Place, work: str) -> tuple[Step, Callable[[], Awaitable[object]]]:
    if work == "read small":
        return lambda index: fs.read_file(place.small(index)), nothing
    if work == "write small":
        return lambda index: fs.write_file(place.new(index), place.data), nothing
    file = await fs.open(place.large, "rb")
    return lambda index: file.read_at(SMALL_BYTES, place.offsets[index]), file.close


async def blitzio_open_arm(place: Place, work: str) -> tuple[Step, Callable[[], Awaitable[object]]]:
    """With open files, as the others: the same work call by call."""

    async def read(index: int) -> bytes:
        async with fs.open(place.small(index), "rb") as file:
            return await file.read()

    async def write(index: int) -> None:
        async with fs.open(place.new(index), "wb") as file:
            await file.write(place.data)

    if work == "read small":
        return read, nothing
    if work == "write small":
        return write, nothing
    file = await fs.open(place.large, "rb", 0)
    lock = asyncio.Lock()

    async def read_at(index: int) -> bytes:
        async with lock:
            await file.seek(place.offsets[index])
            return await file.read(SMALL_BYTES)

    return read_at, file.close


async def aiofiles_arm(place: Place, work: str) -> tuple[Step, Callable[[], Awaitable[object]]]:
    return await _like_aiofiles(importlib.import_module("aiofiles").open, place, work)


async def anyio_arm(place: Place, work: str) -> tuple[Step, Callable[[], Awaitable[object]]]:
    anyio = importlib.import_module("anyio")
    if work == "read small":
        return lambda index: anyio.Path(place.small(index)).read_bytes(), nothing
    if work == "write small":
        return lambda index: anyio.Path(place.new(index)).write_bytes(place.data), nothing
    file = await anyio.open_file(place.large, "rb", buffering=0)
    return _seek_and_read(file, place), file.aclose


async def _like_aiofiles(
    opener: Any, place: Place, work: str
) -> tuple[Step, Callable[[], Awaitable[object]]]:
    async def read(index: int) -> object:
        async with opener(place.small(index), "rb") as file:
            return await file.read()

    async def write(index: int) -> None:
        async with opener(place.new(index), "wb") as file:
            await file.write(place.data)

    if work == "read small":
        return read, nothing
    if work == "write small":
        return write, nothing
    file = await opener(place.large, "rb", buffering=0)
    return _seek_and_read(file, place), file.close


def _seek_and_read(file: Any, place: Place) -> Step:
    lock = asyncio.Lock()

    async def read_at(index: int) -> object:
        async with lock:
            await file.seek(place.offsets[index])
            return await file.read(SMALL_BYTES)

    return read_at


async def threads_arm(place: Place, work: str) -> tuple[Step, Callable[[], Awaitable[object]]]:
    call, close = _plain(place, work)

    async def close_later() -> None:
        close()

    return lambda index: asyncio.to_thread(call, index), close_later


async def plain_arm(place: Place, work: str) -> tuple[Step, Callable[[], Awaitable[object]]]:
    call, close = _plain(place, work)

    async def step(index: int) -> object:
        return call(index)

    async def close_later() -> None:
        close()

    return step, close_later


def _plain(place: Place, work: str) -> tuple[Callable[[int], object], Callable[[], object]]:
    def read(index: int) -> bytes:
        with open(place.small(index), "rb") as file:
            return file.read()

    def write(index: int) -> None:
        with open(place.new(index), "wb") as file:
            file.write(place.data)

    if work == "read small":
        return read, lambda: None
    if work == "write small":
        return write, lambda: None
    fd = os.open(place.large, os.O_RDONLY)
    return lambda index: os.pread(fd, SMALL_BYTES, place.offsets[index]), lambda: os.close(fd)


async def nothing() -> None:
    pass


ARMS = {
    OURS: blitzio_arm,
    "blitzio.fs.open": blitzio_open_arm,
    "aiofiles": aiofiles_arm,
    "anyio": anyio_arm,
    "to_thread": threads_arm,
    "blocking": plain_arm,
}
WORKS = ("read small", "write small", "read large")
TITLES = {
    "read small": "read files of 4 KiB, whole",
    "write small": "create files of 4 KiB",
    "read large": "4 KiB at random of 64 MiB",
}


def find_loops(console: Console) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.SelectorEventLoop,
        "blitzio": blitzio.new_event_loop,
    }
    try:
        loops["uvloop"] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        console.print("[yellow]uvloop is not installed: left out")
    return loops


def find_arms(console: Console) -> dict[str, Any]:
    arms = dict(ARMS)
    for name in ("aiofiles", "anyio"):
        if importlib.util.find_spec(name) is None:
            console.print(f"[yellow]{name} is not installed: left out")
            del arms[name]
    return arms


async def run_one(arm: Any, place: Place, work: str, ops: int, depth: int) -> float:
    """Seconds for `ops` operations by `depth` tasks."""
    with tempfile.TemporaryDirectory(dir=place.folder) as target:
        step, close = await arm(replace(place, target=target), work)
        indices = iter(range(ops))

        async def worker() -> None:
            for index in indices:
                await step(index)

        begin = time.perf_counter()
        if depth == 1:
            await worker()
        else:
            await asyncio.gather(*(worker() for _ in range(depth)))
        seconds = time.perf_counter() - begin
        await close()
    return seconds


def measure(
    factory: Callable[[], asyncio.AbstractEventLoop],
    arm: Any,
    place: Place,
    work: str,
    ops: int,
    depth: int,
) -> float:
    """Microseconds per operation, on a fresh loop whose threads are there already."""
    loop = factory()
    gc.collect()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run_one(arm, place, work, min(ops, 64), depth))
        seconds = loop.run_until_complete(run_one(arm, place, work, ops, depth))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return seconds / ops * 1e6


def compare(
    place: Place, files: int, rounds: int, chosen: list[str], console: Console
) -> dict[str, dict[str, list[float]]]:
    """Samples of each row ("work, loop, depth"), by arm."""
    loops, arms = find_loops(console), find_arms(console)
    rows = list(itertools.product(chosen, loops, DEPTHS))
    samples: dict[str, dict[str, list[float]]] = {}
    with Progress(console=console, transient=True) as progress:
        job = progress.add_task("measuring", total=len(rows) * len(arms) * (rounds + 1))
        for work, loop, depth in rows:
            row = samples[f"{TITLES[work]}, {loop}, depth {depth}"] = {name: [] for name in arms}
            names = list(arms)
            for round_number in range(rounds + 1):
                turn = round_number % len(names)
                for name in names[turn:] + names[:turn]:
                    progress.advance(job)
                    # Slow arms do fewer: a time per operation is what is compared.
                    ops = files if name in (OURS, "blitzio.fs.open", "blocking") else files // 10
                    value = measure(loops[loop], arms[name], place, work, max(ops, 1), depth)
                    if round_number > 0:  # The first is for warming up.
                        row[name].append(value)
    return samples


def report(samples: dict[str, dict[str, list[float]]], console: Console) -> None:
    arms = list(next(iter(samples.values())))
    table = Table(title=f"median µs per operation; lead = peer's time / {OURS}'s")
    table.add_column("work")
    for arm in arms:
        table.add_column(arm, justify="right")
    for arm in arms[2:]:
        table.add_column(f"over\n{arm}", justify="right")
    for title, row in samples.items():
        cells = [title, *(f"{statistics.median(row[arm]):.2f}" for arm in arms)]
        for arm in arms[2:]:
            pairs = zip(row[arm], row[OURS], strict=True)
            cells.append(f"{statistics.median(peer / ours for peer, ours in pairs):.1f}")
        table.add_row(*cells)
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("work", nargs="*", help=f"of: {', '.join(WORKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds per arm")
    parser.add_argument("--files", type=int, default=10_000, help="operations of the fast arms")
    parser.add_argument("--folder", help="where files are made (default: the system's)")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    args = parser.parse_args()
    unknown = sorted(set(args.work) - set(WORKS))
    if unknown:
        parser.error(f"no such work: {', '.join(unknown)}; there are: {', '.join(WORKS)}")
    if args.rounds < 1 or args.files < 1:
        parser.error("--rounds and --files must be at least 1")
    console = Console(width=None if sys.stdout.isatty() else 200)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        chance = random.Random(7)
        offsets = tuple(
            chance.randrange(LARGE_BYTES // SMALL_BYTES) * SMALL_BYTES for _ in range(args.files)
        )
        place = Place(Path(folder), os.urandom(SMALL_BYTES), offsets)
        for index in range(args.files):
            Path(place.small(index)).write_bytes(place.data)
        Path(place.large).write_bytes(os.urandom(LARGE_BYTES))
        samples = compare(place, args.files, args.rounds, args.work or list(WORKS), console)
    report(samples, console)
    if args.json:
        args.json.write_text(json.dumps(samples, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
