"""What benchmarks with a server in a process of its own share: starting it, pinning it, and what
it uses."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from demo.load import LoadError
from demo.loops import LOOPS, loop_factory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console


def cpu_seconds(pid: int) -> float:
    """User and system time of a process; /proc/PID/stat, fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kb(pid: int, field: str = "VmHWM") -> int:
    """The most that a process has had in memory, or with "VmRSS" what it has now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise LoadError(f"process {pid} has no {field}")


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
