"""Channels: `blitzio.channel`."""

from collections.abc import Callable
from types import GenericAlias
from typing import Any, Generic, TypeVar, final

from typing_extensions import Self

from blitzio._duration import Seconds as _Seconds
from blitzio._native._awaitable import Awaitable

_T = TypeVar("_T")

class ChannelError(Exception):
    """What channels raise."""

class Closed(ChannelError):
    """Nothing more can be sent; or everything was received."""

class Full(ChannelError):
    """try_send() found no room."""

class Empty(ChannelError):
    """try_recv() found nothing."""

class Lagged(ChannelError):
    """A receiver of a Broadcast was too slow."""

    missed: int

@final
class Channel(Generic[_T]):
    """A bounded queue: any number of senders and receivers, first in, first out. ValueError for a
    capacity below 1.

    >>> numbers = channel.Channel(8)
    >>> await numbers.send(1)
    >>> numbers.close()
    >>> [number async for number in numbers]
    [1]
    """

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __new__(cls, capacity: int) -> Self: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[_T]: ...
    @property
    def capacity(self) -> int:
        """How many values it holds."""

    def send(self, value: _T, /) -> Awaitable[None]:
        """Send, after waiting for room.

        Raises:
            Closed: the value was not sent.

        Cancellation: the value was not sent.
        """

    def try_send(self, value: _T, /) -> None:
        """Send now. Raises Full if there is no room, Closed if it is closed; the value was not
        sent then."""

    def blocking_send(self, value: _T, timeout: _Seconds | None = None) -> None:
        """send() for threads. TimeoutError after `timeout` seconds: it was not sent. RuntimeError
        if a loop runs in this thread."""

    def recv(self) -> Awaitable[_T]:
        """Wait for the oldest value.

        Raises:
            Closed: it is closed, and everything was received.

        Cancellation: loses no value.
        """

    def try_recv(self) -> _T:
        """The oldest value. Raises Empty if there is none yet, Closed if there will be none."""

    def blocking_recv(self, timeout: _Seconds | None = None) -> _T:
        """recv() for threads. TimeoutError after `timeout` seconds."""

    def close(self) -> None:
        """Nothing more can be sent; what was sent is received first. Idempotent."""

    def is_closed(self) -> bool:
        """Whether close() was called."""

    def is_empty(self) -> bool:
        """Whether it holds nothing; a snapshot, as `len()` is."""

    def is_full(self) -> bool:
        """Whether it holds `capacity` values; a snapshot."""

@final
class Oneshot(Generic[_T]):
    """One value from one sender to one receiver.

    >>> answer = channel.Oneshot()
    >>> answer.send(42)
    >>> await answer.recv()
    42

    It is one object for both sides, so it does not see that a sender is gone. Who may give up says
    so, for the receiver would wait for ever: with `close()`, which does nothing once the value is
    sent.

    >>> import contextlib
    >>> answer = channel.Oneshot()
    >>> with contextlib.suppress(ZeroDivisionError), contextlib.closing(answer):
    ...     answer.send(1 // 0)
    >>> with contextlib.suppress(channel.Closed):
    ...     await answer.recv()
    """

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __new__(cls) -> Self: ...
    def send(self, value: _T, /) -> None:
        """Send the value. Closed if it is closed, or has had its value."""

    def recv(self) -> Awaitable[_T]:
        """Wait for the value.

        Raises:
            Closed: there will be none, or it was received already.
            RuntimeError: somebody else is receiving.

        Cancellation: loses nothing; another recv() may follow.
        """

    def try_recv(self) -> _T:
        """The value. Raises Empty if there is none yet, Closed if there will be none."""

    def blocking_recv(self, timeout: _Seconds | None = None) -> _T:
        """recv() for threads. TimeoutError after `timeout` seconds."""

    def close(self) -> None:
        """There will be no value, if there is none yet: the receiver is told. Else, and again:
        nothing."""

    def is_closed(self) -> bool:
        """Whether it was closed without a value."""

@final
class Broadcast(Generic[_T]):
    """Every receiver gets every value; senders never wait for them.

    >>> news = channel.Broadcast(8)
    >>> receiver = news.subscribe()
    >>> news.send("first")
    >>> await receiver.recv()
    'first'
    """

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __new__(cls, capacity: int) -> Self: ...
    @property
    def capacity(self) -> int:
        """How many values it keeps for receivers that are behind."""

    def send(self, value: _T, /) -> None:
        """Send to every receiver there is. Raises Closed if it is closed."""

    def subscribe(self) -> BroadcastReceiver[_T]:
        """A receiver of what is sent from now on."""

    def close(self) -> None:
        """Receivers get what is left and are then told."""

    def is_closed(self) -> bool:
        """Whether close() was called."""

@final
class BroadcastReceiver(Generic[_T]):
    """Receives what is sent to a Broadcast: from Broadcast.subscribe()."""

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __len__(self) -> int:
        """How many values were sent that it has not received, those it has missed included."""

    def __bool__(self) -> bool: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[_T]: ...
    def recv(self) -> Awaitable[_T]:
        """Wait for the next value.

        Raises:
            Lagged: `missed` values were overwritten; the next recv() goes on with the oldest left.
            Closed: it is closed, and everything was received.

        Cancellation: loses no value.
        """

    def try_recv(self) -> _T:
        """The next value. Empty, Closed or Lagged."""

    def blocking_recv(self, timeout: _Seconds | None = None) -> _T:
        """recv() for threads. TimeoutError after `timeout` seconds."""

@final
class Watch(Generic[_T]):
    """The latest value of something, and who wants to know when it changes.

    >>> volume = channel.Watch(1)
    >>> receiver = volume.subscribe()
    >>> volume.send_modify(lambda value: value + 1)
    >>> await receiver.changed()
    >>> receiver.borrow()
    2
    """

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __new__(cls, initial: _T) -> Self: ...
    def send(self, value: _T, /) -> None:
        """Replace the value and wake every receiver. Closed."""

    def send_modify(self, change: Callable[[_T], _T], /) -> None:
        """Put `change(value)` in the value's place and wake every receiver.

        What others send comes before or after, never between: then `change` is called again, with
        their value, so it should do nothing but compute, and leave this Watch alone.

        Raises:
            Closed: nothing was sent.
            Exception: what `change` raised; nothing was sent.
        """

    def send_if_modified(self, change: Callable[[_T], _T], /) -> bool:
        """send_modify(), unless `change` gives back the very object it was given.

        Returns:
            whether there is a new value; else nobody is woken.
        """

    def borrow(self) -> _T:
        """The value."""

    def subscribe(self) -> WatchReceiver[_T]:
        """A receiver to which the present value is no news."""

    def close(self) -> None:
        """No more values: whoever waits for a change is told."""

    def is_closed(self) -> bool:
        """Whether close() was called."""

@final
class WatchReceiver(Generic[_T]):
    """Learns of the changes of a Watch: from Watch.subscribe()."""

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def changed(self) -> Awaitable[None]:
        """Wait until there is a value that was not seen yet, and take note of it.

        Raises:
            Closed: it is closed, and there is no news.

        Cancellation: loses nothing.
        """

    def blocking_changed(self, timeout: _Seconds | None = None) -> None:
        """changed() for threads. TimeoutError after `timeout` seconds."""

    def has_changed(self) -> bool:
        """Whether there is a value that was not seen yet."""

    def borrow(self) -> _T:
        """The value."""

    def borrow_and_update(self) -> _T:
        """The value, which is no news afterwards."""
