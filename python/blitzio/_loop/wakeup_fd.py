"""The process's one wake-up fd, and which loop has it.

`signal.set_wakeup_fd` knows a single descriptor, but several loops may want it: one that runs, and
others that stand still with handlers added. They queue here. The one that runs last has the fd,
since it is the one that may sleep; whoever reads a signal's number hands it to every loop in the
queue that has a handler for it, or else to the fd that was there before the first of ours.

    _loops:   [ with handlers … | running … ]      the last one has the fd
    _foreign: what was installed before, or what somebody else installed since; -1 for none

Main thread of the main interpreter only, as CPython demands of set_wakeup_fd: it raises ValueError
elsewhere, before anything has changed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class SignalLoop(Protocol):
        """What a loop must have to take part."""

        _signal_pipe: tuple[int, int] | None  # (receiver, sender)
        _runs_with_signals: bool

        def _handle_signal(self, number: int) -> bool:
            """Schedules the callback; False if there is none."""

        def _read_signals(self) -> None:
            """Hands what was written to its fd to deliver()."""


logger = logging.getLogger("asyncio")

_loops: list[SignalLoop] = []
_foreign = -1


def take(loop: SignalLoop) -> None:
    """Puts `loop` into the queue, or to its new place there, and installs the last one's fd."""
    global _foreign
    others = [other for other in _loops if other is not loop]
    if loop._runs_with_signals:
        queue = [*others, loop]
    else:
        running = [other for other in others if other._runs_with_signals]
        queue = [*(other for other in others if not other._runs_with_signals), loop, *running]
    previous = signal.set_wakeup_fd(_fd(queue[-1]), warn_on_full_buffer=False)
    # Mostly there was none, which spares a loop that begins a run the making of a set.
    if previous < 0 or previous not in {_fd(known) for known in (*_loops, *queue)}:
        _foreign = previous
    _loops[:] = queue


def release(loop: SignalLoop) -> None:
    """Takes `loop` out of the queue; the one before it, or the foreign fd, gets its place."""
    if loop not in _loops:
        return
    if _loops[-1] is loop:
        successor = _fd(_loops[-2]) if len(_loops) > 1 else _foreign
        try:
            previous = signal.set_wakeup_fd(successor, warn_on_full_buffer=len(_loops) == 1)
        except OSError as exc:
            logger.info("set_wakeup_fd(%d) failed: %s", successor, exc)
            previous = signal.set_wakeup_fd(-1)
        except ValueError as exc:
            # Either not the main thread, and nothing can be done here; or that fd was closed.
            logger.info("set_wakeup_fd(%d) failed: %s", successor, exc)
            previous = signal.set_wakeup_fd(-1)
        if previous != _fd(loop) and previous not in {_fd(known) for known in _loops}:
            signal.set_wakeup_fd(previous)  # Somebody else took it over; it stays theirs.
    _loops.remove(loop)


def read() -> None:
    """Has what was written to the fd handed out, if it is one of ours."""
    if _loops:
        _loops[-1]._read_signals()


def deliver(number: int) -> None:
    """Hands a signal to the loops that have a handler for it, or to the foreign fd."""
    handled = [loop._handle_signal(number) for loop in tuple(_loops)]
    if any(handled) or _foreign < 0:
        return
    with contextlib.suppress(OSError):  # Closed or full: as when the C level writes there.
        os.write(_foreign, bytes((number,)))


def _fd(loop: SignalLoop) -> int:
    assert loop._signal_pipe is not None
    return loop._signal_pipe[1]


def disown(loop: SignalLoop) -> None:
    """In a forked child: its signals must not be written to a pipe that the parent reads."""
    if loop not in _loops:
        return
    _loops.remove(loop)
    current = signal.set_wakeup_fd(-1)
    if current != _fd(loop):
        signal.set_wakeup_fd(current)  # Another loop's, which has its turn, or a stranger's.
