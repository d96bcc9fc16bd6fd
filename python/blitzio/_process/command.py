"""`Command`: a program to run, and how. Everything is checked when it is made, so that a mistake
shows at the line that made it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from blitzio._duration import Duration, Instant
from blitzio._native import _spawn_child
from blitzio._process.child import Child
from blitzio._process.status import ExitStatus, Output
from blitzio._run import run
from blitzio._runtime.blocking import check_may_block
from blitzio._time_limit import Timeout

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias, TypedDict

    from blitzio._duration import Seconds

    class _HasFileno(Protocol):
        def fileno(self) -> int: ...

    #: A piece of text that a program is given.
    _Text: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
    _Standard = tuple[
        "int | _HasFileno | None", "int | _HasFileno | None", "int | _HasFileno | None"
    ]
    _Variables = Mapping[str, str | None] | Mapping[bytes, bytes | None]
    #: "inherit", "null", "pipe", a descriptor, what has one, or a constant of `subprocess`.
    _Stdio: TypeAlias = str | int | _HasFileno | None

    class _Options(TypedDict, total=False):
        """What Command takes by name."""

        arg0: _Text | None
        env: _Variables | None
        env_clear: bool
        cwd: _Text | None
        stdin: _Stdio
        stdout: _Stdio
        stderr: _Stdio
        pass_fds: Iterable[int]
        process_group: int | None
        start_new_session: bool
        uid: int | str | None
        gid: int | str | None
        groups: Iterable[int | str] | None
        umask: int | None
        restore_signals: bool
        kill_on_drop: bool


_INHERIT = subprocess.DEVNULL - 1
#: By name; the numbers are those of `subprocess`, which may be given as well.
_STDIO = {
    "inherit": _INHERIT,
    "null": subprocess.DEVNULL,
    "pipe": subprocess.PIPE,
    "stdout": subprocess.STDOUT,
}
_ID_MAX = 2**32 - 2
_PID_MAX = 2**31 - 1


class Command:
    """A program to run, and how. A value: it may be started any number of times, in any thread.

    >>> import blitzio
    >>> async def main():
    ...     return await Command("echo", "hello").output()
    >>> blitzio.run(main()).stdout
    b'hello\\n'

    Args:
        program: a path, or a name to look for in PATH (the one in `env`, if there is one).
        args: what it is given; text is encoded as file names are.
        arg0: what the program is told that its name is; otherwise `program`.
        env: variables to set; the others are the parent's, unless `env_clear`. None removes one.
        env_clear: begin with no variables.
        cwd: its working directory.
        stdin: "inherit": the parent's; "null": /dev/null; "pipe": a pipe, whose other end the Child
            has; or a descriptor, or an object with one, which stays open. `subprocess.PIPE` and
            `DEVNULL` may be given as well. None is "inherit", but see output().
        stdout: as stdin.
        stderr: as stdin; or "stdout" (`subprocess.STDOUT`): wherever that goes.
        pass_fds: further descriptors that the child gets, with the same numbers. Others it gets
            only if they are inheritable; what Python opens is not.
        process_group: the process group to join; 0 makes one.
        start_new_session: make a session.
        uid: the user to run as, a number or a name.
        gid: the group to run as, a number or a name.
        groups: the supplementary groups, numbers or names.
        umask: the file mode creation mask.
        restore_signals: whether SIGPIPE and SIGXFSZ, which Python ignores, have their default
            action.
        kill_on_drop: whether the process is killed when its Child is dropped.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: a value is out of range, text has a NUL byte, the name of a variable has "=" or
            is empty.
        KeyError: the system knows no such user or group.
    """

    __slots__ = ("_args", "_env_clear", "_environment", "_options", "_standard")

    def __init__(
        self,
        program: _Text,
        *args: _Text,
        arg0: _Text | None = None,
        env: _Variables | None = None,
        env_clear: bool = False,
        cwd: _Text | None = None,
        stdin: _Stdio = None,
        stdout: _Stdio = None,
        stderr: _Stdio = None,
        pass_fds: Iterable[int] = (),
        process_group: int | None = None,
        start_new_session: bool = False,
        uid: int | str | None = None,
        gid: int | str | None = None,
        groups: Iterable[int | str] | None = None,
        umask: int | None = None,
        restore_signals: bool = True,
        kill_on_drop: bool = False,
    ) -> None:
        self._args = tuple(os.fspath(arg) for arg in (program, *args))
        for arg in self._args:
            _text(arg)
        if not self._args[0]:
            raise ValueError("program must not be empty")
        self._environment = _variables(env)
        self._env_clear = bool(env_clear)
        self._standard = (
            _stdio("stdin", stdin),
            _stdio("stdout", stdout),
            _stdio("stderr", stderr),
        )
        self._options: dict[str, Any] = {
            "arg0": None if arg0 is None else _text(arg0),
            "cwd": None if cwd is None else _text(cwd),
            "pass_fds": [_number("pass_fds", fd, _PID_MAX) for fd in pass_fds],
            "process_group": None
            if process_group is None
            else _number("process_group", process_group, _PID_MAX),
            "start_new_session": bool(start_new_session),
            "uid": None if uid is None else _user(uid),
            "gid": None if gid is None else _group("gid", gid),
            "groups": None if groups is None else [_group("groups", each) for each in groups],
            "umask": None if umask is None else _number("umask", umask, 0o7777),
            "restore_signals": bool(restore_signals),
            "kill_on_drop": bool(kill_on_drop),
        }

    @property
    def args(self) -> tuple[str | bytes, ...]:
        """The program and its arguments."""
        return self._args

    # ---- starting it -------------------------------------------------------------------------

    def spawn(self) -> Child:
        """Starts it. Returns once the program runs, after some 100 µs; other threads run meanwhile.

        Raises:
            FileNotFoundError: there is no such program, or `cwd`; `filename` says which.
            PermissionError: the program may not be run, `cwd` not entered, or the ids not changed.
            OSError: what else the system says (ENOEXEC: no program; EAGAIN, EMFILE: limits).
        """
        return self._spawn(self._standard)

    async def status(self, *, timeout: Seconds | None = None, check: bool = False) -> ExitStatus:
        """Starts it and waits for its end. It is killed if the wait ends before.

        A stdin that is a pipe is closed at once; what comes from others that are is thrown away.

        Args:
            timeout: seconds that it may take; None: as long as it takes.
            check: whether ending otherwise than with 0 is an error.

        Raises:
            subprocess.TimeoutExpired: the time was over first.
            subprocess.CalledProcessError: with `check`.
            OSError: as spawn().

        Cancellation: kills the process and waits for its end.
        """
        done = await self._complete(self._standard, None, timeout)
        if check and not done.status.is_success:
            raise subprocess.CalledProcessError(done.status.return_code, list(self._args))
        return done.status

    async def output(
        self, *, input: bytes | None = None, timeout: Seconds | None = None, check: bool = False
    ) -> Output:
        """Starts it, reads what it writes to stdout and stderr, and waits for its end.

        Streams that the command does not set are: stdin /dev/null, or a pipe for `input`; stdout
        and stderr pipes.

        Args:
            input: what its stdin gives it.
            timeout: seconds that it may take; None: as long as it takes.
            check: whether ending otherwise than with 0 is an error.

        Raises:
            subprocess.TimeoutExpired: the time was over first; with what had come until then.
            subprocess.CalledProcessError: with `check`; with what it wrote.
            ValueError: there is `input`, and the command sets another stdin than a pipe.
            OSError: as spawn().

        Cancellation: kills the process and waits for its end.
        """
        default_input = subprocess.DEVNULL if input is None else subprocess.PIPE
        stdin, stdout, stderr = self._standard
        standard = (
            default_input if stdin is None else stdin,
            subprocess.PIPE if stdout is None else stdout,
            subprocess.PIPE if stderr is None else stderr,
        )
        if input is not None and standard[0] != subprocess.PIPE:
            raise ValueError("input needs stdin='pipe', or none")
        done = await self._complete(standard, input, timeout)
        if check and not done.status.is_success:
            raise subprocess.CalledProcessError(
                done.status.return_code, list(self._args), done.stdout, done.stderr
            )
        return done

    def blocking_status(self, *, timeout: Seconds | None = None, check: bool = False) -> ExitStatus:
        """status() for threads.

        Raises:
            RuntimeError: a loop runs in this thread, which would stand still.
        """
        check_may_block("blocking_status", "command.status()")
        return run(self.status(timeout=timeout, check=check))

    def blocking_output(
        self, *, input: bytes | None = None, timeout: Seconds | None = None, check: bool = False
    ) -> Output:
        """output() for threads.

        Raises:
            RuntimeError: a loop runs in this thread, which would stand still.
        """
        check_may_block("blocking_output", "command.output()")
        return run(self.output(input=input, timeout=timeout, check=check))

    def __repr__(self) -> str:
        return f"<Command {' '.join(map(repr, self._args))}>"

    async def _complete(
        self, standard: _Standard, input: bytes | None, timeout: Seconds | None
    ) -> Output:
        seconds = None if timeout is None else Duration.of(timeout)
        limit = Timeout(None if seconds is None else Instant.now() + seconds)
        child = self._spawn(standard)
        try:
            async with limit:
                stdout, stderr = await child.wait_with_output(input)
                return Output(await child.wait(), stdout, stderr)
        except GeneratorExit:
            child._abandon()
            raise
        except BaseException as error:
            stdout, stderr = child._take_output()
            await child.end()
            if isinstance(error, TimeoutError) and seconds is not None and limit.expired:
                raise subprocess.TimeoutExpired(
                    list(self._args), seconds.as_secs_f64(), stdout, stderr
                ) from None
            raise
        finally:
            child.close_pipes()

    def _spawn(self, standard: _Standard) -> Child:
        environment = {} if self._env_clear else dict(os.environb)
        for name, value in self._environment.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value
        program, *args = map(os.fsencode, self._args)
        process, stdin, stdout, stderr = _spawn_child(
            program,
            args,
            environment,
            standard=[_descriptor(what) for what in standard],
            **self._options,
        )
        return Child(process, self._args, stdin, stdout, stderr)


# ---- arguments -----------------------------------------------------------------------------------


def _text(value: _Text) -> bytes:
    encoded = os.fsencode(value)
    if b"\0" in encoded:
        raise ValueError(f"embedded null byte in {value!r}")
    return encoded


def _variables(env: Mapping[Any, Any] | None) -> dict[bytes, bytes | None]:
    given: object = {} if env is None else env
    if not isinstance(given, Mapping):
        raise TypeError(f"env must be a mapping or None, not {type(env).__name__}")
    return {
        _variable(name): None if value is None else _text(value) for name, value in given.items()
    }


def _variable(name: str | bytes) -> bytes:
    encoded = _text(name)
    if not encoded or b"=" in encoded:
        raise ValueError(f"illegal environment variable name {name!r}")
    return encoded


def _number(name: str, value: int, most: int) -> int:
    given: object = value
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise ValueError(f"{name} must be from 0 to {most}, not {value}")
    return value


def _user(value: int | str) -> int:
    if isinstance(value, str):
        import pwd

        try:
            return pwd.getpwnam(value).pw_uid
        except KeyError:
            raise ValueError(f"uid is no user: {value!r}") from None
    return _number("uid", value, _ID_MAX)


def _group(name: str, value: int | str) -> int:
    if isinstance(value, str):
        import grp

        try:
            return grp.getgrnam(value).gr_gid
        except KeyError:
            raise ValueError(f"{name} is no group: {value!r}") from None
    return _number(name, value, _ID_MAX)


def _stdio(name: str, what: _Stdio) -> int | _HasFileno | None:
    if isinstance(what, str):
        if what not in _STDIO:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, _STDIO))}, not {what!r}")
        what = _STDIO[what]
    if what is None or (not isinstance(what, int) and hasattr(what, "fileno")):
        return what
    if not isinstance(what, int) or isinstance(what, bool):
        raise TypeError(
            f"{name} must be a name, a descriptor or an object with one, not {type(what).__name__}"
        )
    if what < _INHERIT:
        raise ValueError(f"{name} must be a descriptor, not {what}")
    if what == subprocess.STDOUT and name != "stderr":
        raise ValueError(f"{name} cannot be 'stdout'; only stderr can")
    return what


def _descriptor(what: int | _HasFileno | None) -> int | None:
    """As the extension wants it."""
    if what is None or what == _INHERIT:
        return None
    return what if isinstance(what, int) else what.fileno()
