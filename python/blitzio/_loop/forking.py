"""What becomes of loops in a forked child: they stay the parent's. And of what else has to know.

The child has a copy of each loop, and shares with the parent what the copy stands on: the epoll set
or the ring, the sockets, the wake-up fd for signals. So right after a fork, before any other code
runs there, every loop is disowned:

    open ──────────fork──────────▶ in the child: closed, as far as anybody there can tell
      │                              its methods raise RuntimeError and say why
      └─▶ in the parent: unchanged   a run that forked ends with that error
                                     close() and dropping it free the copies

Whatever a thread may hold that the child does not have is renewed there, not waited for: locks,
and without the GIL, every object has one (`fork_gate.hpp`). So what is remembered here is in a dict
that the child reads without its lock, and replaces. What such a thread had counted stays counted:
a child cannot know what is half done for good.

A child makes its own loop; `asyncio.get_running_loop()` and friends answer as CPython has them do.

And before a fork, other threads finish what they import of this package: much of it is imported
when it is first used, and who used it in the child would wait for a thread that is not there. What
of the extension another thread is making is made anew in the child.

Nor does a thread of a pool start while another forks (`src/python/support/fork_gate.hpp`).

What the loop of the forking thread has gathered to be written leaves before the fork, as it would
have left already with asyncio's: the parent of a daemon ends right behind it, by `os._exit()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
import sys
import threading
import weakref

from blitzio import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    class InChild(Protocol):
        """What has to know that it is a copy in a forked child."""

        def _after_fork(self) -> None:
            """There, before any other code, and before there are other threads."""


_LOCKS = (type(threading.Lock()), type(threading.RLock()))

# By identity: a subclass may define equality as it likes.
_remembered: dict[int, weakref.ref[InChild | threading.Lock | threading.RLock]] = {}
_process = os.getpid()  # whose dict that is


def remember(kept: InChild | threading.Lock | threading.RLock) -> None:
    """Has `kept._after_fork()` called in all descendants that are forked from now on, while it
    lives there; a lock is given back there, whoever has it."""
    number = id(kept)

    def forget(_: object) -> None:
        # CPython drops objects in a child before it calls hooks: then it still is the parent's.
        if os.getpid() == _process:
            _remembered.pop(number, None)

    _remembered[number] = weakref.ref(kept, forget)


class Locked:
    """What has a lock of its own, `_lock`, which nobody holds in a child at first.

    A signal handler, and what the garbage collector ends, may call a method in the middle of
    another one of the same thread: it gets the lock as well, and what is done under it has to bear
    that. CPython runs neither but where something is called, or made.

    Nor does the thread that forked hold it in the child: what forks in the middle of it, as a
    signal handler may, and goes on there finds it given back, and ends with a RuntimeError.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # Not this object, of which, without the GIL, not even an attribute can be had safely there.
        remember(self._lock)


# Of the processes that this one was forked from, by threads that are not here: nobody ends that.
_never_imported: frozenset[str] = frozenset()


# By name: whoever still looks for a module holds its lock, and has not put it into sys.modules.
_module_locks: dict[str, object] = getattr(importlib._bootstrap, "_module_locks", {})


def _being_imported(modules: Iterable[tuple[str, object]], locked: Iterable[str]) -> frozenset[str]:
    # Of modules of others not even an attribute is asked: some are loaded by that.
    begun = {
        name
        for name, module in modules
        if _is_ours(name) and getattr(getattr(module, "__spec__", None), "_initializing", False)
    }
    return frozenset(begun.union(filter(_is_ours, locked)))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "blitzio"


def _before_fork() -> None:
    waited_for = _never_imported
    try:
        while names := (
            _being_imported(list(sys.modules.items()), list(_module_locks)) - waited_for
        ):
            waited_for |= names
            for name in names:
                # Waits for another thread, which is told of errors; this one's is given as is.
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
    finally:
        loop: object = asyncio._get_running_loop()
        # Closed: the copy of a parent's own, which its child has not taken from the thread yet.
        if isinstance(loop, _native.LoopBase) and not loop.is_closed():
            loop._flush()


def _forget_imports() -> None:
    global _never_imported
    entries = _native._entries_in_child(sys.modules)
    locked = _native._entries_in_child(_module_locks)[::2]
    _never_imported |= _being_imported(zip(entries[::2], entries[1::2], strict=True), locked)


def _renew(reference: weakref.ref[Any]) -> None:
    kept = reference()
    if kept is None:
        return
    remember(kept)
    if isinstance(kept, _LOCKS):
        # In its place: without the GIL, storing another takes its owner's own lock.
        kept._at_fork_reinit()  # type: ignore[union-attr]
    else:
        kept._after_fork()


def _renew_remembered() -> None:
    global _process, _remembered
    remembered = _native._entries_in_child(_remembered)
    _remembered, _process = {}, os.getpid()
    _call_all(functools.partial(_renew, reference) for reference in remembered[1::2])


def _call_all(functions: Iterable[Callable[[], object]]) -> None:
    """Calls each, whatever the others raise, and raises the first of that."""
    first: BaseException | None = None
    for function in functions:
        try:
            function()
        except BaseException as error:  # Even an interrupt: the others are to know all the same.
            if first is None:
                first = error
    if first is not None:
        raise first


def _after_fork_in_child() -> None:
    _call_all((_native._forget_maker, _native._after_fork, _renew_remembered, _forget_imports))


# Before a fork the hooks that were registered last are called first, after it the others.
os.register_at_fork(
    before=_native._begin_fork,
    after_in_parent=_native._end_fork_in_parent,
    after_in_child=_native._end_fork_in_child,
)
os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
