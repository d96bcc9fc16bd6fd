"""Blocking: what must not be left half done in a thread, and who may not block."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from blitzio._duration import Duration, Instant
from blitzio._native import spawn_blocking
from blitzio._runtime.interruption import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable

    from blitzio._duration import Seconds

_T = TypeVar("_T")


async def run_to_its_end(function: Callable[..., _T], /, *args: Any) -> _T:
    """Calls `function(*args)` in a thread where it may block: for what has to happen.

    Cancellation: is delivered when the function has ended.
    """
    try:
        work = spawn_blocking(function, *args)
    except RuntimeError:
        return function(*args)  # There is no thread for it. Here is better than not at all.
    interruption = Interruption()
    while not work.is_finished():
        try:
            with interruption:
                await work._ended()
        except GeneratorExit:
            work.detach()  # Nothing may be awaited any more; it ends by itself.
            raise
    try:
        # Cancelled by its pool, which was shut down before it began.
        return function(*args) if work.cancelled() else await work
    finally:
        del work  # What it raised must not be kept by its own traceback.
        interruption.deliver()


def deadline_of(timeout: Seconds | None) -> Instant | None:
    """When `timeout` is over, of a call for threads; None: never.

    Raises:
        TypeError, ValueError: as the native calls have it.
    """
    if timeout is None:
        return None
    duration = Duration.of(timeout)
    if duration.is_negative():
        raise ValueError(f"timeout must be None or seconds from 0 on, got {timeout!r}")
    return Instant.now() + duration


def time_left(deadline: Instant) -> Duration:
    """Until `deadline`; zero once it is over."""
    return max(deadline - Instant.now(), Duration.ZERO)


def timed_out(name: str, timeout: Seconds) -> TimeoutError:
    """What the call `name` raises when `timeout` is over: as the native calls have it."""
    seconds = Duration.of(timeout).as_secs_f64()
    return TimeoutError(f"{name}() did not end within {seconds:.15g} seconds")


def check_may_block(name: str, instead: str) -> None:
    """Refuses a call that would stop a loop, even if it would not have to wait.

    Raises:
        RuntimeError: an event loop runs in this thread.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            f"{name}() would block the event loop of this thread; use `await {instead}`"
        )
