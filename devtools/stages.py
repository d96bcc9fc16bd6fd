"""Stages of a long run: each prints a line, keeps a log, and lands in a table at the end.

A stage is a function that returns a short remark (or None), raises NothingToRun when there is no
work for it, and anything else that it raises is a failure. A failed stage does not stop the later
ones, unless they need it.

Stages may run side by side: many spend their time with one thread, or waiting. Each thread of the
run takes the first stage whose needs are finished, until none is left.
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

    result: str  #: "ok", "FAILED", "nothing to run", "not run"
    remark: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0  #: Of the programs it ran, on all cores together.


@dataclass(eq=False)
class _Stage:
    name: str
    work: Callable[[], str | None]
    needs: tuple[_Stage, ...]
    has_begun: bool = False
    outcome: Outcome | None = None


class Stages:
    """Takes stages, runs them, and tells how they ended."""

    def __init__(
        self, only: str | None = None, *, at_once: int = 1, show_output: bool = False
    ) -> None:
        """With `only`, takes just the stages whose name has that text in it. Runs `at_once` of them
        side by side. `show_output` leaves what they print on the terminal."""
        self._only = only
        self._at_once = at_once
        self._show_output = show_output
        self._stages: list[_Stage] = []
        self._changed = threading.Condition()
        self._is_stopped = False

    def add(
        self,
        name: str,
        work: Callable[[], str | None],
        *,
        needs: tuple[str, ...] = (),
        always: bool = False,
    ) -> None:
        """Takes `work` as the stage `name`, to be run when those it needs have succeeded, as far as
        they are among the chosen stages. `always` chooses it whatever was asked for."""
        if self._only and self._only not in name and not always:
            return
        needed = tuple(stage for stage in self._stages if stage.name in needs)
        self._stages.append(_Stage(name, work, needed))

    def run(self) -> int:
        """Runs the stages and prints a table. Returns the exit status of the whole run."""
        started = time.monotonic()
        threads = [threading.Thread(target=self._run_stages) for _ in range(self._at_once)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            # The programs that run have got the signal as well.
            with self._changed:
                self._is_stopped = True
            for thread in threads:
                thread.join()
            raise
        return self._summary(time.monotonic() - started)

    def _run_stages(self) -> None:
        while stage := self._next():
            broken = [s.name for s in stage.needs if s.outcome and s.outcome.result != "ok"]
            if broken:
                outcome = Outcome("not run", f"needs {', '.join(broken)}")
            else:
                outcome = self._perform(stage)
            with self._changed:
                stage.outcome = outcome
                remark = f" ({outcome.remark})" if outcome.remark else ""
                seconds = f"{outcome.seconds:.1f} s"
                print(f"   {stage.name}: {outcome.result} {seconds}{remark}", flush=True)
                if outcome.result == "FAILED" and not self._show_output:
                    _print_tail(_log_of(stage.name))
                self._changed.notify_all()

    def _next(self) -> _Stage | None:
        """Returns a stage whose needs are finished, waiting for them; None if no stage is left."""
        with self._changed:
            while not self._is_stopped:
                waiting = [stage for stage in self._stages if not stage.has_begun]
                if not waiting:
                    return None
                for stage in waiting:
                    if all(needed.outcome for needed in stage.needs):
                        stage.has_begun = True
                        return stage
                self._changed.wait()
            return None

    def _perform(self, stage: _Stage) -> Outcome:
        log = _log_of(stage.name)
        started = time.monotonic()
        done = threading.Event()
        print(f"-- {stage.name} …", flush=True)
        threading.Thread(
            target=_heartbeat, args=(stage.name, started, done, log), daemon=True
        ).start()
        result, remark = "ok", ""
        try:
            with contextlib.nullcontext() if self._show_output else capture_to(log) as capture:
                try:
                    remark = stage.work() or ""
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
        cpu_seconds = capture.cpu_seconds if capture else 0.0
        return Outcome(result, remark, time.monotonic() - started, cpu_seconds)

    def _summary(self, seconds: float) -> int:
        ended = [(stage.name, stage.outcome) for stage in self._stages if stage.outcome]
        width = max((len(name) for name, _ in ended), default=5)
        print("\n" + f"{'stage':<{width}}  {'result':<14}  {'seconds':>8}  {'CPU':>8}  remark")
        for name, o in ended:
            times = f"{o.seconds:>8.1f}  {o.cpu_seconds:>8.1f}"
            print(f"{name:<{width}}  {o.result:<14}  {times}  {o.remark}".rstrip())
        bad = [name for name, o in ended if o.result in ("FAILED", "not run")]
        verdict = f"failed: {', '.join(bad)}" if bad else "all stages passed"
        empty = [name for name, o in ended if o.result == "nothing to run"]
        if empty and not bad:
            verdict = f"passed, but nothing to run in: {', '.join(empty)}"
        times = f"{seconds:>8.1f}  {sum(o.cpu_seconds for _, o in ended):>8.1f}"
        print(f"{'total':<{width}}  {'':<14}  {times}  {verdict}", flush=True)
        return 1 if bad else 0


def _log_of(name: str) -> Path:
    return LOGS / f"{name.replace(' ', '-')}.log"


def _heartbeat(name: str, started: float, done: threading.Event, log: Path) -> None:
    while not done.wait(_HEARTBEAT_SECONDS):
        print(f"   {name}: running for {time.monotonic() - started:.0f} s; {log}", flush=True)


def _print_tail(log: Path) -> None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    print(f"   the last lines of {log}:", flush=True)
    for line in lines[-_TAIL_LINES:]:
        print("   | " + line)
