"""Signals. One wake-up fd per loop that runs in the main thread.

Python runs signal handlers between bytecodes of the main thread, so a loop that sleeps in the
kernel must be woken first. The C-level handler writes the signal's number to the wake-up fd; the
loop reads it from the other end, which wakes it at once, lets Python's own handlers run (Ctrl-C's
among them), and then schedules the callback that `add_signal_handler` was given.

             enter(): fd becomes ours            handler added: fd becomes ours
    outside ────────────────────────▶ ours ◀──────────────────────────────── outside
                                       │ leave(), or the last handler removed, once neither a run
                                       ▼ nor a handler needs it: the previous fd is put back
                                    outside

Main thread only, as CPython demands of signal.set_wakeup_fd.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import inspect
import logging
import signal
import socket
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

from blitzio._native import LoopBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeVarTuple, Unpack

    _Ts = TypeVarTuple("_Ts")

logger = logging.getLogger("asyncio")


class SignalsMixin(LoopBase):
    _signal_sockets: tuple[socket.socket, socket.socket] | None = None
    _signal_handlers: dict[int, tuple[contextvars.Context, Callable[..., object], Any]] | None = (
        None
    )
    # The wake-up fd that was there before ours; None while ours is not installed.
    _outer_wakeup_fd: int | None = None
    _needs_wakeup_fd = False

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
            self._install_wakeup_fd()
        except (ValueError, OSError) as exc:
            raise RuntimeError(str(exc)) from None

        if self._signal_handlers is None:
            self._signal_handlers = {}
        self._signal_handlers[sig] = (contextvars.copy_context(), callback, args)
        try:
            # A handler must stand for the C level to write to the fd; it has nothing to do itself.
            signal.signal(sig, _do_nothing)
            signal.siginterrupt(sig, False)
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
            self._needs_wakeup_fd = True
            self._install_wakeup_fd()
        except ValueError:
            # The main thread of a sub-interpreter: signals go to the main interpreter alone.
            self._needs_wakeup_fd = False

    def _leave_signals(self) -> None:
        if self._needs_wakeup_fd:
            self._needs_wakeup_fd = False
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
                for sig in list(self._signal_handlers):
                    self.remove_signal_handler(sig)
        if self._signal_sockets is not None:
            receiver, sender = self._signal_sockets
            self._signal_sockets = None
            self.remove_reader(receiver)
            receiver.close()
            sender.close()

    def _disown_signals(self) -> None:
        """In a forked child: a signal here must not be written where the parent reads."""
        sockets, self._signal_sockets = self._signal_sockets, None
        if sockets is None:
            return
        receiver, sender = sockets
        if self._outer_wakeup_fd is not None:
            current = signal.set_wakeup_fd(-1)
            if current != sender.fileno():
                signal.set_wakeup_fd(current)  # Not ours.
            self._outer_wakeup_fd = None
        receiver.close()
        sender.close()

    # ---- the wake-up fd ----

    def _install_wakeup_fd(self) -> None:
        sender = self._open_signal_sockets()
        previous = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        if previous != sender.fileno():
            self._outer_wakeup_fd = previous

    def _release_wakeup_fd(self) -> None:
        if self._needs_wakeup_fd or self._signal_handlers or self._outer_wakeup_fd is None:
            return
        outer, self._outer_wakeup_fd = self._outer_wakeup_fd, None
        try:
            current = signal.set_wakeup_fd(outer)
        except (ValueError, OSError) as exc:
            # Not the main thread, or whoever owned that fd closed it meanwhile.
            logger.info("set_wakeup_fd(%d) failed: %s", outer, exc)
            return
        assert self._signal_sockets is not None
        if current != self._signal_sockets[1].fileno():
            signal.set_wakeup_fd(current)  # Somebody else took it over; it stays theirs.

    def _open_signal_sockets(self) -> socket.socket:
        if self._signal_sockets is None:
            if threading.current_thread() is not threading.main_thread():
                # CPython's own words, before any socket is made.
                signal.set_wakeup_fd(-1)
            receiver, sender = socket.socketpair()
            receiver.setblocking(False)
            sender.setblocking(False)
            self._signal_sockets = (receiver, sender)
            self._add_background_reader(receiver, self._read_signals)
        return self._signal_sockets[1]

    def _read_signals(self) -> None:
        if self._signal_sockets is None:
            return
        receiver = self._signal_sockets[0]
        while True:
            try:
                numbers = receiver.recv(4096)
            except BlockingIOError:
                return
            for number in numbers:
                self._handle_signal(number)

    def _handle_signal(self, sig: int) -> None:
        entry = self._signal_handlers.get(sig) if self._signal_handlers else None
        if entry is not None:  # Else Python's own handler has it, or ours has just been removed.
            context, callback, args = entry
            self.call_soon(callback, *args, context=context)


def _check_signal(sig: int) -> None:
    given: object = sig
    if not isinstance(given, int):
        raise TypeError(f"sig must be an int, not {sig!r}")
    if sig not in signal.valid_signals():
        raise ValueError(f"invalid signal number {sig}")


def _do_nothing(signum: int, frame: object) -> None:
    pass
