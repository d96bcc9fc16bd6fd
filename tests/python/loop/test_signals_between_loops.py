"""One wake-up fd, several who want it: loops, fds of others, threads, forks.

What is idle is told from the process's state, not from time: a loop that a signal wakes reacts
long before its only timer, which is a thousand seconds away.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.python.loop.process_support import wait_for_state
from tests.python.loop.support import PATIENCE, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert signal.set_wakeup_fd(-1) == -1


@pytest.fixture
def other(new_loop: LoopFactory) -> Iterator[asyncio.AbstractEventLoop]:
    loop = new_loop()
    yield loop
    loop.close()


async def signalled(number: int) -> None:
    """Sends this process a signal and lets the loop call its handlers."""
    os.kill(os.getpid(), number)
    await turns()


def test_a_loop_hears_of_signals_while_another_one_runs(
    loop: asyncio.AbstractEventLoop, other: asyncio.AbstractEventLoop, native: None
) -> None:
    """With asyncio the second loop, if it has handlers as well, takes the first one's away."""
    seen: list[str] = []
    other.add_signal_handler(signal.SIGUSR1, seen.append, "other")
    loop.add_signal_handler(signal.SIGUSR2, seen.append, "own")
    loop.run_until_complete(signalled(signal.SIGUSR1))
    assert seen == []  # Its loop stands still.
    loop.run_until_complete(signalled(signal.SIGUSR2))
    assert seen == ["own"]
    other.run_until_complete(turns())
    assert seen == ["own", "other"]


def test_handlers_added_to_a_loop_that_stands_still_do_not_put_the_running_one_to_sleep(
    loop: asyncio.AbstractEventLoop, other: asyncio.AbstractEventLoop, native: None
) -> None:
    seen: list[str] = []

    async def main() -> None:
        received = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, received.set_result, None)
        other.add_signal_handler(signal.SIGUSR2, seen.append, "other")
        thread = threading.Thread(target=send_while_asleep)
        thread.start()
        await asyncio.wait_for(received, PATIENCE)
        thread.join(PATIENCE)

    def send_while_asleep() -> None:
        wait_for_state(os.getpid(), "S")
        os.kill(os.getpid(), signal.SIGUSR1)

    loop.run_until_complete(main())


@pytest.mark.parametrize("first", [0, 1])
def test_closing_in_any_order_leaves_no_wakeup_fd(new_loop: LoopFactory, first: int) -> None:
    loops = [new_loop(), new_loop()]
    for loop in loops:
        loop.add_signal_handler(signal.SIGUSR1, print)
    loops[first].close()
    loops[1 - first].close()
    assert signal.set_wakeup_fd(-1) == -1


