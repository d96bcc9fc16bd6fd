"""Waiting for a child process, and reaping it exactly once.

A child is watched through a pidfd: the kernel makes it readable when the process ends, so no
SIGCHLD handler and no thread is needed, any loop in any thread can wait, and children that others
started are left alone. The driver's `poll` operation is all that it takes.

                                   pidfd readable             reaped: on_exit(returncode)
    new ──watch()──▶ watched ─────────────────────▶ ended ──────────────────────────────▶ done
             │          │                             ▲                                     ▲
             │ no pidfd ▼ a thread waits, posts here  │                                     │
             ├───────▶ watched by a thread ───────────┘                                     │
             │          │                                                                   │
             │          └──── the loop closes: abandon() ────▶ orphan ──── a thread reaps ──┘
             └─ already reaped by somebody else ───────────────────────────────────────────▶

A thread waits where the kernel gives no pidfd (seccomp filters, no free descriptor). Whoever reaps
holds Popen's own lock and leaves the return code there, so Popen.wait() and poll() in other threads
neither lose the status nor see the pid of a stranger.

Threads: the loop's; `_wait_in_thread` and `_reap_orphans` run in threads of their own.
"""

from __future__ import annotations

import _thread
import contextlib
import itertools
import logging
import os
import select
import signal
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from blitzio._native import LoopBase

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

logger = logging.getLogger("asyncio")

# What asyncio reports for a child whose exit status somebody else has read.
UNKNOWN_STATUS = 255

_thread_numbers = itertools.count()


class Orphan(NamedTuple):
    """A child that outlives its loop."""

    pidfd: int  # owned
    popen: subprocess.Popen[Any]


class Child:
    """One child process of a loop, from its start until it is reaped."""

    __slots__ = ("_loop", "_on_exit", "_pidfd", "_popen", "pid")

    def __init__(
        self, loop: LoopBase, popen: subprocess.Popen[Any], on_exit: Callable[[int], None]
    ) -> None:
        """`on_exit(returncode)` is called once, in the loop, unless abandon() comes first."""
        self.pid = popen.pid
        self._popen = popen
        self._loop: LoopBase | None = loop
        self._on_exit: Callable[[int], None] | None = on_exit
        self._pidfd = -1

    def watch(self) -> None:
        """Begins to wait.

        Raises:
            RuntimeError: neither a pidfd nor a thread could be had.
        """
        loop = self._loop
        assert loop is not None
        try:
            self._pidfd = os.pidfd_open(self.pid)
            # Past what a program may have put in the method's place.
            LoopBase.add_reader(loop, self._pidfd, self._ended)
        except ProcessLookupError:
            loop.call_soon(self._ended)  # Reaped by somebody else already.
        except (AttributeError, OSError):
            # Not compiled in, forbidden, or no descriptor is left: what remains is a thread.
            self._close_pidfd()
            threading.Thread(
                target=self._wait_in_thread,
                args=(loop,),
                name=f"blitzio-waitpid-{next(_thread_numbers)}",
                daemon=True,
            ).start()
        except BaseException:  # Want of memory, above all.
            self._close_pidfd()
            raise

    def is_running(self) -> bool:
        """Whether the process still runs, and is ours to signal. Reaps nothing."""
        if self._popen.returncode is not None:
            return False
        try:
            return _look(self.pid, self._pidfd, os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False  # Reaped by somebody else; or this is a fork, and it was never our child.

    def send_signal(self, number: int) -> None:
        """Sends a signal; nothing happens if the process has ended.

        Raises:
            PermissionError: it runs as another user by now.
            OSError: `number` is no signal's.
        """
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd >= 0:
                # No other process can be meant, even if the pid has a new owner by now.
                signal.pidfd_send_signal(self._pidfd, number)
            elif self.is_running():
                os.kill(self.pid, number)

    def abandon(self) -> Orphan | None:
        """The loop closes: on_exit will not be called. Returns what is still to be reaped.

        Without a pidfd that is nothing: there is a thread that does it.
        """
        self._loop = self._on_exit = None
        pidfd, self._pidfd = self._pidfd, -1
        # Not waiting for the lock: a thread may hold it in Popen.wait() until the process ends.
        if _reap(self._popen, pidfd, blocking=False) is not None:
            if pidfd >= 0:
                os.close(pidfd)
            return None
        return Orphan(pidfd, self._popen) if pidfd >= 0 else None

    def disown(self) -> None:
        """This is a fork of the process whose child it is: nothing is to be reaped here."""
        self._loop = self._on_exit = None
        self._close_pidfd()

    # ---- in the loop ----

    def _ended(self) -> None:
        loop, on_exit, popen = self._loop, self._on_exit, self._popen
        if loop is None or on_exit is None:
            return  # Abandoned.
        returncode = _reap(popen, self._pidfd)
        if returncode is None:
            return  # Woken for nothing: the watch goes on.
        if returncode == UNKNOWN_STATUS and popen.returncode is None:
            logger.warning(
                "child process pid %d exit status already read:  will report returncode 255"
                if self._pidfd >= 0
                else "Unknown child process pid %d, will report returncode 255",
                self.pid,
            )
            popen.returncode = returncode
        if self._pidfd >= 0:
            LoopBase.remove_reader(loop, self._pidfd)
            self._close_pidfd()
        self._loop = self._on_exit = None
        on_exit(returncode)

    def _close_pidfd(self) -> None:
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)

    # ---- in a thread ----

    def _wait_in_thread(self, loop: LoopBase) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        # Read before the loop is told: abandon() clears it first and looks for the exit afterwards,
        # so one of the two reaps, whichever way they meet.
        if self._loop is not None:
            try:
                loop.call_soon_threadsafe(self._ended)
            except RuntimeError:
                pass  # Closed since.
            else:
                return
        _reap(self._popen, -1)


