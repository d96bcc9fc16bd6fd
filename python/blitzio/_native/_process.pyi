"""Children, their pipes, and signals: `blitzio.process`, `blitzio.signal`."""

from collections.abc import Iterable
from typing import Literal, final

from typing_extensions import Self

from blitzio._duration import Seconds as _Seconds
from blitzio._native._awaitable import Awaitable
from blitzio._native._streams import _ReadEnd, _WriteEnd

@final
class PipeReader(_ReadEnd):
    """Reads what a child writes. One task reads at a time; each end of a pipe has one direction."""

    @classmethod
    def adopt(cls, fd: int, /) -> Self:
        """Take over the reading end of a pipe, a FIFO, a terminal or a socket. It is in
        non-blocking mode from then on, for whoever else has it, too.

        >>> import os
        >>> from blitzio.process import PipeReader, PipeWriter
        >>> reading, writing = os.pipe()
        >>> async with PipeReader.adopt(reading) as reader, PipeWriter.adopt(writing) as writer:
        ...     await writer.write_all(b"hello")
        ...     await writer.finish()
        ...     await reader.read_to_end()
        b'hello'

        Raises:
            OSError: EBADF.
            ValueError: what cannot be waited for, such as a file, or is not open for reading.
            TypeError: no int. Whenever it raises the descriptor is still the caller's, as it was.
        """

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def readable(self) -> Awaitable[None]:
        """Wait until reading would not block."""

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

@final
class PipeWriter(_WriteEnd):
    """Writes what a child reads. That nobody reads any more is BrokenPipeError."""

    @classmethod
    def adopt(cls, fd: int, /) -> Self:
        """Take over the writing end of a pipe, as `PipeReader.adopt`."""

    def finish(self) -> Awaitable[None]:
        """close() to be awaited, ready at once, as whatever is written to has it."""

    def blocking_finish(self, timeout: _Seconds | None = None) -> None:
        """finish() for threads."""

    def shutdown(self, how: Literal["write"] = "write") -> None:
        """close(), as streams have it: the child reads to here."""

    def close(self) -> None:
        """Close it now: the child reads to here. What waits on it ends with OSError (EBADF)."""

    def writable(self) -> Awaitable[None]:
        """Wait until writing would not block."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

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
