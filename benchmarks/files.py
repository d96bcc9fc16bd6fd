#!/usr/bin/env python3
"""Compares files: blitzio.fs, aiofiles, anyio, threads, and plain blocking calls, on three loops.

All arms run in this one process, alternately and in a rotating order; in a round each does the same
operations, as many, in a folder that is filled as those of the others, when what the one before
wrote is on the disk. A figure is the median over the rounds of one operation's time; the lead is a
peer's time divided by blitzio's, on the same loop, taken per round and then the median. Nothing but
the system calls, made by a coroutine that blocks the loop, is the floor: by how much that leads is
what Python code can have at all.

Nothing is deleted before the end, and `remove` comes last: ext4 without a journal looks at each
inode that was freed in the last minute or more before it takes another, 0.3 ms for a new file.

    taskset -c 1 python benchmarks/files.py create remove --loop blitzio --folder /var/tmp
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
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
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
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
FLOOR = "bare calls"

#: What is done, with the arguments of each time: made up before the clock runs.
Work = tuple[Callable[..., Awaitable[object]], list[tuple[Any, ...]]]
#: Reads so many bytes at an offset.
ReadAt = Callable[[int, int], Awaitable[object]]


# ---- the arms ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arm:
    """How one library does what is compared; what it has none of its own for is left out."""

    read: Callable[[str], Awaitable[object]]
    write: Callable[[str, bytes], Awaitable[object]]
    #: Opens a large file, for as long as the context lasts.
    open_large: Callable[[str], AbstractAsyncContextManager[ReadAt]]
    stat: Callable[[str], Awaitable[object]] | None = None
    mkdir: Callable[[str], Awaitable[object]] | None = None
    rename: Callable[[str, str], Awaitable[object]] | None = None
    remove: Callable[[str], Awaitable[object]] | None = None


@contextlib.asynccontextmanager
async def open_with_offsets(path: str) -> AsyncIterator[ReadAt]:
    async with fs.open(path, "rb") as file:
        yield file.read_at


def with_open_files(opener: Any) -> Arm:
    """Through open files, call by call: of blitzio's, and of aiofiles'."""

    async def read(path: str) -> object:
        async with opener(path, "rb") as file:
            return await file.read()

    async def write(path: str, data: bytes) -> None:
        async with opener(path, "wb") as file:
            await file.write(data)

    def open_large(path: str) -> AbstractAsyncContextManager[ReadAt]:
        return taking_turns(opener(path, "rb", buffering=0))

    return Arm(read, write, open_large)


@contextlib.asynccontextmanager
async def taking_turns(opening: Any) -> AsyncIterator[ReadAt]:
    """A file whose position the tasks share."""
    lock = asyncio.Lock()
    async with opening as file:

        async def read_at(size: int, offset: int) -> object:
            async with lock:
                await file.seek(offset)
                return await file.read(size)

        yield read_at


def aiofiles_arm() -> Arm:
    aiofiles_os = importlib.import_module("aiofiles.os")
    return replace(
        with_open_files(importlib.import_module("aiofiles").open),
        stat=aiofiles_os.stat,
        mkdir=aiofiles_os.mkdir,
        rename=aiofiles_os.rename,
        remove=aiofiles_os.remove,
    )


def anyio_arm() -> Arm:
    anyio = importlib.import_module("anyio")

    @contextlib.asynccontextmanager
    async def open_large(path: str) -> AsyncIterator[ReadAt]:
        async with taking_turns(await anyio.open_file(path, "rb", buffering=0)) as read_at:
            yield read_at

    return Arm(
        lambda path: anyio.Path(path).read_bytes(),
        lambda path, data: anyio.Path(path).write_bytes(data),
        open_large,
        lambda path: anyio.Path(path).stat(),
        lambda path: anyio.Path(path).mkdir(),
        lambda path, target: anyio.Path(path).rename(target),
        lambda path: anyio.Path(path).unlink(),
    )


def plain_read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def plain_write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def bare_read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, SMALL_BYTES)
    finally:
        os.close(fd)


def bare_write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def with_plain_calls(wrap: Callable[[Callable[..., Any]], Callable[..., Awaitable[Any]]]) -> Arm:
    """Python's own calls, each made awaitable by `wrap`."""

    @contextlib.asynccontextmanager
    async def open_large(path: str) -> AsyncIterator[ReadAt]:
        fd = os.open(path, os.O_RDONLY)
        try:
            yield wrap(lambda size, offset: os.pread(fd, size, offset))
        finally:
            os.close(fd)

    return Arm(
        wrap(plain_read),
        wrap(plain_write),
        open_large,
        wrap(os.stat),
        wrap(os.mkdir),
        wrap(os.rename),
        wrap(os.remove),
    )


