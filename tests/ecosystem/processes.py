"""Child processes that serve: started, waited for by what they print, and stopped for certain."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import blitzio
from tests.python.loop.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
#: Names the loop that a program of ours in a child process shall use: "asyncio" or "blitzio".
LOOP_VARIABLE = "ECOSYSTEM_LOOP"


class Program:
    """A child process whose output, both streams as one, is collected by a thread."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self._lines: list[str] = []
        self._grown = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._collect, args=(process.stdout,), daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        with self._grown:
            return "".join(self._lines)

    def wait_for(self, pattern: str, *, count: int = 1) -> list[re.Match[str]]:
        """Waits until `count` places of the output match; the matches, in order."""
        deadline = time.monotonic() + PATIENCE
        with self._grown:
            while len(found := list(re.finditer(pattern, "".join(self._lines)))) < count:
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"no {pattern!r} × {count} in:\n{''.join(self._lines)}")
                self._grown.wait(left)
            return found

    def finish(self) -> tuple[int, str]:
        """Waits for the end. Its return code and all that it wrote."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code, self.output

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Asks it to end by a signal and waits for that."""
        self.process.send_signal(number)
        return self.finish()

    def _collect(self, stream: IO[str]) -> None:
        for line in stream:
            with self._grown:
                self._lines.append(line)
                self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()


@contextlib.contextmanager
def program(
    command: Sequence[str | Path],
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    user: tuple[int, int] | None = None,
    last_resort: signal.Signals = signal.SIGKILL,
) -> Iterator[Program]:
    """Runs `command` in a process group of its own, as `user` (ids of user and group) if given.

    Who is still there at the end is sent `last_resort`, and so is the program if this process dies.
    """
    identity = {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}
    process = subprocess.Popen(
        [*_tied_to_us(last_resort), *map(str, command)],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        **identity,  # type: ignore[call-overload]
    )
    running = Program(process)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(last_resort)
        try:
            process.wait(PATIENCE)
        finally:
            # The rest of the group, if its leader has not seen to it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            running.finish()
            assert process.stdout is not None
            process.stdout.close()


def _tied_to_us(number: signal.Signals) -> list[str]:
    """The words before a command that end it with us, however we end."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--"] if setpriv else []


def child_environment(backend: str, **variables: str) -> dict[str, str]:
    """For a child that shall import the same blitzio and, by its own doing, use the loop under
    test: `backend` is blitzio's, or "asyncio" for asyncio's own loop."""
    package = Path(blitzio.__file__).parent.parent
    environment = {**os.environ, **variables}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (HERE / "programs", package)))
    environment["PYTHONUNBUFFERED"] = "1"
    environment[LOOP_VARIABLE] = "asyncio" if backend == "asyncio" else "blitzio"
    if backend != "asyncio":
        environment["BLITZIO_BACKEND"] = backend
    return environment
