"""Who listens for signals beside Python: what a loop that changes a handler has to know of it.

Apart from `SignalStream`, which most loops never see.

Threads: any.
"""

from __future__ import annotations

import os
import threading
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from blitzio._signals import SignalStream

#: The streams that listen.
_open: weakref.WeakSet[SignalStream[Any]] = weakref.WeakSet()
# Reentrant: a handler of Python may run, and make a stream, where its thread has it.
_lock = threading.RLock()


def _after_fork_in_child() -> None:
    global _open, _lock
    # They listen no more; and somebody may have held the lock.
    _open, _lock = weakref.WeakSet(), threading.RLock()


os.register_at_fork(after_in_child=_after_fork_in_child)


def add(stream: SignalStream[Any]) -> None:
    with _lock:
        _open.add(stream)


def discard(stream: SignalStream[Any]) -> None:
    with _lock:
        _open.discard(stream)


def take_back(number: int) -> None:
    """To be called after signal.signal(number, …): streams hear of the signal again."""
    with _lock:
        listening = [stream for stream in _open if number in stream._numbers]
    for stream in listening:
        stream._take_back(number)
