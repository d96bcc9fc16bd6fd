"""What the process tests share: forked children that report back, and programs of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long a test waits for what is bound to happen. Long: it is spent by failures only.
PATIENCE = 30

BELONGS_TO_PARENT = "belongs to the parent process"


def in_child(body: Callable[[], object]) -> str:
    """Forks; returns str() of what `body` returns in the child, or its traceback. The child ends
    with os._exit()."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)
        try:
            os.close(receiver)
            try:
                text = str(body())
            except BaseException:
                text = traceback.format_exc()
            os.write(sender, text.encode())
        finally:
            os._exit(0)
    os.close(sender)
    with open(receiver, encoding="utf-8") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with status {status}: {text}"
    return text


@contextlib.contextmanager
def child_ends_with_the_run() -> Iterator[None]:
    """Around a run in which a callback forks and returns: the child, which is told whose the loop
    is, ends here, with status 0 if that is what it was told."""
    parent = os.getpid()
    try:
        yield
    except RuntimeError as exc:
        if os.getpid() == parent:
            raise
        os._exit(0 if BELONGS_TO_PARENT in str(exc) else 1)
    finally:
        if os.getpid() != parent:
            os._exit(2)


def refusal(call: Callable[[], object]) -> str:
    """The RuntimeError that `call` raises, "" if it says what it should."""
    try:
        call()
    except RuntimeError as exc:
        return "" if BELONGS_TO_PARENT in str(exc) else f"{call}: {exc}; "
    return f"{call} did not raise; "


def program(
    source: str, *words: str, options: tuple[str, ...] = ("-X", "dev")
) -> subprocess.CompletedProcess[str]:
    """Runs Python source to its end, in development mode."""
    return subprocess.run(
        [sys.executable, *options, "-c", source, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE * 3,
    )


def silent(done: subprocess.CompletedProcess[str], stdout: str = "") -> bool:
    """Asserts that a program ended well, wrote `stdout` and nothing else."""
    # Development mode tells of slow steps: a busy machine has them.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    ended = (done.returncode, done.stdout, errors)
    assert ended == (0, stdout, []), ended
    return True
