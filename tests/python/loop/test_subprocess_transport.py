"""The subprocess transport: what a protocol hears, in which order, and how often."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.process_support import (
    PIPE,
    ProcessRecorder,
    start,
    state_of,
    wait_for_no_children,
    wait_for_state,
)
from tests.python.loop.support import soon, turns

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_children_left() -> Iterator[None]:
    yield
    wait_for_no_children()


def test_events_come_in_order_and_once(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        transport, protocol = await start(
            "cat; echo error >&2", stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        assert protocol.events == ["made"]
        assert protocol.transport is transport
        assert isinstance(transport, asyncio.SubprocessTransport)
        stdin: Any = transport.get_pipe_transport(0)
        stdin.write(b"data")
        await protocol.until(("data", 1))
        stdin.write_eof()
        assert await soon(protocol.lost) is None
        await turns()
        events = protocol.events
        assert events[:2] == ["made", ("data", 1)]
        assert events[-1] == "connection_lost"
        # The kernel decides between the pipes and the end of the process.
        assert sorted(map(str, events[2:-1])) == sorted(
            map(
                str,
                [
                    ("lost", 0, type(None)),
                    ("lost", 1, type(None)),
                    ("data", 2),
                    ("lost", 2, type(None)),
                    "exited",
                ],
            )
        )
        assert events.index(("data", 2)) < events.index(("lost", 2, type(None)))
        assert bytes(protocol.data[1]) == b"data"
        assert bytes(protocol.data[2]) == b"error\n"
        transport.close()

    loop.run_until_complete(main())


def test_data_is_heard_before_the_pipes_end_and_the_exit(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        transport, protocol = await start("echo fast", stdout=PIPE)
        await soon(protocol.lost)
        assert bytes(protocol.data[1]) == b"fast\n"
        assert protocol.events.index(("data", 1)) < protocol.events.index(("lost", 1, type(None)))
        transport.close()

    for _ in range(10):
        loop.run_until_complete(main())


def test_what_a_transport_says_of_itself(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        transport, protocol = await start("cat", stdin=PIPE, stdout=PIPE)
        popen = transport.get_extra_info("subprocess")
        assert isinstance(popen, subprocess.Popen)
        assert transport.get_pid() == popen.pid == protocol.transport.get_pid()
        assert transport.get_returncode() is None
        assert transport.get_protocol() is protocol
        assert transport.is_closing() is False
        assert transport.get_extra_info("nothing", "default") == "default"
        assert isinstance(transport.get_pipe_transport(0), asyncio.WriteTransport)
        stdin: Any = transport.get_pipe_transport(0)
        with pytest.raises(NotImplementedError):
            stdin.pause_reading()  # asyncio's is a Transport, too.
        assert isinstance(transport.get_pipe_transport(1), asyncio.ReadTransport)
        assert transport.get_pipe_transport(2) is None
        assert transport.get_pipe_transport(7) is None
        assert f"pid={popen.pid} running stdin=" in repr(transport)
        transport.close()
        assert transport.is_closing() is True
        assert "closed" in repr(transport)
        assert await soon(transport._wait()) == -signal.SIGKILL
        assert transport.get_returncode() == popen.returncode == -signal.SIGKILL
        assert "returncode=-9" in repr(transport)
        await soon(protocol.lost)

    loop.run_until_complete(main())


def test_another_protocol_can_take_over(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        transport, first = await start("cat", stdin=PIPE, stdout=PIPE)
        second = ProcessRecorder()
        second.transport = transport
        transport.set_protocol(second)
        transport.get_pipe_transport(0).write(b"x")
        transport.get_pipe_transport(0).write_eof()
        await soon(second.lost)
        assert first.events == ["made"]
        assert bytes(second.data[1]) == b"x"
        transport.close()

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts on whole sends", "short", "again")
def test_a_method_that_is_replaced_hears_the_next_message(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        transport, protocol = await start("cat", stdin=PIPE, stdout=PIPE)
        stdin: Any = transport.get_pipe_transport(0)
        heard: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        stdin.write(b"first")
        await protocol.until(("data", 1))

        def pipe_data_received(fd: int, data: bytes) -> None:
            callers.append(inspect.stack()[1].filename)
            heard.set_result((fd, data))

        protocol.pipe_data_received = pipe_data_received  # type: ignore[method-assign]
        stdin.write(b"second")
        assert await soon(heard) == (1, b"second")
        stdin.write_eof()
        await soon(protocol.lost)
        assert bytes(protocol.data[1]) == b"first"
        transport.close()

    callers: list[str] = []
    loop.run_until_complete(main())
    # What runs for each message is the protocol's method alone.
    assert os.path.basename(callers[0]) != "process_transport.py"


def test_closing_kills_what_still_runs(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        transport, protocol = await start("sleep", "1000", stdin=PIPE, stdout=PIPE)
        transport.close()
        transport.close()
        await soon(protocol.lost)
        assert transport.get_returncode() == -9
        assert protocol.events.count("exited") == 1

    loop.run_until_complete(main())


def test_closing_does_not_signal_what_has_ended(loop: asyncio.AbstractEventLoop) -> None:
    """It takes no status away either: the exit code is the true one."""

    async def main() -> None:
        transport, protocol = await start("read line; exit 5", stdin=PIPE)
        os.write(transport.get_pipe_transport(0).get_extra_info("pipe").fileno(), b"\n")
        wait_for_state(transport.get_pid(), "Z")
        transport.get_extra_info("subprocess").kill = pytest.fail
        transport.close()
        assert await soon(transport._wait()) == 5
        await soon(protocol.lost)

    loop.run_until_complete(main())


def test_a_status_that_popen_has_read_is_taken_from_it(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    """asyncio knows only 255 then."""

    async def main() -> None:
        transport, protocol = await start("sleep", "1000")
        popen = transport.get_extra_info("subprocess")
        popen.terminate()
        assert popen.wait() == -15
        assert await soon(transport._wait()) == -15
        await soon(protocol.lost)
        transport.close()

    loop.run_until_complete(main())


def test_a_thread_may_wait_for_the_same_process(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    async def main() -> None:
        transport, protocol = await start("read line; exit 6", stdin=PIPE)
        popen = transport.get_extra_info("subprocess")
        in_thread = loop.run_in_executor(None, popen.wait)
        waiting = asyncio.ensure_future(transport._wait())
        await asyncio.sleep(0.01)  # Not for anything: to have both wait, mostly.
        # Signals do not have to wait for the thread.
        transport.send_signal(signal.SIGCONT)
        transport.get_pipe_transport(0).close()
        assert await soon(in_thread) == 6
        assert await soon(waiting) == 6
        await soon(protocol.lost)
        transport.close()

    loop.run_until_complete(main())


def test_a_child_reaped_by_somebody_else_has_ended_with_255(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        transport, protocol = await start("sleep", "1000")
        os.kill(transport.get_pid(), signal.SIGKILL)
        pid, status = os.waitpid(-1, 0)
        assert (pid, status) == (transport.get_pid(), signal.SIGKILL)
        assert await soon(transport._wait()) == 255
        await soon(protocol.lost)
        assert protocol.events == ["made", "exited", "connection_lost"]
        transport.close()

    caplog.set_level(logging.WARNING, "asyncio")
    loop.run_until_complete(main())
    assert "will report returncode 255" in caplog.text


def test_children_that_the_kernel_reaps_by_itself(
    loop: asyncio.AbstractEventLoop, native: None, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGCHLD ignored: nobody gets a status. On time nevertheless."""

    async def main() -> None:
        transport, protocol = await start("read line; exit 1", stdin=PIPE)
        transport.get_pipe_transport(0).close()
        assert await soon(transport._wait()) == 255
        await soon(protocol.lost)
        transport.close()

    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        loop.run_until_complete(main())
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert "will report returncode 255" in caplog.text


