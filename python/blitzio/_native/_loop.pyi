"""The hot half of the loop, its handles and its listening sockets."""

import asyncio
import contextvars
import socket
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar, final

from typing_extensions import Buffer, Self, TypeVarTuple, Unpack, disjoint_base

from blitzio._native._transports import StreamTransport

_T = TypeVar("_T")
_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)
_Ts = TypeVarTuple("_Ts")

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

@disjoint_base
class Handle:
    """A scheduled callback, with the interface of asyncio.Handle."""

    def __new__(
        cls,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: LoopBase,
        context: contextvars.Context | None = None,
    ) -> Self: ...
    _callback: Callable[..., object] | None
    _args: tuple[Any, ...] | None
    _cancelled: bool
    _context: contextvars.Context
    _loop: LoopBase
    _source_traceback: Any
    _repr: str | None
    def cancel(self) -> None:
        """Drop the callback; it will not run. Thread: any."""

    def cancelled(self) -> bool:
        """Whether cancel() was called."""

    def get_context(self) -> contextvars.Context:
        """The context that the callback runs in."""

    def _run(self) -> None:
        """Run the callback now, as the loop does."""

    def _repr_info(self) -> list[str]:
        """The words of repr(), as a list."""

@disjoint_base
class TimerHandle(Handle):
    """A callback scheduled for a time, with the interface of asyncio.TimerHandle."""

    def __new__(
        cls,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: LoopBase,
        context: contextvars.Context | None = None,
    ) -> Self: ...
    _when: float
    _scheduled: bool
    def when(self) -> float:
        """When it is due, in seconds on loop.time()'s clock."""

