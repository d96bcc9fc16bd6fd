"""Ends that are not the usual one: loops and interpreters that go first, forks, no pidfd."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.process_support import (
    PIPE,
    reaped_returncode,
    start,
    state_of,
    wait_for_no_children,
    wait_for_state,
)
from tests.python.loop.support import PATIENCE, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

pytestmark = pytest.mark.usefixtures("native_only")


@pytest.fixture(autouse=True)
def no_children_left() -> Iterator[None]:
    yield
    wait_for_no_children()


def refuse_with(number: int) -> Callable[[int], int]:
    def pidfd_open(pid: int, flags: int = 0) -> int:
        raise OSError(number, os.strerror(number))

    return pidfd_open


@pytest.fixture(params=["pidfd", "thread"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tests that ask for it run with a pidfd, and as under a filter that forbids them."""
    if request.param == "thread":
        monkeypatch.setattr(os, "pidfd_open", refuse_with(errno.EPERM))
    kind: str = request.param
    return kind


# ---- loops that close first ----


def test_children_outlive_their_loop_and_are_reaped(new_loop: LoopFactory, how: str) -> None:
    loop = new_loop()
    started = [loop.run_until_complete(start("sleep", "1000")) for _ in range(3)]
    ended = loop.run_until_complete(start("read line", stdin=PIPE))[0]
    ended.get_pipe_transport(0).close()
    loop.run_until_complete(turns())
    wait_for_state(ended.get_pid(), "Z", "")
    loop.close()
    assert all(state_of(transport.get_pid()) in ("R", "S") for transport, _ in started)
    for transport, _ in started:
        transport.send_signal(signal.SIGTERM)
    wait_for_no_children()
    for transport, protocol in started:
        assert reaped_returncode(transport) == -signal.SIGTERM
        assert protocol.events == ["made"]
        transport.close()
        transport.send_signal(signal.SIGTERM)  # Nobody is there to get it.
    ended.close()


def test_a_transport_that_is_closed_after_its_loop_kills(new_loop: LoopFactory, how: str) -> None:
    loop = new_loop()
    transport, _ = loop.run_until_complete(start("sleep", "1000"))
    loop.close()
    transport.close()
    wait_for_no_children()
    assert reaped_returncode(transport) == -signal.SIGKILL


def test_a_transport_closed_just_before_its_loop_leaves_no_zombie(
    new_loop: LoopFactory, how: str
) -> None:
    loop = new_loop()
    transport, _ = loop.run_until_complete(start("sleep", "1000"))
    transport.close()
    loop.close()
    wait_for_no_children()


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
@pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
# The collector of the free-threaded build may come to the loop's sockets before the loop.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_an_abandoned_loop_leaves_no_zombie(new_loop: LoopFactory) -> None:
    """As with asyncio's pidfd watcher, a transport that nobody holds takes its process along."""
    loop = new_loop()
    loop.run_until_complete(start("sleep", "1000"))
    del loop
    for _ in range(3):
        gc.collect()
    wait_for_no_children()


PROGRAM = """
import asyncio, sys
import blitzio

async def main():
    process = await asyncio.create_subprocess_exec("sleep", "1000", stdout=-1, stderr=-3)
    print(process.pid, flush=True)
    {ending}

{run}
"""
RUN = "blitzio.run(main())"
KEEP = """
loop = blitzio.new_event_loop()
loop.run_until_complete(main())
"""


@pytest.mark.parametrize(
    ("ending", "run", "code"),
    [
        ("return process", RUN, 0),
        ("sys.exit(3)", RUN, 3),
        ("globals().update(process=process)", RUN, 0),
        ("globals().update(process=process)", KEEP, 0),
        ("import os; os._exit(4)", RUN, 4),
    ],
)
def test_an_interpreter_ends_with_children_running(ending: str, run: str, code: int) -> None:
    program = PROGRAM.format(ending=ending, run=run)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    pid = int(done.stdout)
    if state_of(pid) in ("R", "S"):
        os.kill(pid, signal.SIGKILL)
    assert done.returncode == code
    assert done.stderr == ""


