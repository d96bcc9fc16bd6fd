"""The backends, and which one the environment asks for.

Apart from `Config`, which a loop with the default options does without.
"""

from __future__ import annotations

import os

BACKENDS = ("auto", "io_uring", "epoll", "poll")
BACKEND_VARIABLE = "BLITZIO_BACKEND"


def backend_of_environment() -> str:
    """What `BLITZIO_BACKEND` says, else "auto".

    Raises:
        ValueError: it is set to something that is no backend.
    """
    chosen = os.environ.get(BACKEND_VARIABLE, "")
    if not chosen:
        return "auto"
    if chosen not in BACKENDS:
        raise ValueError(
            f"environment variable {BACKEND_VARIABLE} must be one of {choices(BACKENDS)}, "
            f"not {chosen!r}"
        )
    return chosen


def choices(names: tuple[str, ...]) -> str:
    """`names`, as an error lists them."""
    return ", ".join(map(repr, names))