@disjoint_base
class LoopBase:
    """The native half of `blitzio.Loop`: what runs once per callback, packet or turn."""

    def __init__(
        self,
        *,
        backend: str = "auto",
        ring_entries: int = 0,
        buffer_bytes: int = 16384,
        buffer_count: int = 16,
        buffer_count_max: int = 4096,
        sqpoll: bool = False,
        iopoll: bool = False,
        single_issuer: bool | None = None,
        defer_taskrun: bool | None = None,
        registered_buffers: bool | None = None,
        registered_files: bool | None = None,
        ring_files: bool | None = None,
        timer_tick: float = 0.001,
        timers_max: int = 0,
    ) -> None: ...

    slow_callback_duration: float
    @property
    def backend(self) -> str:
        """The backend in use: "io_uring", "epoll" or "poll"."""

    @property
    def _thread_id(self) -> int | None:
        """Identifier of the thread that runs the loop, or None."""

    @property
    def _current_handle(self) -> Handle | None:
        """In debug mode the handle that runs, for the thread that runs it; else None."""

    def metrics(self) -> dict[str, int]:
        """Counters since the loop was made, and how much there is of what it has, by name:
        "io_submitted", "io_completed", "io_syscalls", "waits", "wakes", "buffers_exhausted",
        "ready", "timers", "transports", "blocking_threads", "blocking_idle", "blocking_queued".

        Raises:
            RuntimeError: the loop is closed.
        """

    def _transport_kinds(self) -> dict[str, int]:
        """How many transports are open, by the name of their type."""
    # ---- state ----
    def stop(self) -> None:
        """Make run_forever() return after the callbacks that are due now."""

    def is_running(self) -> bool:
        """Whether a thread is running the loop."""

    def is_closed(self) -> bool:
        """Whether close() was called."""

    def get_debug(self) -> bool:
        """Whether debug mode is on."""

    def set_debug(self, enabled: bool) -> None:
        """Switch debug mode."""

    def time(self) -> float:
        """Seconds on the loop's monotonic clock."""
    # ---- callbacks ----
    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Call callback(*args) in the next turn, after those already scheduled."""

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """As call_soon, and wakes the loop. Thread: any."""

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call callback(*args) after `delay` seconds."""

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call callback(*args) when time() reaches `when`."""
    # ---- futures, tasks, executors ----
    def create_future(self) -> asyncio.Future[Any]:
        """A new asyncio.Future of this loop."""

    def create_task(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[_T]:
        """Schedule a coroutine and return its task (through the task factory, if one is set)."""

    def get_task_factory(self) -> Any:
        """The task factory, or None."""

    def set_task_factory(self, factory: Any) -> None:
        """Make create_task call factory(loop, coro, …); None for asyncio.Task."""

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[Unpack[_Ts]], _T],
        *args: Unpack[_Ts],
    ) -> asyncio.Future[_T]:
        """Call func(*args) in a thread of the executor; None for the default one."""
    # ---- readiness ----
    def add_reader(
        self,
        fd: int | _HasFileno,
        callback: Callable[[Unpack[_Ts]], Any],
        *args: Unpack[_Ts],
    ) -> None:
        """Call callback(*args) whenever fd can be read."""

    def _add_background_reader(
        self,
        fd: int | _HasFileno,
        callback: Callable[[Unpack[_Ts]], Any],
        *args: Unpack[_Ts],
    ) -> None:
        """add_reader() of a new fd that a busy loop need not look at in each turn."""

    def remove_reader(self, fd: int | _HasFileno) -> bool:
        """Stop watching; whether fd was watched for reading."""

    def add_writer(
        self,
        fd: int | _HasFileno,
        callback: Callable[[Unpack[_Ts]], Any],
        *args: Unpack[_Ts],
    ) -> None:
        """Call callback(*args) whenever fd can be written."""

    def remove_writer(self, fd: int | _HasFileno) -> bool:
        """Stop watching; whether fd was watched for writing."""
    # ---- sockets ----
    def sock_recv(self, sock: socket.socket, n: int) -> Coroutine[Any, Any, bytes]:
        """Receive up to n bytes; b"" is the end."""

    def sock_recv_into(self, sock: socket.socket, buf: Buffer) -> Coroutine[Any, Any, int]:
        """Receive into buf; the number of bytes."""

    def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> Coroutine[Any, Any, Any]:
        """Receive a datagram: (bytes, address)."""

    def sock_recvfrom_into(
        self, sock: socket.socket, buf: Buffer, nbytes: int = 0
    ) -> Coroutine[Any, Any, tuple[int, Any]]:
        """Receive a datagram into buf: (number of bytes, address)."""

    def sock_sendall(self, sock: socket.socket, data: Buffer) -> Coroutine[Any, Any, None]:
        """Send all of data."""

    def sock_sendto(
        self, sock: socket.socket, data: Buffer, address: Any
    ) -> Coroutine[Any, Any, int]:
        """Send a datagram; the number of bytes."""

    def sock_accept(self, sock: socket.socket) -> Coroutine[Any, Any, tuple[socket.socket, Any]]:
        """Accept a connection: (socket, address)."""

    def sock_connect(self, sock: socket.socket, address: Any) -> Coroutine[Any, Any, None]:
        """Connect; host names of IP sockets are resolved."""
    async def _sock_connect_resolved(self, sock: socket.socket, address: Any) -> None:
        """Connect to an address that needs no resolving."""
    async def _sock_wait_writable(self, sock: socket.socket) -> None:
        """Wait until the socket takes more data."""
    def _connect_numeric(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: object,
        port: object,
        family: int,
        is_tls: bool,
        /,
    ) -> Coroutine[Any, Any, tuple[asyncio.Transport, Any]] | None:
        """A TCP connection and its transport; None if host and port need the resolver.

        `is_tls`: the factory makes an SSLProtocol with the application's protocol in it.
        """
    # ---- for the Python half ----
    def _run(self) -> None:
        """Run turns until stop(). The caller has set the running loop.

        Raises what callbacks may raise through the loop: SystemExit, KeyboardInterrupt.
        """

    def _close(self) -> None:
        """Drop handles and timers and shut the driver down. Idempotent."""

    def _check_closed(self) -> None:
        """Raise RuntimeError('Event loop is closed') if it is."""

    def _set_default_executor_object(self, executor: Executor | None, /) -> None:
        """Make run_in_executor(None, …) go through _run_in_python_executor; None for the pool."""

    @classmethod
    def _redefine_in(cls, subclass: type[LoopBase], /) -> None:
        """Define this class's methods on `subclass` itself: they are called faster there."""

    def _flush(self) -> None:
        """Hand over what transports have gathered in this turn."""

    def _set_before_wait(self, hook: Callable[[], object] | None, /) -> None:
        """Call hook() before each wait that may block; None: nothing.

        What it schedules keeps the loop awake.
        """

    def _shutdown_blocking_pool(self, wait: bool, /) -> bool | None:
        """End the native pool; it takes no more work. With wait, return when its threads are done.

        True says that no thread is left. Thread: any, once per value of wait.
        """

    def _disown(self) -> None:
        """In a forked child: this loop is the parent's from now on."""

    def _wake(self) -> None:
        """End the loop's wait. Thread: any."""

@final
class SockOperation:
    """What the sock_* methods return: a coroutine, awaited once. Closes like one, too."""

    cr_running: bool
    __name__: str
    __qualname__: str
    def __await__(self) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any:
        """Resume it; StopIteration carries the result."""

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Raise an exception where it waits."""

    def close(self) -> None:
        """Give it up."""

@disjoint_base
class ServerBase:
    """The native half of a server: it counts connections."""

    _active_count: int
    _is_closed: bool
    def _counted_clients(self, loop: LoopBase, /) -> list[StreamTransport]:
        """The open connections that are counted natively."""

@disjoint_base
class ChildOutputBase:
    """The native half of the protocol of a child's output."""

    fd: int
    _listener: Any
    def data_received(self, data: bytes, /) -> None:
        """For the listener, once there is one; until then _receive() gets it."""

@final
class Listener:
    """Accepts connections of one listening socket, which the server owns."""

    def __init__(
        self,
        loop: LoopBase,
        sock: socket.socket,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        server: Any,
        backlog: int,
    ) -> None: ...
    def start(self) -> None:
        """Begin to accept."""

    def close(self) -> None:
        """Stop accepting, for good."""

    def pause(self) -> None:
        """Stop accepting until start()."""

    def divert(
        self, function: Callable[[], Callable[[socket.socket], object] | None] | None, /
    ) -> None:
        """Ask function() for each connection: what it returns is called with the socket; None keeps
        the connection.
        """

    def adopt(self, sock: socket.socket, /) -> None:
        """Take over a connection that another listener accepted."""
