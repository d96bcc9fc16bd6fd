"""Connections that are kept and lent again instead of made anew."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    class _Closes(Protocol):
        def close(self) -> object: ...


T = TypeVar("T", bound="_Closes")


class Pool(Generic[T]):
    """A pool of connections of one loop.

    At most `connections_max` are lent at a time; who comes later waits, in order of arrival. The
    latest to be given back is lent first, so a pool shrinks when less is asked of it.

        pool = net.Pool(lambda: net.connect("127.0.0.1", 5432), connections_max=8)
        async with pool.acquire() as connection:
            await connection.write_all(query)

    A connection that a body leaves by an exception is closed instead of kept: it may be out of
    step.

    Args:
        connect: makes a connection.
        connections_max: how many may exist at a time.
        idle_max: how many are kept; more are closed when they are given back.
        idle_timeout: seconds after which an idle one is closed instead of lent.
        is_healthy: asked of an idle one before it is lent again. By default a connection is healthy
            if it is open and nothing has come that nobody asked for.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[T]],
        *,
        connections_max: int = 16,
        idle_max: int | None = None,
        idle_timeout: float = 90.0,
        is_healthy: Callable[[T], bool] | None = None,
    ) -> None:
        if connections_max < 1:
            raise ValueError(f"connections_max must be at least 1, got {connections_max}")
        if idle_max is not None and idle_max < 0:
            raise ValueError(f"idle_max must be at least 0, got {idle_max}")
        self._connect = connect
        self._free = connections_max
        self._idle_max = connections_max if idle_max is None else idle_max
        self._idle_timeout = idle_timeout
        self._is_healthy = is_healthy or _is_quiet
        self._idle: deque[tuple[T, float]] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._lent = 0
        self._is_closed = False

    @property
    def lent_count(self) -> int:
        """How many are lent, including those that are being made."""
        return self._lent

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
        await self._take_permit()
        connection: T | None = None
        try:
            connection = self._take_idle()
            if connection is None:
                connection = await self._connect()
            yield connection
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        else:
            self._keep(connection)
        finally:
            self._give_permit()

    def reap(self) -> None:
        """Close idle ones that are too old; `acquire` does so with those it meets."""
        oldest = time.monotonic() - self._idle_timeout
        while self._idle and self._idle[0][1] < oldest:
            self._idle.popleft()[0].close()

    def close(self) -> None:
        """Close the idle ones, and the others when they are given back."""
        self._is_closed = True
        while self._idle:
            self._idle.popleft()[0].close()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(RuntimeError("the pool is closed"))

    async def __aenter__(self) -> Pool[T]:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()

    async def _take_permit(self) -> None:
        if self._is_closed:
            raise RuntimeError("the pool is closed")
        if self._free > 0 and not self._waiters:
            self._free -= 1
        else:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                    # Granted, and cancelled before it could run: it is the next one's.
                    self._pass_on()
                raise
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        self._lent += 1

    def _give_permit(self) -> None:
        self._lent -= 1
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1

    def _take_idle(self) -> T | None:
        oldest = time.monotonic() - self._idle_timeout
        while self._idle:
            connection, since = self._idle.pop()
            if since >= oldest and self._is_healthy(connection):
                return connection
            connection.close()
        return None

    def _keep(self, connection: T) -> None:
        if self._is_closed or len(self._idle) >= self._idle_max:
            connection.close()
        else:
            self._idle.append((connection, time.monotonic()))


def _is_quiet(connection: object) -> bool:
    """Returns whether it is open, and nothing has come that nobody asked for."""
    try_read = getattr(connection, "try_read", None)
    if try_read is None:
        return not getattr(connection, "is_closed", False)
    try:
        # What this takes out does not matter: then the connection is closed.
        return try_read(1) is None
    except OSError:
        return False
