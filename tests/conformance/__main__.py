"""`python -m tests.conformance cpython|uvloop`: others' tests of event loops, on ours.

Needs nothing built in but what the suite itself needs; `./dev.py conformance` sees to that. Exit
status 1 if any test did not pass.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.conformance.supervisor import (
    BAD,
    OUTCOMES,
    ROOT,
    FileResult,
    Plan,
    last_line,
    run_file,
)
from tests.conformance.worker import Rules

_TEST_SECONDS = 20.0
#: Files that take long come first, so that none of them is alone at the end.
_LONG = ("test_tasks", "test_tcp", "test_ssl", "test_context", "test_sslproto", "test_taskgroups")


def main() -> int:
    options = _parser().parse_args()
    suite: Any = importlib.import_module(f"tests.conformance.{options.suite}_suite")
    try:
        found = options.files or suite.files()
    except ModuleNotFoundError as missing:
        print(f"conformance: {missing}: this interpreter has no tests", file=sys.stderr)
        return 2
    rules = Rules(suite.EXCLUDED)
    files = [file for file in found if options.all or not _is_excluded_whole(rules, file)]
    files.sort(key=lambda file: (_LONG.index(file) if file in _LONG else len(_LONG), file))
    plan = Plan(
        suite=options.suite,
        loop=options.loop,
        keyword=options.keyword,
        all=options.all,
        test_seconds=options.test_seconds,
        environment=_environment(options.loop, options.backend, suite),
        answers=getattr(suite, "ANSWERS", ("asyncio",)),
    )
    started = time.monotonic()
    print(f"# {options.suite} on {options.loop}, Python {sys.version.split()[0]}", flush=True)
    results: list[FileResult] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(lambda file: run_file(plan, file), files):
            results.append(result)
            if result.tests:
                _print_row(result.file, result, result.seconds)
    total = FileResult("total")
    for result in results:
        total.tests.update(result.tests)
        total.excluded += result.excluded
    _print_row("total", total, time.monotonic() - started)
    _print_details(total, results)
    if options.json:
        _write_json(options, total, results)
    ran = sum(total.count(outcome) for outcome in ("passed", *BAD))
    if ran == 0:
        print("no test ran")
        return 1
    return 1 if any(total.count(outcome) for outcome in BAD) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("suite", choices=("cpython", "uvloop"))
    parser.add_argument("--file", action="append", dest="files", help="only this file")
    parser.add_argument("-k", dest="keyword", help="only tests whose name has that text")
    parser.add_argument("--backend", help="io_uring, epoll or poll; default: what is best here")
    parser.add_argument("--loop", default="blitzio", help="blitzio or asyncio")
    parser.add_argument("--jobs", type=int, default=2, help="files at once (default: 2)")
    parser.add_argument("--test-seconds", type=float, default=_TEST_SECONDS)
    parser.add_argument("--all", action="store_true", help="the excluded tests too")
    parser.add_argument("--json", type=Path, help="write all outcomes there")
    return parser


def _environment(loop: str, backend: str | None, suite: Any) -> dict[str, str]:
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", BLITZIO_CONFORMANCE_LOOP=loop)
    environment.pop("PYTHONASYNCIODEBUG", None)
    if backend:
        environment["BLITZIO_BACKEND"] = backend
    stand_in = [str(suite.STAND_IN)] if hasattr(suite, "STAND_IN") else []
    environment["PYTHONPATH"] = os.pathsep.join([*stand_in, str(ROOT / "python"), str(ROOT)])
    return environment


def _is_excluded_whole(rules: Rules, file: str) -> bool:
    return any(pattern == f"{file}.*" for pattern, _ in rules.rules)


def _print_row(name: str, result: FileResult, seconds: float) -> None:
    counts = "  ".join(
        f"{result.count(outcome)} {outcome}" for outcome in OUTCOMES if result.count(outcome)
    )
    excluded = f"  {len(result.excluded)} excluded" if result.excluded else ""
    print(f"{name:24s} {seconds:6.1f} s  {counts}{excluded}", flush=True)


def _print_details(total: FileResult, results: list[FileResult]) -> None:
    for name, verdict in total.tests.items():
        if verdict.first and verdict.outcome not in BAD and not verdict.answers:
            print(f"passed alone only (was {verdict.first}): {name}: ", end="")
            print(last_line(verdict.first_detail))
    for name, verdict in total.tests.items():
        if verdict.outcome in BAD:
            print(f"\n{verdict.outcome}: {name}\n{verdict.detail.rstrip()}")
    for name, verdict in total.tests.items():
        if verdict.outcome in BAD:
            print(f"{verdict.outcome}: {name}: {last_line(verdict.detail)}")
    for result in results:
        if any(result.count(outcome) for outcome in BAD):
            for note in result.notes:
                print(f"note: {note.rstrip()}")


def _write_json(options: argparse.Namespace, total: FileResult, results: list[FileResult]) -> None:
    options.json.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "suite": options.suite,
        "loop": options.loop,
        "backend": options.backend,
        "python": sys.version.split()[0],
        "totals": {outcome: total.count(outcome) for outcome in OUTCOMES},
        "excluded": sorted(total.excluded),
        "seconds": {result.file: round(result.seconds, 1) for result in results},
        "tests": {name: vars(verdict) for name, verdict in sorted(total.tests.items())},
    }
    options.json.write_text(json.dumps(data, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
