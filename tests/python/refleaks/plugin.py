"""A pytest plugin that asks of every test whether it leaves anything behind: it is run again and
again in this process, each time with new fixtures of its own, and fails if what the process holds
grows with each run, however long it is watched. See counting.py.

    pytest -p tests.python.refleaks.plugin tests/python/runtime -k TcpStream

References are counted by debug builds of CPython alone; elsewhere it is blocks, descriptors and
threads. A test that cannot be asked, since it does what a process can do once, or since what stays
is not ours, is marked `no_refleaks(reason)` and skipped.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol  # What plugins that repeat tests use.

from tests.python.refleaks import counting

if TYPE_CHECKING:
    Reports = list[pytest.TestReport]

_WARM_UP = 2
_RUNS = 3
_LOOKS = 12


class _NotPassedError(Exception):
    """A run did not pass: its reports are the test's."""

    def __init__(self, reports: Reports) -> None:
        super().__init__()
        self.reports = reports


def pytest_sessionstart() -> None:
    import blitzio

    loop = blitzio.new_event_loop()
    counting.fill_free_lists(loop)
    loop.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("no_refleaks"):
            (reason,) = marker.args
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    failed, grown = _look_at(item)
    # With this run the fixtures of the class and of the file end as well, if it is their last test.
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if grown and all(report.passed for report in reports):
        _, call, _ = reports
        call.outcome = "failed"
        call.longrepr = "grows with each run: " + ", ".join(
            f"{name} by {steps}" for name, steps in grown.items()
        )
    for report in failed or reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _look_at(item: Any) -> tuple[Reports | None, counting.Growth]:
    """The reports of the run that failed, if any did, and what grows with each run."""
    fixtures = [each for same in item._fixtureinfo.name2fixturedefs.values() for each in same]
    endings: dict[Any, int] = {}

    def run() -> None:
        # Fixtures of what is wider than the test live on from run to run. In a context of its own:
        # values of variables that a test sets stay in the thread's for good.
        context = contextvars.copy_context()
        reports = context.run(runtestprotocol, item, log=False, nextitem=item.parent)
        if not all(report.passed for report in reports):
            raise _NotPassedError(reports)
        # What pytest keeps: captured output, and with a fixture that lives on the end of each that
        # was made of it.
        item._report_sections.clear()
        for fixture in fixtures:
            del fixture._finalizers[endings.setdefault(fixture, len(fixture._finalizers)) :]

    try:
        for _ in range(_WARM_UP):
            run()
        return None, counting.growth(run, runs=_RUNS, looks=_LOOKS)
    except _NotPassedError as stopped:
        return stopped.reports, {}
