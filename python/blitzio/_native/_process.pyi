"""Children, their pipes, and signals: `blitzio.process`, `blitzio.signal`."""

from collections.abc import Iterable
from typing import Literal, final

from typing_extensions import Buffer, Self

from blitzio._duration import Seconds as _Seconds
from blitzio._native._awaitable import Awaitable

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
