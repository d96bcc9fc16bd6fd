"""The native extension: the hot half of the loop. Private; use `blitzio.Loop` and friends.

Threads: an object belongs to the thread that runs its loop, unless its documentation says more.
"""

import asyncio
import contextvars
import os
import socket
import ssl
from collections.abc import Awaitable as _AnyAwaitable
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import Executor
from types import GenericAlias
from typing import Any, Generic, Literal, Protocol, TypeVar, final, overload

from typing_extensions import Buffer, Self, TypeVarTuple, Unpack, disjoint_base

from blitzio._duration import Seconds as _Seconds
from blitzio._net.split import ReadHalf as _ReadHalf
from blitzio._net.split import WriteHalf as _WriteHalf

_T = TypeVar("_T")
_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)
_T_co = TypeVar("_T_co", covariant=True)
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
        sqpoll: bool = False,
        iopoll: bool = False,
        single_issuer: bool | None = None,
        defer_taskrun: bool | None = None,
        registered_buffers: bool | None = None,
        registered_files: bool | None = None,
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

    def metrics(self) -> dict[str, int]:
        """Counters since the loop was made."""

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
        protocol_factory: Callable[[], _ProtocolT],
        host: object,
        port: object,
        family: int,
        /,
    ) -> Coroutine[Any, Any, tuple[asyncio.Transport, _ProtocolT]] | None:
        """A plain TCP connection and its transport; None if host and port need the resolver."""
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
    _protocol: asyncio.BaseProtocol | None
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
    _protocol: asyncio.BaseProtocol | None
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

@disjoint_base
class ServerBase:
    """The native half of a server: it counts connections."""

    _active_count: int
    _is_closed: bool
    def _counted_clients(self, loop: LoopBase, /) -> list[StreamTransport]:
        """The open connections that are counted natively."""

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

    def divert(
        self, function: Callable[[], Callable[[socket.socket], object] | None] | None, /
    ) -> None:
        """Ask function() for each connection: what it returns is called with the socket; None keeps
        the connection.
        """

    def adopt(self, sock: socket.socket, /) -> None:
        """Take over a connection that another listener accepted."""

@final
class Awaitable(Coroutine[Any, Any, _T_co]):
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

@final
class Mutex:
    """Mutual exclusion between tasks, threads and loops.

    `async with mutex:` in a task, `with mutex:` in a thread. Fair: unlock() hands the lock to the
    waiter that came first, and nobody overtakes. Not recursive, and not bound to whoever locked it.
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

    One guard is for one holder at a time. A guard that is dropped while it holds something gives it
    back.
    """

    def __await__(self) -> Generator[Any, Any, Self]: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def release(self) -> None:
        """Give back what it holds. RuntimeError if it holds nothing."""

    def downgrade(self) -> None:
        """Turn the write lock that it holds into a read lock; nobody writes in between.

        Raises:
            RuntimeError: it holds no write lock.
        """

    def held(self) -> bool:
        """Whether it holds something; a snapshot."""

