"""What a native future is to Python."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from types import GenericAlias
from typing import Any, TypeVar, final

from typing_extensions import Self

_T_co = TypeVar("_T_co", covariant=True)

@final
class Awaitable(Coroutine[Any, Any, _T_co], Generator[Any, Any, _T_co]):
    """A native future: what the functions of blitzio's modules return to be awaited.

    Awaited once, by a task on any asyncio loop. Nothing happens before it is awaited; then a result
    that is there already is returned without suspending the task. While it is pending it has the
    interface of asyncio.Future, so that tasks, `gather`, `wait_for`, `shield` and `timeout` accept
    it. Cancelling the task, or close(), gives the operation up and loses nothing: what it had been
    granted goes to the next in line.
    """

    cr_running: bool
    __name__: str
    __qualname__: str
    _asyncio_future_blocking: bool | None
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __await__(self) -> Generator[Any, Any, _T_co]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any:
        """Resume it; StopIteration carries the result."""

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Raise an exception where it waits."""

    def close(self) -> None:
        """Give it up."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop it waits on; RuntimeError if it does not wait."""

    def done(self) -> bool:
        """Whether it was woken, cancelled, or is over."""

    def cancelled(self) -> bool:
        """Whether cancel() was called and the task has not been resumed since."""

    def result(self) -> None:
        """None if it is done; else InvalidStateError, or CancelledError."""

    def exception(self) -> None:
        """As result()."""

    def cancel(self, msg: Any = None) -> bool:
        """As Future.cancel(); a task does this for who cancels the task."""

    def add_done_callback(
        self, fn: Callable[[Any], object], *, context: contextvars.Context | None = None
    ) -> None:
        """Only while it waits."""

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Returns how many were removed."""
