"""`Io`: a handle of everything a program asks of the outside: tasks, time, files, network,
processes, signals. Code takes one, as it would take a logger, and runs on any implementation.

`IoFuture`, of what was started:

            the function ends
    running ─────────────────▶ finished, for ever: awaited as often as one likes
       │                          ▲
       └── cancel(): asked to end ┘

Threads: an Io any; an IoFuture any, for every method; an IoGroup its task's.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import weakref
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from blitzio import sync, time
from blitzio._native import JoinHandle, _make_handle
from blitzio._task.group import Group
from blitzio._task.selecting import select
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from blitzio._duration import Instant, Seconds
    from blitzio._io.outside import Files, Network, Processes, Signals
    from blitzio._time_limit import TimeLimit, Timeout

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

#: The work that the calling code is part of.
_RUNNING: contextvars.ContextVar[weakref.ref[JoinHandle[Any]] | None] = contextvars.ContextVar(
    "blitzio_io_task", default=None
)


class Implementation(Protocol):
    """What an Io stands on."""

    def _start(self, handle: JoinHandle[Any], *, must_overlap: bool) -> None:
        """Runs it, now or later. ConcurrencyUnavailable if it must overlap and cannot."""

    def _block_on(self, handle: JoinHandle[Any]) -> Any:
        """Runs it to its end while the calling thread waits; returns its result."""

    def _now(self) -> Instant:
        """The time on its clock."""

    def _order(self, count: int) -> list[int]:
        """In which order select() looks at its branches."""

    @property
    def _fs(self) -> Files: ...
    @property
    def _net(self) -> Network: ...
    @property
    def _process(self) -> Processes: ...
    @property
    def _signal(self) -> Signals: ...


class IoFuture(Generic[_T_co]):
    """The way to the result of what `Io.async_` and `Io.concurrent` started.

    Awaiting it, or cancelling it, again gives the same again. Dropping it while the function still
    runs asks that to end, as cancel() does; detach() lets it go on.
    """

    __slots__ = ("__weakref__", "_handle", "_is_detached")
    __reduce__ = refuse_copy

    def __init__(self, handle: JoinHandle[_T_co]) -> None:
        self._handle = handle
        self._is_detached = False

    def __await__(self) -> Generator[Any, None, _T_co]:
        # A generator of its own, which keeps this while somebody waits.
        return (yield from self._handle.__await__())

    async def await_(self) -> _T_co:
        """Waits for the result; as awaiting the future.

        Raises:
            Exception: what the function raised.
            asyncio.CancelledError: it was cancelled.
            RuntimeError: the function itself waits, for its own end.

        Cancellation: stops waiting; the function runs on.
        """
        return await self._handle

    def blocking_await(self, timeout: Seconds | None = None) -> _T_co:
        """await_() for threads without a loop.

        Raises:
            TimeoutError: after `timeout`.
            RuntimeError: a loop runs in this thread, or the function itself waits.
        """
        return self._handle.blocking_join(timeout)

    def cancel(self) -> _Ending[_T_co]:
        """Asks the function to end, at once. Again: harmless.

        A coroutine gets CancelledError at its next await; a plain function goes on until it looks
        at `Io.cancel_requested`.

        Returns:
            an awaitable of the end, which may be ignored: the value, if that came first; None if it
            was cancelled. It raises what the function raised.
        """
        self._handle.cancel()
        return _Ending(self._handle)

    def try_await(self) -> _T_co | None:
        """The result if the function has ended, else None. Raises as await_()."""
        return self._handle.try_join()

    def is_finished(self) -> bool:
        """Whether the function has ended: with a result, an exception or by cancellation."""
        return self._handle.is_finished()

    def cancelled(self) -> bool:
        """Whether it has ended by cancellation."""
        return self._handle.cancelled()

    def detach(self) -> None:
        """Lets the function run on without anybody waiting for it."""
        self._is_detached = True
        self._handle.detach()

    def __del__(self) -> None:
        # Unfinished by __init__, or told.
        if not getattr(self, "_is_detached", True) and not self._handle.is_finished():
            self._handle.cancel()

    def __repr__(self) -> str:
        return repr(self._handle).replace("JoinHandle", "IoFuture", 1)


class _Ending(Generic[_T_co]):
    """Awaits the end of what was asked to end."""

    __slots__ = ("_handle",)

    def __init__(self, handle: JoinHandle[_T_co]) -> None:
        self._handle = handle

    def __await__(self) -> Generator[Any, None, _T_co | None]:
        try:
            return (yield from self._handle.__await__())
        except asyncio.CancelledError:
            # Its own, or that of who waits?
            if not self._handle.cancelled() or _is_being_cancelled():
                raise
            return None


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return sys.version_info >= (3, 11) and task is not None and task.cancelling() > 0


class IoGroup(Group):
    """Tasks that end together, on any implementation: `blitzio.Group`, made by `Io.group`.

    None outlives the block, or wait(); if one fails, the others are cancelled.
    """

    __slots__ = ("_io",)

    def __init__(self, io: Io) -> None:
        super().__init__()
        self._io = io

    def _launch(
        self, work: Any, args: tuple[Any, ...], name: str | None, *, must_overlap: bool
    ) -> JoinHandle[Any]:
        return self._io._launch(work, args, name, must_overlap=must_overlap)


class Io:
    """Tasks, time, files, network, processes and signals of one implementation.

    Made by `io()` of `Threaded`, `Evented` and `Deterministic`, and passed to whatever needs one. A
    value: two handles of the same implementation are equal.

    >>> from blitzio.io import Evented
    >>> async def both(io):
    ...     first = io.async_(pow, 2, 3)
    ...     second = io.async_(pow, 3, 2)
    ...     return await first + await second
    >>> with Evented() as evented:
    ...     evented.io().run(both, evented.io())
    17
    """

    __slots__ = ("_implementation",)

    def __init__(self, implementation: Implementation) -> None:
        self._implementation = implementation

    # ---- tasks -------------------------------------------------------------------------------

    @overload
    def async_(
        self, function: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any
    ) -> IoFuture[_T]: ...
    @overload
    def async_(self, function: Callable[..., _T], /, *args: Any) -> IoFuture[_T]: ...
    @overload
    def async_(self, function: Coroutine[Any, Any, _T], /) -> IoFuture[_T]: ...
    def async_(self, function: Any, /, *args: Any) -> IoFuture[Any]:
        """Starts `function(*args)`, and the coroutine that it returns: now or later, maybe in
        another thread, maybe to its end before this returns. For work that need not wait for what
        its starter does next: that takes concurrent().

        Raises:
            TypeError: `function` is no function and no coroutine.
            RuntimeError: the implementation has been closed.
        """
        return IoFuture(self._launch(function, args, None, must_overlap=False))

    @overload
    def concurrent(
        self, function: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any
    ) -> IoFuture[_T]: ...
    @overload
    def concurrent(self, function: Callable[..., _T], /, *args: Any) -> IoFuture[_T]: ...
    @overload
    def concurrent(self, function: Coroutine[Any, Any, _T], /) -> IoFuture[_T]: ...
    def concurrent(self, function: Any, /, *args: Any) -> IoFuture[Any]:
        """As async_(), for work that must get ahead while its starter goes on: a consumer for a
        producer, a server for a client.

        Raises:
            ConcurrencyUnavailable: the implementation has one thread, or its limit is reached; the
                function was not called.
        """
        return IoFuture(self._launch(function, args, None, must_overlap=True))

    def group(self) -> IoGroup:
        """A group, whose tasks end together; an asynchronous context manager."""
        return IoGroup(self)

    async def select(self, **branches: Awaitable[Any]) -> tuple[str, Any]:
        """Waits for the first of several, each with a name.

            match await io.select(file=file_future, network=network_future, timer=io.sleep(5)):
                case "file", data: ...
                case "network", packet: ...
                case "timer", _: ...

        Returns:
            the name and the result of the first that ended.

        Raises:
            Exception: what that one raised.
            ValueError: there is none.

        The others: IoFutures, handles and asyncio futures run on; everything else is cancelled and
        has ended, or, what the primitives of this package return, is dropped without effect.

        Cancellation: as for the others.
        """
        names = list(branches)
        order = self._implementation._order(len(names))
        awaitables = [branches[names[i]] for i in order]
        result, index = await select(
            [each._handle if isinstance(each, IoFuture) else each for each in awaitables]
        )
        return names[order[index]], result

    @property
    def cancel_requested(self) -> bool:
        """Whether the calling task was asked to end: for plain functions that run for long."""
        reference = _RUNNING.get()
        handle = None if reference is None else reference()
        return handle is not None and handle._cancel_requested

    @overload
    def run(self, function: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any) -> _T: ...
    @overload
    def run(self, function: Callable[..., _T], /, *args: Any) -> _T: ...
    @overload
    def run(self, function: Coroutine[Any, Any, _T], /) -> _T: ...
    def run(self, function: Any, /, *args: Any) -> Any:
        """Runs `function(*args)`, and the coroutine that it returns, to its end while the calling
        thread waits: the way in, for main programs and plain threads.

        Raises:
            RuntimeError: a loop runs in this thread.
            Exception: what the function raised.
        """
        if asyncio._get_running_loop() is not None:
            if asyncio.iscoroutine(function):
                function.close()
            raise RuntimeError("run() would block the event loop of this thread; use `await`")
        return self._implementation._block_on(_make(function, args, None))

    def _launch(
        self, function: Any, args: tuple[Any, ...], name: str | None, *, must_overlap: bool
    ) -> JoinHandle[Any]:
        handle = _make(function, args, name)
        try:
            self._implementation._start(handle, must_overlap=must_overlap)
        except BaseException:
            handle.cancel()  # A coroutine that was not started is closed.
            handle.detach()
            raise
        return handle

    # ---- time --------------------------------------------------------------------------------

    def now(self) -> Instant:
        """The time on this implementation's clock: the system's, or simulated."""
        return self._implementation._now()

    def sleep(self, duration: Seconds) -> Coroutine[Any, Any, None]:
        """`blitzio.sleep` on that clock."""
        return time.sleep(duration)

    def sleep_until(self, when: Instant) -> Coroutine[Any, Any, None]:
        """`blitzio.sleep_until` on that clock."""
        return time.sleep_until(when)

    @overload
    def timeout(self, duration: Seconds | None, awaitable: None = None) -> Timeout: ...
    @overload
    def timeout(self, duration: Seconds | None, awaitable: Awaitable[_T]) -> TimeLimit[_T]: ...
    def timeout(self, duration: Any, awaitable: Any = None) -> Any:
        """`blitzio.timeout` on that clock."""
        return time.timeout(duration, awaitable)

    @overload
    def deadline(self, when: Instant | None, awaitable: None = None) -> Timeout: ...
    @overload
    def deadline(self, when: Instant | None, awaitable: Awaitable[_T]) -> TimeLimit[_T]: ...
    def deadline(self, when: Any, awaitable: Any = None) -> Any:
        """`blitzio.deadline` on that clock."""
        return time.deadline(when, awaitable)

    def interval(self, period: Seconds) -> time.Interval:
        """`blitzio.interval` on that clock."""
        return time.interval(period)

    # ---- between tasks -----------------------------------------------------------------------

    # Primitives know no Io: who waits leaves a waker, and what that does is its task's business. So
    # these are those of blitzio.sync, and may be shared by tasks of different implementations.

    def mutex(self) -> sync.Mutex:
        """A `blitzio.sync.Mutex`."""
        return sync.Mutex()

    def condition(self, mutex: sync.Mutex | None = None) -> sync.Condition:
        """A `blitzio.sync.Condition`."""
        return sync.Condition(mutex)

    # ---- the outside -------------------------------------------------------------------------

    @property
    def fs(self) -> Files:
        """Files: `blitzio.fs`, or simulated ones."""
        return self._implementation._fs

    @property
    def net(self) -> Network:
        """Network: `connect`, `listen`, `bind_udp`, `resolve`; of Unix sockets `connect_unix`,
        `listen_unix`, `bind_unix`."""
        return self._implementation._net

    @property
    def process(self) -> Processes:
        """Processes: `blitzio.process`; none in a simulation."""
        return self._implementation._process

    @property
    def signal(self) -> Signals:
        """Signals: `blitzio.signal`, or simulated ones."""
        return self._implementation._signal

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Io):
            return NotImplemented
        return self._implementation is other._implementation

    def __hash__(self) -> int:
        return hash((Io, id(self._implementation)))

    def __repr__(self) -> str:
        return f"<Io of {self._implementation!r}>"


def _make(function: Any, args: tuple[Any, ...], name: str | None) -> JoinHandle[Any]:
    handle = _make_handle(function, args, name)
    context = handle._context
    assert context is not None, "nobody else has the handle"
    # Weakly: the task has the context, and the handle the task.
    context.run(_RUNNING.set, weakref.ref(handle))
    return handle
