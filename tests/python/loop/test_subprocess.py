"""asyncio.create_subprocess_exec and _shell: what programs use."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.process_support import DEVNULL, PIPE, wait_for_no_children, wait_for_state
from tests.python.loop.support import PATIENCE, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]
    LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(autouse=True)
def no_children_left() -> Iterator[None]:
    yield
    wait_for_no_children()


def test_communicate_feeds_and_collects(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell(
            "cat; echo error >&2; exit 3", stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        output: tuple[Any, Any] = await soon(process.communicate(b"input"))
        assert output == (b"input", b"error\n")
        assert process.returncode == 3
        assert await process.wait() == 3

    loop.run_until_complete(main())


def test_megabytes_go_through_both_ways(loop: asyncio.AbstractEventLoop) -> None:
    block = bytes(range(256)) * 16384

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        output, _ = await soon(process.communicate(block))
        assert output == block
        assert process.returncode == 0

    loop.run_until_complete(main())


def test_lines_back_and_forth(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(50):
            process.stdin.write(b"%d\n" % number)
            await process.stdin.drain()
            assert await soon(process.stdout.readline()) == b"%d\n" % number
        process.stdin.close()
        await process.stdin.wait_closed()
        assert await soon(process.stdout.read()) == b""
        assert await soon(process.wait()) == 0

    loop.run_until_complete(main())


def test_stderr_joins_stdout(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell(
            "echo out; echo err >&2", stdout=PIPE, stderr=subprocess.STDOUT
        )
        output: tuple[Any, Any] = await soon(process.communicate())
        assert output == (b"out\nerr\n", None)

    loop.run_until_complete(main())


def test_devnull_reads_nothing_and_takes_all(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=DEVNULL, stdout=PIPE)
        output: tuple[Any, Any] = await soon(process.communicate())
        assert output == (b"", None)
        process = await asyncio.create_subprocess_shell("echo x; echo y >&2", stdout=DEVNULL)
        assert process.stdout is None
        assert await soon(process.wait()) == 0

    loop.run_until_complete(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1])
def test_a_signal_is_the_negative_return_code(
    loop: asyncio.AbstractEventLoop, number: signal.Signals
) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        if number == signal.SIGTERM:
            process.terminate()
        elif number == signal.SIGKILL:
            process.kill()
        else:
            process.send_signal(number)
        assert await soon(process.wait()) == -number
        # Done with: as asyncio, there is no process any more.
        with pytest.raises(ProcessLookupError):
            process.kill()

    loop.run_until_complete(main())


def test_a_signal_between_the_end_and_its_notice_is_ignored(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        os.kill(process.pid, signal.SIGKILL)
        wait_for_state(process.pid, "Z")
        process.terminate()
        process.send_signal(signal.SIGUSR1)
        assert await soon(process.wait()) == -9

    loop.run_until_complete(main())


def test_a_bad_signal_number_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        with pytest.raises(OSError, match="Invalid argument"):
            process.send_signal(1000)
        with pytest.raises(TypeError):
            process.send_signal("TERM")  # type: ignore[arg-type]
        process.kill()
        assert await soon(process.wait()) == -9

    loop.run_until_complete(main())


def test_a_stopped_process_has_not_ended(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        process.send_signal(signal.SIGSTOP)
        wait_for_state(process.pid, "T")
        await turns()
        assert process.returncode is None
        process.send_signal(signal.SIGCONT)
        process.kill()
        assert await soon(process.wait()) == -9

    loop.run_until_complete(main())


def test_many_can_wait_and_some_can_give_up(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
        waiters = [asyncio.ensure_future(process.wait()) for _ in range(5)]
        await turns()
        waiters[1].cancel()
        waiters[4].cancel()
        await turns()
        assert process.stdin is not None
        process.stdin.close()
        results = await soon(asyncio.gather(*waiters, return_exceptions=True))
        assert [type(result) for result in results] == [
            int,
            asyncio.CancelledError,
            int,
            int,
            asyncio.CancelledError,
        ]
        assert await process.wait() == 0

    loop.run_until_complete(main())


def test_waiting_ends_with_the_process_though_a_grandchild_keeps_the_pipe(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    """asyncio 3.11 to 3.14 wait for the pipe's end there."""

    async def main() -> None:
        process = await asyncio.create_subprocess_shell(
            "sleep 1000 & echo $!; exit 7", stdin=None, stdout=PIPE
        )
        assert process.stdout is not None
        grandchild = int(await soon(process.stdout.readline()))
        assert await soon(process.wait()) == 7
        assert not process.stdout.at_eof()
        os.kill(grandchild, signal.SIGKILL)
        assert await soon(process.stdout.read()) == b""

    loop.run_until_complete(main())


