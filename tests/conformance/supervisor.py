"""Starts workers, replaces those that hang or die, and adds up what they say.

    file ──▶ worker ──▶ all its tests
               │ a test hangs, or kills the process
               ▼
             that test is noted; another worker goes on behind it
               │ at the end
               ▼
             each test that did not pass, once more, alone in a worker of its own: that counts

So one bad test costs one test, and one that was disturbed by another is not held against the loop.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]
OUTCOMES = ("passed", "failed", "hung", "crashed", "skipped", "untouched")
BAD = ("failed", "hung", "crashed")
_GRACE_SECONDS = 5.0
_LOAD_SECONDS = 60.0
_STDERR_BYTES = 20_000


@dataclass
class Verdict:
    """How one test came out."""

    outcome: str
    detail: str = ""
    #: How it came out in company, if alone it was different.
    first: str | None = None
    first_detail: str = ""
    #: Whose answers it accepted, if not those that were tried first.
    answers: str | None = None


@dataclass
class FileResult:
    """How the tests of one file came out."""

    file: str
    tests: dict[str, Verdict] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, outcome: str) -> int:
        return sum(verdict.outcome == outcome for verdict in self.tests.values())


@dataclass(frozen=True)
class Plan:
    """What to run, and how."""

    suite: str
    loop: str
    keyword: str | None
    all: bool
    test_seconds: float
    environment: dict[str, str]
    #: The answers that tests with two of them are given first, and then.
    answers: tuple[str, ...] = ("asyncio",)


@dataclass
class _Run:
    """What one worker said."""

    ended: dict[str, Verdict] = field(default_factory=dict)
    plan: list[str] | None = None
    excluded: list[str] = field(default_factory=list)
    two_answers: set[str] = field(default_factory=set)
    running: str | None = None
    is_complete: bool = False
    notes: list[str] = field(default_factory=list)

    def take(self, event: dict[str, Any]) -> None:
        if "plan" in event:
            self.plan, self.excluded = event["plan"], event["excluded"]
            self.two_answers = set(event["two_answers"])
        elif "start" in event:
            self.running = event["start"]
        elif "end" in event:
            self.running = None
            self.ended[event["end"]] = Verdict(event["outcome"], event["detail"])
        elif "fixture" in event:
            why = f"skipped: {event['skipped']}" if "skipped" in event else event["detail"]
            self.notes.append(f"{event['fixture']}: {why}")
        else:
            self.is_complete = bool(event["done"])


def run_file(plan: Plan, file: str) -> FileResult:
    """Runs all tests of a file."""
    started = time.monotonic()
    result = FileResult(file)
    run = _Run()
    expected: list[str] | None = None
    two_answers: set[str] = set()
    while True:
        run = _work(plan, file, done=list(result.tests))
        if expected is None and run.plan is not None:
            expected, result.excluded, two_answers = run.plan, run.excluded, run.two_answers
        result.tests.update(run.ended)
        result.notes += run.notes
        if run.is_complete or not run.ended:
            break
    if expected is None:
        detail = "\n".join(result.notes)
        result.tests[f"{file}.(loading)"] = Verdict("failed", detail)
        expected = []
    for name in expected:
        if name not in result.tests:
            result.tests[name] = _of_class(name, result.notes)
    for name, verdict in list(result.tests.items()):
        if verdict.outcome in BAD and name in expected:
            result.tests[name] = _alone(plan, file, name, verdict, name in two_answers)
    result.seconds = time.monotonic() - started
    return result


def _alone(plan: Plan, file: str, name: str, verdict: Verdict, has_two_answers: bool) -> Verdict:
    """The verdict on a test that did not pass: tried alone, with each answer that it knows."""
    for number, answers in enumerate(plan.answers if has_two_answers else plan.answers[:1]):
        again = _work(plan, file, only=name, answers=answers).ended.get(name)
        if again is None or again.outcome in BAD or (again.outcome == "skipped" and number):
            continue
        again.first, again.first_detail = verdict.outcome, verdict.detail
        if number:
            again.answers = answers
        return again
    return verdict


def _of_class(name: str, notes: Iterable[str]) -> Verdict:
    """The verdict on a test that was never begun: its class's or module's set-up says why."""
    for note in notes:
        if name.split(".")[1] in note or f"({name.split('.')[0]}" in note or "Module" in note:
            outcome = "skipped" if ": skipped: " in note else "failed"
            return Verdict(outcome, note)
    return Verdict("failed", "never begun: the worker before it made no progress\n")


def _work(
    plan: Plan,
    file: str,
    *,
    done: list[str] | None = None,
    only: str | None = None,
    answers: str | None = None,
) -> _Run:
    """Runs one worker to its end."""
    job = {
        "suite": plan.suite,
        "loop": plan.loop,
        "file": file,
        "done": done or [],
        "only": only,
        "keyword": plan.keyword,
        "all": plan.all,
        "limit": plan.test_seconds,
        "expect": answers or plan.answers[0],
    }
    folder = tempfile.mkdtemp(prefix="conformance-")
    reading, writing = os.pipe()
    try:
        with tempfile.TemporaryFile() as stderr:
            command = [sys.executable, "-W", "ignore", "-m", "tests.conformance.worker"]
            process = subprocess.Popen(
                [*command, "--events", str(writing), "--job", json.dumps(job)],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env=plan.environment,
                cwd=folder,
                pass_fds=[writing],
                start_new_session=True,
            )
            os.close(writing)
            writing = -1
            run = _Run()
            try:
                overdue = _follow(process, reading, run, plan.test_seconds)
            finally:
                status = _end(process)
            stderr.seek(0)
            text = stderr.read()[-_STDERR_BYTES:].decode("utf-8", "replace")
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
        shutil.rmtree(folder, ignore_errors=True)
    if run.running is not None:
        is_hung = overdue or "Timeout (" in text
        run.ended[run.running] = Verdict(
            "hung" if is_hung else "crashed", f"{text[-6000:]}\nexit status {status}\n"
        )
    elif not run.is_complete:
        run.notes.append(f"the worker of {file} ended between tests ({status}): {text[-2000:]}")
    return run


def _follow(process: subprocess.Popen[bytes], events: int, run: _Run, limit: float) -> bool:
    """Takes events until the worker is done or gone. Returns whether it had to be given up."""
    pending = b""
    while not run.is_complete:
        patience = (limit if run.plan is not None else _LOAD_SECONDS) + _GRACE_SECONDS
        deadline = time.monotonic() + patience
        while not select.select([events], [], [], 0.05)[0]:
            if _has_ended(process):
                break
            if time.monotonic() > deadline:
                return True
        readable = select.select([events], [], [], 0)[0]
        data = os.read(events, 1 << 20) if readable else b""
        if not data:
            # The end of the pipe, or of the process while a child of a test still has the pipe.
            return False
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            run.take(json.loads(line))
    return False


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # Without reaping it: until then the number of its group cannot become somebody else's.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _end(process: subprocess.Popen[bytes]) -> int:
    """Ends the worker and what tests left running; its session is ours. Returns its status."""
    for _ in range(100):
        if _has_ended(process):
            break
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


_ERROR_LINE = re.compile(r"^(E +)?[\w.]*(Error|Exception|Group|Warning|Interrupt|Exit)\b.*")


def last_line(detail: str) -> str:
    """The line of a traceback that says what was wrong."""
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR_LINE.match(line)]
    return (errors or lines or [""])[-1][:300]