def test_signals_that_no_loop_handles_reach_the_fd_that_was_there_before(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    """Whoever installed it waits for them: a toolkit with a loop of its own, say."""
    seen: list[str] = []
    mine, theirs = socket.socketpair()
    theirs.setblocking(False)
    mine.setblocking(False)

    async def foreign() -> bytes:
        os.kill(os.getpid(), signal.SIGUSR1)
        return await soon(loop.sock_recv(mine, 100))

    with mine, theirs:
        signal.set_wakeup_fd(theirs.fileno())
        try:
            signal.signal(signal.SIGUSR1, lambda *_: None)
            loop.add_signal_handler(signal.SIGUSR2, seen.append, "handled")
            loop.run_until_complete(signalled(signal.SIGUSR2))
            assert loop.run_until_complete(foreign()) == bytes([signal.SIGUSR1])
            assert seen == ["handled"]
            loop.close()
        finally:
            assert signal.set_wakeup_fd(-1) == theirs.fileno()


def test_an_fd_that_was_closed_meanwhile_is_not_put_back(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    """Its number may belong to any file by now."""
    mine, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno())

    async def main() -> None:
        mine.close()
        theirs.close()

    loop.run_until_complete(main())
    assert signal.set_wakeup_fd(-1) == -1


def test_an_fd_that_somebody_installs_during_a_run_stays(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    mine, theirs = socket.socketpair()
    theirs.setblocking(False)

    async def main() -> None:
        signal.set_wakeup_fd(theirs.fileno())

    with mine, theirs:
        loop.run_until_complete(main())
        assert signal.set_wakeup_fd(-1) == theirs.fileno()


def test_a_loop_of_another_thread_leaves_signals_to_the_main_thread(
    loop: asyncio.AbstractEventLoop, new_loop: LoopFactory
) -> None:
    errors: list[Exception] = []

    async def in_thread(theirs: asyncio.AbstractEventLoop) -> None:
        try:
            theirs.add_signal_handler(signal.SIGUSR1, print)
        except RuntimeError as exc:
            errors.append(exc)

    def work() -> None:
        theirs = new_loop()
        theirs.run_until_complete(in_thread(theirs))
        theirs.close()

    async def main() -> None:
        received = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, received.set_result, None)
        await loop.run_in_executor(None, work)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(received, PATIENCE)

    loop.run_until_complete(main())
    loop.close()
    assert [str(exc) for exc in errors] == [
        "set_wakeup_fd only works in main thread of the main interpreter"
    ]


def test_closing_in_another_thread_closes_and_says_what_could_not_be_undone(
    new_loop: LoopFactory, native: None
) -> None:
    loop = new_loop()
    loop.add_signal_handler(signal.SIGUSR1, print)
    errors: list[Exception] = []

    def work() -> None:
        try:
            loop.close()
        except ValueError as exc:
            errors.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert len(errors) == 1
    assert loop.is_closed()
    # The fd is still that loop's, and open: nothing else may get its number and hear of signals.
    os.kill(os.getpid(), signal.SIGUSR1)
    # What the test can still do here, for the tests that follow.
    loop._close_signals()  # type: ignore[attr-defined]
    assert signal.set_wakeup_fd(-1) == -1


PROGRAM = """
import asyncio, os, signal, sys
import blitzio

loop = blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))
loop.call_later(1000, print, "too late")

def report(word):
    print(word, flush=True)
    loop.stop()

def ready():
    print("ready", flush=True)

{setup}
loop.call_soon(ready)
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("interrupted", flush=True)
loop.close()
"""

SETUPS = {
    "handler of the loop": (
        signal.SIGTERM,
        "loop.add_signal_handler(signal.SIGTERM, report, 'woken')",
        "woken",
    ),
    "handler of Python": (
        signal.SIGUSR1,
        "signal.signal(signal.SIGUSR1, lambda *_: report('woken'))",
        "woken",
    ),
    "handler of Python that calls soon": (
        signal.SIGUSR1,
        "signal.signal(signal.SIGUSR1, lambda *_: loop.call_soon(report, 'woken'))",
        "woken",
    ),
    "Ctrl-C": (signal.SIGINT, "", "interrupted"),
    "Ctrl-C after a loop that was closed": (
        signal.SIGINT,
        """
first = blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))
first.add_signal_handler(signal.SIGTERM, print)
first.run_until_complete(asyncio.sleep(0))
first.close()
""",
        "interrupted",
    ),
    "Ctrl-C with a child": (
        signal.SIGINT,
        "loop.run_until_complete(asyncio.sleep(0)); import subprocess;"
        "child = subprocess.Popen(['true']); child.wait()",
        "interrupted",
    ),
}


def run_program(program: str, backend: str) -> subprocess.Popen[str]:
    if backend == "asyncio":
        pytest.skip("the program makes a loop of ours")
    return subprocess.Popen(
        [sys.executable, "-c", program, backend], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("name", SETUPS)
def test_a_signal_wakes_an_idle_process(name: str, backend: str) -> None:
    number, setup, expected = SETUPS[name]
    with run_program(PROGRAM.format(setup=setup), backend) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            wait_for_state(process.pid, "S")
            process.send_signal(number)
            assert process.communicate(timeout=PATIENCE)[0] == expected + "\n"
            assert process.returncode == 0
        finally:
            process.kill()


FORKING = """
import asyncio, os, signal, sys
import blitzio

loop = blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))
loop.add_signal_handler(signal.SIGUSR1, print, "the parent's handler ran")

async def main():
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGUSR1, lambda *_: os.write(write, b"child"))
        os.kill(os.getpid(), signal.SIGUSR1)
        os._exit(3)
    assert os.read(read, 100) == b"child"
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    # It sleeps meanwhile, and would have called a handler afterwards.
    await loop.run_in_executor(None, int)
    for _ in range(3):
        await asyncio.sleep(0)

loop.run_until_complete(main())
loop.close()
"""


def test_a_signal_to_a_forked_child_does_not_reach_the_parents_loop(backend: str) -> None:
    with run_program(FORKING, backend) as process:
        assert process.communicate(timeout=PATIENCE)[0] == "3\n"
        assert process.returncode == 0