def test_a_grandchild_that_keeps_a_pipe_delays_connection_lost_alone(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    async def main() -> None:
        transport, protocol = await start("sleep 1000 & echo $!", stdout=PIPE)
        assert await soon(transport._wait()) == 0
        await soon(protocol.exited)
        await protocol.until(("data", 1))
        assert not protocol.lost.done()
        grandchild = int(protocol.data[1])
        assert state_of(grandchild) in ("R", "S")
        # Closing the transport gives the pipe up; it is not the grandchild's end.
        transport.close()
        await soon(protocol.lost)
        assert state_of(grandchild) in ("R", "S")
        os.kill(grandchild, signal.SIGKILL)

    loop.run_until_complete(main())


def test_flow_control_reaches_the_protocol(loop: asyncio.AbstractEventLoop) -> None:
    class Paused(ProcessRecorder):
        def pause_writing(self) -> None:
            self.add("pause")

        def resume_writing(self) -> None:
            self.add("resume")

    async def main() -> None:
        transport, protocol = await loop.subprocess_shell(
            Paused, "read line; cat >/dev/null", stdin=PIPE, stdout=PIPE, stderr=None
        )
        stdin: Any = transport.get_pipe_transport(0)
        stdin.write(b"x" * 1_000_000)
        await protocol.until("pause")
        stdin.write(b"\n")
        await protocol.until("resume")
        stdin.close()
        await soon(protocol.lost)
        assert protocol.events[:3] == ["made", "pause", "resume"]
        transport.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    "method",
    [
        "connection_made",
        "pipe_data_received",
        "pipe_connection_lost",
        "process_exited",
        "connection_lost",
    ],
)
def test_what_a_protocol_raises_is_reported_and_stops_nothing(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]], method: str
) -> None:
    class Failing(ProcessRecorder):
        pass

    def fail(self: ProcessRecorder, *args: Any) -> None:
        getattr(ProcessRecorder, method)(self, *args)
        raise ValueError(method)

    setattr(Failing, method, fail)

    async def main() -> None:
        transport, protocol = await loop.subprocess_exec(
            Failing, "echo", "x", stdin=None, stdout=PIPE, stderr=None
        )
        await soon(protocol.lost)
        await turns()
        assert protocol.events[-1] == "connection_lost"
        assert bytes(protocol.data[1]) == b"x\n"
        assert ("lost", 1, type(None)) in protocol.events
        assert await soon(transport._wait()) == 0  # type: ignore[attr-defined]
        transport.close()

    loop.run_until_complete(main())
    assert [str(report["exception"]) for report in reports] == [method]


