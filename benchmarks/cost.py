#!/usr/bin/env python3
"""What an operation of the loop costs in system calls, counted exactly.

Time is no measure on a machine that others use; the number of system calls is the same everywhere.
Each workload runs once in a process of its own, whose main thread this one traces (ptrace): every
system call between two marks counts. With `--check` the status is 1 if one needs more than it did
when its limit was set, which is what continuous integration asks. That a message on one of
thousands of connections costs no more than on one of a few is asked as well.

    python benchmarks/cost.py --check
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from demo.arms import usable_loops
from demo.loops import loop_factory
from rich.console import Console
from rich.table import Table
from workloads import Bench, load_all, workload
from workloads.transports import round_trips

if TYPE_CHECKING:
    from collections.abc import Iterator

#: System calls per operation. What a limit leaves beyond what was counted is for growing memory and
#: for data that comes a moment late: it never makes up for a call per operation.
#: Those of tasks are CPython's own getpid(), up to 3.11 one in each get_running_loop(); "executor"
#: is about 2, and one more for each time that the interpreter's lock is not to be had at once.
SLACK = 0.3
LIMITS: dict[str, dict[str, float]] = {
    "blitzio-epoll": {
        "echo_1k": 6,
        "echo_1k_100": 4.4,
        "echo_1k_many": 4.2,
        "header_body": 6,
        "echo_100k": 6.2,
        "bulk": 0.85,
        "unix_echo": 6,
        "tls_1k": 6,
        "tls_bulk": 6.3,
        "streams_readline": 8,
        "sock_echo": 12,
        "reader": 3,
        "udp_echo": 6.3,
        "connect_close": 22,
        "tls_connect": 49.3,  # 12 to 15 are OpenSSL's getpid(), by its version.
        "getaddrinfo": 0,
        "call_soon": 0,
        "call_soon_threadsafe": 0,
        "timer_cancel": 0,
        "timer_fire": 0,
        "sleep_0": 0,
        "task": 1,
        "queue": 2,
        "timeout": 3,
        "executor": 4,
        "child_pipe": 3,
    },
    "blitzio-io_uring": {
        "echo_1k": 4,
        "echo_1k_100": 2.9,
        "echo_1k_many": 4.1,  # One message on each, and the first two are received by recv().
        "header_body": 4,
        "echo_100k": 6.2,
        "bulk": 0.85,
        "unix_echo": 4,
        "tls_1k": 4,
        "tls_bulk": 6.3,
        "streams_readline": 4,
        "sock_echo": 8,
        "reader": 3,
        "udp_echo": 8,
        "connect_close": 19,  # One for what may have come before its maker hears of it.
        "tls_connect": 45.3,
        "getaddrinfo": 0,
        "call_soon": 0,
        "call_soon_threadsafe": 0,
        "timer_cancel": 0,
        "timer_fire": 0,
        "sleep_0": 0,
        "task": 1,
        "queue": 2,
        "timeout": 3,
        "executor": 4,
        "child_pipe": 2,
    },
}
#: Connections of "echo_1k_many", and the descriptors that they and all else take.
MANY = 9_000
MANY_DESCRIPTORS = 2 * MANY + 200
OPERATIONS = {
    "echo_1k_many": MANY,
    "connect_close": 100,
    "tls_connect": 100,
    "executor": 300,
    "echo_100k": 100,
    "bulk": 100,
    "tls_bulk": 50,
}
OPERATIONS_DEFAULT = 500

#: How often a workload that passes its limit is counted: on a busy machine data may come late for
#: many operations, which costs waits; what an operation needs is the least of all.
ATTEMPTS = 3

#: The signal that marks the beginning: up to then the process need not stop at each call.
BEGIN = signal.SIGSTOP
#: The first argument of the call that marks the end: no descriptor has this number.
END = 0x7B1E55

PTRACE_TRACEME = 0
PTRACE_CONT = 7
PTRACE_SYSCALL = 24
PTRACE_SETOPTIONS = 0x4200
PTRACE_GET_SYSCALL_INFO = 0x420E
PTRACE_O_TRACESYSGOOD = 1
PTRACE_O_EXITKILL = 0x100000
STOPPED_IN_SYSCALL = signal.SIGTRAP | 0x80


class SyscallInfo(ctypes.Structure):
    """struct ptrace_syscall_info, as far as it concerns the entry of a call."""

    _fields_ = (
        ("operation", ctypes.c_uint8),
        ("_padding", ctypes.c_uint8 * 3),
        ("_architecture", ctypes.c_uint32),
        ("_instruction", ctypes.c_uint64),
        ("_stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
    )

    ENTRY = 1


libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
libc.ptrace.restype = ctypes.c_long


def ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    if libc.ptrace(request, pid, address, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"ptrace({request}): {os.strerror(code)}")


# ---- the process that is counted -----------------------------------------------------------------


@workload("echo_1k_many", "1 KiB echo, 9,000 connections", "round trip", MANY)
async def echo_1k_many(bench: Bench) -> None:
    await round_trips(bench, b"x" * 1024, MANY)


class MarkedBench(Bench):
    """Marks what is timed for whoever traces."""

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        signal.raise_signal(BEGIN)  # Reaches nobody: the tracer keeps it.
        yield
        with contextlib.suppress(OSError):
            os.close(END)


def allow_many_descriptors() -> bool:
    """Whether this process may have as many as the most connections take."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard >= MANY_DESCRIPTORS


