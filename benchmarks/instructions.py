#!/usr/bin/env python3
"""What an operation of the loop costs in instructions, counted by valgrind's callgrind.

Unlike time, that does not depend on what else the machine does, and hardly on the processor. All
workloads run in one process under callgrind, which writes down its counters at each call of
getppid(2): before and after what is timed. Each runs in two lengths, of which the shorter is taken
off: what happens once does not count.

Counted are all instructions, most of which are the interpreter's, and apart from them the
extension's own: a tenth more of those is some per cent of an operation of tasks. What is counted
depends on who compiled it. So with `--check`, which fails if one needs 5 % more than was recorded,
all instructions are looked at on the very build of CPython that they were recorded with, the
extension's own on any build of that version, and nothing if another compiler made the extension.

On epoll alone: valgrind knows no io_uring, and little differs here.

    python benchmarks/instructions.py --check
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from demo.loops import loop_factory
from rich.console import Console
from rich.table import Table
from workloads import Bench, load_all

if TYPE_CHECKING:
    from collections.abc import Iterator


class Count(NamedTuple):
    """Instructions per operation."""

    own: float  #: The extension's.
    all: float


ARM = "blitzio-epoll"
#: What was counted with these.
RECORDED_PYTHON = "3.11.7 (main, May  9 2026, 07:35:25) [GCC 12.2.0]"
RECORDED_GCC = 12
RECORDED: dict[str, Count] = {
    "sleep_0": Count(own=427, all=4905),
    "task": Count(own=1337, all=14657),
    "queue": Count(own=1320, all=29258),
    "call_soon": Count(own=456, all=1317),
    # Here each reads the clock: valgrind takes too long for cycles to be counted from a reading.
    # See src/blitzio/base/deadline_clock.hpp.
    "timer_cancel": Count(own=512, all=1630),
    "echo_1k": Count(own=2625, all=6291),
    "header_body": Count(own=2926, all=8717),
    "streams_readline": Count(own=3988, all=47043),
    "tls_1k": Count(own=3826, all=56657),
    "udp_echo": Count(own=2674, all=5549),
    "sock_echo": Count(own=5834, all=24630),
    "connect_close": Count(own=11933, all=46081),
    "tls_connect": Count(own=26350, all=8932801),
    "call_soon_threadsafe": Count(own=450, all=1234),
    "timeout": Count(own=1301, all=26026),
}
#: What may come on top.
MARGIN = 1.05

#: How often a workload that passes its ceiling is counted: on a busy machine data may come late,
#: which costs waits; what an operation needs is the least of all.
ATTEMPTS = 3

#: The operations of a workload's two runs. The longer is long enough for a collection or two of the
#: garbage collector to be an even share.
LENGTHS_DEFAULT = (100, 1100)
#: Of those that take long under valgrind.
LENGTHS = {
    "tls_1k": (20, 220),
    "tls_connect": (20, 120),
    "connect_close": (20, 220),
    "sock_echo": (50, 550),
}

_COUNTED = re.compile(r"[\d+*-]\S* (\d+)$")
_COMPILER = re.compile(rb"GCC: \([^)]*\) (\d+)\.")


# ---- the process that is counted -----------------------------------------------------------------


class MarkedBench(Bench):
    """Marks what is timed by a call that nothing else makes."""

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        gc.collect()
        os.getppid()
        yield
        os.getppid()


def run_workloads(names: list[str]) -> None:
    for name in names:
        for operations in LENGTHS.get(name, LENGTHS_DEFAULT):
            loop = loop_factory(ARM)()
            asyncio.set_event_loop(loop)
            loop.run_until_complete(load_all()[name].run(MarkedBench(operations)))
            loop.close()


# ---- the process that counts ---------------------------------------------------------------------


def count(names: list[str]) -> dict[str, Count]:
    """Returns what each workload costs."""
    counted: dict[str, Count] = {}
    for _ in range(ATTEMPTS):
        for name, again in count_once(names).items():
            before = counted.get(name, again)
            counted[name] = Count(min(before.own, again.own), min(before.all, again.all))
        names = [name for name in names if excesses(name, counted[name])]
        if not names:
            break
    return counted


def count_once(names: list[str]) -> dict[str, Count]:
    """Runs the workloads under callgrind."""
    with tempfile.TemporaryDirectory(prefix="blitzio-instructions-") as folder:
        profile = Path(folder) / "profile"
        subprocess.run(
            [
                *("valgrind", "--tool=callgrind", "--dump-before=getppid"),
                *(f"--log-file={profile}.log", f"--callgrind-out-file={profile}"),
                *(sys.executable, __file__, "--only", *names),
            ],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "PYTHONHASHSEED": "0",
            },
            check=True,
        )
        # Each second one ends with what was timed; those between are everything else.
        timed = [
            read_profile(profile.with_name(f"profile.{number}"))
            for number in range(2, 4 * len(names) + 1, 2)
        ]
    counted = {}
    for name, short, long in zip(names, timed[::2], timed[1::2], strict=True):
        fewer, more = LENGTHS.get(name, LENGTHS_DEFAULT)
        each = more - fewer
        counted[name] = Count((long.own - short.own) / each, (long.all - short.all) / each)
    return counted


def read_profile(path: Path) -> Count:
    """Adds up a file of callgrind's (its manual has the format)."""
    own = total = 0
    objects: dict[str, bool] = {}  # Whether an object, by its number, is the extension.
    is_own = is_call = False
    for line in path.read_text().splitlines():
        if match := re.match(r"(c?)ob=\((\d+)\)(?: (.*))?", line):
            called, number, name = match.groups()
            if name is not None:
                objects[number] = Path(name).name.startswith("_native.")
            if not called:
                is_own = objects[number]
        elif line.startswith("calls="):
            is_call = True  # The line below is what the called function cost.
        elif match := _COUNTED.match(line):
            if not is_call:
                total += int(match[1])
                own += int(match[1]) if is_own else 0
            is_call = False
    return Count(own, total)


