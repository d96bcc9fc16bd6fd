"""What becomes of loops in a forked child: they stay the parent's.

The child has a copy of each loop, and shares with the parent what the copy stands on: the epoll set
or the ring, the sockets, the wake-up fd for signals. So right after a fork, before any other code
runs there, every loop is disowned:

    open ──────────fork──────────▶ in the child: closed, as far as anybody there can tell
      │                              its methods raise RuntimeError and say why
      └─▶ in the parent: unchanged   a run that forked ends with that error
                                     close() and dropping it free the copies

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
import importlib
import os
import sys
import weakref

from blitzio import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from blitzio._loop.running import RunningMixin

# By identity: a subclass may define equality as it likes.
_loops: weakref.WeakValueDictionary[int, RunningMixin] = weakref.WeakValueDictionary()


def remember(loop: RunningMixin) -> None:
    """Has `loop` disowned in children that are forked from now on."""
    _loops[id(loop)] = loop


# Of the process that this one was forked from, by a thread that is not here: nobody ends that.
_never_imported: set[str] = set()


def _being_imported() -> set[str]:
    return {
        name
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "blitzio"
        and getattr(getattr(module, "__spec__", None), "_initializing", False)
    }


def _before_fork() -> None:
    try:
        for name in _being_imported() - _never_imported:
            importlib.import_module(name)  # Waits for another thread; this one's is given as is.
    finally:
        loop: object = asyncio._get_running_loop()
        # Closed: the copy of a parent's own, which its child has not taken from the thread yet.
        if isinstance(loop, _native.LoopBase) and not loop.is_closed():
            loop._flush()


def _after_fork_in_child() -> None:
    _native._forget_maker()
    _never_imported.update(_being_imported())
    _native._after_fork()
    for loop in list(_loops.values()):
        loop._disown()
        loop._disown_signals()
        loop._disown_children()
    _loops.clear()


# Before a fork the hooks that were registered last are called first, after it the others.
os.register_at_fork(
    before=_native._begin_fork,
    after_in_parent=_native._end_fork_in_parent,
    after_in_child=_native._end_fork_in_child,
)
os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
