"""The native extension: the hot half of the loop. Private; use `blitzio.Loop` and friends.

Threads: an object belongs to the thread that runs its loop, unless its documentation says more.
"""

import asyncio
import contextvars
import socket
import ssl
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar, final

from typing_extensions import Buffer, Self, TypeVarTuple, Unpack, disjoint_base

_T = TypeVar("_T")
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
        buffer_count: int = 64,
        buffer_count_max: int = 4096,
    ) -> None: ...

    slow_callback_duration: float
    @property
    def backend(self) -> str:
        """The backend in use: "io_uring", "epoll" or "poll"."""

    @property
    def _thread_id(self) -> int | None:
        """Identifier of the thread that runs the loop, or None."""

    def metrics(self) -> dict[str, int]:
        """Counters since the loop was made."""
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
class StreamTransport(asyncio.Transport):
    """Transport of one connected stream socket, which it owns."""

    def __init__(
        self,
        loop: LoopBase,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        *,
        extra: dict[str, Any] | None,
        server: Any,
        waiter: asyncio.Future[Any] | None,
        call_connection_made: bool = True,
    ) -> None: ...
    _loop: LoopBase | None
    _sock: socket.socket | None
    _protocol: asyncio.BaseProtocol | None
    _extra: dict[str, Any]
    _server: Any
    _start_tls_compatible: bool
    _sendfile_compatible: Any
    @property
    def _protocol_paused(self) -> bool:
        """Whether the protocol was told to pause writing."""

    def write(self, data: Buffer) -> None:
        """Send data, now or when there is room. A mutable buffer is copied if it must wait."""

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Send several buffers, gathered."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Make `protocol` the one that hears of what follows."""

    def _force_close(self, exc: BaseException | None, /) -> None:
        """Close at once and tell the protocol `exc`."""

@disjoint_base
class DatagramTransport(asyncio.Transport, asyncio.DatagramTransport):
    """Transport of one datagram socket, which it owns. As asyncio's own it is a Transport, too."""

    def __init__(
        self,
        loop: LoopBase,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...
    _loop: LoopBase | None
    _sock: socket.socket | None
    _protocol: asyncio.BaseProtocol | None
    _extra: dict[str, Any]
    _address: Any
    @property
    def _protocol_paused(self) -> bool:
        """Whether the protocol was told to pause writing."""

    def sendto(self, data: Buffer, addr: Any = None) -> None:
        """Send data as one datagram, now or when there is room.

        Raises:
            ValueError: the endpoint was made with a remote address, and addr is another.
        """

    def pause_reading(self) -> None:
        """No datagram_received() until resume_reading(); the kernel keeps what fits."""

    def resume_reading(self) -> None:
        """Undo pause_reading()."""

    def is_reading(self) -> bool:
        """Whether datagrams are received: neither paused nor closing."""

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high) in bytes."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When to call pause_writing() and resume_writing(), in bytes."""

    def _force_close(self, exc: BaseException | None, /) -> None:
        """Close at once and tell the protocol `exc`."""