def test_an_exception_that_ends_the_run_loses_no_event(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    class Exiting(ProcessRecorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            raise SystemExit(3)

    found: list[ProcessRecorder] = []

    def factory() -> ProcessRecorder:
        found.append(Exiting())
        return found[0]

    async def main() -> None:
        transport, _ = await loop.subprocess_exec(
            factory, "echo", "x", stdin=None, stdout=PIPE, stderr=None
        )
        await soon(found[0].lost)
        transport.close()

    task = loop.create_task(main())
    with pytest.raises(SystemExit):
        loop.run_until_complete(task)
    loop.run_until_complete(task)
    assert found[0].events[0] == "made"
    assert found[0].events[-1] == "connection_lost"
    assert bytes(found[0].data[1]) == b"x\n"


def test_a_transport_that_nobody_closed_is_warned_of(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    async def main() -> None:
        _, protocol = await start("true")
        await soon(protocol.lost)
        protocol.transport = None

    with pytest.warns(ResourceWarning, match="unclosed transport <SubprocessTransport"):
        loop.run_until_complete(main())
        gc.collect()


def test_a_transport_is_kept_by_its_process(loop: asyncio.AbstractEventLoop) -> None:
    """Nobody needs to hold it: the protocol hears of everything."""

    class Forgetful(ProcessRecorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.add("made")
            self.transport = None

        def process_exited(self) -> None:
            self.add("exited")

        def connection_lost(self, exc: Exception | None) -> None:
            gc.collect()
            super().connection_lost(exc)

    async def main() -> None:
        protocol = (
            await loop.subprocess_shell(
                Forgetful, "sleep 0.05; echo kept", stdin=None, stdout=PIPE, stderr=None
            )
        )[1]
        gc.collect()
        await soon(protocol.lost)
        assert bytes(protocol.data[1]) == b"kept\n"
        assert "exited" in protocol.events

    with pytest.warns(ResourceWarning, match="unclosed transport"):
        loop.run_until_complete(main())
        gc.collect()


def test_debug_mode_tells_of_a_kill(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        transport, protocol = await start("sleep", "1000")
        transport.close()
        await soon(protocol.lost)

    caplog.set_level(logging.WARNING, "asyncio")
    loop.set_debug(True)
    loop.slow_callback_duration = 60.0
    loop.run_until_complete(main())
    assert "Close running child process: kill <" in caplog.text
