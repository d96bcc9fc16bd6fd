"""`Config`: what a loop, or a runtime with its loops, is built from.

A frozen value, checked when it is made, so that a mistake shows at the line that made it and not in
the kernel's answer. The limits are those of the driver (io_uring wants powers of two).
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass, replace

from blitzio._backend import BACKENDS, backend_of_environment, choices

STRATEGIES = ("auto", "work_stealing", "thread_per_core", "single_threaded")
AFFINITIES = ("auto", "none", "sequential")

_RING_ENTRIES_MAX = 32_768
_BUFFER_BYTES_MIN = 256
_BUFFER_BYTES_MAX = 1 << 24
_BUFFER_COUNT_MAX = 32_768
_WORKERS_MAX = 64
#: Without the GIL threads run Python at the same time.
_RUNS_PARALLEL = not getattr(sys, "_is_gil_enabled", lambda: True)()
_STACK_BYTES_MIN, _STACK_BYTES_MAX = 32_768, 1 << 30
_BLOCKING_THREADS_MAX = 32_768
_COMPUTE_THREADS_MAX = 1_024
_TIMER_TICK_MIN, _TIMER_TICK_MAX = 1e-6, 1.0


@dataclass(frozen=True)
class Config:
    """Options of a loop and of a Runtime; a loop looks at those up to `timers_max` only.

    Args:
        backend: "io_uring", "epoll", "poll", or "auto": what the environment's `BLITZIO_BACKEND`
            says, else the best backend that works here.
        ring_entries: submission entries of io_uring; 0: by the machine's memory, 64 to
            256; else a power of two up to 32,768.
        buffer_bytes: size of each receive buffer the kernel may fill; a power of two from 256 to
            16 MiB.
        buffer_count: receive buffers to begin with; a power of two.
        buffer_count_max: receive buffers the loop may grow to; a power of two, not below
            `buffer_count`.
        sqpoll: a thread of the kernel takes io_uring's submissions, so that handing them over costs
            no system call; it keeps a processor busy while there are any. Excludes `defer_taskrun`.
        iopoll: completions of files are polled for. No backend has it: a ring that polls cannot
            wait for sockets, timers and wake-ups.
        single_issuer: io_uring is told that one thread submits, which saves it a lock. This and the
            next four: True insists, False refuses, None takes what the kernel has.
        defer_taskrun: io_uring leaves the rest of its work to the thread that waits. Needs
            `single_issuer`.
        registered_buffers: idle connections hold no receive buffer: the ring has them.
        registered_files: descriptors are registered with the ring, which saves looking them up each
            time, and costs two system calls for each; None does not.
        ring_files: which way `blitzio.fs` goes on the loop. True: what io_uring has an operation
            for goes to the ring, so that the loop's thread calls nothing itself; None: what should
            not wait is done on the spot, and the rest by the ring or in a thread, whichever is
            quicker; False: never by the ring.
        timer_tick: the width of a slot of the timer wheel in seconds, from 1e-6 to 1. Timers fire
            at their deadlines whatever it is.
        timers_max: timers that a loop may have at a time; 0: any number. Beyond, `call_later` and
            `call_at` raise RuntimeError.
        workers: threads of a Runtime that run coroutines, up to 64. 0: one for each processor that
            the process may use if Python runs without the GIL, else one: with the GIL more of them
            are slower, for one runs at a time.
        strategy: "work_stealing": work that has not started moves to an idle worker;
            "thread_per_core": it stays where it was spawned; "single_threaded": one worker; "auto":
            single_threaded with one worker, else work_stealing.
        affinity: "sequential": worker i runs on the i-th processor; "none": wherever the kernel
            puts it; "auto": sequential with thread_per_core, else none.
        stack_bytes: the stack of a worker's thread, 32,768 to 1 GiB; 0: the system's default.
        blocking_threads_max: threads for `spawn_blocking`, 1 to 32,768.
        blocking_keep_alive: seconds that such a thread stays without work.
        compute_threads: threads for `compute` and `parallel_map` on a Runtime, up to 1,024; 0:
            those of the process, one for each processor that it may use.
        task_pooling: whether workers keep the memory of native coroutines that have ended for those
            to come.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: a value is out of range.

    >>> Config(backend="epoll", timers_max=1000).backend
    'epoll'
    """

    backend: str = "auto"
    ring_entries: int = 0
    buffer_bytes: int = 16_384
    buffer_count: int = 16
    buffer_count_max: int = 4_096
    sqpoll: bool = False
    iopoll: bool = False
    single_issuer: bool | None = None
    defer_taskrun: bool | None = None
    registered_buffers: bool | None = None
    registered_files: bool | None = None
    ring_files: bool | None = None
    timer_tick: float = 0.001
    timers_max: int = 0
    workers: int = 0
    strategy: str = "auto"
    affinity: str = "auto"
    stack_bytes: int = 0
    blocking_threads_max: int = 512
    blocking_keep_alive: float = 10.0
    compute_threads: int = 0
    task_pooling: bool = True

    def __post_init__(self) -> None:
        self._check_choice("backend", BACKENDS)
        self._check_power_of_two("ring_entries", 1, _RING_ENTRIES_MAX, zero_is_default=True)
        self._check_power_of_two("buffer_bytes", _BUFFER_BYTES_MIN, _BUFFER_BYTES_MAX)
        self._check_power_of_two("buffer_count", 1, _BUFFER_COUNT_MAX)
        self._check_power_of_two("buffer_count_max", 1, _BUFFER_COUNT_MAX)
        if self.buffer_count_max < self.buffer_count:
            raise ValueError(
                f"buffer_count_max ({self.buffer_count_max}) must not be below "
                f"buffer_count ({self.buffer_count})"
            )
        self._check_io_uring()
        self._check_seconds("timer_tick", _TIMER_TICK_MIN, _TIMER_TICK_MAX)
        self._check_range("timers_max", 0, sys.maxsize)
        self._check_choice("strategy", STRATEGIES)
        self._check_choice("affinity", AFFINITIES)
        self._check_range("workers", 0, _WORKERS_MAX)
        if self.strategy == "single_threaded" and self.workers > 1:
            raise ValueError(f"workers must be 0 or 1 with single_threaded, not {self.workers}")
        self._check_range("stack_bytes", _STACK_BYTES_MIN, _STACK_BYTES_MAX, zero_is_default=True)
        self._check_range("blocking_threads_max", 1, _BLOCKING_THREADS_MAX)
        self._check_seconds("blocking_keep_alive", 0, math.inf)
        self._check_range("compute_threads", 0, _COMPUTE_THREADS_MAX)
        self._check_bool("task_pooling")

    def _check_io_uring(self) -> None:
        """What only io_uring has, and what of it excludes what, whatever the machine."""
        self._check_bool("sqpoll")
        self._check_bool("iopoll")
        uses = (
            "single_issuer",
            "defer_taskrun",
            "registered_buffers",
            "registered_files",
            "ring_files",
        )
        for name in uses:
            self._check_bool(name, or_none=True)
        if self.iopoll:
            raise ValueError(
                "iopoll is had by no backend: a ring that polls for completions cannot wait for "
                "sockets, timers and wake-ups"
            )
        if self.sqpoll and self.defer_taskrun:
            raise ValueError("sqpoll and defer_taskrun exclude each other")
        if self.defer_taskrun and self.single_issuer is False:
            raise ValueError("defer_taskrun needs single_issuer, which is False")
        if self.backend in ("epoll", "poll"):
            for name in ("sqpoll", *uses):
                if getattr(self, name):
                    raise ValueError(f"only io_uring has {name}, and the backend is {self.backend}")

    def resolve_backend(self) -> str:
        """The backend to ask the driver for: `backend`, or the environment's choice for "auto".

        Raises:
            ValueError: `BLITZIO_BACKEND` is set to something that is no backend.
        """
        return backend_of_environment() if self.backend == "auto" else self.backend

    def resolve(self) -> Config:
        """The same with every 0 and "auto" of a Runtime replaced by what it stands for here."""
        workers = self.workers
        if self.strategy == "single_threaded" or (workers == 0 and not _RUNS_PARALLEL):
            workers = workers or 1
        elif workers == 0:
            workers = min(len(os.sched_getaffinity(0)), _WORKERS_MAX)
        strategy = self.strategy
        if strategy == "auto":
            strategy = "single_threaded" if workers == 1 else "work_stealing"
        affinity = self.affinity
        if affinity == "auto":
            affinity = "sequential" if strategy == "thread_per_core" else "none"
        return replace(self, workers=workers, strategy=strategy, affinity=affinity)

    def _check_choice(self, name: str, allowed: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, not {type(value).__name__}")
        if value not in allowed:
            raise ValueError(f"{name} must be one of {choices(allowed)}, not {value!r}")

    def _check_int(self, name: str) -> int:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an int, not {type(value).__name__}")
        return value

    def _check_bool(self, name: str, *, or_none: bool = False) -> None:
        value = getattr(self, name)
        if not isinstance(value, bool) and not (or_none and value is None):
            wanted = "a bool or None" if or_none else "a bool"
            raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}")

    def _check_seconds(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError(f"{name} must be seconds as a number, not {type(value).__name__}")
        if not value >= least and most == math.inf:
            raise ValueError(f"{name} must not be negative, not {value}")
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most} seconds, not {value}")

    def _check_range(
        self, name: str, least: int, most: int, *, zero_is_default: bool = False
    ) -> None:
        value = self._check_int(name)
        if zero_is_default and value == 0:
            return
        if not least <= value <= most:
            default = "0 or " if zero_is_default else ""
            raise ValueError(f"{name} must be {default}from {least} to {most}, not {value}")

    def _check_power_of_two(
        self, name: str, least: int, most: int, *, zero_is_default: bool = False
    ) -> None:
        value = self._check_int(name)
        if zero_is_default and value == 0:
            return
        if not least <= value <= most or value & (value - 1):
            default = "0 or " if zero_is_default else ""
            raise ValueError(
                f"{name} must be {default}a power of two from {least} to {most}, not {value}"
            )