@final
class ReadPipeTransport(asyncio.ReadTransport):
    """Transport of the reading end of a pipe, which it owns."""

    def __init__(
        self,
        loop: LoopBase,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...
    _loop: LoopBase | None
    _pipe: Any
    _fileno: int

@final
class WritePipeTransport(asyncio.Transport):
    """Transport of the writing end of a pipe, which it owns."""

    def __init__(
        self,
        loop: LoopBase,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...
    _loop: LoopBase | None
    _pipe: Any
    _fileno: int

@disjoint_base
class TlsProtocolBase(asyncio.BufferedProtocol):
    """The record layer of one TLS connection; `SSLProtocol` in blitzio._loop is the rest."""

    def __init__(
        self,
        loop: LoopBase,
        app_protocol: asyncio.BaseProtocol,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        ssl_object: ssl.SSLObject,
        record_object: Any,
        is_made: bool,
    ) -> None:
        """`record_object` has the read() and write() of _ssl itself; None: use `ssl_object`'s."""

    _app_transport: Any
    _eof_received: bool
    _app_reading_paused: bool
    _app_reading_over: bool
    _incoming_high_water: int
    _incoming_low_water: int
    _outgoing_high_water: int
    _outgoing_low_water: int
    @property
    def _loop(self) -> Any: ...
    @property
    def _transport(self) -> Any:
        """The transport below, while there is one."""

    @property
    def _app_protocol(self) -> Any: ...
    @property
    def _sslobj(self) -> ssl.SSLObject: ...
    @property
    def _incoming(self) -> ssl.MemoryBIO: ...
    @property
    def _outgoing(self) -> ssl.MemoryBIO: ...
    @property
    def _state(self) -> str:
        """'UNWRAPPED', 'DO_HANDSHAKE', 'WRAPPED', 'FLUSHING' or 'SHUTDOWN'."""

    @property
    def _conn_lost(self) -> int: ...
    @property
    def _reading_held(self) -> bool:
        """Whether who awaits the handshake has not run yet."""

    @property
    def _app_writing_paused(self) -> bool: ...
    @property
    def _ssl_reading_paused(self) -> bool: ...
    @property
    def _ssl_writing_paused(self) -> bool: ...
    def data_received(self, data: Buffer, /) -> None:
        """For transports that know no buffers."""

    def _begin_handshake(self, transport: Any, /) -> None: ...
    def _become_wrapped(self) -> None: ...
    def _start_reading(self) -> None: ...
    def _begin_flushing(self) -> None: ...
    def _end(self) -> None: ...
    def _tell_made(self) -> bool:
        """Whether connection_made() is to be called, which is noted."""

    def _tell_eof(self) -> bool:
        """Whether eof_received() is to be called, which is noted."""

    def _release(self) -> bool:
        """Drop both neighbours; whether connection_lost() is to be called."""

    def _do_handshake(self) -> None: ...
    def _do_read(self) -> None: ...
    def _do_flush(self) -> None: ...
    def _go_on(self) -> None: ...
    def _control_app_writing(self) -> None: ...
    def _control_ssl_reading(self) -> None: ...
    def _set_app_protocol(self, protocol: asyncio.BaseProtocol, /) -> None: ...

@disjoint_base
class TlsTransportBase(asyncio.Transport):
    """What an application writes to; `_SSLProtocolTransport` in blitzio._loop is the rest."""

    def __init__(self, ssl_protocol: TlsProtocolBase) -> None: ...
    _closed: bool
    @property
    def _ssl_protocol(self) -> Any: ...
    @property
    def _protocol_paused(self) -> bool:
        """Whether the protocol was told to pause writing."""

    def write(self, data: Buffer, /) -> None:
        """Encrypt and send `data`. Does not block."""

    def writelines(self, list_of_data: Iterable[Buffer], /) -> None:
        """As write() of all, joined."""

    def set_protocol(self, protocol: asyncio.BaseProtocol, /) -> None:
        """Make `protocol` the one that hears of what follows."""

    def get_read_buffer_size(self) -> int:
        """Encrypted bytes not read yet."""

    def _test__append_write_backlog(self, data: Buffer, /) -> None: ...

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
        on_accept: Callable[[socket.socket], object] | None,
    ) -> None: ...
    def start(self) -> None:
        """Begin to accept."""

    def close(self) -> None:
        """Stop accepting, for good."""

    def pause(self) -> None:
        """Stop accepting until start()."""

def numeric_address(
    host: bytes | str | None,
    port: bytes | str | int | None,
    family: int,
    type: int,
    proto: int,
    flags: int,
    /,
) -> list[tuple[int, int, int, str, Any]] | None:
    """What getaddrinfo gives for a numeric host and port; None if it needs the resolver."""

@final
class ThreadPool:
    """Threads that call Python functions. Thread: any."""

    def __init__(self, threads_max: int, keep_alive: float, thread_name: str) -> None: ...
    def submit(self, callable: Callable[[], object], /) -> None:
        """Have callable() run in a thread. What it raises is written as unraisable.

        Raises:
            RuntimeError: the pool was shut down, or no thread can be started.
        """

    def shutdown(
        self, wait: bool = True, cancel_pending: bool = False
    ) -> list[Callable[[], object]]:
        """Take no more; with `wait`, return when all threads have ended.

        Returns:
            the callables that will not run, because of `cancel_pending`.
        """

    def metrics(self) -> dict[str, int]:
        """How many threads there are, how many of them idle, and how many callables wait."""

def _after_fork() -> None:
    """In a forked child: forget the threads of the parent's pools."""

def detect() -> list[tuple[str, bool, str, list[str]]]:
    """Each backend, best first: (name, usable, why not, features)."""

def build_info() -> dict[str, str]:
    """How the extension was built: version, compiler, liburing, build type."""

def _configure_faults(text: str, /) -> None:
    """Replaces what `BLITZIO_FAULTS` said: "seed=7,rate=0.05", or "" for nothing.

    Raises:
        RuntimeError: this build has no fault injection, and `text` is not empty.
        ValueError: `text` cannot be read.
    """

def _fault_counts() -> dict[str, int]:
    """How often each fault was injected since the process began."""
