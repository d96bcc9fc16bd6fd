"""Child processes: `subprocess_exec` and `subprocess_shell`.

Once per process is seldom enough for Python: starting a program costs the kernel ten times what
these files do. process_transport.py is what they return, child.py waits for the process's end.
"""

from __future__ import annotations

import logging
import subprocess

from blitzio._loop.errors import ErrorsMixin
from blitzio._loop.pipes import PipesMixin

TYPE_CHECKING = False
# At run time they are imported with the first process: few programs start any.
if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import Callable
    from typing import Any, TypeVar

    from blitzio._loop.child import Child, Children
    from blitzio._loop.process_transport import SubprocessTransport

    _ProtocolT = TypeVar("_ProtocolT", bound="asyncio.BaseProtocol")

logger = logging.getLogger("asyncio")


class SubprocessMixin(PipesMixin, ErrorsMixin):
    # None before the first.
    _children: Children | None = None

    async def subprocess_exec(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        program: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        *args: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        stdin: Any = subprocess.PIPE,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        universal_newlines: bool = False,
        shell: bool = False,
        bufsize: int = 0,
        encoding: None = None,
        errors: None = None,
        text: bool | None = None,
        **kwargs: Any,
    ) -> tuple[SubprocessTransport, _ProtocolT]:
        """Starts `program` with `args` and connects its pipes to a protocol.

        Args:
            protocol_factory: makes an asyncio.SubprocessProtocol.
            stdin, stdout, stderr: as for subprocess.Popen, with PIPE as the default.
            kwargs: any other option of subprocess.Popen.

        Raises:
            ValueError: an option asks for text or buffering.
            OSError: the program could not be started.
        """
        if universal_newlines:
            raise ValueError("universal_newlines must be False")
        if shell:
            raise ValueError("shell must be False")
        _check_binary(bufsize, encoding, errors, text)
        protocol = protocol_factory()
        message = f"execute program {program!r}"
        transport = await self._start_subprocess(
            message, protocol, (program, *args), False, stdin, stdout, stderr, kwargs
        )
        return transport, protocol

    async def subprocess_shell(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        cmd: bytes | str,
        *,
        stdin: Any = subprocess.PIPE,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        universal_newlines: bool = False,
        shell: bool = True,
        bufsize: int = 0,
        encoding: None = None,
        errors: None = None,
        text: bool | None = None,
        **kwargs: Any,
    ) -> tuple[SubprocessTransport, _ProtocolT]:
        """Starts the shell with `cmd`; otherwise as subprocess_exec()."""
        if not isinstance(cmd, bytes | str):
            raise ValueError("cmd must be a string")
        if universal_newlines:
            raise ValueError("universal_newlines must be False")
        if not shell:
            raise ValueError("shell must be True")
        _check_binary(bufsize, encoding, errors, text)
        protocol = protocol_factory()
        message = f"run shell command {cmd!r}"
        transport = await self._start_subprocess(
            message, protocol, cmd, True, stdin, stdout, stderr, kwargs
        )
        return transport, protocol

    async def _start_subprocess(
        self,
        message: str,
        protocol: asyncio.BaseProtocol,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        kwargs: dict[str, Any],
    ) -> SubprocessTransport:
        # The program and its streams are logged, the arguments are not: they may hold secrets.
        debug = self.get_debug()
        if debug:
            logger.debug("%s", _describe(message, stdin, stdout, stderr))
        transport = await self._make_subprocess_transport(
            protocol, args, shell, stdin, stdout, stderr, 0, **kwargs
        )
        if debug:
            logger.info("%s: %r", message, transport)
        return transport

    async def _make_subprocess_transport(
        self,
        protocol: asyncio.BaseProtocol,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> SubprocessTransport:
        # Both now: once the process runs, nothing of this may fail.
        import blitzio._loop.child  # noqa: F401
        from blitzio._loop.process_transport import SubprocessTransport

        transport = SubprocessTransport(
            self, protocol, args, shell, stdin, stdout, stderr, bufsize, extra, **kwargs
        )
        try:
            await transport._start()
        except (SystemExit, KeyboardInterrupt):
            raise
        except GeneratorExit:
            transport._fail()
            raise
        except BaseException:
            transport._fail()
            await transport._wait()
            raise
        return transport

    def _watch_child(self, popen: subprocess.Popen[Any], on_exit: Callable[[int], None]) -> Child:
        from blitzio._loop.child import Child, Children

        if self._children is None:
            self._children = Children()
        children = self._children

        def ended(returncode: int) -> None:
            children.discard(child)
            on_exit(returncode)

        child = Child(self, popen, ended)
        children.add(child)
        try:
            child.watch()
        except BaseException:
            children.discard(child)
            raise
        return child

    def _close_children(self) -> None:
        """The part of close(): processes that still run go on, and are reaped when they end."""
        children, self._children = self._children, None
        if children is not None:
            children.abandon()

    def _disown_children(self) -> None:
        """In a forked child: they are the parent's."""
        children, self._children = self._children, None
        for child in children or ():
            child.disown()


def _check_binary(bufsize: object, encoding: object, errors: object, text: object) -> None:
    if bufsize != 0:
        raise ValueError("bufsize must be 0")
    if text:
        raise ValueError("text must be False")
    if encoding is not None:
        raise ValueError("encoding must be None")
    if errors is not None:
        raise ValueError("errors must be None")


def _describe(message: str, stdin: Any, stdout: Any, stderr: Any) -> str:
    """The line that debug mode logs before a process is started."""
    words = [message]
    if stdin is not None:
        words.append(f"stdin={_describe_stream(stdin)}")
    if stdout is not None and stderr == subprocess.STDOUT:
        words.append(f"stdout=stderr={_describe_stream(stdout)}")
    else:
        if stdout is not None:
            words.append(f"stdout={_describe_stream(stdout)}")
        if stderr is not None:
            words.append(f"stderr={_describe_stream(stderr)}")
    return " ".join(words)


def _describe_stream(stream: Any) -> str:
    if stream == subprocess.PIPE:
        return "<pipe>"
    return "<stdout>" if stream == subprocess.STDOUT else repr(stream)
