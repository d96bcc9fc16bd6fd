"""`Condition`: gives up a Mutex, waits for a signal, and has the mutex again.

A signal is not remembered: the state that the mutex protects is what counts, so wait in a loop or
with `wait_for`. The waiter stands in the queue before the mutex is unlocked, so no signal that is
given under the mutex is missed.

    holds the mutex ──wait──▶ queued ──signal, broadcast──▶ signalled ──▶ holds the mutex
                                 └─────cancelled, timed out──────────────────▲

One that leaves although it was signalled, also while it waits for the mutex, passes the signal on.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

from blitzio._native import Event, Mutex, _wait_blocking
from blitzio._runtime.blocking import check_may_block, deadline_of, time_left
from blitzio._runtime.interruption import Interruption
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Callable

    from blitzio._duration import Seconds

_T = TypeVar("_T")


class Condition:
    """Waits for what others change under a mutex. Threads, tasks and loops: any number of each.

    >>> import blitzio
    >>> async def main():
    ...     condition, items = Condition(), []
    ...     async def consume():
    ...         async with condition:
    ...             await condition.wait_for(lambda: items)
    ...             return items.pop()
    ...     consumer = blitzio.spawn(consume)
    ...     async with condition:
    ...         items.append("item")
    ...         condition.signal()
    ...     return await consumer
    >>> blitzio.run(main())
    'item'

    Args:
        mutex: what protects the state; None: one of its own. Entering the condition locks it.
    """

    __slots__ = ("__weakref__", "_waiters", "mutex")
    __reduce__ = refuse_copy

    def __init__(self, mutex: Mutex | None = None) -> None:
        if mutex is not None and not isinstance(mutex, Mutex):
            raise TypeError(f"mutex must be a Mutex or None, not {mutex!r}")
        self.mutex = Mutex() if mutex is None else mutex
        self._waiters: deque[Event] = deque()

    async def wait(self) -> None:
        """Unlocks the mutex, waits for a signal, and locks it again.

        Raises:
            RuntimeError: the mutex is not locked.

        Cancellation: takes effect when the mutex is locked again.
        """
        waiter = self._enter()
        try:
            try:
                await waiter.wait()
            finally:
                if not self.mutex.try_lock():
                    await self._lock_again()
        except BaseException:
            self._leave(waiter)
            raise

    async def wait_for(self, predicate: Callable[[], _T]) -> _T:
        """Waits until `predicate()` is true, and returns what it gave."""
        while not (result := predicate()):
            await self.wait()
        return result

    def blocking_wait(self, timeout: Seconds | None = None) -> None:
        """wait() for threads.

        Args:
            timeout: None: for ever.

        Raises:
            TimeoutError: no signal came in time; the mutex is locked again all the same, as after
                what the handler of a signal of the system raises.
            RuntimeError: the mutex is not locked, or an event loop runs in this thread.
        """
        check_may_block("Condition.blocking_wait", "condition.wait()")
        self._wait_for_signal("Condition.blocking_wait", timeout, timeout)

    def _wait_for_signal(self, call: str, timeout: Seconds | None, whole: Seconds | None) -> None:
        waiter = self._enter()
        try:
            try:
                _wait_blocking(waiter.wait(), call, timeout, whole)
            finally:
                self.mutex._lock_again()
        except BaseException:
            self._leave(waiter)
            raise

    def blocking_wait_for(self, predicate: Callable[[], _T], timeout: Seconds | None = None) -> _T:
        """wait_for() for threads.

        Args:
            predicate: called with the mutex locked, until what it gives is true.
            timeout: for all of it; None: for ever.

        Raises:
            TimeoutError, RuntimeError: as blocking_wait().
        """
        check_may_block("Condition.blocking_wait_for", "condition.wait_for(predicate)")
        deadline = deadline_of(timeout)
        while not (result := predicate()):
            left = None if deadline is None else time_left(deadline)
            self._wait_for_signal("Condition.blocking_wait_for", left, timeout)
        return result

    def signal(self, count: int = 1) -> None:
        """Lets `count` go that wait, those that came first."""
        for _ in range(count):
            try:
                waiter = self._waiters.popleft()
            except IndexError:
                return
            waiter.set()

    def broadcast(self) -> None:
        """Lets everybody go that waits."""
        self.signal(len(self._waiters))

    async def __aenter__(self) -> Condition:
        await self.mutex.lock()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.mutex.unlock()

    def __enter__(self) -> Condition:
        self.mutex.blocking_lock()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.mutex.unlock()

    def __repr__(self) -> str:
        state = "locked" if self.mutex.locked() else "unlocked"
        return f"<blitzio.sync.Condition [{state}, waiters:{len(self._waiters)}]>"

    def _enter(self) -> Event:
        waiter = Event()
        self._waiters.append(waiter)
        try:
            self.mutex.unlock()
        except RuntimeError:
            self._leave(waiter)
            raise RuntimeError("cannot wait on a Condition whose mutex is not locked") from None
        return waiter

    def _leave(self, waiter: Event) -> None:
        try:
            self._waiters.remove(waiter)
        except ValueError:
            self.signal()  # It was signalled: the next one in its place.

    async def _lock_again(self) -> None:
        interruption = Interruption()
        while True:
            with interruption:
                await self.mutex.lock()
                break
        interruption.deliver()
