"""Fixtures of the runtime's tests: every kind of loop that a task may run on, ours and others', and
every implementation of blitzio.io."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import Runtime, net, process
from blitzio.io import Deterministic, Evented, Faults, Threaded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from blitzio.io import Io

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]
    Run = Callable[[Coroutine[Any, Any, Any]], Any]


def _uvloop() -> asyncio.AbstractEventLoop:
    pytest.importorskip("uvloop")
    loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
    return loop


LOOPS: dict[str, LoopFactory] = {
    "blitzio": blitzio.new_event_loop,
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": _uvloop,
}


@pytest.fixture(scope="session", autouse=True)
def warm_up() -> None:
    """What is opened once and for all: uvloop's pipe for signals, the eventfds of the thread that
    waits for children and of the one that runs the tests. Let no test be blamed for it."""
    process.spawn("true").blocking_wait()
    ours, theirs = net.UnixStream.pair()
    with pytest.raises(TimeoutError):
        # A wait whose time is over before it begins opens nothing.
        ours.blocking_read(timeout=0.1)
    ours.close()
    theirs.close()
    if importlib.util.find_spec("uvloop") is not None:
        loop = _uvloop()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.fixture(params=LOOPS)
def any_loop(request: pytest.FixtureRequest) -> LoopFactory:
    """Makes loops of one kind; the test runs once with each."""
    factory = LOOPS[request.param]
    factory().close()  # Skips the test where there is none.
    return factory


@pytest.fixture
def run(any_loop: LoopFactory) -> Run:
    """Runs a coroutine to its end on a new loop of each kind."""

    def run_one(coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop = any_loop()
        try:
            return loop.run_until_complete(asyncio.wait_for(coroutine, 60))
        finally:
            loop.close()

    return run_one


@pytest.fixture(params=[*LOOPS, "runtime"])
def run_anywhere(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine on a new loop of each kind, and on a worker of a Runtime."""
    if request.param == "runtime":
        with Runtime(workers=2) as runtime:
            yield runtime.block_on
        return
    loop = LOOPS[request.param]()
    yield loop.run_until_complete
    loop.close()


def _world() -> Deterministic:
    made = Deterministic(seed=2)
    made.set_faults(Faults(short_transfers=False))
    return made


IOS: dict[str, Callable[[], Any]] = {
    "threaded": Threaded,
    "evented": Evented,
    "deterministic": _world,
}


@pytest.fixture(params=IOS)
def io(request: pytest.FixtureRequest) -> Iterator[Io]:
    with IOS[request.param]() as implementation:
        yield implementation.io()


@pytest.fixture
def folder(io: Io, tmp_path: Path) -> str:
    """A directory that is there, of the machine or of the simulation."""
    io.run(io.fs.mkdir_all, str(tmp_path))
    return str(tmp_path)
