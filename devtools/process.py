"""Running other programs, with their output on the terminal or in a stage's log.

Every command of the dev script goes through `run()`. While `capture_to()` is in force its output
goes to that file, so that a long run shows one line per stage and keeps the details.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
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
_log: TextIO | None = None


class Failed(Exception):
    """A step could not be done; the text says what and why."""


class NothingToRun(Exception):
    """A step had no work: neither a success nor a failure."""


@contextlib.contextmanager
def capture_to(path: Path) -> Iterator[None]:
    """Sends what `say()` and `run()` print to `path` instead of the terminal."""
    global _log
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="replace") as file:
        _log = file
        try:
            yield
        finally:
            _log = None


def say(text: str) -> None:
    """Prints a line where the current step's output goes."""
    print(text, file=_log or sys.stdout, flush=True)


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
    code = subprocess.run(
        words, cwd=cwd, env={**os.environ, **(env or {})}, stdout=_log, stderr=_log, check=False
    ).returncode
    if code != 0:
        raise Failed(f"{what or shlex.join(words[:6])}: exit status {code}")


def output(command: Command, *, cwd: Path = ROOT) -> str | None:
    """Returns what `command` writes to its standard output, or None if it fails or is missing."""
    try:
        done = subprocess.run(
            [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False
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