# ---- forks ----


FORKING = """
import asyncio, gc, os, sys
import blitzio

async def main():
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        asyncio.SubprocessProtocol, "sleep", "1000", stdin=-1, stdout=-3, stderr=-3)
    pid = os.fork()
    if pid == 0:
        transport.close()
        transport.send_signal(9)
        del transport, protocol
        gc.collect()
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    await asyncio.sleep(0.01)
    assert transport.get_returncode() is None
    assert transport.get_pipe_transport(0).is_closing() is False
    transport.kill()
    print(await transport._wait())
    transport.close()

loop = blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))
loop.run_until_complete(main())
loop.close()
"""


def test_a_forked_child_leaves_its_parents_children_alone(backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, backend],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.stdout, done.stderr) == ("-9\n", "")


# ---- no pidfd ----


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EMFILE])
def test_a_thread_waits_where_there_is_no_pidfd(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "pidfd_open", refuse_with(number))

    async def main() -> None:
        transport, protocol = await start("read line; exit $line", stdin=PIPE)
        assert any(thread.name.startswith("blitzio-waitpid") for thread in threading.enumerate())
        transport.get_pipe_transport(0).write(b"7\n")
        assert await soon(transport._wait()) == 7
        await soon(protocol.lost)
        assert protocol.events[0] == "made"
        assert protocol.events[-1] == "connection_lost"
        transport.close()
        transport, protocol = await start("sleep", "1000")
        transport.send_signal(signal.SIGUSR1)
        assert await soon(transport._wait()) == -signal.SIGUSR1
        await soon(protocol.lost)
        transport.close()

    loop.run_until_complete(main())


def test_an_interpreter_without_pidfds(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("true")
        assert await soon(process.wait()) == 0

    loop.run_until_complete(main())


def test_no_descriptor_left_for_a_pidfd(loop: asyncio.AbstractEventLoop) -> None:
    """The real thing: the last descriptor goes to the process's own start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []

    async def main() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        try:
            while True:
                try:
                    held.append(os.dup(2))
                except OSError:
                    break
            # Popen's error pipe takes two and gives them back; the limit falls below meanwhile.
            for _ in range(2):
                os.close(held.pop())
            popen_class = subprocess.Popen

            def popen(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
                result = popen_class(*args, **kwargs)
                held.extend((os.dup(2), os.dup(2)))
                return result

            subprocess.Popen = popen  # type: ignore[assignment, misc]
            try:
                process = await asyncio.create_subprocess_exec("true")
            finally:
                subprocess.Popen = popen_class  # type: ignore[misc]
            assert await soon(process.wait()) == 0
        finally:
            for fd in held:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    loop.run_until_complete(main())


def test_neither_pidfd_nor_thread(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that nobody could wait for is not left behind."""
    monkeypatch.setattr(os, "pidfd_open", refuse_with(errno.EPERM))

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading, "Thread", NoThread)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await start("sleep", "1000", stdin=PIPE, stdout=PIPE, stderr=PIPE)

    loop.run_until_complete(main())


def test_a_thread_finds_that_somebody_else_reaped(
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(os, "pidfd_open", refuse_with(errno.EPERM))

    async def main() -> None:
        transport, protocol = await start("sleep", "1000")
        os.kill(transport.get_pid(), signal.SIGKILL)
        os.waitpid(transport.get_pid(), 0)
        assert await soon(transport._wait()) == 255
        await soon(protocol.lost)
        transport.close()

    caplog.set_level(logging.WARNING, "asyncio")
    loop.run_until_complete(main())
    assert "Unknown child process pid" in caplog.text


def test_a_pipe_that_cannot_be_connected_ends_the_process(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> Any:
        raise MemoryError("no transport")

    monkeypatch.setattr(loop, "_make_read_pipe_transport", refuse)

    async def main() -> None:
        with pytest.raises(MemoryError):
            await start("sleep", "1000", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        await turns()

    loop.run_until_complete(main())
    # Reaped by the loop, or, as here, by its end.
    loop.close()
