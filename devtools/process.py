"""Running other programs, with their output on the terminal or in a stage's log.

Every command of the dev script goes through `run()`. While `capture_to()` is in force its output
goes to that file, so that a long run shows one line per stage and keeps the details. That holds for
the thread that said so: stages run side by side.
"""

from __future__ import annotations

import contextlib
import contextvars
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
#: Continuous integration: what would be left out with a notice elsewhere is a failure here.
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")

Command = Sequence[str | Path]

_LINE_MAX = 500
_log: contextvars.ContextVar[Capture | None] = contextvars.ContextVar("log", default=None)


@dataclass
class Capture:
    """Where the output of a step goes, and what its commands have used so far."""

    file: TextIO
    cpu_seconds: float = 0.0


class Failed(Exception):
    """A step could not be done; the text says what and why."""


class NothingToRun(Exception):
    """A step had no work: neither a success nor a failure."""


@contextlib.contextmanager
def capture_to(path: Path) -> Iterator[Capture]:
    """Sends what this thread's `say()` and `run()` print to `path` instead of the terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="replace") as file:
        capture = Capture(file)
        token = _log.set(capture)
        try:
            yield capture
        finally:
            _log.reset(token)


def say(text: str) -> None:
    """Prints a line where the current step's output goes."""
    capture = _log.get()
    print(text, file=capture.file if capture else sys.stdout, flush=True)


def run(
    command: Command,
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    what: str | None = None,
) -> None:
    """Runs `command` to its end. `env` adds to the environment.

    Raises Failed, naming `what` (default: the command), if it exits with anything but 0.
    """
    words = [str(word) for word in command]
    line = shlex.join(words)
    say("$ " + (line if len(line) < _LINE_MAX else f"{line[:_LINE_MAX]} … ({len(words)} words)"))
    capture = _log.get()
    file = capture.file if capture else None
    environment = {**os.environ, **(env or {})}
    process = subprocess.Popen(words, cwd=cwd, env=environment, stdout=file, stderr=file)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        process.wait()  # The terminal has interrupted it as well.
        raise
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if capture:
        capture.cpu_seconds += usage.ru_utime + usage.ru_stime
    if code != 0:
        raise Failed(f"{what or shlex.join(words[:6])}: exit status {code}")


def output(
    command: Command, *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> str | None:
    """Returns what `command` writes to its standard output, or None if it fails or is missing.
    `env` is added to the environment."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def first_program(*names: str) -> str | None:
    """Returns the path of the first of `names` that is installed."""
    return next((path for name in names if (path := shutil.which(name))), None)


def tracked(*patterns: str) -> list[Path]:
    """Returns the files git knows or would add that match `patterns` (git's globs), sorted."""
    listing = output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    )
    if listing is None:
        raise Failed("git ls-files failed; dev.py works in a git checkout")
    return sorted({ROOT / line for line in listing.splitlines() if (ROOT / line).is_file()})


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps all others, of this dev script and of another one in this checkout, from what the lock
    file `path` stands for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