@final
class RwLock:
    """Any number of readers, or one writer.

    Fair: who comes first goes first, so a waiting writer is not overtaken by readers. For the same
    reason a holder of a read lock must not wait for a second one.
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
        """read() for threads: a held guard. TimeoutError after `timeout` seconds."""

    def blocking_write(self, timeout: _Seconds | None = None) -> Guard:
        """write() for threads: a held guard. TimeoutError after `timeout` seconds."""

@final
class Semaphore:
    """A number of permits. `async with`, or `with` in a thread, takes one.

    Fair: permits go to waiters in the order of arrival, and nobody overtakes; a waiter for many
    collects them as they are released.
    """

    def __new__(cls, permits: int) -> Self: ...
    @property
    def available_permits(self) -> int:
        """How many are free; a snapshot."""

    def acquire(self, count: int = 1) -> Awaitable[None]:
        """Wait for `count` permits.

        Cancellation: what was granted already goes to the next waiter.
        """

    def try_acquire(self, count: int = 1) -> bool:
        """Take them if they are free and nobody waits. Returns whether it did."""

    def blocking_acquire(self, count: int = 1, timeout: _Seconds | None = None) -> None:
        """acquire() for threads. TimeoutError after `timeout` seconds."""

    def release(self, count: int = 1) -> None:
        """Give permits back, or add new ones; ValueError above 2,147,483,647 free ones."""

    def close(self) -> None:
        """Have whoever waits, now and later, fail with RuntimeError. Permits can be given back."""

    @property
    def is_closed(self) -> bool:
        """Whether close() was called."""

    def permit(self, count: int = 1) -> Guard:
        """A guard for `count` permits: `async with semaphore.permit(3):`."""

    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *exc_info: object) -> None: ...

@final
class Notify:
    """Wakes a waiter, or remembers that the next one need not wait."""

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
    """A flag that is waited for."""

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
    """Lets `parties` go on together, again and again."""

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
    """A bounded queue: any number of senders and receivers, first in, first out."""

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
        """Send now. Full if there is no room, Closed."""

    def blocking_send(self, value: _T, timeout: _Seconds | None = None) -> None:
        """send() for threads. TimeoutError after `timeout` seconds: it was not sent."""

    def recv(self) -> Awaitable[_T]:
        """Wait for the oldest value.

        Raises:
            Closed: it is closed, and everything was received.

        Cancellation: loses no value.
        """

    def try_recv(self) -> _T:
        """The oldest value. Empty if there is none yet, Closed if there will be none."""

    def blocking_recv(self, timeout: _Seconds | None = None) -> _T:
        """recv() for threads. TimeoutError after `timeout` seconds."""

    def close(self) -> None:
        """Nothing more can be sent; what was sent is received first. Idempotent."""

    def is_closed(self) -> bool:
        """Whether close() was called."""

@final
class Oneshot(Generic[_T]):
    """One value from one sender to one receiver."""

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
        """The value. Empty or Closed."""

    def blocking_recv(self, timeout: _Seconds | None = None) -> _T:
        """recv() for threads. TimeoutError after `timeout` seconds."""

    def close(self) -> None:
        """There will be no value, if there is none yet: the receiver is told."""

    def is_closed(self) -> bool:
        """Whether it was closed without a value."""

@final
class Broadcast(Generic[_T]):
    """Every receiver gets every value; senders never wait for them."""

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __new__(cls, capacity: int) -> Self: ...
    @property
    def capacity(self) -> int:
        """How many values it keeps for receivers that are behind."""

    def send(self, value: _T, /) -> None:
        """Send to every receiver there is. Closed."""

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
    """The latest value of something, and who wants to know when it changes."""

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __new__(cls, initial: _T) -> Self: ...
    def send(self, value: _T, /) -> None:
        """Replace the value and wake every receiver. Closed."""

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

@final
class Address:
    """Where a socket is: a numeric IPv4 or IPv6 address with a port, or a Unix socket's path.

    A value: compares equal to what is equal, can be a key, and `str()` gives the text that
    `parse()` reads.
    """

    def __new__(cls, host: str, port: int) -> Self:
        """Of a numeric host ("127.0.0.1", "::1", "fe80::1%eth0"); names are for `net.resolve`."""

    @classmethod
    def parse(cls, text: str, /) -> Self:
        """Read "1.2.3.4:80", "[::1]:80", "/path" or "@abstract".

        Raises:
            ValueError: it is none of these.
        """

    @classmethod
    def local(cls, path: str | bytes | os.PathLike[str] | os.PathLike[bytes], /) -> Self:
        """Of a Unix socket. A name that begins with a zero byte is abstract: it has no file."""

    def with_port(self, port: int, /) -> Address:
        """The same with another port."""

    @property
    def host(self) -> str:
        """Without the port; a Unix socket's path."""

    @property
    def port(self) -> int:
        """0 if it has none."""

    @property
    def family(self) -> int:
        """socket.AF_INET, AF_INET6 or AF_UNIX."""

    @property
    def scope_id(self) -> int:
        """The interface of a link-local address."""

    @property
    def is_loopback(self) -> bool: ...
    @property
    def is_multicast(self) -> bool: ...
    @property
    def is_unspecified(self) -> bool:
        """0.0.0.0 or ::"""

    @property
    def is_local(self) -> bool:
        """Whether it is a Unix socket's."""

    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class TcpStream:
    """A TCP connection. One task may read while another writes."""

    @classmethod
    def connect(cls, address: Address | str, /) -> Awaitable[TcpStream]:
        """Connect to an address; `net.connect` takes names.

        Cancellation: gives up the attempt.
        """

    @classmethod
    def blocking_connect(
        cls, address: Address | str, /, *, timeout: _Seconds | None = None
    ) -> TcpStream:
        """connect() for threads. TimeoutError after `timeout` seconds."""

    def read(self, n: int = 65536) -> Awaitable[bytes]:
        """Read what is there, at most n bytes, or wait for some; none at the end.

        Cancellation: loses no byte.
        """

    def blocking_read(self, n: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """read() for threads. TimeoutError after `timeout` seconds."""

    def peek(self, n: int = 65536) -> Awaitable[bytes]:
        """read() that leaves the bytes there."""

    def blocking_peek(self, n: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """peek() for threads. TimeoutError after `timeout` seconds."""

    def read_into(self, buffer: Buffer, /) -> Awaitable[int]:
        """read() into a writable buffer. Gives how many bytes came."""

    def blocking_read_into(self, buffer: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """read_into() for threads. TimeoutError after `timeout` seconds."""

    def read_exact(self, n: int, /) -> Awaitable[bytes]:
        """Read exactly n bytes.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.

        Cancellation: loses no byte: what had come is there for the next read.
        """

    def blocking_read_exact(self, n: int, /, *, timeout: _Seconds | None = None) -> bytes:
        """read_exact() for threads. TimeoutError after `timeout` seconds."""

    def read_until(self, separator: Buffer, limit: int = 65536) -> Awaitable[bytes]:
        """Read up to and with the separator.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.
            asyncio.LimitOverrunError: it is not within `limit` bytes, which stay in the stream.

        Cancellation: as read_exact().
        """

    def blocking_read_until(
        self, separator: Buffer, limit: int = 65536, *, timeout: _Seconds | None = None
    ) -> bytes:
        """read_until() for threads. TimeoutError after `timeout` seconds."""

    def read_line(self, limit: int = 65536) -> Awaitable[bytes]:
        """Read a line, with its end; at the end of the stream what is left. Limit as read_until().

        `async for line in stream` reads all of them.
        """

    def blocking_read_line(self, limit: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """read_line() for threads. TimeoutError after `timeout` seconds."""

    def read_to_end(self, limit: int = ...) -> Awaitable[bytes]:
        """Read all that is to come, at most `limit` bytes."""

    def blocking_read_to_end(self, limit: int = ..., *, timeout: _Seconds | None = None) -> bytes:
        """read_to_end() for threads. TimeoutError after `timeout` seconds."""

    def try_read(self, n: int = 65536) -> bytes | None:
        """read(), now; None if nothing is there."""

    def write(self, data: Buffer, /) -> Awaitable[int]:
        """Write some of data, waiting for room. Gives how much.

        Cancellation: nothing was written.
        """

    def blocking_write(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """write() for threads. TimeoutError after `timeout` seconds."""

    def write_all(self, data: Buffer, /) -> Awaitable[None]:
        """Write all of data. Several writers take turns: their data does not mix.

        Cancellation: part of it may be written.
        """

    def blocking_write_all(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> None:
        """write_all() for threads. TimeoutError after `timeout` seconds."""

    def try_write(self, data: Buffer, /) -> int:
        """write(), now; 0 if there is no room, or others wait."""

    def read_vectored(self, buffers: Iterable[Buffer], /) -> Awaitable[int]:
        """read() into several writable buffers, one after the other; of more than 1,024 into the
        first. Gives how many bytes came; 0 at the end.

        Cancellation: loses no byte.
        """

    def blocking_read_vectored(
        self, buffers: Iterable[Buffer], /, *, timeout: _Seconds | None = None
    ) -> int:
        """read_vectored() for threads. TimeoutError after `timeout` seconds."""

    def try_read_vectored(self, buffers: Iterable[Buffer], /) -> int | None:
        """read_vectored(), now; None if nothing is there."""

    def write_vectored(self, buffers: Iterable[Buffer], /) -> Awaitable[int]:
        """write() from several buffers, with one system call and no copy; of more than 1,024 from
        the first. Gives how many bytes of them, one after the other, were written.

        Cancellation: nothing was written.
        """

    def blocking_write_vectored(
        self, buffers: Iterable[Buffer], /, *, timeout: _Seconds | None = None
    ) -> int:
        """write_vectored() for threads. TimeoutError after `timeout` seconds."""

    def try_write_vectored(self, buffers: Iterable[Buffer], /) -> int:
        """write_vectored(), now; 0 if there is no room, or others wait."""

    def shutdown(self, how: Literal["read", "write", "both"] = "both") -> None:
        """End one way, or both, while the socket stays open."""

    def split(self) -> tuple[_ReadHalf, _WriteHalf]:
        """Two halves, for two tasks. The stream is theirs from then on: closing the writing one
        ends that way, and it is closed when both are, or are dropped.

        Raises:
            RuntimeError: it has been split already.
        """

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[bytes]: ...
    @property
    def local_address(self) -> Address:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address:
        """The Address of the other end; OSError if there is none."""

    @property
    def is_closed(self) -> bool:
        """Whether close() or detach() was called."""

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def detach(self) -> int:
        """Give the descriptor, in non-blocking mode, to the caller."""

    def readable(self) -> Awaitable[None]:
        """Wait until reading, or accepting, would not block."""

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

    def writable(self) -> Awaitable[None]:
        """Wait until writing would not block."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

    def option(self, level: int, name: int, /) -> int:
        """getsockopt() of an int."""

    def set_option(self, level: int, name: int, value: int, /) -> None:
        """setsockopt() of an int."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *exc_info: object) -> Awaitable[None]: ...

@final
class UnixStream:
    """A connection between processes of this machine, as a TcpStream."""

    @classmethod
    def connect(cls, address: Address | str, /) -> Awaitable[UnixStream]:
        """Connect to a path or abstract name."""

    @classmethod
    def blocking_connect(
        cls, address: Address | str, /, *, timeout: _Seconds | None = None
    ) -> UnixStream:
        """connect() for threads. TimeoutError after `timeout` seconds."""

    @classmethod
    def pair(cls) -> tuple[UnixStream, UnixStream]:
        """Two that are connected with each other."""

    def peer_credentials(self) -> tuple[int, int, int]:
        """(process, user, group) of who is at the other end."""

    def read(self, n: int = 65536) -> Awaitable[bytes]:
        """Read what is there, at most n bytes, or wait for some; none at the end.

        Cancellation: loses no byte.
        """

    def blocking_read(self, n: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """read() for threads. TimeoutError after `timeout` seconds."""

    def peek(self, n: int = 65536) -> Awaitable[bytes]:
        """read() that leaves the bytes there."""

    def blocking_peek(self, n: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """peek() for threads. TimeoutError after `timeout` seconds."""

    def read_into(self, buffer: Buffer, /) -> Awaitable[int]:
        """read() into a writable buffer. Gives how many bytes came."""

    def blocking_read_into(self, buffer: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """read_into() for threads. TimeoutError after `timeout` seconds."""

    def read_exact(self, n: int, /) -> Awaitable[bytes]:
        """Read exactly n bytes.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.

        Cancellation: loses no byte: what had come is there for the next read.
        """

    def blocking_read_exact(self, n: int, /, *, timeout: _Seconds | None = None) -> bytes:
        """read_exact() for threads. TimeoutError after `timeout` seconds."""

    def read_until(self, separator: Buffer, limit: int = 65536) -> Awaitable[bytes]:
        """Read up to and with the separator.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.
            asyncio.LimitOverrunError: it is not within `limit` bytes, which stay in the stream.

        Cancellation: as read_exact().
        """

    def blocking_read_until(
        self, separator: Buffer, limit: int = 65536, *, timeout: _Seconds | None = None
    ) -> bytes:
        """read_until() for threads. TimeoutError after `timeout` seconds."""

    def read_line(self, limit: int = 65536) -> Awaitable[bytes]:
        """Read a line, with its end; at the end of the stream what is left. Limit as read_until().

        `async for line in stream` reads all of them.
        """

    def blocking_read_line(self, limit: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """read_line() for threads. TimeoutError after `timeout` seconds."""

    def read_to_end(self, limit: int = ...) -> Awaitable[bytes]:
        """Read all that is to come, at most `limit` bytes."""

    def blocking_read_to_end(self, limit: int = ..., *, timeout: _Seconds | None = None) -> bytes:
        """read_to_end() for threads. TimeoutError after `timeout` seconds."""

    def try_read(self, n: int = 65536) -> bytes | None:
        """read(), now; None if nothing is there."""

    def write(self, data: Buffer, /) -> Awaitable[int]:
        """Write some of data, waiting for room. Gives how much.

        Cancellation: nothing was written.
        """

    def blocking_write(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """write() for threads. TimeoutError after `timeout` seconds."""

    def write_all(self, data: Buffer, /) -> Awaitable[None]:
        """Write all of data. Several writers take turns: their data does not mix.

        Cancellation: part of it may be written.
        """

    def blocking_write_all(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> None:
        """write_all() for threads. TimeoutError after `timeout` seconds."""

    def try_write(self, data: Buffer, /) -> int:
        """write(), now; 0 if there is no room, or others wait."""

    def read_vectored(self, buffers: Iterable[Buffer], /) -> Awaitable[int]:
        """read() into several writable buffers, one after the other; of more than 1,024 into the
        first. Gives how many bytes came; 0 at the end.

        Cancellation: loses no byte.
        """

    def blocking_read_vectored(
        self, buffers: Iterable[Buffer], /, *, timeout: _Seconds | None = None
    ) -> int:
        """read_vectored() for threads. TimeoutError after `timeout` seconds."""

    def try_read_vectored(self, buffers: Iterable[Buffer], /) -> int | None:
        """read_vectored(), now; None if nothing is there."""

    def write_vectored(self, buffers: Iterable[Buffer], /) -> Awaitable[int]:
        """write() from several buffers, with one system call and no copy; of more than 1,024 from
        the first. Gives how many bytes of them, one after the other, were written.

        Cancellation: nothing was written.
        """

    def blocking_write_vectored(
        self, buffers: Iterable[Buffer], /, *, timeout: _Seconds | None = None
    ) -> int:
        """write_vectored() for threads. TimeoutError after `timeout` seconds."""

    def try_write_vectored(self, buffers: Iterable[Buffer], /) -> int:
        """write_vectored(), now; 0 if there is no room, or others wait."""

    def shutdown(self, how: Literal["read", "write", "both"] = "both") -> None:
        """End one way, or both, while the socket stays open."""

    def split(self) -> tuple[_ReadHalf, _WriteHalf]:
        """Two halves, for two tasks. The stream is theirs from then on: closing the writing one
        ends that way, and it is closed when both are, or are dropped.

        Raises:
            RuntimeError: it has been split already.
        """

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[bytes]: ...
    @property
    def local_address(self) -> Address | None:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address | None:
        """The Address of the other end; OSError if there is none."""

    @property
    def is_closed(self) -> bool:
        """Whether close() or detach() was called."""

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def detach(self) -> int:
        """Give the descriptor, in non-blocking mode, to the caller."""

    def readable(self) -> Awaitable[None]:
        """Wait until reading, or accepting, would not block."""

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

    def writable(self) -> Awaitable[None]:
        """Wait until writing would not block."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

    def option(self, level: int, name: int, /) -> int:
        """getsockopt() of an int."""

    def set_option(self, level: int, name: int, value: int, /) -> None:
        """setsockopt() of an int."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *exc_info: object) -> Awaitable[None]: ...

@final
class TcpListener:
    """Accepts TCP connections. Several tasks may accept."""

    @classmethod
    def bind(
        cls,
        address: Address | str,
        *,
        backlog: int = 1024,
        reuse_address: bool = True,
        reuse_port: bool = False,
        v6_only: bool = False,
    ) -> TcpListener:
        """Listen at an address; port 0 takes a free one, which `local_address` tells."""

    def accept(self) -> Awaitable[tuple[TcpStream, Address]]:
        """Wait for a connection. Gives the stream and its peer.

        `async for stream in listener` accepts for ever.

        Cancellation: takes no connection.
        """

    def blocking_accept(self, timeout: _Seconds | None = None) -> tuple[TcpStream, Address]:
        """accept() for threads. TimeoutError after `timeout` seconds."""

    def try_accept(self) -> tuple[TcpStream, Address] | None:
        """accept(), now; None if there is no connection."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[TcpStream]: ...
    @property
    def local_address(self) -> Address:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address:
        """The Address of the other end; OSError if there is none."""

    @property
    def is_closed(self) -> bool:
        """Whether close() or detach() was called."""

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def detach(self) -> int:
        """Give the descriptor, in non-blocking mode, to the caller."""

    def readable(self) -> Awaitable[None]:
        """Wait until reading, or accepting, would not block."""

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

    def writable(self) -> Awaitable[None]:
        """Wait until writing would not block."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

    def option(self, level: int, name: int, /) -> int:
        """getsockopt() of an int."""

    def set_option(self, level: int, name: int, value: int, /) -> None:
        """setsockopt() of an int."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *exc_info: object) -> Awaitable[None]: ...

@final
class UnixListener:
    """Accepts connections of processes of this machine."""

    @classmethod
    def bind(cls, address: Address | str, *, backlog: int = 1024) -> UnixListener:
        """Listen at a path or abstract name. The path stays when the listener is closed."""

    def accept(self) -> Awaitable[tuple[UnixStream, Address | None]]:
        """Wait for a connection. Gives the stream and its peer.

        `async for stream in listener` accepts for ever.

        Cancellation: takes no connection.
        """

    def blocking_accept(self, timeout: _Seconds | None = None) -> tuple[UnixStream, Address | None]:
        """accept() for threads. TimeoutError after `timeout` seconds."""

    def try_accept(self) -> tuple[UnixStream, Address | None] | None:
        """accept(), now; None if there is no connection."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[UnixStream]: ...
    @property
    def local_address(self) -> Address | None:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address | None:
        """The Address of the other end; OSError if there is none."""

    @property
    def is_closed(self) -> bool:
        """Whether close() or detach() was called."""

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def detach(self) -> int:
        """Give the descriptor, in non-blocking mode, to the caller."""

    def readable(self) -> Awaitable[None]:
        """Wait until reading, or accepting, would not block."""

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

    def writable(self) -> Awaitable[None]:
        """Wait until writing would not block."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

    def option(self, level: int, name: int, /) -> int:
        """getsockopt() of an int."""

    def set_option(self, level: int, name: int, value: int, /) -> None:
        """setsockopt() of an int."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *exc_info: object) -> Awaitable[None]: ...

@final
class UdpSocket:
    """Datagrams over IPv4 and IPv6."""

    @classmethod
    def bind(
        cls,
        address: Address | str,
        *,
        reuse_address: bool = False,
        reuse_port: bool = False,
        v6_only: bool = False,
    ) -> UdpSocket:
        """A socket at an address; port 0 takes a free one, which `local_address` tells."""

    def connect(self, address: Address | str, /) -> None:
        """Send to this address, and receive from it alone, from now on."""

    def recv_from(self) -> Awaitable[tuple[bytes, Address]]:
        """Wait for a datagram. Gives it and its sender.

        Cancellation: takes no datagram.
        """

    def blocking_recv_from(self, timeout: _Seconds | None = None) -> tuple[bytes, Address]:
        """recv_from() for threads. TimeoutError after `timeout` seconds."""

    def recv(self) -> Awaitable[bytes]:
        """recv_from() without the sender."""

    def blocking_recv(self, timeout: _Seconds | None = None) -> bytes:
        """recv() for threads. TimeoutError after `timeout` seconds."""

    def try_recv_from(self) -> tuple[bytes, Address] | None:
        """recv_from(), now; None if there is none."""

    def try_recv(self) -> bytes | None:
        """recv(), now; None if there is none."""

    def send_to(self, data: Buffer, address: Address | str, /) -> Awaitable[int]:
        """Send a datagram, waiting for room."""

    def blocking_send_to(
        self, data: Buffer, address: Address | str, /, *, timeout: _Seconds | None = None
    ) -> int:
        """send_to() for threads. TimeoutError after `timeout` seconds."""

    def send(self, data: Buffer, /) -> Awaitable[int]:
        """send_to() the peer of connect()."""

    def blocking_send(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """send() for threads. TimeoutError after `timeout` seconds."""

    def try_send_to(self, data: Buffer, address: Address | str, /) -> int | None:
        """send_to(), now; None if there is no room."""

    def try_send(self, data: Buffer, /) -> int | None:
        """send(), now; None if there is no room."""

    def join_multicast(self, group: Address | str, interface: int = 0) -> None:
        """Hear what is sent to a group, on one interface or the one that the system chooses."""

    def leave_multicast(self, group: Address | str, interface: int = 0) -> None:
        """No longer hear it."""

    @property
    def local_address(self) -> Address:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address:
        """The Address of the other end; OSError if there is none."""

    @property
    def is_closed(self) -> bool:
        """Whether close() or detach() was called."""

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def detach(self) -> int:
        """Give the descriptor, in non-blocking mode, to the caller."""

    def readable(self) -> Awaitable[None]:
        """Wait until reading, or accepting, would not block."""

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

    def writable(self) -> Awaitable[None]:
        """Wait until writing would not block."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

    def option(self, level: int, name: int, /) -> int:
        """getsockopt() of an int."""

    def set_option(self, level: int, name: int, value: int, /) -> None:
        """setsockopt() of an int."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *exc_info: object) -> Awaitable[None]: ...

@final
class UnixDatagram:
    """Datagrams between processes of this machine."""

    @classmethod
    def bind(cls, address: Address | str = ...) -> UnixDatagram:
        """A socket at a path or abstract name, or without one: then nobody can answer."""

    @classmethod
    def pair(cls) -> tuple[UnixDatagram, UnixDatagram]:
        """Two that are connected with each other."""

    def connect(self, address: Address | str, /) -> None:
        """Send to this address, and receive from it alone, from now on."""

    def recv_from(self) -> Awaitable[tuple[bytes, Address | None]]:
        """Wait for a datagram. Gives it and its sender.

        Cancellation: takes no datagram.
        """

    def blocking_recv_from(self, timeout: _Seconds | None = None) -> tuple[bytes, Address | None]:
        """recv_from() for threads. TimeoutError after `timeout` seconds."""

    def recv(self) -> Awaitable[bytes]:
        """recv_from() without the sender."""

    def blocking_recv(self, timeout: _Seconds | None = None) -> bytes:
        """recv() for threads. TimeoutError after `timeout` seconds."""

    def try_recv_from(self) -> tuple[bytes, Address | None] | None:
        """recv_from(), now; None if there is none."""

    def try_recv(self) -> bytes | None:
        """recv(), now; None if there is none."""

    def send_to(self, data: Buffer, address: Address | str, /) -> Awaitable[int]:
        """Send a datagram, waiting for room."""

    def blocking_send_to(
        self, data: Buffer, address: Address | str, /, *, timeout: _Seconds | None = None
    ) -> int:
        """send_to() for threads. TimeoutError after `timeout` seconds."""

    def send(self, data: Buffer, /) -> Awaitable[int]:
        """send_to() the peer of connect()."""

    def blocking_send(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """send() for threads. TimeoutError after `timeout` seconds."""

    def try_send_to(self, data: Buffer, address: Address | str, /) -> int | None:
        """send_to(), now; None if there is no room."""

    def try_send(self, data: Buffer, /) -> int | None:
        """send(), now; None if there is no room."""

    @property
    def local_address(self) -> Address | None:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address | None:
        """The Address of the other end; OSError if there is none."""

    @property
    def is_closed(self) -> bool:
        """Whether close() or detach() was called."""

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def detach(self) -> int:
        """Give the descriptor, in non-blocking mode, to the caller."""

    def readable(self) -> Awaitable[None]:
        """Wait until reading, or accepting, would not block."""

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

    def writable(self) -> Awaitable[None]:
        """Wait until writing would not block."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

    def option(self, level: int, name: int, /) -> int:
        """getsockopt() of an int."""

    def set_option(self, level: int, name: int, value: int, /) -> None:
        """setsockopt() of an int."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *exc_info: object) -> Awaitable[None]: ...

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

    def spawn(
        self, function: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]:
        """Have function(*args) run in a thread.

        Raises:
            TypeError: `function` cannot be called.
            RuntimeError: the pool was shut down, or no thread can be started.
        """

    def shutdown(
        self, wait: bool = True, cancel_pending: bool = False
    ) -> list[Callable[[], object] | JoinHandle[Any]]:
        """Take no more; with `wait`, return when all threads have ended.

        Returns:
            the callables and handles that will not run, because of `cancel_pending`.
        """

    def metrics(self) -> dict[str, int]:
        """How many threads there are, how many of them idle, and how many callables wait."""

@final
class PipeReader:
    """Reads what a child writes. One task reads at a time; each end of a pipe has one direction."""

    def read(self, n: int = 65536) -> Awaitable[bytes]:
        """Read what is there, at most n bytes, or wait for some; none at the end.

        Cancellation: loses no byte.
        """

    def blocking_read(self, n: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """read() for threads. TimeoutError after `timeout` seconds."""

    def read_into(self, buffer: Buffer, /) -> Awaitable[int]:
        """read() into a writable buffer. Gives how many bytes came."""

    def blocking_read_into(self, buffer: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """read_into() for threads. TimeoutError after `timeout` seconds."""

    def read_exact(self, n: int, /) -> Awaitable[bytes]:
        """Read exactly n bytes.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.

        Cancellation: loses no byte: what had come is there for the next read.
        """

    def blocking_read_exact(self, n: int, /, *, timeout: _Seconds | None = None) -> bytes:
        """read_exact() for threads. TimeoutError after `timeout` seconds."""

    def read_until(self, separator: Buffer, limit: int = 65536) -> Awaitable[bytes]:
        """Read up to and with the separator.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.
            asyncio.LimitOverrunError: it is not within `limit` bytes, which stay in the stream.

        Cancellation: as read_exact().
        """

    def blocking_read_until(
        self, separator: Buffer, limit: int = 65536, *, timeout: _Seconds | None = None
    ) -> bytes:
        """read_until() for threads. TimeoutError after `timeout` seconds."""

    def read_line(self, limit: int = 65536) -> Awaitable[bytes]:
        """Read a line, with its end; at the end of the stream what is left. Limit as read_until().

        `async for line in stream` reads all of them.
        """

    def blocking_read_line(self, limit: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """read_line() for threads. TimeoutError after `timeout` seconds."""

    def read_to_end(self, limit: int = ...) -> Awaitable[bytes]:
        """Read all that is to come, at most `limit` bytes."""

    def blocking_read_to_end(self, limit: int = ..., *, timeout: _Seconds | None = None) -> bytes:
        """read_to_end() for threads. TimeoutError after `timeout` seconds."""

    def try_read(self, n: int = 65536) -> bytes | None:
        """read(), now; None if nothing is there."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[bytes]: ...
    @property
    def is_closed(self) -> bool:
        """Whether close() or detach() was called."""

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def detach(self) -> int:
        """Give the descriptor, in non-blocking mode, to the caller."""

    def readable(self) -> Awaitable[None]:
        """Wait until reading would not block."""

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *exc_info: object) -> Awaitable[None]: ...

@final
class PipeWriter:
    """Writes what a child reads. That nobody reads any more is BrokenPipeError."""

    def write(self, data: Buffer, /) -> Awaitable[int]:
        """Write some of data, waiting for room. Gives how much.

        Cancellation: nothing was written.
        """

    def blocking_write(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """write() for threads. TimeoutError after `timeout` seconds."""

    def write_all(self, data: Buffer, /) -> Awaitable[None]:
        """Write all of data. Several writers take turns: their data does not mix.

        Cancellation: part of it may be written.
        """

    def blocking_write_all(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> None:
        """write_all() for threads. TimeoutError after `timeout` seconds."""

    def try_write(self, data: Buffer, /) -> int:
        """write(), now; 0 if there is no room, or others wait."""

    def shutdown(self, how: Literal["write"] = "write") -> None:
        """close(), as streams have it: the child reads to here."""

    @property
    def is_closed(self) -> bool:
        """Whether close() or detach() was called."""

    def close(self) -> None:
        """Close it now: the child reads to here. What waits on it ends with OSError (EBADF)."""

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def detach(self) -> int:
        """Give the descriptor, in non-blocking mode, to the caller."""

    def writable(self) -> Awaitable[None]:
        """Wait until writing would not block."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *exc_info: object) -> Awaitable[None]: ...

@final
class ChildProcess:
    """A process; see blitzio.process.Child. Its end is given as in subprocess: the code, or minus
    the signal."""

    @property
    def id(self) -> int:
        """The process id."""

    def wait(self) -> Awaitable[int]:
        """Wait for its end.

        Cancellation: loses nothing.
        """

    def try_wait(self) -> int | None:
        """How it ended, if it has."""

    def blocking_wait(self, timeout: _Seconds | None = None) -> int:
        """wait() for threads. TimeoutError after `timeout` seconds."""

    def send_signal(self, number: int, /) -> None:
        """Send it a signal; ProcessLookupError if it has ended."""

@final
class SignalSet:
    """Hears of signals; see blitzio.signal."""

    def __new__(cls, numbers: Iterable[int], /, *, silent: bool = False) -> Self: ...
    def next(self) -> Awaitable[int | None]:
        """Wait for the next arrival; None once closed.

        Cancellation: loses nothing.
        """

    def blocking_next(self, timeout: _Seconds | None = None) -> int | None:
        """next() for threads. TimeoutError after `timeout` seconds."""

    def try_next(self) -> int | None:
        """A signal that has arrived and was not taken, or None."""

    def take_back(self, number: int, silent: bool, /) -> None:
        """Hear of a signal again after somebody has installed another handler, which is called
        besides, or silent."""

    def close(self) -> None:
        """Stop listening, and end what waits."""

def _spawn_child(
    program: bytes,
    args: list[bytes],
    environment: dict[bytes, bytes],
    /,
    *,
    arg0: bytes | None,
    cwd: bytes | None,
    standard: list[int | None],
    pass_fds: list[int],
    process_group: int | None,
    start_new_session: bool,
    uid: int | None,
    gid: int | None,
    groups: list[int] | None,
    umask: int | None,
    restore_signals: bool,
    kill_on_drop: bool,
) -> tuple[ChildProcess, PipeWriter | None, PipeReader | None, PipeReader | None]:
    """Start a process; see blitzio.process.Command."""

def _in_main_interpreter() -> bool:
    """Whether signal handlers of Python are the caller's."""

@final
class JoinHandle(Generic[_T_co]):
    """The spawner's end of a piece of work: waits for its result, or cancels it.

    Dropping the handle detaches the work, which runs on. A handle may be awaited in any task of any
    asyncio loop, by several at once, and again; `blocking_join()` is for threads.

    Thread: any, for every method.
    """

    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def join(self) -> Coroutine[Any, Any, _T_co]:
        """Waits for the work to end; as awaiting the handle.

        Returns:
            its result.

        Raises:
            Exception: what the work raised.
            asyncio.CancelledError: the work was cancelled.

        Cancellation: stops waiting; the work runs on.
        """

    def blocking_join(self, timeout: _Seconds | None = None) -> _T_co:
        """Waits for the work to end, blocking the calling thread. Not on a thread that runs a loop.

        Args:
            timeout: how long to wait; None: as long as it takes.

        Raises:
            RuntimeError: a loop runs in this thread, which would stand still.
            TimeoutError: the time was over first; the work runs on.
            Exception: what the work raised.
        """

    def try_join(self) -> _T_co | None:
        """The result if the work has ended, else None. Raises as join()."""

    def is_finished(self) -> bool:
        """Whether the work has ended: with a result, an exception or by cancellation."""

    def cancelled(self) -> bool:
        """Whether the work has ended by cancellation."""

    def cancel(self) -> bool:
        """Asks for the end of the work, and returns at once. Again: harmless.

        Work that has not started never will; a coroutine gets CancelledError at its next await; a
        plain function that runs already cannot be stopped.

        Returns:
            False if the work has ended already.
        """

    def detach(self) -> None:
        """Says that nobody will ask for the result: an exception is not reported as lost."""

    @property
    def name(self) -> str | None:
        """As given to spawn()."""

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def _ended(self) -> Coroutine[Any, Any, None]:
        """Wait for the end of the work, whatever it is."""

    def _block(self, timeout: _Seconds | None = None) -> None:
        """Wait for the end of the work, whatever it is, blocking the calling thread."""

    def _exception(self) -> BaseException | None:
        """Of finished work: what it raised, asyncio.CancelledError included."""

    @property
    def _cancel_requested(self) -> bool:
        """Whether cancel() was called before the end."""

    @property
    def _context(self) -> contextvars.Context | None:
        """Of queued work, else None."""

    def _claim(self) -> tuple[Any, tuple[Any, ...], contextvars.Context, bool] | None:
        """Take the work to run it by other means, and to end it by _finish() or _fail().

        Returns:
            (function, args, context, True), or (awaitable, (), context, False); None: somebody
            else has it, or it was cancelled.
        """

    def _put_back(self, awaitable: _AnyAwaitable[Any], context: contextvars.Context, /) -> None:
        """What is left of claimed work: to be started, or claimed again."""

    def _finish(self, value: Any, /) -> None:
        """End of work that is claimed, or external."""

    def _fail(self, error: BaseException, /) -> None:
        """End of work that is claimed, or external."""

def _make_handle(work: Any, args: tuple[Any, ...], name: str | None, /) -> JoinHandle[Any]:
    """A handle of work that nobody has queued.

    Raises:
        TypeError: `work` is no function and cannot be awaited.
    """

def _start_soon(handle: JoinHandle[Any], /) -> None:
    """Start what a handle of _make_handle() stands for, on the running loop."""

def _make_external_handle(
    cancel: Callable[[], object] | None, helper: Callable[[], object] | None, /
) -> JoinHandle[Any]:
    """A handle of work that runs by other means, until _finish() or _fail().

    Args:
        cancel: ends the work early.
        helper: does a part of it in a thread that blocks for its end, without a timeout.
    """

@final
class Scheduler:
    """Queues of spawned work, shared by workers. Thread: any."""

    def __new__(cls, is_stealing: bool, keeps_work: bool, blocking: ThreadPool) -> Self: ...
    def stop(self, is_parents: bool, /) -> None:
        """Take no more work. is_parents: in a forked child, which has none of the threads."""

    def schedule(self, handle: JoinHandle[Any], /) -> None:
        """Queue a handle of _make_handle().

        Raises:
            RuntimeError: the runtime has shut down; the work is cancelled.
        """

    def drop_queued(self) -> None:
        """Cancel what has not started."""

    @property
    def is_stopping(self) -> bool:
        """Whether it takes no more work."""

    @property
    def is_parents(self) -> bool:
        """Whether its threads are not here."""

    @property
    def injected(self) -> int:
        """How much work waits for any worker."""

    @property
    def sleeping(self) -> int:
        """How many workers have nothing to do."""

@final
class Worker:
    """A thread's queue of work, which becomes tasks of its loop."""

    def __new__(cls, scheduler: Scheduler, loop: LoopBase) -> Self: ...
    def enter(self, pools_tasks: bool, /) -> None:
        """The calling thread, which runs the loop, is this worker.

        Args:
            pools_tasks: whether it keeps the memory of native coroutines that have ended.
        """

    def leave(self) -> None:
        """The calling thread is nobody's worker."""

    def metrics(self) -> dict[str, int]:
        """Counters since the start, and how much work is queued. Thread: any."""

    @property
    def scheduler(self) -> Scheduler:
        """The Scheduler that it was made for."""

def _current_worker() -> Worker | None:
    """The Worker that the calling thread is, or None."""

@disjoint_base
class RuntimeBase:
    """The native half of blitzio.Runtime."""

    @overload
    def spawn(
        self, work: Coroutine[Any, Any, _T], /, *, name: str | None = None
    ) -> JoinHandle[_T]: ...
    @overload
    def spawn(
        self,
        work: Callable[..., Coroutine[Any, Any, _T]],
        /,
        *args: Any,
        name: str | None = None,
    ) -> JoinHandle[_T]: ...
    @overload
    def spawn(
        self, work: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]:
        """Starts a coroutine, or calls a function, on a worker.

        Args:
            work: a coroutine; or a function, whose result is the work's, or which gives a coroutine
                that then is the work.
            args: the function's arguments.
            name: the task's.

        Raises:
            TypeError: `work` is neither.
            RuntimeError: the runtime has shut down; a coroutine is closed.

        The work sees the caller's context variables as they are now.
        """

    def spawn_future(self, awaitable: _AnyAwaitable[_T], /) -> JoinHandle[_T]:
        """As spawn(), for any awaitable."""

    def spawn_blocking(
        self, function: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]:
        """Calls `function(*args)` in a thread where it may block.

        Raises:
            RuntimeError: the runtime has shut down, or no thread can be started.

        Cancellation: before the call begins; afterwards it runs to its end.
        """

    def _attach(self, scheduler: Scheduler, /) -> None:
        """Spawn on the workers of this Scheduler."""

@overload
def spawn(work: Coroutine[Any, Any, _T], /, *, name: str | None = None) -> JoinHandle[_T]: ...
@overload
def spawn(
    work: Callable[..., Coroutine[Any, Any, _T]],
    /,
    *args: Any,
    name: str | None = None,
) -> JoinHandle[_T]: ...
@overload
def spawn(work: Callable[..., _T], /, *args: Any, name: str | None = None) -> JoinHandle[_T]:
    """Runtime.spawn() of the current runtime; on another running loop, a task of that loop.

    Raises:
        RuntimeError: neither is there.
        TypeError: `work` is no coroutine and no function.
    """

def spawn_future(awaitable: _AnyAwaitable[_T], /) -> JoinHandle[_T]:
    """As spawn(), for any awaitable."""

def spawn_blocking(
    function: Callable[..., _T], /, *args: Any, name: str | None = None
) -> JoinHandle[_T]:
    """Runtime.spawn_blocking() of the current runtime; elsewhere, on threads of the process.

    Raises:
        TypeError: `function` cannot be called.
        RuntimeError: no thread can be started.
    """

def _select_first(branches: Iterable[Any], /) -> Awaitable[tuple[Any, int]]:
    """Wait for the first of awaitables of this module's and futures of asyncio's.

    Returns:
        its result and its index.
    """

def _is_native_awaitable(object: object, /) -> bool:
    """Whether it is an awaitable of this module's, which can be dropped at any time."""

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
