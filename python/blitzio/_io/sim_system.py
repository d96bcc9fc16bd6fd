"""`io.signal` and `io.process` of a simulation.

Threads: the simulation's.
"""

from __future__ import annotations

import errno
import signal as signals
from typing import Any

from blitzio._io.sim_stream import Bell, os_error


class SimSignalStream:
    """As `blitzio.signal.SignalStream`; made by `io.signal.stream`."""

    def __init__(self, listening: list[SimSignalStream], numbers: tuple[int, ...]) -> None:
        if not numbers:
            raise ValueError("at least one signal must be named")
        self._listening = listening
        self._numbers = numbers
        self._arrived: set[int] = set()
        self._bell = Bell()
        self._is_closed = False
        listening.append(self)

    def arrive(self, number: int) -> None:
        if number in self._numbers:
            self._arrived.add(number)
            self._bell.ring()

    async def next(self) -> signals.Signals:
        """Waits for the next arrival. RuntimeError once closed."""
        while (number := self.try_next()) is None:
            if self._is_closed:
                raise RuntimeError("the signal stream is closed")
            await self._bell.wait()
        return number

    def try_next(self) -> signals.Signals | None:
        """A signal that has arrived and nobody has taken yet."""
        if not self._arrived:
            return None
        number = min(self._arrived)
        self._arrived.discard(number)
        return signals.Signals(number)

    def close(self) -> None:
        """Stops listening and ends what waits."""
        if not self._is_closed:
            self._is_closed = True
            self._listening.remove(self)
            self._bell.ring()

    def __aiter__(self) -> SimSignalStream:
        return self

    async def __anext__(self) -> signals.Signals:
        try:
            return await self.next()
        except RuntimeError:
            raise StopAsyncIteration from None

    def __enter__(self) -> SimSignalStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class SimSignals:
    """`io.signal` of a simulation: what its raise_signal() sends."""

    def __init__(self, listening: list[SimSignalStream]) -> None:
        self._listening = listening

    def stream(self, *numbers: int) -> SimSignalStream:
        """Begins to listen."""
        return SimSignalStream(self._listening, numbers)

    async def wait(self, *numbers: int) -> signals.Signals:
        """Waits for the first of several signals."""
        with self.stream(*numbers) as arrivals:
            return await arrivals.next()

    async def ctrl_c(self) -> None:
        """Waits for SIGINT."""
        await self.wait(signals.SIGINT)


class SimProcesses:
    """`io.process` of a simulation: there are none."""

    def spawn(self, *args: Any, **options: Any) -> Any:
        """OSError: ENOSYS."""
        raise os_error(errno.ENOSYS)

    async def output(self, *args: Any, **options: Any) -> Any:
        """OSError: ENOSYS."""
        raise os_error(errno.ENOSYS)

    status = output
