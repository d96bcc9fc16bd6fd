"""Third-party software on blitzio, held against the same software on asyncio's own loop.

A test describes its work as a scenario, a coroutine function that returns what can be observed:
answers, order of events, exceptions. `same_on_asyncio` runs it on asyncio's loop and on ours, and
what the two give must be equal. Each test runs on io_uring and on epoll (poll shares all its code
but the wait with epoll).

Servers are real programs that the tests start on free ports of 127.0.0.1 and in temporary folders,
and stop again; no process outlives the test, or the fixture, that started it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib.metadata
import os
import signal
from typing import TYPE_CHECKING, Any, TypeVar

import psutil
import pytest

import blitzio
from tests.ecosystem.servers import PostgreSQL, Redis, postgresql_server, redis_server
from tests.python.conftest import BACKENDS, _usable_backends, new_loop, no_leaks
from tests.python.loop.support import PATIENCE, server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

# The fixtures that the loop's tests have, under the same names.
__all__ = ("new_loop", "no_leaks")

_T = TypeVar("_T")
_PR_SET_CHILD_SUBREAPER = 36

#: The distributions that are tested here.
SOFTWARE = (
    "aiofiles",
    "aioquic",
    "aiosmtpd",
    "anyio",
    "asyncpg",
    "asyncssh",
    "distributed",
    "grpcio",
    "gunicorn",
    "hypercorn",
    "psycopg",
    "pytest-asyncio",
    "redis",
    "tornado",
    "uvicorn",
    "uvicorn-worker",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        usable = _usable_backends()
        metafunc.parametrize(
            "backend", [name for name in BACKENDS if name in usable and name != "poll"]
        )


def pytest_collection_finish(session: pytest.Session) -> None:
    # Each test collects garbage twice; what is there before the first need not be looked at again.
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """What is tested, for the log: lower bounds do not say it."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in SOFTWARE]
    return f"ecosystem: {', '.join(versions)}"


class Comparison:
    """Runs scenarios on asyncio's loop and on ours."""

    def __init__(self, new_loop: LoopFactory, expected: dict[str, Any], test: str) -> None:
        self._new_loop = new_loop
        self._expected = expected
        self._test = test

    def __call__(self, scenario: Callable[[], Awaitable[_T]]) -> _T:
        """Runs `scenario` on both loops and returns what it returned; both must return the same,
        or raise the same, and report the same to the loop's exception handler.

        asyncio's part runs once per test, not once per backend.
        """
        key = f"{self._test} {scenario.__qualname__}"
        if key not in self._expected:
            self._expected[key] = _observed(scenario, asyncio.SelectorEventLoop)
        actual, result = _observed(scenario, self._new_loop)
        assert actual == self._expected[key][0]
        if isinstance(result, BaseException):
            raise result
        returned: _T = result
        return returned


def _observed(scenario: Callable[[], Awaitable[_T]], factory: LoopFactory) -> tuple[Any, Any]:
    """What can be compared of a run, and its result or exception."""
    reports: list[str] = []

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exception = context.get("exception")
        if isinstance(exception, asyncio.CancelledError):
            # asyncio's streams ask a cancelled handler for its exception (mended in 3.12): whether
            # one is cancelled at the end, or has ended just before, is a matter of moments.
            return
        reports.append(f"{context['message']}: {type(exception).__name__}")

    async def main() -> _T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, blitzio.Loop) == (factory is not asyncio.SelectorEventLoop)
        loop.set_exception_handler(report)
        return await scenario()

    try:
        result = blitzio.run(main(), loop_factory=factory)
    except Exception as exc:
        return ("raised", type(exc), str(exc), reports), exc
    gc.collect()
    return ("returned", result, reports), result


@pytest.fixture(scope="session")
def _expected() -> dict[str, Any]:
    """What asyncio's loop gave, by test and scenario."""
    return {}


@pytest.fixture
def same_on_asyncio(
    new_loop: LoopFactory, request: pytest.FixtureRequest, _expected: dict[str, Any]
) -> Comparison:
    """Runs a scenario on asyncio's loop and on ours and compares."""
    return Comparison(new_loop, _expected, _name_without_backend(request))


class ChildComparison:
    """Runs scenarios whose work happens in child processes, once per kind of loop."""

    def __init__(self, backend: str, expected: dict[str, Any], test: str) -> None:
        self._backend = backend
        self._expected = expected
        self._test = test

    def __call__(self, scenario: Callable[[str], _T]) -> _T:
        """Runs `scenario("asyncio")`, once per test, and `scenario(backend)`; both must return the
        same, and that is returned."""
        key = f"{self._test} {scenario.__qualname__}"
        if key not in self._expected:
            self._expected[key] = scenario("asyncio")
        result = scenario(self._backend)
        assert result == self._expected[key]
        return result


@pytest.fixture
def same_in_children(
    backend: str, request: pytest.FixtureRequest, _expected: dict[str, Any]
) -> ChildComparison:
    """Runs a scenario whose children use asyncio's loop, then ours, and compares."""
    return ChildComparison(backend, _expected, _name_without_backend(request))


def _name_without_backend(request: pytest.FixtureRequest) -> str:
    node = request.node
    others = {name: value for name, value in node.callspec.params.items() if name != "backend"}
    return f"{node.path}::{node.originalname} {others}"


@pytest.fixture
def tls_server(tmp_path: Path) -> ssl.SSLContext:
    return server_context(tmp_path)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with postgresql_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _orphans_come_to_us() -> None:
    """Makes this process the parent of every descendant that loses its own: none can hide."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


@pytest.fixture(autouse=True)
def no_orphans(_orphans_come_to_us: None, no_leaks: None) -> Iterator[None]:
    """A test leaves no process behind."""
    this = psutil.Process()
    before = {child.pid for child in this.children(recursive=True)}
    yield
    left = [child for child in this.children(recursive=True) if child.pid not in before]
    # Who has been told to end, or is an orphan that has, may still be on the way out.
    _, alive = psutil.wait_procs(left, timeout=PATIENCE)
    names = [f"{child.pid} {' '.join(child.cmdline())}" for child in alive]
    for child in alive:
        os.kill(child.pid, signal.SIGKILL)
    assert not names, f"processes left behind: {names}"
