"""`OnceCell`: a value that is set once, by whoever needs it first.

             get_or_init                    its end
    empty ─────────────────▶ initialising ─────────▶ set, for ever
      ▲   ╲ set ─────────────────────────────────────▶ │
      └───── the initialiser failed or was cancelled: the next in line begins

Whoever initialises holds the mutex; the others wait for it, in the order in which they came. The
value is stored in a tuple, so one read tells whether there is one, and which.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from blitzio._native import Mutex, _wait_blocking
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from blitzio._duration import Seconds

_T = TypeVar("_T")


class OnceCell(Generic[_T]):
    """A value that is set once. Threads, tasks and loops: any number of each.

    >>> import blitzio
    >>> cell = OnceCell()
    >>> async def main():
    ...     return await cell.get_or_init(lambda: 42), cell.get()
    >>> blitzio.run(main())
    (42, 42)
    """

    __slots__ = ("__weakref__", "_initialising", "_value")
    __reduce__ = refuse_copy

    def __init__(self) -> None:
        self._value: tuple[_T] | None = None
        self._initialising = Mutex()

    def get(self, default: Any = None) -> _T | Any:
        """The value, or `default` if there is none yet."""
        value = self._value
        return default if value is None else value[0]

    def is_set(self) -> bool:
        return self._value is not None

    def set(self, value: _T) -> None:
        """Sets the value.

        Raises:
            RuntimeError: there is one already, or somebody is making one.
        """
        if not self._initialising.try_lock():
            raise RuntimeError("OnceCell is being initialised")
        try:
            if self._value is not None:
                raise RuntimeError("OnceCell is set already")
            self._value = (value,)
        finally:
            self._initialising.unlock()

    async def get_or_init(self, initialiser: Callable[[], _T | Awaitable[_T]]) -> _T:
        """The value; if there is none, what `initialiser()` gives, which is awaited if it can be.

        Of several calls at once one makes the value and the others wait for it.

        Raises:
            Exception: what the initialiser raised; the cell stays empty, and the next call of those
                that wait makes the value.

        Cancellation: as a failure of the initialiser, if it runs.
        """
        value = self._value
        if value is not None:
            return value[0]
        async with self._initialising:
            value = self._value
            if value is None:
                made = initialiser()
                value = self._value = (await made if inspect.isawaitable(made) else made,)
            return value[0]

    def blocking_get_or_init(
        self, initialiser: Callable[[], _T], timeout: Seconds | None = None
    ) -> _T:
        """get_or_init() for threads.

        Args:
            initialiser: a plain function.
            timeout: how long to wait for another that makes the value; None: for ever.

        Raises:
            TimeoutError: the other took longer.
            RuntimeError: an event loop runs in this thread.
            Exception: what the initialiser raised.
        """
        value = self._value
        if value is not None:
            return value[0]
        _wait_blocking(self._initialising.lock(), "OnceCell.blocking_get_or_init", timeout)
        try:
            value = self._value
            if value is None:
                value = self._value = (initialiser(),)
            return value[0]
        finally:
            self._initialising.unlock()

    def __repr__(self) -> str:
        if self._value is not None:
            return "<blitzio.sync.OnceCell [set]>"
        state = "initialising" if self._initialising.locked() else "empty"
        return f"<blitzio.sync.OnceCell [{state}]>"
