"""The native extension: the hot half of the loop. Private; use `blitzio.Loop` and friends.

Examples are typed as in `python -m asyncio`, with this package's modules imported and `folder` the
path of an empty folder.

Threads: an object belongs to the thread that runs its loop, unless its documentation says more.
"""

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from blitzio._duration import Seconds as _Seconds
from blitzio._native._awaitable import Awaitable as Awaitable
from blitzio._native._channel import Broadcast as Broadcast
from blitzio._native._channel import BroadcastReceiver as BroadcastReceiver
from blitzio._native._channel import Channel as Channel
from blitzio._native._channel import ChannelError as ChannelError
from blitzio._native._channel import Closed as Closed
from blitzio._native._channel import Empty as Empty
from blitzio._native._channel import Full as Full
from blitzio._native._channel import Lagged as Lagged
from blitzio._native._channel import Oneshot as Oneshot
from blitzio._native._channel import Watch as Watch
from blitzio._native._channel import WatchReceiver as WatchReceiver
from blitzio._native._loop import ChildOutputBase as ChildOutputBase
from blitzio._native._loop import Handle as Handle
from blitzio._native._loop import Listener as Listener
from blitzio._native._loop import LoopBase as LoopBase
from blitzio._native._loop import ServerBase as ServerBase
from blitzio._native._loop import SockOperation as SockOperation
from blitzio._native._loop import TimerHandle as TimerHandle
from blitzio._native._net import Address as Address
from blitzio._native._net import AsyncFd as AsyncFd
from blitzio._native._net import TcpListener as TcpListener
from blitzio._native._net import UdpSocket as UdpSocket
from blitzio._native._net import UnixDatagram as UnixDatagram
from blitzio._native._net import UnixListener as UnixListener
from blitzio._native._process import ChildProcess as ChildProcess
from blitzio._native._process import PipeReader as PipeReader
from blitzio._native._process import PipeWriter as PipeWriter
from blitzio._native._process import SignalSet as SignalSet
from blitzio._native._process import _spawn_child as _spawn_child
from blitzio._native._runtime import JoinHandle as JoinHandle
from blitzio._native._runtime import RuntimeBase as RuntimeBase
from blitzio._native._runtime import Scheduler as Scheduler
from blitzio._native._runtime import ThreadPool as ThreadPool
from blitzio._native._runtime import Worker as Worker
from blitzio._native._runtime import _current_worker as _current_worker
from blitzio._native._runtime import _make_external_handle as _make_external_handle
from blitzio._native._runtime import _make_handle as _make_handle
from blitzio._native._runtime import _start_soon as _start_soon
from blitzio._native._runtime import spawn as spawn
from blitzio._native._runtime import spawn_blocking as spawn_blocking
from blitzio._native._runtime import spawn_future as spawn_future
from blitzio._native._streams import TcpStream as TcpStream
from blitzio._native._streams import UnixStream as UnixStream
from blitzio._native._sync import Barrier as Barrier
from blitzio._native._sync import Event as Event
from blitzio._native._sync import Guard as Guard
from blitzio._native._sync import Mutex as Mutex
from blitzio._native._sync import Notify as Notify
from blitzio._native._sync import RwLock as RwLock
from blitzio._native._sync import Semaphore as Semaphore
from blitzio._native._transports import DatagramTransport as DatagramTransport
from blitzio._native._transports import ReadPipeTransport as ReadPipeTransport
from blitzio._native._transports import StreamTransport as StreamTransport
from blitzio._native._transports import TlsProtocolBase as TlsProtocolBase
from blitzio._native._transports import TlsTransportBase as TlsTransportBase
from blitzio._native._transports import WritePipeTransport as WritePipeTransport

_T = TypeVar("_T")

__version__: str

def __dir__() -> list[str]:
    """All names, also of what is made when it is first asked for."""

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

def numeric_info(
    host: bytes | str | None,
    port: bytes | str | int | None,
    family: int,
    type: int,
    proto: int,
    flow: int = 0,
    scope: int = 0,
    /,
) -> tuple[int, int, int, str, Any] | None:
    """The address of a numeric host and port of a stream or datagram socket, worded as they are.

    Unlike getaddrinfo it lets any port number pass. None if they need the resolver.
    """

def _in_main_interpreter() -> bool:
    """Whether signal handlers of Python are the caller's."""

def _select_first(branches: Iterable[Any], /) -> Awaitable[tuple[Any, int]]:
    """Wait for the first of awaitables of this module's and futures of asyncio's.

    Returns:
        its result and its index.
    """

def _is_native_awaitable(object: object, /) -> bool:
    """Whether it is an awaitable of this module's, which can be dropped at any time."""

def _wait_blocking(
    awaitable: Awaitable[_T] | Coroutine[Any, Any, _T],
    name: str,
    timeout: _Seconds | None,
    whole: _Seconds | None = None,
    /,
) -> _T:
    """Wait in a thread for what a primitive has returned, for a call named `name`.

    Args:
        whole: what the caller was given for several waits, of which this has the rest.

    Raises:
        TimeoutError: after `timeout` seconds.
        RuntimeError: an event loop runs in this thread.
    """

def _after_fork() -> None:
    """In a forked child: forget the threads of the parent's pools."""

def _forget_maker() -> None:
    """In a forked child: who was making the rest of this module is not here."""

def _begin_fork() -> None:
    """Let threads of pools that are starting come so far, and hold new ones until the fork ends."""

def _end_fork_in_parent() -> None:
    """Let threads start again."""

def _end_fork_in_child() -> None:
    """Let threads start again, whatever forks the calling thread had begun in the parent."""

def _entries_in_child(dict: dict[Any, Any], /) -> list[Any]:
    """What is in `dict`: key, value, key, value, … In a forked child, which has one thread yet: the
    lock of the dict may be another's, who is not here, and is not taken."""

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
