"""Processes: programs that are started, talked to, and waited for.

    from blitzio import process

    done = await process.output("git", "rev-parse", "HEAD", check=True)

    async with process.spawn("sort", stdin="pipe", stdout="pipe") as child:
        await child.stdin.write_all(b"b\\na\\n")
        child.stdin.close()
        async for line in child.stdout:
            print(line)

Everything here can be awaited from a task of any asyncio loop, in any thread, and has a `blocking_`
form for threads without one. Every child is reaped when it ends, whether somebody waits for it or
not: no zombies, no SIGCHLD handler, no child watcher. Children that others started are left alone.

Errors are those of `subprocess`: `FileNotFoundError` and its like with the `filename` that is
wrong, `subprocess.CalledProcessError` with `check=True`, `subprocess.TimeoutExpired` with
`timeout=`. There is no `preexec_fn`: nothing of Python runs between fork and exec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blitzio._native import PipeReader, PipeWriter
from blitzio._process.child import Child
from blitzio._process.command import Command
from blitzio._process.status import ExitStatus, Output

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blitzio._duration import Seconds
    from blitzio._process.command import _Options, _Text

__all__ = (
    "Child",
    "Command",
    "ExitStatus",
    "Output",
    "PipeReader",
    "PipeWriter",
    "output",
    "spawn",
    "status",
)


def spawn(program: _Text, /, *args: _Text, **options: Unpack[_Options]) -> Child:
    """Starts a program: `Command(program, *args, **options).spawn()`.

    >>> spawn("true").blocking_wait()
    <ExitStatus code=0>
    """
    return Command(program, *args, **options).spawn()


async def status(
    program: _Text,
    /,
    *args: _Text,
    timeout: Seconds | None = None,
    check: bool = False,
    **options: Unpack[_Options],
) -> ExitStatus:
    """Runs a program to its end: `Command(program, *args, **options).status(…)`.

    >>> import blitzio
    >>> blitzio.run(status("sh", "-c", "exit 3"))
    <ExitStatus code=3>
    """
    return await Command(program, *args, **options).status(timeout=timeout, check=check)


async def output(
    program: _Text,
    /,
    *args: _Text,
    input: bytes | None = None,
    timeout: Seconds | None = None,
    check: bool = False,
    **options: Unpack[_Options],
) -> Output:
    """Runs a program and gives what it wrote: `Command(program, *args, **options).output(…)`.

    >>> import blitzio
    >>> blitzio.run(output("tr", "a-z", "A-Z", input=b"loud")).stdout
    b'LOUD'
    """
    command = Command(program, *args, **options)
    return await command.output(input=input, timeout=timeout, check=check)
