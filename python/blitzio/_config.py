"""`Config`: what a loop, or a runtime with its loops, is built from.

A frozen value, checked when it is made, so that a mistake shows at the line that made it and not in
the kernel's answer. The limits are those of the driver (io_uring wants powers of two).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace

STRATEGIES = ("auto", "work_stealing", "thread_per_core", "single_threaded")
AFFINITIES = ("auto", "none", "sequential")
BACKENDS = ("auto", "io_uring", "epoll", "poll")
BACKEND_VARIABLE = "BLITZIO_BACKEND"

_RING_ENTRIES_MAX = 32_768
_BUFFER_BYTES_MIN = 256
_BUFFER_BYTES_MAX = 1 << 20
_BUFFER_COUNT_MAX = 32_768
_WORKERS_MAX = 64
#: Without the GIL threads run Python at the same time.
_RUNS_PARALLEL = not getattr(sys, "_is_gil_enabled", lambda: True)()
_STACK_BYTES_MIN = 32_768
_BLOCKING_THREADS_MAX = 32_768


@dataclass(frozen=True)
class Config:
    """Options of a loop and of a Runtime; a loop looks at the first five only.

    Args:
        backend: "io_uring", "epoll", "poll", or "auto": what the environment's `BLITZIO_BACKEND`
            says, else the best backend that works here.
        ring_entries: submission entries of io_uring; 0 for the default, else a power of two up to
            32,768.
        buffer_bytes: size of each receive buffer the kernel may fill; a power of two from 256 to
            1 MiB.
        buffer_count: receive buffers to begin with; a power of two.
        buffer_count_max: receive buffers the loop may grow to; a power of two, not below
            `buffer_count`.
        workers: threads of a Runtime that run coroutines, up to 64. 0: one for each processor that
            the process may use if Python runs without the GIL, else one: with the GIL more of them
            are slower, for one runs at a time.
        strategy: "work_stealing": work that has not started moves to an idle worker;
            "thread_per_core": it stays where it was spawned; "single_threaded": one worker; "auto":
            single_threaded with one worker, else work_stealing.
        affinity: "sequential": worker i runs on the i-th processor; "none": wherever the kernel
            puts it; "auto": sequential with thread_per_core, else none.
        stack_bytes: the stack of a worker's thread; 0: the system's default, else at least 32,768.
        blocking_threads_max: threads for `spawn_blocking`, 1 to 32,768.
        blocking_keep_alive: seconds that such a thread stays without work.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: a value is out of range.
    """

    backend: str = "auto"
    ring_entries: int = 0
    buffer_bytes: int = 16_384
    buffer_count: int = 64
    buffer_count_max: int = 4_096
    workers: int = 0
    strategy: str = "auto"
    affinity: str = "auto"
    stack_bytes: int = 0
    blocking_threads_max: int = 512
    blocking_keep_alive: float = 10.0

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
        self._check_choice("strategy", STRATEGIES)
        self._check_choice("affinity", AFFINITIES)
        self._check_range("workers", 0, _WORKERS_MAX)
        if self.strategy == "single_threaded" and self.workers > 1:
            raise ValueError(f"workers must be 0 or 1 with single_threaded, not {self.workers}")
        self._check_range("stack_bytes", _STACK_BYTES_MIN, sys.maxsize, zero_is_default=True)
        self._check_range("blocking_threads_max", 1, _BLOCKING_THREADS_MAX)
        keep_alive = self.blocking_keep_alive
        if not isinstance(keep_alive, (int, float)) or isinstance(keep_alive, bool):
            raise TypeError(
                f"blocking_keep_alive must be seconds as a number, not {type(keep_alive).__name__}"
            )
        if not keep_alive >= 0:
            raise ValueError(f"blocking_keep_alive must not be negative, not {keep_alive}")

    def resolve_backend(self) -> str:
        """The backend to ask the driver for: `backend`, or the environment's choice for "auto".

        Raises:
            ValueError: `BLITZIO_BACKEND` is set to something that is no backend.
        """
        if self.backend != "auto":
            return self.backend
        chosen = os.environ.get(BACKEND_VARIABLE, "")
        if not chosen:
            return "auto"
        if chosen not in BACKENDS:
            raise ValueError(
                f"environment variable {BACKEND_VARIABLE} must be one of {_choices(BACKENDS)}, "
                f"not {chosen!r}"
            )
        return chosen

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

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, not {type(value).__name__}")
        if value not in choices:
            raise ValueError(f"{name} must be one of {_choices(choices)}, not {value!r}")

    def _check_int(self, name: str) -> int:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an int, not {type(value).__name__}")
        return value

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


def _choices(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names))
