"""Connections that are kept and lent again instead of made anew."""

from __future__ import annotations

import time
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from operator import index
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from blitzio._duration import Duration
from blitzio._loop.forking import Locked
from blitzio._native import Semaphore, _wait_blocking
from blitzio._net.tls import TlsStream
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from blitzio._duration import Seconds

    class _Closes(Protocol):
        def close(self) -> object: ...


T = TypeVar("T", bound="_Closes")


class Pool(Locked, Generic[T]):
    """A pool of connections, for tasks and threads.

    At most `connections_max` are lent at a time; who comes later waits, in order of arrival. The
    latest to be given back is lent first, so a pool shrinks when less is asked of it.

    >>> import asyncio
    >>> from blitzio import net
    >>> async def main():
    ...     async with net.TcpListener.bind("127.0.0.1:0") as listener:
    ...         port = listener.local_address.port
    ...         async with net.Pool(lambda: net.connect("127.0.0.1", port)) as pool:
    ...             async with pool.acquire() as connection:
    ...                 await connection.write_all(b"query")
    ...             return pool.idle_count
    >>> asyncio.run(main())
    1

    A connection that a body leaves by an exception is closed instead of kept: it may be out of
    step. Several loops and threads may share a pool whose connections can be used on any of them:
    all of this module's but a TlsStream, which is its loop's.

    Args:
        connect: makes a connection.
        connections_max: how many may exist at a time.
        idle_max: how many are kept; more are closed when they are given back.
        idle_timeout: seconds, or a Duration, after which an idle one is closed instead of lent.
        is_healthy: asked of an idle one before it is lent again. By default a connection is healthy
            if it is open and nothing has come that nobody asked for.
        blocking_connect: makes a connection for `blocking_acquire`, in the thread that calls it.

    Raises:
        TypeError, ValueError: an argument is no function, or no number, or out of range.
    """

    __reduce__ = refuse_copy

    def __init__(
        self,
        connect: Callable[[], Awaitable[T]],
        *,
        connections_max: int = 16,
        idle_max: int | None = None,
        idle_timeout: Seconds = 90.0,
        is_healthy: Callable[[T], bool] | None = None,
        blocking_connect: Callable[[], T] | None = None,
    ) -> None:
        if not callable(connect):
            raise TypeError(f"connect must be callable, not {connect!r}")
        for name, function in (("is_healthy", is_healthy), ("blocking_connect", blocking_connect)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be callable or None, not {function!r}")
        connections_max = index(connections_max)
        if connections_max < 1:
            raise ValueError(f"connections_max must be at least 1, got {connections_max}")
        idle_max = connections_max if idle_max is None else index(idle_max)
        if idle_max < 0:
            raise ValueError(f"idle_max must be at least 0, got {idle_max}")
        unused_max = Duration.of(idle_timeout)
        if unused_max.is_negative():
            raise ValueError(f"idle_timeout must not be negative, got {idle_timeout!r}")
        self._connect = connect
        self._blocking_connect = blocking_connect
        self._connections_max = connections_max
        self._permits = Semaphore(connections_max)
        self._idle_max = idle_max
        self._idle_timeout = unused_max.as_secs_f64()
        self._is_healthy = _is_quiet if is_healthy is None else is_healthy
        super().__init__()
        # Under the lock.
        self._idle: deque[tuple[T, float]] = deque()

    @property
    def lent_count(self) -> int:
        """How many are lent, including those that are being made."""
        return self._connections_max - self._permits.available_permits

    @property
    def idle_count(self) -> int:
        """How many are kept."""
        return len(self._idle)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[T]:
        """Lend a connection: an idle one that is healthy, or a new one.

        Raises:
            RuntimeError: the pool is closed.
            OSError: what connecting raises.

        Cancellation:
            leaves the line, or gives up connecting; nothing is lost.
        """
        with self._told_if_closed():
            await self._permits.acquire()
        try:
            connection = self._take_idle()
            if connection is None:
                connection = await self._connect()
            with self._lend(connection):
                yield connection
        finally:
            self._permits.release()

    @contextmanager
    def blocking_acquire(self, timeout: Seconds | None = None) -> Iterator[T]:
        """acquire() for threads, in one line with the tasks.

            with pool.blocking_acquire(timeout=5) as connection:
                connection.blocking_write_all(query)

        Args:
            timeout: for the wait in line; connecting has that of `blocking_connect`.

        Raises:
            TimeoutError: so long were all of them lent.
            RuntimeError: the pool is closed, or has no `blocking_connect`; or an event loop runs in
                this thread.
        """
        if self._blocking_connect is None:
            raise RuntimeError("blocking_acquire() needs a pool that has blocking_connect")
        with self._told_if_closed():
            _wait_blocking(self._permits.acquire(), "Pool.blocking_acquire", timeout)
        try:
            connection = self._take_idle()
            if connection is None:
                connection = self._blocking_connect()
            with self._lend(connection):
                yield connection
        finally:
            self._permits.release()

    @contextmanager
    def try_acquire(self) -> Iterator[T | None]:
        """Lend an idle connection that is healthy, now; None if there is none, or as many are lent
        as may be. For tasks and threads.

            with pool.try_acquire() as connection:
                if connection is not None:
                    ...
        """
        if not self._permits.try_acquire():
            yield None
            return
        try:
            connection = self._take_idle()
            if connection is None:
                yield None
            else:
                with self._lend(connection):
                    yield connection
        finally:
            self._permits.release()

    def reap(self) -> None:
        """Close idle ones that are too old; `acquire` does so with those it meets."""
        oldest = time.monotonic() - self._idle_timeout
        old: list[T] = []
        with self._lock:
            while self._idle and self._idle[0][1] < oldest:
                old.append(self._idle.popleft()[0])
        for connection in old:
            connection.close()

    def close(self) -> None:
        """Close the idle ones, and the others when they are given back. Who waits is told."""
        self._permits.close()
        with self._lock:
            idle = list(self._idle)
            self._idle.clear()
        for connection, _ in idle:
            connection.close()

    async def __aenter__(self) -> Pool[T]:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()

    def __enter__(self) -> Pool[T]:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._permits.is_closed else "open"
        lent = f"{self.lent_count}/{self._connections_max}"
        return f"<Pool {state} lent={lent} idle={self.idle_count}>"

    @contextmanager
    def _told_if_closed(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError:
            if self._permits.is_closed:
                raise RuntimeError("the pool is closed") from None
            raise

    @contextmanager
    def _lend(self, connection: T) -> Iterator[None]:
        try:
            yield
        except BaseException:
            connection.close()
            raise
        with self._lock:
            is_kept = len(self._idle) < self._idle_max
            if is_kept:
                self._idle.append((connection, time.monotonic()))
        if not is_kept:
            connection.close()
        elif self._permits.is_closed:  # Before, or meanwhile.
            self.close()

    def _take_idle(self) -> T | None:
        oldest = time.monotonic() - self._idle_timeout
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection, since = self._idle.pop()
            is_good = False
            try:
                is_good = since >= oldest and self._is_healthy(connection)
            finally:
                if not is_good:
                    connection.close()
            if is_good:
                return connection


def _is_quiet(connection: object) -> bool:
    """Returns whether it is open, and nothing has come that nobody asked for."""
    if isinstance(connection, TlsStream):
        return connection._is_quiet()
    try_read = getattr(connection, "try_read", None)
    if try_read is None:
        return not getattr(connection, "is_closed", False)
    try:
        # What this takes out does not matter: then the connection is closed.
        return try_read(1) is None
    except OSError:
        return False