def compiler() -> int | None:
    """Returns the version of the GCC that made the extension, if it was one."""
    from blitzio import _native

    file = _native.__file__
    assert file is not None
    match = _COMPILER.search(Path(file).read_bytes())
    return int(match[1]) if match else None


def excesses(name: str, counted: Count) -> list[str]:
    """What passes its ceiling, as far as ceilings hold here."""
    if name not in RECORDED or not is_comparable():
        return []
    parts = [("the extension's", counted.own, RECORDED[name].own)]
    if sys.version == RECORDED_PYTHON:
        parts.append(("all", counted.all, RECORDED[name].all))
    return [
        f"{name}, {part}: {now:.0f}, was {before:.0f}"
        for part, now, before in parts
        if now > before * MARGIN
    ]


@functools.cache
def is_comparable() -> bool:
    """Whether the extension consists of about the instructions that were recorded."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}."
    return RECORDED_PYTHON.startswith(version) and compiler() == RECORDED_GCC


def remark() -> str:
    """What keeps all ceilings, or those of all instructions, from being looked at; or nothing."""
    if not is_comparable():
        return (
            f"nothing to compare: recorded with CPython {RECORDED_PYTHON.split()[0]} and GCC"
            f" {RECORDED_GCC}, this is CPython {sys.version.split()[0]} and GCC {compiler()}"
        )
    if sys.version != RECORDED_PYTHON:
        return (
            f"only the extension's own are compared: recorded with CPython {RECORDED_PYTHON},"
            f" this is {sys.version}"
        )
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument(
        "work", nargs="*", help="workloads of benchmarks/loops.py (default: all with a ceiling)"
    )
    parser.add_argument("--check", action="store_true", help="fail if a ceiling is passed")
    parser.add_argument(
        "--can-check", action="store_true", help="only say whether there is a ceiling: yes or no"
    )
    parser.add_argument("--only", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        run_workloads(args.only)
        return 0
    console = Console(width=None if sys.stdout.isatty() else 110)
    if text := remark():
        console.print(text, markup=False)
    if args.can_check:
        print("yes" if is_comparable() else "no")
        return 0
    names = args.work or list(RECORDED)
    if unknown := sorted(set(names) - set(load_all())):
        parser.error(f"no such work: {', '.join(unknown)}")
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed")
    table = Table(title="instructions per operation")
    table.add_column("work", no_wrap=True)
    for column in ("the extension's", "recorded", "all", "recorded"):
        table.add_column(column, justify="right")
    passed = []
    for name, counted in count(names).items():
        cells = [
            text
            for now, before in zip(counted, RECORDED.get(name, (None, None)), strict=True)
            for text in (f"{now:.0f}", "" if before is None else f"{before:.0f}")
        ]
        table.add_row(name, *cells)
        passed += excesses(name, counted)
    console.print(table)
    for line in passed:
        console.print(f"[red]more instructions than before: {line}")
    return 1 if args.check and passed else 0


if __name__ == "__main__":
    sys.exit(main())
