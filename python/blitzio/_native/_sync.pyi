"""Locks and events: `blitzio.sync`."""

from collections.abc import Generator
from typing import Any, final

from typing_extensions import Self

from blitzio._duration import Seconds as _Seconds
from blitzio._native._awaitable import Awaitable

@final
class Mutex:
    """Mutual exclusion between tasks, threads and loops.

    `async with mutex:` in a task, `with mutex:` in a thread. Fair: unlock() hands the lock to the
    waiter that came first, and nobody overtakes. Not recursive, and not bound to whoever locked it.

    >>> mutex = sync.Mutex()
    >>> async with mutex:
    ...     mutex.try_lock()
    False
    """

    def __new__(cls) -> Self: ...
    def lock(self) -> Awaitable[None]:
        """Wait for the lock.

        Cancellation: leaves the queue; a lock that was granted already goes to the next waiter.
        """

    def try_lock(self) -> bool:
        """Lock if nobody holds it and nobody waits. Returns whether it did."""

    def blocking_lock(self, timeout: _Seconds | None = None) -> None:
        """lock() for threads.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimeoutError: it was not granted in time.
            RuntimeError: an event loop runs in this thread.
        """

    def _lock_again(self) -> None: ...
    def unlock(self) -> None:
        """Hand the lock to the waiter that came first. RuntimeError if it is not locked."""

    def locked(self) -> bool:
        """Whether somebody holds it; a snapshot."""

    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *exc_info: object) -> None: ...

@final
class Guard:
    """Holds a RwLock, or permits of a Semaphore. Enter it, or await it and release() it later.
    One that is held already may be entered, once: the block's end gives it back.

    One guard is for one holder at a time. A guard that is dropped while it holds something gives it
    back.

    >>> guard = await sync.RwLock().write()
    >>> guard.held()
    True
    >>> guard.release()
    """

    def __await__(self) -> Generator[Any, Any, Self]: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def release(self) -> None:
        """Give back what it holds; leaving a block gives back what it holds still.

        Raises:
            RuntimeError: it holds nothing.
            ValueError: as Semaphore.release().
        """

    def forget(self) -> None:
        """Take its permits out of the semaphore for good: nothing gives them back.

        Raises:
            RuntimeError: it holds no permits.
        """

    def downgrade(self) -> None:
        """Turn the write lock that it holds into a read lock; nobody writes in between.

        Raises:
            RuntimeError: it holds no write lock.
        """

    def held(self) -> bool:
        """Whether it holds something; a snapshot."""

    @property
    def count(self) -> int:
        """How many permits it is for, which it holds while `held()`; of a RwLock 1.

        >>> permit = await sync.Semaphore(5).permit(3)
        >>> permit.count
        3
        >>> permit.release()
        """

@final
class RwLock:
    """Any number of readers, or one writer.

    Fair: who comes first goes first, so a waiting writer is not overtaken by readers. For the same
    reason a holder of a read lock must not wait for a second one.

    >>> lock = sync.RwLock()
    >>> async with lock.read(), lock.read():
    ...     lock.try_write() is None
    True
    """

    def __new__(cls) -> Self: ...
    def read(self) -> Guard:
        """A guard for reading: `async with lock.read():`, `with …` in threads, or `await` it."""

    def write(self) -> Guard:
        """A guard for writing; as read()."""

    def try_read(self) -> Guard | None:
        """A held guard, or None if a writer holds the lock or somebody waits."""

    def try_write(self) -> Guard | None:
        """A held guard, or None if anybody holds the lock."""

    def blocking_read(self, timeout: _Seconds | None = None) -> Guard:
        """read() for threads: a held guard. TimeoutError after `timeout` seconds; RuntimeError if a
        loop runs in this thread."""

    def blocking_write(self, timeout: _Seconds | None = None) -> Guard:
        """write() for threads: a held guard; as blocking_read()."""

