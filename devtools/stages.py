"""Stages of a long run: each prints one line, keeps a log, and lands in a table at the end.

A stage is a function that returns a short remark (or None), raises NothingToRun when there is no
work for it, and anything else that it raises is a failure. A failed stage does not stop the later
ones, unless they need it.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devtools.process import BUILD, Failed, NothingToRun, capture_to, say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOGS = BUILD / "logs"
_TAIL_LINES = 80
_HEARTBEAT_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """How one stage ended."""

    name: str
    result: str  #: "ok", "FAILED", "nothing to run", "not run"
    seconds: float
    remark: str


class Stages:
    """Runs stages in order and remembers their outcomes."""

    def __init__(self, only: str | None = None, *, show_output: bool = False) -> None:
        """With `only`, runs just the stages whose name has that text in it. `show_output` leaves
        what they print on the terminal."""
        self._only = only
        self._show_output = show_output
        self._outcomes: list[Outcome] = []

    def run(
        self,
        name: str,
        work: Callable[[], str | None],
        *,
        needs: tuple[str, ...] = (),
        always: bool = False,
    ) -> None:
        """Runs `work` as the stage `name`, unless a stage it needs has not succeeded. `always`
        runs it even if it is not among the chosen stages."""
        if self._only and self._only not in name and not always:
            return
        broken = [o.name for o in self._outcomes if o.name in needs and o.result != "ok"]
        if broken:
            self._finish(Outcome(name, "not run", 0.0, f"needs {', '.join(broken)}"))
            return
        log = LOGS / f"{name.replace(' ', '-')}.log"
        started = time.monotonic()
        done = threading.Event()
        print(f"-- {name} …", flush=True)
        threading.Thread(
            target=self._heartbeat, args=(name, started, done, log), daemon=True
        ).start()
        result, remark = "ok", ""
        try:
            with contextlib.nullcontext() if self._show_output else capture_to(log):
                try:
                    remark = work() or ""
                except NothingToRun as nothing:
                    result, remark = "nothing to run", str(nothing)
                except (Failed, OSError, subprocess.SubprocessError) as error:
                    result, remark = "FAILED", str(error)
                    say(f"FAILED: {error}")
                except Exception as error:
                    result, remark = "FAILED", repr(error)
                    say(traceback.format_exc())
        finally:
            done.set()
        self._finish(Outcome(name, result, time.monotonic() - started, remark))
        if result == "FAILED" and not self._show_output:
            _print_tail(log)

    def summary(self) -> int:
        """Prints the table of stages. Returns the exit status of the whole run."""
        width = max((len(o.name) for o in self._outcomes), default=5)
        print("\n" + f"{'stage':<{width}}  {'result':<14}  {'seconds':>8}  remark")
        for o in self._outcomes:
            print(f"{o.name:<{width}}  {o.result:<14}  {o.seconds:>8.1f}  {o.remark}".rstrip())
        total = sum(o.seconds for o in self._outcomes)
        bad = [o.name for o in self._outcomes if o.result in ("FAILED", "not run")]
        verdict = f"failed: {', '.join(bad)}" if bad else "all stages passed"
        empty = [o.name for o in self._outcomes if o.result == "nothing to run"]
        if empty and not bad:
            verdict = f"passed, but nothing to run in: {', '.join(empty)}"
        print(f"{'total':<{width}}  {'':<14}  {total:>8.1f}  {verdict}", flush=True)
        return 1 if bad else 0

    def _finish(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        remark = f" ({outcome.remark})" if outcome.remark else ""
        print(f"   {outcome.name}: {outcome.result} {outcome.seconds:.1f} s{remark}", flush=True)

    @staticmethod
    def _heartbeat(name: str, started: float, done: threading.Event, log: Path) -> None:
        while not done.wait(_HEARTBEAT_SECONDS):
            print(f"   {name}: running for {time.monotonic() - started:.0f} s; {log}", flush=True)


def _print_tail(log: Path) -> None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    print(f"   the last lines of {log}:", flush=True)
    for line in lines[-_TAIL_LINES:]:
        print("   | " + line)
