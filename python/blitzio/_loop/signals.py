"""Signals. One wake-up fd per loop that runs in the main thread.

Python runs signal handlers between bytecodes of the main thread, so a loop that sleeps in the
kernel must be woken first. The C-level handler writes the signal's number to the wake-up fd; the
loop reads it from the other end, which wakes it at once, lets Python's own handlers run (Ctrl-C's
among them), and then schedules the callback that `add_signal_handler` was given.

A loop that is busy, and waits for nothing else, looks at that end in some turns only. So the
handler that stands in Python for ours reads it, too.

The process has one wake-up fd; wakeup_fd.py decides which loop has it:

                    enter()                              handler added
    outside ────────────────────▶ in the queue for it ◀──────────────── outside
                                       │ leave(), or the last handler removed, once neither a run
                                       ▼ nor a handler needs it
                                    outside

Main thread only, as CPython demands of signal.set_wakeup_fd.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import inspect
import os
import signal
import sys
import threading
import warnings

from blitzio import _signal_listeners
from blitzio._loop import wakeup_fd
from blitzio._native import LoopBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from typing_extensions import TypeVarTuple, Unpack

    _Ts = TypeVarTuple("_Ts")


class SignalsMixin(LoopBase):
    # The ends of a pipe, to read and to write.
    _signal_pipe: tuple[int, int] | None = None
    _signal_handlers: dict[int, tuple[contextvars.Context, Callable[..., object], Any]] | None = (
        None
    )
    # A run needs to be woken for signals, whether handlers were added or not.
    _runs_with_signals: bool = False
    _is_reading_signals: bool = False

    def add_signal_handler(
        self, sig: int, callback: Callable[[Unpack[_Ts]], object], *args: Unpack[_Ts]
    ) -> None:
        """Calls `callback(*args)` in the loop when the process receives signal `sig`.

        Raises:
            TypeError: `sig` is no int, or `callback` is a coroutine or coroutine function.
            ValueError: `sig` is no signal's number.
            RuntimeError: the loop is closed, this is not the main thread, or the signal cannot be
                caught.
        """
        given: object = callback
        if asyncio.iscoroutine(given) or inspect.iscoroutinefunction(given):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        _check_signal(sig)
        self._check_closed()
        try:
            self._open_signal_pipe()
            wakeup_fd.take(self)
        except (ValueError, OSError) as exc:
            raise RuntimeError(str(exc)) from None

        if self._signal_handlers is None:
            self._signal_handlers = {}
        self._signal_handlers[sig] = (contextvars.copy_context(), callback, args)
        try:
            # A handler must stand for the C level to write to the fd.
            signal.signal(sig, _read_at_once)
            signal.siginterrupt(sig, False)
            _signal_listeners.take_back(sig)
        except OSError as exc:
            del self._signal_handlers[sig]
            self._release_wakeup_fd()
            if exc.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from None
            raise

    def remove_signal_handler(self, sig: int) -> bool:
        """Puts the default behaviour of signal `sig` back; False if there was no handler.

        Raises:
            TypeError, ValueError: as add_signal_handler().
        """
        _check_signal(sig)
        if not self._signal_handlers or sig not in self._signal_handlers:
            return False
        del self._signal_handlers[sig]
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
            _signal_listeners.take_back(sig)
        except OSError as exc:
            if exc.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from None
            raise
        self._release_wakeup_fd()
        return True

    # ---- called by run_forever() and close() ----

    def _enter_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            self._open_signal_pipe()
            self._runs_with_signals = True
            wakeup_fd.take(self)
        except ValueError:
            # The main thread of a sub-interpreter: signals go to the main interpreter alone.
            self._runs_with_signals = False

    def _leave_signals(self) -> None:
        if self._runs_with_signals:
            self._runs_with_signals = False
            self._release_wakeup_fd()

    def _close_signals(self) -> None:
        if self._signal_handlers:
            if sys.is_finalizing():
                warnings.warn(  # noqa: B028  The interpreter is the caller.
                    f"Closing the loop {self!r} "
                    "on interpreter shutdown "
                    "stage, skipping signal handlers removal",
                    ResourceWarning,
                    source=self,
                )
                self._signal_handlers.clear()
            else:
                # In another thread than the main one this raises, as asyncio's does; the pipe
                # then stays open, for the fd is still installed.
                for sig in list(self._signal_handlers):
                    self.remove_signal_handler(sig)
        if self._signal_pipe is not None:
            wakeup_fd.release(self)
            # Past what stands in the method's place.
            LoopBase.remove_reader(self, self._signal_pipe[0])
            self._close_signal_pipe()

    def _disown_signals(self) -> None:
        """In a forked child: a signal here must not be written where the parent reads."""
        if self._signal_pipe is None:
            return
        wakeup_fd.disown(self)
        self._runs_with_signals = False
        self._signal_handlers = None
        self._close_signal_pipe()

    # ---- the wake-up fd ----

    def _release_wakeup_fd(self) -> None:
        if self._signal_handlers:
            wakeup_fd.take(self)  # Behind the loops that run.
        elif not self._runs_with_signals:
            wakeup_fd.release(self)

    def _open_signal_pipe(self) -> None:
        if self._signal_pipe is not None:
            return
        if threading.current_thread() is not threading.main_thread():
            # CPython's own words, before any pipe is made.
            signal.set_wakeup_fd(-1)
        # In one call, so that an interrupt finds none, or one that is whole.
        self._signal_pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._add_background_reader(self._signal_pipe[0], self._read_signals)
        except BaseException:
            LoopBase.remove_reader(self, self._signal_pipe[0])
            self._close_signal_pipe()
            raise

    def _close_signal_pipe(self) -> None:
        if self._signal_pipe is not None:
            receiver, sender = self._signal_pipe
            self._signal_pipe = None
            os.close(receiver)
            os.close(sender)

    def _read_signals(self) -> None:
        # A signal may come while others are being read: it is read behind them.
        if self._signal_pipe is None or self._is_reading_signals:
            return
        try:
            self._is_reading_signals = True
            # Asked each time: a handler may close the loop, or fork, and others get the number.
            while self._signal_pipe is not None:
                try:
                    numbers = os.read(self._signal_pipe[0], 4096)
                except BlockingIOError:
                    return
                for number in numbers:
                    wakeup_fd.deliver(number)
        finally:
            self._is_reading_signals = False

    def _handle_signal(self, sig: int) -> bool:
        """Schedules the handler of `sig`, also while the loop stands still. False: it has none."""
        entry = self._signal_handlers.get(sig) if self._signal_handlers else None
        if entry is None or self.is_closed():
            return False  # Python's own handler has it, or ours has just been removed.
        context, callback, args = entry
        # Threadsafe: another loop may have read the signal for us.
        self.call_soon_threadsafe(callback, *args, context=context)
        return True


def _check_signal(sig: int) -> None:
    given: object = sig
    if not isinstance(given, int):
        raise TypeError(f"sig must be an int, not {sig!r}")
    if sig not in signal.valid_signals():
        raise ValueError(f"invalid signal number {sig}")


def _read_at_once(signum: int, frame: object) -> None:
    """Python's handler of the signals that loops handle; the C level has written to the fd."""
    wakeup_fd.read()
