"""`SignalStream`, on listeners of the core: any thread may listen, the interpreter is not asked.

The core puts a handler of its own before Python's (docs/design/signals.md). `signal.signal` puts
Python's before that again, so a stream looks, whenever somebody begins to wait, whether the signal
is still its own, and this package's own loops tell when they have changed a handler.

Threads: any.
"""

from __future__ import annotations

import asyncio
import signal as signals
from signal import Signals
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from blitzio import _signal_listeners
from blitzio._native import SignalSet, _in_main_interpreter, _wait_blocking
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from blitzio._duration import Seconds


#: What a stream gives: Signals, if it listens for those alone; else also numbers without a name.
_S = TypeVar("_S", bound=int)


class SignalStream(Generic[_S]):
    """Hears of signals from its making until close(); made by `stream()`.

    `async for` gives each signal that arrives. Arrivals of one signal that nobody has taken yet
    coalesce into one, as in the kernel; those of different signals do not, and are given in the
    order of their numbers. It is a context manager, and closes itself when it is dropped.

    Thread: any, for every method.
    """

    __slots__ = ("__weakref__", "_is_closed", "_numbers", "_set")
    __reduce__ = refuse_copy

    @overload
    def __init__(self: SignalStream[Signals], *numbers: Signals) -> None: ...
    @overload
    def __init__(self: SignalStream[Signals | int], *numbers: int) -> None: ...
    def __init__(self: SignalStream[Any], *numbers: int) -> None:
        self._is_closed = False
        self._numbers = tuple(dict.fromkeys(map(_check, numbers)))
        if not self._numbers:
            raise ValueError("at least one signal must be named")
        self._set = SignalSet(self._numbers, silent=any(map(_stands_for_default, self._numbers)))
        _signal_listeners.add(self)

    @property
    def signals(self) -> tuple[_S, ...]:
        """What it listens for."""
        return tuple(map(self._named, self._numbers))

    @property
    def is_closed(self) -> bool:
        """Whether close() was called, or the block was left."""
        return self._is_closed

    async def next(self) -> _S:
        """Waits for the next arrival, or takes one that nobody has taken yet.

        Raises:
            RuntimeError: the stream is closed.

        Cancellation: loses nothing.
        """
        self._take_all_back()
        return self._unless_closed(await self._set.next())

    def try_next(self) -> _S | None:
        """A signal that has arrived and nobody has taken yet."""
        number = self._set.try_next()
        return None if number is None else self._named(number)

    def blocking_next(self, timeout: Seconds | None = None) -> _S:
        """next() for threads.

        Raises:
            TimeoutError: `timeout` was over first.
            RuntimeError: the stream is closed; a loop runs in this thread.
        """
        return self._blocking_next("SignalStream.blocking_next", timeout)

    def _blocking_next(self, call: str, timeout: Seconds | None) -> _S:
        self._take_all_back()
        return self._unless_closed(_wait_blocking(self._set.next(), call, timeout))

    def close(self) -> None:
        """Stops listening and ends what waits. Again: nothing.

        With the last stream of a signal, what handled it before is back.
        """
        _signal_listeners.discard(self)
        self._is_closed = True
        self._set.close()

    def __aiter__(self) -> SignalStream[_S]:
        return self

    async def __anext__(self) -> _S:
        self._take_all_back()
        number = await self._set.next()
        if number is None:
            raise StopAsyncIteration
        return self._named(number)

    def __enter__(self) -> SignalStream[_S]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SignalStream {' '.join(str(getattr(s, 'name', s)) for s in self.signals)}>"

    def _named(self, number: int) -> _S:
        try:
            return cast("_S", Signals(number))
        except ValueError:
            # A real-time signal between the first and the last, which no member of Signals is.
            return cast("_S", number)

    def _unless_closed(self, number: int | None) -> _S:
        if number is None:
            raise RuntimeError("the signal stream is closed")
        return self._named(number)

    def _take_all_back(self) -> None:
        for number in self._numbers:
            self._take_back(number)

    def _take_back(self, number: int) -> None:
        self._set.take_back(number, _stands_for_default(number))


def _check(number: int) -> int:
    given: object = number
    if not isinstance(given, int):
        raise TypeError(f"a signal must be an int, not {number!r}")
    if number not in signals.valid_signals():
        raise ValueError(f"invalid signal number {number}")
    if number in _NEVER:
        raise ValueError(f"{Signals(number).name} cannot be listened for")
    return int(number)


#: The kernel lets nobody handle the first two; the others stand for what a thread did itself.
_NEVER = (
    signals.SIGKILL,
    signals.SIGSTOP,
    signals.SIGILL,
    signals.SIGFPE,
    signals.SIGSEGV,
    signals.SIGBUS,
)


def _stands_for_default(number: int) -> bool:
    """Whether Python's handler is what happens to a signal that nobody handles: Ctrl-C alone has
    one, KeyboardInterrupt, which asyncio.run() turns into a cancellation."""
    if number != signals.SIGINT or not _in_main_interpreter():
        return False
    handler = signals.getsignal(signals.SIGINT)
    if handler is signals.default_int_handler:
        return True
    # Of asyncio.Runner, from Python 3.11 on: functools.partial(runner._on_sigint, …).
    method = getattr(getattr(handler, "func", None), "__func__", None)
    return method is not None and method is _RUNNERS_HANDLER


_RUNNERS_HANDLER = getattr(getattr(asyncio, "Runner", None), "_on_sigint", None)