def in_a_thread(call: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    return functools.partial(asyncio.to_thread, call)


def on_the_loop(call: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def blocking(*args: Any) -> Any:
        return call(*args)

    return blocking


def find_arms(console: Console) -> dict[str, Arm]:
    arms = {
        OURS: Arm(
            fs.read_file,
            fs.write_file,
            open_with_offsets,
            fs.stat,
            fs.mkdir,
            fs.rename,
            fs.remove,
        ),
        "blitzio.fs.open": with_open_files(fs.open),
    }
    for name, make in (("aiofiles", aiofiles_arm), ("anyio", anyio_arm)):
        if importlib.util.find_spec(name) is None:
            console.print(f"[yellow]{name} is not installed: left out")
        else:
            arms[name] = make()
    arms["to_thread"] = with_plain_calls(in_a_thread)
    arms["blocking"] = with_plain_calls(on_the_loop)
    arms[FLOOR] = replace(
        arms["blocking"], read=on_the_loop(bare_read), write=on_the_loop(bare_write)
    )
    return arms


# ---- the work ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where the arms work."""

    folder: Path
    data: bytes
    offsets: tuple[int, ...]
    target: str = ""  # a folder of the arm's own

    def small(self, index: int) -> str:
        """A file that is there all the time."""
        return f"{self.folder}/small{index}"

    def own(self, index: int) -> str:
        return f"{self.target}/own{index}"

    def moved(self, index: int) -> str:
        return f"{self.target}/moved{index}"

    @property
    def large(self) -> str:
        return f"{self.folder}/large"


def work_of(work: str, arm: Arm, place: Place, ops: int) -> Work | None:
    """Nothing if the arm has no way of its own to do it."""
    calls: dict[str, Callable[..., Awaitable[object]] | None] = {
        "read": arm.read,
        "replace": arm.write,
        "create": arm.write,
        "stat": arm.stat,
        "mkdir": arm.mkdir,
        "rename": arm.rename,
        "remove": arm.remove,
    }
    arguments: dict[str, Callable[[int], tuple[Any, ...]]] = {
        "read": lambda index: (place.small(index),),
        "replace": lambda index: (place.small(index), place.data),
        "create": lambda index: (place.own(index), place.data),
        "stat": lambda index: (place.small(index),),
        "mkdir": lambda index: (place.own(index),),
        "rename": lambda index: (place.own(index), place.moved(index)),
        "remove": lambda index: (place.own(index),),
    }
    call = calls[work]
    return None if call is None else (call, [arguments[work](index) for index in range(ops)])


@contextlib.asynccontextmanager
async def ready(work: str, arm: Arm, place: Place, ops: int) -> AsyncIterator[Work | None]:
    """Fills the arm's folder, or opens the large file, before the clock runs."""
    if work == "random":
        async with arm.open_large(place.large) as read_at:
            yield read_at, [(SMALL_BYTES, offset) for offset in place.offsets[:ops]]
        return
    if work in ("rename", "remove"):
        for index in range(ops):
            plain_write(place.own(index), b"")
    yield work_of(work, arm, place, ops)


#: What is compared, and what it is called in the table.
WORKS = {
    "read": "read files of 4 KiB, whole",
    "replace": "replace files of 4 KiB",
    "create": "create files of 4 KiB",
    "random": "4 KiB at random of 64 MiB",
    "stat": "stat",
    "mkdir": "mkdir",
    "rename": "rename",
    "remove": "remove",
}


# ---- measuring ---------------------------------------------------------------------------------


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


async def run_one(arm: Arm, place: Place, work: str, ops: int, depth: int) -> float | None:
    """Seconds for `ops` operations by `depth` tasks."""
    own = replace(place, target=tempfile.mkdtemp(dir=place.folder))
    async with ready(work, arm, own, ops) as todo:
        if todo is None:
            return None
        await asyncio.to_thread(os.sync)
        call, arguments = todo
        left = iter(arguments)

        async def worker() -> None:
            for each in left:
                await call(*each)

        begin = time.perf_counter()
        if depth == 1:
            await worker()
        else:
            await asyncio.gather(*(worker() for _ in range(depth)))
        return time.perf_counter() - begin


def measure(
    factory: Callable[[], asyncio.AbstractEventLoop],
    arm: Arm,
    place: Place,
    work: str,
    ops: int,
    depth: int,
) -> float | None:
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
    return None if seconds is None else seconds / ops * 1e6


def compare(
    place: Place, args: argparse.Namespace, console: Console
) -> dict[str, dict[str, list[float]]]:
    """Samples of each row ("work, loop, depth"), by arm."""
    loops, arms = find_loops(console), find_arms(console)
    if args.loop:
        loops = {args.loop: loops[args.loop]}
    rows = list(itertools.product(args.work or WORKS, loops, args.depth or DEPTHS))
    samples: dict[str, dict[str, list[float]]] = {}
    with Progress(console=console, transient=True) as progress:
        job = progress.add_task("measuring", total=len(rows) * len(arms) * args.rounds)
        for work, loop, depth in rows:
            row = samples[f"{WORKS[work]}, {loop}, depth {depth}"] = {name: [] for name in arms}
            names = list(arms)
            for round_number in range(args.rounds):
                turn = round_number % len(names)
                for name in names[turn:] + names[:turn]:
                    progress.advance(job)
                    value = measure(loops[loop], arms[name], place, work, args.files, depth)
                    if value is not None:
                        row[name].append(value)
    return samples


def report(samples: dict[str, dict[str, list[float]]], console: Console) -> None:
    arms = list(next(iter(samples.values())))
    peers = [name for name in arms if not name.startswith("blitzio")]
    table = Table(title=f"median µs per operation; lead = peer's time / {OURS}'s")
    table.add_column("work")
    for name in arms:
        table.add_column(name, justify="right")
    for name in peers:
        table.add_column(f"over\n{name}", justify="right")
    # What blitzio would have if it took no longer than the floor.
    over = next((name for name in peers if name != FLOOR), FLOOR)
    table.add_column(f"{FLOOR}'s lead\nover {over}", justify="right")
    for title, row in samples.items():
        cells = [f"{statistics.median(row[name]):.2f}" if row[name] else "" for name in arms]
        cells += [lead(row[name], row[OURS]) for name in peers]
        table.add_row(title, *cells, lead(row[over], row[FLOOR]))
    console.print(table)


def lead(slow: list[float], fast: list[float]) -> str:
    return f"{statistics.median(a / b for a, b in zip(slow, fast, strict=True)):.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("work", nargs="*", help=f"of: {', '.join(WORKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds per arm")
    parser.add_argument("--files", type=int, default=10_000, help="operations of a round")
    parser.add_argument("--loop", choices=("asyncio", "blitzio", "uvloop"), help="on this one only")
    parser.add_argument(
        "--depth", type=int, action="append", help=f"tasks at a time (default: {DEPTHS})"
    )
    parser.add_argument("--folder", help="where files are made (default: the system's)")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    args = parser.parse_args()
    unknown = sorted(set(args.work) - set(WORKS))
    if unknown:
        parser.error(f"no such work: {', '.join(unknown)}; there are: {', '.join(WORKS)}")
    if args.rounds < 1 or args.files < 1 or min(args.depth or DEPTHS) < 1:
        parser.error("--rounds, --files and --depth must be at least 1")
    console = Console(width=None if sys.stdout.isatty() else 200)
    if args.loop and args.loop not in find_loops(console):
        parser.error(f"--loop {args.loop} is not installed")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        chance = random.Random(7)
        offsets = tuple(
            chance.randrange(LARGE_BYTES // SMALL_BYTES) * SMALL_BYTES for _ in range(args.files)
        )
        place = Place(Path(folder), os.urandom(SMALL_BYTES), offsets)
        for index in range(args.files):
            plain_write(place.small(index), place.data)
        plain_write(place.large, os.urandom(LARGE_BYTES))
        samples = compare(place, args, console)
    report(samples, console)
    if args.json:
        args.json.write_text(json.dumps(samples, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
