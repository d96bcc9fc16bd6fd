"""The transport of a child process: its pipes, its signals and its end.

`subprocess.Popen` starts the process, so every option of it works and the child inherits exactly
what it would from CPython, which uses vfork() where it can. child.py waits for the end.

What the protocol hears of a transport's life:

                 pipes connected                 process ended,
                 connection_made                 every pipe lost
    starting ─────────────────────▶ connected ─────────────────────▶ finished
        │                            pipe_data_received               connection_lost
        │                            pipe_connection_lost
        │ cancelled                  process_exited
        │
        └────────────────────────▶ failed: the process is killed and reaped, the protocol hears
                                   nothing, and the exception leaves subprocess_exec()

What happens before connection_made waits for it; afterwards the protocol is called on the spot,
which saves each chunk of data a turn of the loop that asyncio's call_soon costs. `_wait()` returns
when the process has ended: a grandchild that keeps a pipe open delays connection_lost, not that.
(asyncio from 3.11 on waits for the pipes, too; its newest version and 3.10 do not.)

Threads: the loop's.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import signal
import subprocess
import warnings
from typing import IO, TYPE_CHECKING, Any

from blitzio._loop import _compat
from blitzio._native import ChildOutputBase, ReadPipeTransport
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Callable

    from blitzio._loop.child import Child
    from blitzio._loop.subprocess import SubprocessMixin

logger = logging.getLogger("asyncio")

_NAMES = ("stdin", "stdout", "stderr")


class SubprocessTransport(asyncio.SubprocessTransport):
    """A child process and its pipes, with the interface of asyncio.SubprocessTransport."""

    __reduce__ = refuse_copy

    _extra: dict[str, Any]

    def __init__(
        self,
        loop: SubprocessMixin,
        protocol: asyncio.BaseProtocol,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._closed = True  # Until there is something to close.
        super().__init__(extra)
        self._loop: SubprocessMixin | None = loop
        # A SubprocessProtocol; None once connection_lost was called.
        self._protocol: Any = protocol
        self._pipes: dict[int, _WritePipe] = {}  # by the child's fd
        # Events that wait for connection_made; None once they need not.
        self._pending: collections.deque[tuple[Callable[..., object], tuple[Any, ...]]] | None = (
            collections.deque()
        )
        self._finished = False
        self._returncode: int | None = None
        self._exit_waiters: list[asyncio.Future[int]] = []
        self._child: Child | None = None
        self._proc: subprocess.Popen[bytes] | None = None
        self._pid = -1

        popen = subprocess.Popen(
            args,
            shell=shell,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            universal_newlines=False,
            bufsize=bufsize,
            **kwargs,
        )
        try:
            self._proc = popen
            self._pid = popen.pid
            self._extra["subprocess"] = popen
            self._child = loop._watch_child(popen, self._process_exited)
            for fd, file in _pipes_of(popen):
                self._pipes[fd] = _connect(loop, self, fd, file)
        except BaseException:
            self._give_up()
            popen.kill()
            if self._child is None:
                popen.wait()
            for fd, file in _pipes_of(popen):
                if fd not in self._pipes:
                    file.close()
            raise
        self._closed = False
        if loop.get_debug():
            program = args if isinstance(args, bytes | str) else args[0]
            logger.debug("process %r created: pid %s", program, self._pid)

    def __repr__(self) -> str:
        words = [self.__class__.__name__]
        if self._closed:
            words.append("closed")
        words.append(f"pid={self._pid}")
        if self._returncode is not None:
            words.append(f"returncode={self._returncode}")
        else:
            words.append("running")
        words += [f"{_NAMES[fd]}={proto.pipe}" for fd, proto in self._pipes.items()]
        return f"<{' '.join(words)}>"

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if not self._closed:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self.close()

    # ---- asyncio.SubprocessTransport ----

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        if self._pending is None:
            self._introduce()

    def get_protocol(self) -> Any:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Closes the pipes and kills the process if it still runs."""
        if self._closed:
            return
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            # A closed loop cannot tell the protocol; the pipes are closed when they are dropped.
            for proto in self._pipes.values():
                proto.pipe.close()
        if self._proc is None or self._returncode is not None:
            return
        assert self._child is not None
        # Ended, perhaps, and the loop has not seen it yet.
        if not self._child.is_running():
            return
        if self._loop is not None and self._loop.get_debug():
            logger.warning("Close running child process: kill %r", self)
        try:
            self._proc.kill()
        except (ProcessLookupError, PermissionError):
            pass  # It ended meanwhile, or runs as another user by now.

    def get_pid(self) -> int:
        return self._pid

    def get_returncode(self) -> int | None:
        return self._returncode

    def get_pipe_transport(self, fd: int) -> Any:
        proto = self._pipes.get(fd)
        return None if proto is None else proto.pipe

    def send_signal(self, signal: int) -> None:
        """Sends the process a signal.

        Raises:
            ProcessLookupError: it has ended, and the transport is done with it.
        """
        if self._proc is None or self._child is None:
            raise ProcessLookupError
        self._child.send_signal(signal)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _wait(self) -> int:
        """Waits until the process has ended; its return code."""
        if self._returncode is not None:
            return self._returncode
        assert self._loop is not None
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._exit_waiters.append(waiter)
        try:
            return await waiter
        finally:
            if waiter in self._exit_waiters:
                self._exit_waiters.remove(waiter)

    # ---- starting ----

    async def _start(self) -> None:
        """Returns when connection_made has been called."""
        loop = self._loop
        assert loop is not None
        assert self._pending is not None
        made = loop.create_future()
        self._pending.appendleft((self._protocol.connection_made, (self,)))
        loop.call_soon(self._deliver, loop, made)
        await made

    def _deliver(self, loop: SubprocessMixin, made: asyncio.Future[None]) -> None:
        """Calls connection_made and what waited for it. From here on events are not queued."""
        pending = self._pending
        if pending is None:
            return  # Failed meanwhile.
        try:
            while pending:
                callback, args = pending.popleft()
                self._call(callback, args)
        finally:
            if pending:  # SystemExit or KeyboardInterrupt passes; the rest is for the next run.
                loop.call_soon(self._deliver, loop, made)
            else:
                self._pending = None
                self._introduce()
                if not made.done():
                    made.set_result(None)

    def _fail(self) -> None:
        """Starting was cancelled: ends the process."""
        if self._pending is not None:
            self._give_up()
        self.close()

    def _give_up(self) -> None:
        """The protocol has not heard of connection_made, and hears of nothing else."""
        self._pending = None
        self._protocol = asyncio.SubprocessProtocol()  # Listens, and does nothing.
        for proto in self._pipes.values():
            proto.pipe.close()

    def _introduce(self) -> None:
        """From here on what the child writes goes to the protocol without a detour."""
        for proto in self._pipes.values():
            if isinstance(proto, _ReadPipe) and not proto.disconnected:
                proto._listener = self._protocol

    # ---- events; each leads to one call of the protocol ----

    def _event(self, callback: Callable[..., object], *args: Any) -> None:
        if self._pending is None:
            self._call(callback, args)
        else:
            self._pending.append((callback, args))

    def _call(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Calls the protocol on the spot, as a callback: what it raises is no pipe's failure."""
        loop, protocol = self._loop, self._protocol
        try:
            callback(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(exc, loop, protocol, callback, args)

    def _report(
        self,
        exc: BaseException,
        loop: SubprocessMixin | None,
        protocol: asyncio.BaseProtocol,
        callback: Callable[..., object],
        args: tuple[Any, ...],
    ) -> None:
        """`loop` and `protocol` are those from before the call, which may have ended the rest."""
        assert loop is not None
        source = _compat.callback_source(callback, args, debug=loop.get_debug())
        loop.call_exception_handler(
            {
                "message": f"Exception in callback {source}",
                "exception": exc,
                "transport": self,
                "protocol": protocol,
            }
        )

    def _pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._event(self._protocol.pipe_connection_lost, fd, exc)
        self._try_finish()

    def _process_exited(self, returncode: int) -> None:
        loop = self._loop
        assert loop is not None
        if loop.get_debug():
            logger.info("%r exited with return code %r", self, returncode)
        self._returncode = returncode
        try:
            self._event(self._protocol.process_exited)
        finally:
            # First: who was waiting finds a transport that is done, as asyncio's and uvloop's are.
            self._try_finish()
            for waiter in self._exit_waiters:
                if not waiter.done():
                    waiter.set_result(returncode)

    def _try_finish(self) -> None:
        if self._returncode is None or self._finished:
            return
        if all(proto.disconnected for proto in self._pipes.values()):
            self._finished = True
            if self._pending is None:
                assert self._loop is not None
                self._loop.call_soon(self._call_connection_lost, None)
            else:
                self._pending.append((self._call_connection_lost, (None,)))

    def _call_connection_lost(self, exc: Exception | None) -> None:
        try:
            self._protocol.connection_lost(exc)
        finally:
            self._loop = None
            self._proc = None
            self._protocol = None


def _pipes_of(popen: subprocess.Popen[bytes]) -> list[tuple[int, IO[bytes]]]:
    files = enumerate((popen.stdin, popen.stdout, popen.stderr))
    return [(fd, file) for fd, file in files if file is not None]


def _connect(
    loop: SubprocessMixin, owner: SubprocessTransport, fd: int, file: Any
) -> _WritePipe | _ReadPipe:
    # Not through connect_read_pipe(): there is no need to wait for one pipe after the other.
    if fd == 0:
        proto = _WritePipe(owner, fd)
        proto.pipe = loop._make_write_pipe_transport(file, proto)
    else:
        proto = _ReadPipe(owner, fd)
        proto.pipe = loop._make_read_pipe_transport(file, proto)
        if isinstance(proto.pipe, ReadPipeTransport):
            proto.pipe._set_exclusive()
    return proto


class _WritePipe(asyncio.BaseProtocol):
    """The protocol of one of the child's pipes: hands everything on to the process's transport."""

    def __init__(self, owner: SubprocessTransport, fd: int) -> None:
        self._owner: SubprocessTransport | None = owner
        self.fd = fd
        self.pipe: Any = None
        self.disconnected = False

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} fd={self.fd} pipe={self.pipe!r}>"

    def connection_lost(self, exc: Exception | None) -> None:
        self.disconnected = True
        owner, self._owner = self._owner, None
        assert owner is not None
        owner._pipe_connection_lost(self.fd, exc)

    def pause_writing(self) -> None:
        assert self._owner is not None
        self._owner._protocol.pause_writing()

    def resume_writing(self) -> None:
        assert self._owner is not None
        self._owner._protocol.resume_writing()


class _ReadPipe(ChildOutputBase, _WritePipe, asyncio.Protocol):
    def connection_lost(self, exc: Exception | None) -> None:
        self._listener = None
        super().connection_lost(exc)

    def _receive(self, data: bytes) -> None:
        assert self._owner is not None
        self._owner._event(self._owner._protocol.pipe_data_received, self.fd, data)

    def _failed(self, listener: Any, exc: BaseException, data: bytes) -> None:
        assert self._owner is not None
        args = (self.fd, data)
        self._owner._report(exc, self._owner._loop, listener, listener.pipe_data_received, args)
