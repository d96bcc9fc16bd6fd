"""The process that runs the tests of one file and tells the supervisor about each of them.

Events are JSON lines on an inherited pipe: the plan, each test's start and end, what a fixture of a
class or module raised, and that all is done. A test that takes too long ends the process, with all
threads' stacks on standard error; the supervisor starts another one for the rest.
"""

from __future__ import annotations

import argparse
import faulthandler
import fcntl
import fnmatch
import importlib
import json
import os
import signal
import sys
import traceback
import unittest
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

#: Out of the way of descriptors that tests count, compare or close by number.
_EVENTS_FD_MIN = 200


@dataclass(frozen=True)
class Case:
    """One test: its name (file.class.method) and the unittest case."""

    name: str
    test: unittest.TestCase
    #: Expects one thing of uvloop's loop and another of asyncio's.
    has_two_answers: bool = False


class Suite(Protocol):
    """What the module of a suite has."""

    def prepare(self, loop_class: type, expect: str) -> None:
        """Puts `loop_class` where the tests will look for a loop. Before any test is loaded."""

    def cases(self, file: str, loop_class: type) -> Iterator[Case]:
        """The tests of one file, in its order."""


class Rules:
    """The exclusions: `pattern  reason` per line; `!pattern` keeps; the first match decides."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.rules: list[tuple[str, str]] = []
        with open(path, encoding="utf-8") as file:
            for line in file:
                if not (line := line.strip()) or line.startswith("#"):
                    continue
                pattern, _, reason = line.partition("  ")
                if not reason and not pattern.startswith("!"):
                    raise ValueError(f"{path}: no reason given: {line}")
                self.rules.append((pattern, reason.strip()))

    def reason(self, name: str) -> str | None:
        """Why the test is left out, or None."""
        for pattern, reason in self.rules:
            if fnmatch.fnmatchcase(name, pattern.lstrip("!")):
                return None if pattern.startswith("!") else reason
        return None


class Counter:
    """Counts the loops that are made: a test that makes none says nothing about ours."""

    def __init__(self, loop_class: Any) -> None:
        self.count = 0
        original: Callable[..., None] = loop_class.__init__

        def __init__(loop: object, *args: Any, **kwargs: Any) -> None:
            self.count += 1
            original(loop, *args, **kwargs)

        loop_class.__init__ = __init__


class Result(unittest.TestResult):
    """Sends the outcome of each test as it comes."""

    def __init__(
        self, send: Callable[..., None], names: dict[int, str], loops: Counter, limit: float
    ) -> None:
        super().__init__()
        self._send = send
        self._names = names
        self._loops = loops
        self._limit = limit
        self._outcome = "passed"
        self._detail = ""
        self._loops_before = 0

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._outcome, self._detail = "passed", ""
        self._loops_before = self._loops.count
        self._send(start=self._names[id(test)])
        faulthandler.dump_traceback_later(self._limit, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        outcome = self._outcome
        if outcome == "passed" and self._loops.count == self._loops_before:
            outcome = "untouched"
        self._send(end=self._names[id(test)], outcome=outcome, detail=self._detail[-8000:])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._bad(test, err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._bad(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._bad(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        if id(test) not in self._names:
            self._send(fixture=str(test), skipped=reason)
        elif self._outcome == "passed":
            self._outcome, self._detail = "skipped", reason

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._outcome, self._detail = "failed", "unexpected success"

    def _bad(self, test: unittest.TestCase, err: ExcInfo) -> None:
        text = "".join(traceback.format_exception(*err))
        if id(test) not in self._names:  # setUpClass, setUpModule
            self._send(fixture=str(test), detail=text)
            return
        self._outcome = "failed"
        self._detail += text


def loop_class_of(module: str) -> type:
    """The loop class under test."""
    if module == "asyncio":
        import asyncio

        return asyncio.SelectorEventLoop
    found: type = importlib.import_module(module).Loop
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--job", required=True, help="JSON")
    options = parser.parse_args()
    job: dict[str, Any] = json.loads(options.job)

    events = fcntl.fcntl(options.events, fcntl.F_DUPFD_CLOEXEC, _EVENTS_FD_MIN)
    os.close(options.events)

    def send(**event: Any) -> None:
        data = (json.dumps(event) + "\n").encode()
        while data:
            data = data[os.write(events, data) :]

    # Started in the background, a process inherits that signals are ignored which tests send.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    faulthandler.enable()
    warnings.simplefilter("ignore")

    suite: Any = importlib.import_module(f"tests.conformance.{job['suite']}_suite")
    loop_class = loop_class_of(job["loop"])
    loops = Counter(loop_class)
    suite.prepare(loop_class, job["expect"])
    rules = Rules(suite.EXCLUDED)
    excluded, chosen = [], []
    try:
        for case in suite.cases(job["file"], loop_class):
            if job["keyword"] and job["keyword"] not in case.name:
                continue
            if not job["all"] and rules.reason(case.name) is not None:
                excluded.append(case.name)
            else:
                chosen.append(case)
    except unittest.SkipTest as skip:  # A file for another platform.
        send(fixture=job["file"], skipped=str(skip))
    send(
        plan=[case.name for case in chosen],
        excluded=excluded,
        two_answers=[case.name for case in chosen if case.has_two_answers],
    )
    if job["only"] is not None:
        chosen = [case for case in chosen if case.name == job["only"]]
    done = set(job["done"])
    chosen = [case for case in chosen if case.name not in done]
    names = {id(case.test): case.name for case in chosen}
    unittest.TestSuite(case.test for case in chosen).run(Result(send, names, loops, job["limit"]))
    send(done=True)
    # Neither threads nor finalisers that a test left behind shall keep us.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