def _look(pid: int, pidfd: int, flags: int) -> os.waitid_result | None:
    if pidfd >= 0:
        return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | flags)
    return os.waitid(os.P_PID, pid, os.WEXITED | flags)


def _reap(popen: subprocess.Popen[Any], pidfd: int, *, blocking: bool = True) -> int | None:
    """Takes the status from the kernel, unless that is done; leaves it in `popen.returncode`.

    None while the process runs. UNKNOWN_STATUS, and nothing left there, if somebody else took it.
    """
    # Popen's own: it keeps a status from being read twice and a dead pid from being waited for.
    lock: threading.Lock = popen._waitpid_lock  # type: ignore[attr-defined]
    if not lock.acquire(blocking):
        return None
    try:
        if popen.returncode is not None:
            return popen.returncode
        try:
            result = _look(popen.pid, pidfd, os.WNOHANG)
        except ChildProcessError:
            return UNKNOWN_STATUS
        if result is None:
            return None
        # si_status: what it gave exit(), or the signal that ended it.
        exited = result.si_code == os.CLD_EXITED
        popen.returncode = result.si_status if exited else -result.si_status
        return popen.returncode
    finally:
        lock.release()


class Children(set[Child]):
    """Those of a loop that are not reaped yet."""

    def abandon(self) -> None:
        """The loop closes: they go on, and are reaped when they end, by a thread that ends with the
        last of them."""
        orphans = [orphan for child in self if (orphan := child.abandon()) is not None]
        if orphans:
            _start_reaping(orphans)


def _start_reaping(orphans: list[Orphan]) -> None:
    try:
        # Not threading.Thread: a loop may be closed by the garbage collector, at a moment when the
        # interpreter's bookkeeping of threads is locked by the very code that was interrupted.
        _thread.start_new_thread(_reap_orphans, (dict(orphans),))
    except (RuntimeError, MemoryError):
        # The interpreter is ending, which leaves them to init; or no thread can be had, and Popen
        # reaps them when it is next used.
        for pidfd, _ in orphans:
            os.close(pidfd)


def _reap_orphans(orphans: dict[int, subprocess.Popen[Any]]) -> None:
    try:
        poll = select.poll()
        for pidfd in orphans:
            poll.register(pidfd, select.POLLIN)
        while orphans:
            for pidfd, _ in poll.poll():
                if _reap(orphans[pidfd], pidfd) is None:
                    continue
                poll.unregister(pidfd)
                del orphans[pidfd]
                os.close(pidfd)
    finally:
        # None are left, unless memory ran out.
        for pidfd in orphans:
            os.close(pidfd)
