"""Fixtures of the Python tests: one loop per usable backend, and leak checks around every test.

`loop` and `new_loop` run a test once per backend that works on this machine. With the environment
variable `BLITZIO_TEST_ASYNCIO=1` asyncio's own loop is one more backend, and with `only` the single
one (the extension is then not needed): a test that fails there is wrong itself.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.fault_injection import faults, injected_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    Outcome = tuple[Any, ...]
    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

__all__ = ["faults", "injected_faults"]

ASYNCIO_VARIABLE = "BLITZIO_TEST_ASYNCIO"
BACKENDS = ("io_uring", "epoll", "poll")


# A thread that waits in native code with the interpreter lock in hand stops every other, that of
# pytest-timeout too. Then the process ends, and the run says in which test.
STUCK_SECONDS = 240
# How long what has ended may take to be gone. Long: it is spent by failures only.
PATIENCE = 30


# What a shell runs in the background ignores Ctrl-C, and so do its children. The tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _asyncio_mode() -> str:
    return os.environ.get(ASYNCIO_VARIABLE, "")


def _usable_backends() -> list[str]:
    if _asyncio_mode() == "only":
        return []
    from blitzio import _native

    return [name for name, usable, _, _ in _native.detect() if usable]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        usable = _usable_backends()
        names = [name for name in BACKENDS if name in usable]
        if _asyncio_mode():
            names.append("asyncio")
        metafunc.parametrize("backend", names)


@pytest.fixture(scope="module", autouse=True)
def little_to_collect() -> None:
    """Each test collects garbage at its end. What pytest has collected and what it remembers of the
    tests of earlier files need not be looked at each time: that took nearly half of the run."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def new_loop(backend: str) -> LoopFactory:
    """Makes loops of the backend under test; the test closes them."""
    if backend == "asyncio":
        return asyncio.SelectorEventLoop
    import blitzio

    config = blitzio.Config(backend=backend)
    return lambda: blitzio.new_event_loop(config)


@pytest.fixture
def loop(new_loop: LoopFactory) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of the backend under test, closed afterwards."""
    loop = new_loop()
    yield loop
    if not loop.is_closed():
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.fixture
def native(backend: str) -> None:
    """For tests of what asyncio's own loop does not have."""
    if backend == "asyncio":
        pytest.skip("asyncio's own loop has no such thing")


def outcome(new_loop: LoopFactory, scenario: Scenario) -> Outcome:
    """What `scenario(loop)` gives on a new loop: its result, or its exception's type and text."""
    loop = new_loop()
    try:
        return ("returned", scenario(loop))
    except BaseException as exc:
        return ("raised", type(exc), str(exc))
    finally:
        if not loop.is_closed():
            if not loop.is_running():
                loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


@pytest.fixture
def same_as_asyncio(new_loop: LoopFactory) -> Callable[[Scenario], Outcome]:
    """Runs a scenario on asyncio's loop and on ours; both must return or raise the same."""

    def compare(scenario: Scenario) -> Outcome:
        expected = outcome(asyncio.SelectorEventLoop, scenario)
        actual = outcome(new_loop, scenario)
        assert actual == expected
        return actual

    return compare


@pytest.fixture
def reports(loop: asyncio.AbstractEventLoop) -> list[dict[str, Any]]:
    """What reaches the loop's exception handler."""
    found: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: found.append(context))
    return found


def _open_fds() -> set[str]:
    links = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.add(f"{fd} -> {os.readlink(f'/proc/self/fd/{fd}')}")
        except FileNotFoundError:
            pass  # The one that listdir() itself had open.
    return links


def _left_open(before: set[str]) -> set[str]:
    """What is open since `before` and stays so: a thread that was joined may not have ended yet,
    and closes what is its own."""
    end = time.monotonic() + PATIENCE
    while True:
        left = {fd for fd in _open_fds() - before if "/proc/" not in fd}
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.01)


def _is_known(warning: str) -> bool:
    # asyncio's own of 3.10 leaves its transport open when the peer ends the connection.
    return sys.version_info < (3, 11) and "asyncio._SSLProtocolTransport" in warning


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """A test leaves no file descriptor, no running loop and no non-daemon thread behind."""
    before = _open_fds()
    threads_before = set(threading.enumerate())
    yield
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    unclosed = [
        str(warning.message)
        for warning in caught
        if warning.category is ResourceWarning and not _is_known(str(warning.message))
    ]
    assert not unclosed, unclosed
    assert asyncio._get_running_loop() is None
    left = _left_open(before)
    assert not left, f"file descriptors left open: {sorted(left)}"
    # The timer is the one that pytest-timeout starts for each test.
    threads = [
        thread
        for thread in set(threading.enumerate()) - threads_before
        if not thread.daemon and not isinstance(thread, threading.Timer)
    ]
    for thread in threads:
        thread.join(PATIENCE)
    assert not [thread for thread in threads if thread.is_alive()]