def run_workload(name: str, arm: str, operations: int) -> None:
    loop = loop_factory(arm)()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(load_all()[name].run(MarkedBench(operations)))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


# ---- the process that counts ---------------------------------------------------------------------


def count_system_calls(name: str, arm: str, operations: int) -> int:
    """Runs the workload; returns how many system calls its main thread made in the timed part."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--only", name, arm, str(operations)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: ptrace(PTRACE_TRACEME, 0),
    )
    try:
        return _trace(process.pid)
    finally:
        process.returncode = 0  # Reaped by _trace(), or killed with the tracer.


def _trace(pid: int) -> int:
    os.waitpid(pid, 0)  # It stops at exec.
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)
    info = SyscallInfo()
    count = marks = deliver = 0
    while True:
        ptrace(PTRACE_SYSCALL if marks == 1 else PTRACE_CONT, pid, 0, deliver)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            break
        deliver = 0
        if os.WSTOPSIG(status) == BEGIN:
            marks += 1
            continue
        if os.WSTOPSIG(status) != STOPPED_IN_SYSCALL:
            deliver = os.WSTOPSIG(status)
            continue
        ptrace(PTRACE_GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info))
        if info.operation != SyscallInfo.ENTRY:
            continue
        if info.arguments[0] == END:
            marks += 1
        else:
            count += 1
    if os.waitstatus_to_exitcode(status) != 0 or marks != 2:
        raise RuntimeError(f"the workload failed: status {status:#x}, {marks} marks")
    return count


def can_trace() -> bool:
    """Whether the system lets a process trace another and count: some containers do not."""
    try:
        count_system_calls("call_soon", "blitzio-epoll", 1)
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return False
    return True


def count_each(name: str, arm: str) -> float:
    """System calls per operation."""
    operations = OPERATIONS.get(name, OPERATIONS_DEFAULT)
    limit = LIMITS.get(arm, {}).get(name, float("inf"))
    least = float("inf")
    for _ in range(ATTEMPTS):
        least = min(least, count_system_calls(name, arm, operations) / operations)
        if least <= limit + SLACK:
            break
    return least


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "work", nargs="*", help="workloads of benchmarks/loops.py (default: all with a limit)"
    )
    parser.add_argument("--loops", help="comma-separated (default: blitzio's)")
    parser.add_argument("--check", action="store_true", help="fail if a limit is passed")
    parser.add_argument(
        "--can-trace", action="store_true", help="only say by the status whether it works here"
    )
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        name, arm, operations = args.only
        allow_many_descriptors()
        run_workload(name, arm, int(operations))
        return 0
    if args.can_trace:
        return 0 if can_trace() else 1
    console = Console(width=None if sys.stdout.isatty() else 110)
    arms = (
        args.loops.split(",") if args.loops else [a for a in usable_loops(console) if a in LIMITS]
    )
    names = args.work or list(dict.fromkeys(name for limits in LIMITS.values() for name in limits))
    if unknown := sorted(set(names) - set(load_all())):
        parser.error(f"no such work: {', '.join(unknown)}")
    if "echo_1k_many" in names and not allow_many_descriptors():
        console.print(f"[yellow]echo_1k_many is left out: it takes {MANY_DESCRIPTORS} open files")
        names.remove("echo_1k_many")
    if sys.version_info < (3, 11) and "timeout" in names:
        names.remove("timeout")
    table = Table(title="system calls per operation")
    table.add_column("work", no_wrap=True)
    for arm in arms:
        table.add_column(arm, justify="right")
    passed = []
    for name in names:
        cells = []
        for arm in arms:
            each = count_each(name, arm)
            limit = LIMITS.get(arm, {}).get(name)
            cells.append(f"{each:.2f}" + (f" of {limit:g}" if limit is not None else ""))
            if limit is not None and each > limit + SLACK:
                passed.append(f"{name} on {arm}: {each:.2f}, was {limit:g}")
        table.add_row(name, *cells)
    console.print(table)
    for line in passed:
        console.print(f"[red]more system calls than before: {line}")
    return 1 if args.check and passed else 0


if __name__ == "__main__":
    sys.exit(main())