@final
class Semaphore:
    """A number of permits. `async with`, or `with` in a thread, takes one.

    Fair: permits go to waiters in the order of arrival, and nobody overtakes; a waiter for many
    collects them as they are released.

    >>> semaphore = sync.Semaphore(3)
    >>> async with semaphore, semaphore.permit(2):
    ...     semaphore.try_acquire()
    False
    """

    def __new__(cls, permits: int) -> Self: ...
    @property
    def available_permits(self) -> int:
        """How many are free; a snapshot."""

    def acquire(self, count: int = 1) -> Awaitable[None]:
        """Wait for `count` permits.

        Raises:
            ValueError: the count is not from 1 to 2,147,483,647.
            RuntimeError: the semaphore is closed.

        Cancellation: what was granted already goes to the next waiter.
        """

    def try_acquire(self, count: int = 1) -> bool:
        """Take them if they are free and nobody waits. Returns whether it did."""

    def blocking_acquire(self, count: int = 1, timeout: _Seconds | None = None) -> None:
        """acquire() for threads. TimeoutError after `timeout` seconds; RuntimeError also if a loop
        runs in this thread."""

    def release(self, count: int = 1) -> None:
        """Give permits back, or add new ones; ValueError above 2,147,483,647 free ones."""

    def close(self) -> None:
        """Have whoever waits, now and later, fail with RuntimeError. Permits can be given back."""

    @property
    def is_closed(self) -> bool:
        """Whether close() was called."""

    def permit(self, count: int = 1) -> Guard:
        """A guard for `count` permits: `async with semaphore.permit(3):`."""

    def adopt(self, count: int = 1) -> Guard:
        """A held guard for permits that acquire() or try_acquire() took."""

    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *exc_info: object) -> None: ...

@final
class Notify:
    """Wakes a waiter, or remembers that the next one need not wait.

    >>> notify = sync.Notify()
    >>> notify.notify_one()
    >>> await notify.wait()
    """

    def __new__(cls) -> Self: ...
    def wait(self) -> Awaitable[None]:
        """Wait for a notification.

        Cancellation: a notification that was given already goes to the next waiter.
        """

    def try_wait(self) -> bool:
        """Take a remembered notification. Returns whether there was one."""

    def blocking_wait(self, timeout: _Seconds | None = None) -> None:
        """wait() for threads. TimeoutError after `timeout` seconds."""

    def notify_one(self) -> None:
        """Wake the waiter that came first; without one, the next wait() completes at once."""

    def notify_all(self) -> None:
        """Wake everybody who waits now. Nothing is remembered."""

@final
class Event:
    """A flag that is waited for.

    >>> event = sync.Event()
    >>> event.set()
    >>> await event.wait()
    """

    def __new__(cls) -> Self: ...
    def wait(self) -> Awaitable[None]:
        """Wait until it is set. Goes on even if it is cleared again before the task runs."""

    def blocking_wait(self, timeout: _Seconds | None = None) -> None:
        """wait() for threads. TimeoutError after `timeout` seconds."""

    def is_set(self) -> bool:
        """Whether it is set."""

    def set(self) -> None:
        """Let everybody go who waits, and who comes until clear()."""

    def clear(self) -> None:
        """Who comes from now on waits."""

@final
class Barrier:
    """Lets `parties` go on together, again and again.

    >>> barrier = sync.Barrier(2)
    >>> sorted(await asyncio.gather(barrier.wait(), barrier.wait()))
    [False, True]
    """

    def __new__(cls, parties: int) -> Self: ...
    @property
    def parties(self) -> int:
        """How many go on together."""

    def wait(self) -> Awaitable[bool]:
        """Wait for all. True for exactly one of them.

        Cancellation: takes the arrival back, unless the others have gone on already.
        """

    def blocking_wait(self, timeout: _Seconds | None = None) -> bool:
        """wait() for threads. TimeoutError after `timeout` seconds."""
