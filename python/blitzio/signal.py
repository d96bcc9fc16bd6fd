"""Signals of the process, awaited.

    from blitzio import signal

    await signal.ctrl_c()

    with signal.stream(signal.SIGHUP, signal.SIGTERM) as arrivals:
        async for number in arrivals:
            if number == signal.SIGTERM:
                break
            reload()

From any task of any asyncio loop, in any thread; `blocking_wait` is for threads without one. Any
number may listen, and each hears of every signal. While anybody listens for a signal its default
action does not happen, nor KeyboardInterrupt for Ctrl-C, nor what `asyncio.run` makes of it: the
task is not cancelled. A handler of `signal.signal` or `loop.add_signal_handler` is called all the
same. With the last listener, what was there before is back.

`signal.signal`, called while somebody already waits, takes the signal away until a wait begins
anew; `add_signal_handler` of this package's loops does not.
"""

from __future__ import annotations

import signal as _signals
from typing import TYPE_CHECKING, Any, overload

from blitzio._signals import SignalStream

if TYPE_CHECKING:
    from blitzio._duration import Seconds

__all__ = ("SignalStream", "blocking_wait", "ctrl_c", "stream", "wait")


@overload
def stream(*numbers: _signals.Signals) -> SignalStream[_signals.Signals]: ...
@overload
def stream(*numbers: int) -> SignalStream[_signals.Signals | int]: ...
def stream(*numbers: int) -> SignalStream[Any]:
    """Begins to listen.

    >>> import os, signal
    >>> with stream(signal.SIGUSR1) as arrivals:
    ...     os.kill(os.getpid(), signal.SIGUSR1)
    ...     arrivals.blocking_next(timeout=10).name
    'SIGUSR1'

    Args:
        numbers: signals, at least one.

    Returns:
        what gives `Signals`; of a number that has no name among them, a real-time signal, an int.

    Raises:
        TypeError: one is no int.
        ValueError: one is no signal, or cannot be listened for: SIGKILL, SIGSTOP, and SIGILL,
            SIGFPE, SIGSEGV, SIGBUS, which stand for what a thread did itself. None is given.
        OSError: there is no thread for it.
    """
    return SignalStream(*numbers)


@overload
async def wait(*numbers: _signals.Signals) -> _signals.Signals: ...
@overload
async def wait(*numbers: int) -> _signals.Signals | int: ...
async def wait(*numbers: int) -> _signals.Signals | int:
    """Waits for the first of several signals.

    One that arrived before the wait began is not seen: who must miss none keeps a `stream`.

    >>> import asyncio, os, signal
    >>> async def main():
    ...     asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    ...     return await wait(signal.SIGUSR1, signal.SIGUSR2)
    >>> asyncio.run(main()).name
    'SIGUSR1'

    Returns:
        the signal that came.

    Raises:
        TypeError, ValueError, OSError: as stream().
    """
    with SignalStream(*numbers) as arrivals:
        return await arrivals.next()


async def ctrl_c() -> None:
    """Waits for SIGINT, which Ctrl-C in a terminal sends. It raises nothing and cancels nothing.

    >>> import asyncio, os, signal
    >>> async def main():
    ...     asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
    ...     await ctrl_c()
    >>> asyncio.run(main())
    """
    await wait(_signals.SIGINT)


@overload
def blocking_wait(
    *numbers: _signals.Signals, timeout: Seconds | None = None
) -> _signals.Signals: ...
@overload
def blocking_wait(*numbers: int, timeout: Seconds | None = None) -> _signals.Signals | int: ...
def blocking_wait(*numbers: int, timeout: Seconds | None = None) -> _signals.Signals | int:
    """wait() for threads.

    Raises:
        TimeoutError: `timeout` was over first.
        RuntimeError: a loop runs in this thread, which would stand still.
    """
    with SignalStream(*numbers) as arrivals:
        return arrivals._blocking_next("blocking_wait", timeout)