def test_a_child_that_does_not_read_lets_writers_fail(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell("exec 0<&-; sleep 1000", stdin=PIPE)
        assert process.stdin is not None
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                process.stdin.write(b"x" * 65536)
                await soon(process.stdin.drain())
        process.kill()
        assert await soon(process.wait()) == -9

    loop.run_until_complete(main())


def test_communicate_does_not_mind_a_child_that_does_not_read(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE)
        output: tuple[Any, Any] = await soon(process.communicate(b"x" * 1_000_000))
        assert output == (b"", None)
        assert process.returncode == 0

    loop.run_until_complete(main())


def test_killing_a_child_that_is_being_written_to(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "1000", stdin=PIPE)
        assert process.stdin is not None
        process.stdin.write(b"x" * 1_000_000)
        drain = asyncio.ensure_future(process.stdin.drain())
        await turns()
        assert not drain.done()
        process.kill()
        assert await soon(process.wait()) == -9
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await soon(drain)

    loop.run_until_complete(main())


def test_closed_output_is_an_end_while_the_child_lives(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell(
            "echo last; exec 1>&-; read line; exit 4", stdin=PIPE, stdout=PIPE
        )
        assert process.stdout is not None
        assert await soon(process.stdout.read()) == b"last\n"
        assert process.returncode is None
        assert process.stdin is not None
        process.stdin.close()
        assert await soon(process.wait()) == 4

    loop.run_until_complete(main())


def test_cancelling_communicate_leaves_the_process_alone(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        task = asyncio.ensure_future(process.communicate(b"x" * 1_000_000))
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.returncode is None
        process.kill()
        assert await soon(process.wait()) == -9
        # What the program has echoed by now may be more than its reader takes without being read.
        process._transport.close()  # type: ignore[attr-defined]
        await turns()

    loop.run_until_complete(main())


def test_cancelling_the_start_kills_and_reaps(loop: asyncio.AbstractEventLoop) -> None:
    """At every await that the start passes through."""

    async def main() -> None:
        for steps in range(12):
            task = asyncio.ensure_future(
                asyncio.create_subprocess_exec("sleep", "1000", stdin=PIPE, stdout=PIPE)
            )
            await turns(steps)
            if task.done():
                process = task.result()
                process.kill()
                await soon(process.wait())
                assert steps > 1
                continue
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await soon(task)
            wait_for_no_children()
        assert task.done()
        assert not task.cancelled()

    loop.run_until_complete(main())
    # What was begun for pipes that were never used has its turn.
    loop.run_until_complete(turns(5))


def test_five_hundred_at_once(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        processes = [
            await asyncio.create_subprocess_shell("read line; exit $line", stdin=PIPE)
            for _ in range(250)
        ]
        processes += [await asyncio.create_subprocess_exec("true") for _ in range(250)]
        for number, process in enumerate(processes[:250]):
            assert process.stdin is not None
            process.stdin.write(b"%d\n" % (number % 200))
            process.stdin.close()
        codes = await soon(asyncio.gather(*(process.wait() for process in processes)))
        assert codes == [number % 200 for number in range(250)] + [0] * 250

    loop.run_until_complete(main())


def test_a_loop_in_a_thread_has_children_too(new_loop: LoopFactory, native: None) -> None:
    """asyncio before 3.12 needs a child watcher there."""
    results: list[Any] = []

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        results.append(await soon(process.communicate(b"thread")))
        results.append(process.returncode)

    def work() -> None:
        loop = new_loop()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results.count((b"thread", None)) == 4
    assert results.count(0) == 4


def test_no_handler_of_sigchld_and_no_thread(loop: asyncio.AbstractEventLoop, native: None) -> None:
    before = signal.getsignal(signal.SIGCHLD)

    async def main() -> None:
        threads = threading.active_count()
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
        assert signal.getsignal(signal.SIGCHLD) == before
        assert threading.active_count() == threads
        await soon(process.communicate(b""))

    loop.run_until_complete(main())


def test_no_child_watcher_is_asked_for(
    loop: asyncio.AbstractEventLoop, native: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("a child watcher was asked for")

    for module in (asyncio, asyncio.events):
        monkeypatch.setattr(module, "get_child_watcher", refuse, raising=False)

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("true")
        assert await soon(process.wait()) == 0

    loop.run_until_complete(main())


def bad_call(
    function: str, *args: Any, factory: Any = asyncio.SubprocessProtocol, **options: Any
) -> Callable[..., Any]:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        method: Any = getattr(loop, function)
        return loop.run_until_complete(method(factory, *args, **options))

    return scenario


BAD_OPTIONS: dict[str, Any] = {
    "universal_newlines": True,
    "bufsize": 1,
    "encoding": "ascii",
    "errors": "strict",
    "text": True,
    "no_such_option": 1,
    "cwd": "/nonexistent",
    "executable": "/nonexistent",
    "user": -1,
    "group": "no such group",
    "extra_groups": "no list",
    "creationflags": 1,
    "startupinfo": 1,
    "pipesize": "large",
}
# Popen of 3.10 makes the pipes before it looks at these, and loses them.
NO_PIPES = {"stdin": None, "stdout": None, "stderr": None}
CHECKED_LATE = ("user", "group", "extra_groups")
BAD_CALLS: dict[str, Callable[..., Any]] = {
    f"{function}, {option}": bad_call(
        function, "true", **{option: value}, **(NO_PIPES if option in CHECKED_LATE else {})
    )
    for function in ("subprocess_exec", "subprocess_shell")
    for option, value in BAD_OPTIONS.items()
}
BAD_CALLS |= {
    "a shell for exec": bad_call("subprocess_exec", "true", shell=True),
    "no shell for shell": bad_call("subprocess_shell", "true", shell=False),
    "a list for the shell": bad_call("subprocess_shell", ["true"]),
    "a missing program": bad_call("subprocess_exec", "/nonexistent"),
    "a number as the program": bad_call("subprocess_exec", 1),
    "a null byte": bad_call("subprocess_exec", "true", "\0"),
    "no protocol": bad_call("subprocess_exec", "true", factory=None),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_answer_like_asyncio(name: str, same_as_asyncio: Compare) -> None:
    same_as_asyncio(BAD_CALLS[name])


def test_debug_mode_logs_the_program_and_not_its_arguments(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "asyncio")

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", "exit 5 # secret", stdin=DEVNULL, stdout=PIPE, stderr=subprocess.STDOUT
        )
        await soon(process.communicate())
        process = await asyncio.create_subprocess_shell("exit 6", stdin=PIPE, stdout=sys.stderr)
        await soon(process.communicate(b""))

    loop.set_debug(True)
    loop.run_until_complete(main())
    text = caplog.text
    assert "execute program 'sh' stdin=-3 stdout=stderr=<pipe>" in text
    assert "process 'sh' created: pid" in text
    assert "exited with return code 5" in text
    assert "run shell command 'exit 6' stdin=<pipe> stdout=" in text
    assert "secret" not in text
