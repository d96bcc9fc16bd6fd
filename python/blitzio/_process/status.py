"""`ExitStatus` and `Output`: how a process ended, and what it wrote."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class ExitStatus:
    """How a process ended: with a code, or by a signal.

    >>> ExitStatus(0).is_success, ExitStatus(3).code, ExitStatus(-9).signal.name
    (True, 3, 'SIGKILL')

    Args:
        return_code: the code, or minus the signal: one number for both, as in `subprocess`.
    """

    return_code: int

    @property
    def is_success(self) -> bool:
        """Whether it exited with 0."""
        return self.return_code == 0

    @property
    def code(self) -> int | None:
        """What it gave to exit(); None if a signal ended it."""
        return self.return_code if self.return_code >= 0 else None

    @property
    def signal(self) -> signals.Signals | int | None:
        """What ended it; None if it exited. A number that Python has no name for is an int."""
        if self.return_code >= 0:
            return None
        try:
            return signals.Signals(-self.return_code)
        except ValueError:
            return -self.return_code

    def __repr__(self) -> str:
        if self.signal is None:
            return f"<ExitStatus code={self.code}>"
        return f"<ExitStatus signal={getattr(self.signal, 'name', self.signal)}>"


@final
@dataclass(frozen=True)
class Output:
    """How a program ended, and what it wrote to those of its streams that were pipes.

    `stdout` and `stderr` are empty where the stream went elsewhere.
    """

    status: ExitStatus
    stdout: bytes = b""
    stderr: bytes = b""
