"""`Child`: a process that `Command` started.

               wait(), try_wait() …                  its end
    running ◀──────────────────────▶ running ────────────────────▶ ended, reaped
       │  send_signal(), kill()         ▲
       └────────────────────────────────┘

It is reaped at its end whether anybody waits for it or not, by a thread of the process that serves
all children, so none becomes a zombie and waiting needs no loop's help.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from blitzio._duration import Duration
from blitzio._process.status import ExitStatus
from blitzio._runtime.in_thread import run_in_thread
from blitzio._runtime.interruption import Interruption
from blitzio._task.branches import abandon, end, has_succeeded
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from blitzio._duration import Seconds
    from blitzio._native import ChildProcess, PipeReader, PipeWriter

    _Arg = str | bytes


class Child:
    """A running process, and the pipes to its standard streams.

    >>> import blitzio
    >>> from blitzio import process
    >>> async def main():
    ...     async with process.spawn("cat", stdin="pipe", stdout="pipe") as child:
    ...         await child.stdin.write_all(b"meow")
    ...         child.stdin.close()
    ...         print(await child.stdout.read_to_end())
    ...     return await child.wait()
    >>> blitzio.run(main())
    b'meow'
    <ExitStatus code=0>

    As an asynchronous context manager: leaving the block closes the pipes and waits for the end; if
    an exception leaves it, cancellation too, the process is killed first. Without one, a Child that
    is dropped leaves its process running, unless the command had `kill_on_drop`.

    Thread: any, for every method; each pipe is for one reader or writer at a time.
    """

    __slots__ = ("__weakref__", "_args", "_drained", "_process", "stderr", "stdin", "stdout")
    __reduce__ = refuse_copy

    #: What was a pipe; None for what was not.
    stdin: PipeWriter | None
    stdout: PipeReader | None
    stderr: PipeReader | None

    def __init__(
        self,
        process: ChildProcess,
        args: Sequence[_Arg],
        stdin: PipeWriter | None,
        stdout: PipeReader | None,
        stderr: PipeReader | None,
    ) -> None:
        self._process = process
        self._args = tuple(args)
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        #: Of stdout and stderr: what was read to the end, and then nobody waited for.
        self._drained = [b"", b""]

    @property
    def id(self) -> int:
        """The process id. Once the process has ended it may be that of a stranger."""
        return self._process.id

    pid = id

    @property
    def args(self) -> tuple[_Arg, ...]:
        """The program and its arguments."""
        return self._args

    # ---- its end -----------------------------------------------------------------------------

    async def wait(self) -> ExitStatus:
        """Waits for its end. Any number may wait at a time, and again.

        A child that reads its stdin to the end waits for that to be closed; one whose stdout is a
        pipe that nobody reads stops when it is full.

        Cancellation: loses nothing; the process runs on.
        """
        return ExitStatus(await self._process.wait())

    def try_wait(self) -> ExitStatus | None:
        """Its status if it has ended."""
        code = self._process.try_wait()
        return None if code is None else ExitStatus(code)

    def blocking_wait(self, timeout: Seconds | None = None) -> ExitStatus:
        """wait() for threads.

        Raises:
            TimeoutError: `timeout` was over first; the process runs on.
            RuntimeError: a loop runs in this thread, which would stand still.
        """
        return ExitStatus(self._process.blocking_wait(_seconds(timeout)))

    async def wait_with_output(self, input: bytes | None = None) -> tuple[bytes, bytes]:
        """Writes `input` to its stdin and closes it, reads stdout and stderr to their ends, all at
        once, and waits for its end.

        Returns:
            what came; nothing of a stream that is no pipe.

        Raises:
            ValueError: there is `input`, and stdin is no pipe.
            OSError: of a pipe. That the process reads no input is no error.

        Cancellation: the process runs on, with its stdin closed; what was read of a stream that
            has not ended stays in it, and of one that has the next call gives it.
        """
        if input is not None and self.stdin is None:
            raise ValueError("input needs stdin='pipe'")
        tasks = [
            asyncio.ensure_future(work)
            for work in (_feed(self.stdin, input), _drain(self.stdout), _drain(self.stderr))
        ]
        try:
            await asyncio.gather(*tasks)
            await self.wait()
        except GeneratorExit:
            abandon([*tasks])
            raise
        except BaseException:
            await end([*tasks])
            raise
        finally:
            self._keep_drained(tasks)
        stdout, stderr = self._drained
        self._drained = [b"", b""]
        return stdout, stderr

    def _keep_drained(self, tasks: list[asyncio.Task[bytes]]) -> None:
        """Empties the list, as end() does, and for the same reason."""
        for index, task in enumerate(tasks[1:]):
            if has_succeeded(task):
                self._drained[index] += task.result()
        tasks.clear()

    def _take_output(self) -> tuple[bytes, bytes]:
        """What came of stdout and stderr that a wait_with_output() that was given up has left."""
        kept, self._drained = self._drained, [b"", b""]
        return kept[0] + _unread(self.stdout), kept[1] + _unread(self.stderr)

    def blocking_wait_with_output(
        self, input: bytes | None = None, timeout: Seconds | None = None
    ) -> tuple[bytes, bytes]:
        """wait_with_output() for threads.

        >>> from blitzio import process
        >>> process.spawn("cat", stdin="pipe", stdout="pipe").blocking_wait_with_output(b"meow")
        (b'meow', b'')

        Raises:
            TimeoutError: `timeout` was over first; as if wait_with_output() had been cancelled.
            ValueError: `timeout` is negative; as wait_with_output().
            RuntimeError: a loop runs in this thread, which would stand still.
        """
        return run_in_thread(
            "Child.blocking_wait_with_output",
            "child.wait_with_output()",
            timeout,
            lambda: self.wait_with_output(input),
        )

    # ---- signals -----------------------------------------------------------------------------

    def send_signal(self, number: int) -> None:
        """Sends it a signal, never to a stranger with the same id.

        Raises:
            ProcessLookupError: it has ended.
            OSError: EINVAL for what is no signal; EPERM if it runs as another user.
        """
        self._process.send_signal(number)

    def terminate(self) -> None:
        """SIGTERM: asks it to end.

        Raises:
            ProcessLookupError: it has ended.
        """
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: ends it. Its end is yet to be waited for.

        Raises:
            ProcessLookupError: it has ended.
        """
        self.send_signal(signal.SIGKILL)

    # ---- as a context manager ----------------------------------------------------------------

    async def __aenter__(self) -> Child:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close_pipes()
        if exc_type is None:
            try:
                await self.wait()
                return
            except BaseException:
                await self.end()
                raise
        if issubclass(exc_type, GeneratorExit):
            self._abandon()
        else:
            await self.end()

    def close_pipes(self) -> None:
        """Closes what there is of stdin, stdout and stderr. Again: nothing."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()

    async def end(self) -> ExitStatus:
        """Kills it if it still runs, closes its pipes, and waits for its end.

        Cancellation: is delivered once it has ended, which SIGKILL brings about soon.
        """
        self._abandon()
        interruption = Interruption()
        status = None
        while status is None:
            with interruption:
                status = await self.wait()
        interruption.deliver()
        return status

    def _abandon(self) -> None:
        """end() where nothing may be awaited any more."""
        self.close_pipes()
        self._kill_if_running()

    def _kill_if_running(self) -> None:
        try:
            self.kill()
        except ProcessLookupError:
            pass

    def __repr__(self) -> str:
        status = self.try_wait()
        state = "running" if status is None else repr(status)[1:-1]
        return f"<Child {self.args[0]!r} id={self.id} {state}>"


def _seconds(timeout: Seconds | None) -> float | None:
    return None if timeout is None else Duration.of(timeout).as_secs_f64()


async def _feed(pipe: PipeWriter | None, data: bytes | None) -> bytes:
    if pipe is not None:
        try:
            if data:
                await pipe.write_all(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # It reads no further, and may end well all the same.
        finally:
            pipe.close()
    return b""


async def _drain(pipe: PipeReader | None) -> bytes:
    return b"" if pipe is None else await pipe.read_to_end()


def _unread(pipe: PipeReader | None) -> bytes:
    """What has come and nobody has read, without waiting."""
    if pipe is None or pipe.is_closed:
        return b""
    # What was read ahead, and what the pipe holds. No more, for somebody may go on writing.
    parts = [pipe.try_read(sys.maxsize) for _ in range(2)]
    return b"".join(part for part in parts if part)
