"""`Config`: what a loop is built from.

A frozen value, checked when it is made, so that a mistake shows at the line that made it and not in
the kernel's answer. The limits are those of the driver (io_uring wants powers of two).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

BACKENDS = ("auto", "io_uring", "epoll", "poll")
BACKEND_VARIABLE = "BLITZIO_BACKEND"

_RING_ENTRIES_MAX = 32_768
_BUFFER_BYTES_MIN = 256
_BUFFER_BYTES_MAX = 1 << 20
_BUFFER_COUNT_MAX = 32_768


@dataclass(frozen=True)
class Config:
    """Options of a loop.

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

    Raises:
        TypeError: a value has the wrong type.
        ValueError: a value is out of range.
    """

    backend: str = "auto"
    ring_entries: int = 0
    buffer_bytes: int = 16_384
    buffer_count: int = 64
    buffer_count_max: int = 4_096

    def __post_init__(self) -> None:
        if not isinstance(self.backend, str):
            raise TypeError(f"backend must be a str, not {type(self.backend).__name__}")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend must be one of {_choices()}, not {self.backend!r}")
        self._check_power_of_two("ring_entries", 1, _RING_ENTRIES_MAX, zero_is_default=True)
        self._check_power_of_two("buffer_bytes", _BUFFER_BYTES_MIN, _BUFFER_BYTES_MAX)
        self._check_power_of_two("buffer_count", 1, _BUFFER_COUNT_MAX)
        self._check_power_of_two("buffer_count_max", 1, _BUFFER_COUNT_MAX)
        if self.buffer_count_max < self.buffer_count:
            raise ValueError(
                f"buffer_count_max ({self.buffer_count_max}) must not be below "
                f"buffer_count ({self.buffer_count})"
            )

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
                f"environment variable {BACKEND_VARIABLE} must be one of {_choices()}, "
                f"not {chosen!r}"
            )
        return chosen

    def _check_power_of_two(
        self, name: str, least: int, most: int, *, zero_is_default: bool = False
    ) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an int, not {type(value).__name__}")
        if zero_is_default and value == 0:
            return
        if not least <= value <= most or value & (value - 1):
            default = "0 or " if zero_is_default else ""
            raise ValueError(
                f"{name} must be {default}a power of two from {least} to {most}, not {value}"
            )


def _choices() -> str:
    return ", ".join(repr(name) for name in BACKENDS)
