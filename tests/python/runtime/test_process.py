"""blitzio.process: commands, and how they end, on every kind of loop and in threads."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import process
from blitzio.process import Command, ExitStatus, Output

if TYPE_CHECKING:
    from pathlib import Path

    from tests.python.runtime.conftest import Run

PATIENCE = 20.0


def shell(script: str, *args: str, **options: Any) -> Command:
    return Command("sh", "-c", script, "sh", *args, **options)


def has_children() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


# ---- output and status ---------------------------------------------------------------------------


def test_output_gives_what_came_and_how_it_ended(run: Run) -> None:
    async def main() -> Output:
        return await shell("echo out; echo err >&2; exit 3").output()

    done = run(main())
    assert done == Output(ExitStatus(3), b"out\n", b"err\n")
    assert not done.status.is_success
    assert not has_children()


def test_input_and_output_larger_than_a_pipe_cross(run: Run) -> None:
    data = os.urandom(1_000_000)

    async def main() -> Output:
        return await process.output("sh", "-c", "tee /dev/stderr", input=data)

    done = run(main())
    assert done.stdout == data
    assert done.stderr == data


def test_a_program_that_reads_no_input_is_no_error(run: Run) -> None:
    async def main() -> ExitStatus:
        return (await process.output("true", input=bytes(1_000_000))).status

    assert run(main()).is_success


def test_check_raises_what_subprocess_raises(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(subprocess.CalledProcessError) as failure:
            await shell("echo out; echo err >&2; kill -9 $$").output(check=True)
        assert failure.value.returncode == -9
        assert failure.value.output == b"out\n"
        assert failure.value.stderr == b"err\n"
        with pytest.raises(subprocess.CalledProcessError):
            await process.status("false", check=True)
        assert (await process.status("false")).code == 1

    run(main())


def test_a_timeout_kills_and_tells_what_had_come(run: Run) -> None:
    async def main() -> None:
        command = shell("echo begun; exec sleep 600")
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            await command.output(timeout=0.05)
        assert expired.value.timeout == 0.05
        assert expired.value.output in (b"begun\n", b"")
        assert not has_children()
        with pytest.raises(subprocess.TimeoutExpired):
            await process.status("sleep", "600", timeout=0)
        assert not has_children()

    run(main())


def test_a_timeout_tells_what_came_of_a_stream_that_had_ended(run: Run) -> None:
    """It was lost if the process had closed the stream before the time was over."""

    async def come_within(timeout: float) -> bytes | None:
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            await shell("echo begun; exec sleep 600 >&-").output(timeout=timeout)
        output: bytes | None = expired.value.output
        return output

    async def main() -> None:
        for timeout in (0.1, 1, 10):  # It may take long to begin.
            if await come_within(timeout) == b"begun\n":
                return
        raise AssertionError("what had come was not told")

    run(main())


def test_a_cancelled_output_kills_and_reaps(run: Run, tmp_path: Path) -> None:
    told = tmp_path / "pid"

    async def main() -> None:
        os.mkfifo(told)
        task = asyncio.ensure_future(shell(f"echo $$ > {told}; exec sleep 600").output())
        pid = int(await asyncio.get_running_loop().run_in_executor(None, told.read_text))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    run(main())


def test_streams_that_are_set_stay(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        with (tmp_path / "out").open("w+b") as file:
            done = await shell("cat; echo out", stdout=file, stderr="stdout").output(input=b"in\n")
            assert done == Output(ExitStatus(0))
            assert (tmp_path / "out").read_bytes() == b"in\nout\n"
            assert not file.closed
        done = await shell("echo one; echo two >&2", stderr=subprocess.STDOUT).output()
        assert done.stdout == b"one\ntwo\n"
        with pytest.raises(ValueError, match="input needs stdin='pipe'"):
            await Command("cat", stdin="null").output(input=b"lost")
        assert (await Command("cat", stdin="pipe").status()).is_success

    run(main())


def test_threads_without_a_loop_block() -> None:
    done: list[Output] = []
    thread = threading.Thread(target=lambda: done.append(Command("echo", "hi").blocking_output()))
    thread.start()
    thread.join(PATIENCE)
    assert done == [Output(ExitStatus(0), b"hi\n")]
    assert shell("exit 4").blocking_status().code == 4

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"await command\.output\(\)"):
            Command("true").blocking_output()

    blitzio.run(main())


def test_many_at_once_from_several_loops_leave_nothing_behind() -> None:
    def one_thread(factory: Any) -> None:
        async def main() -> None:
            commands = [shell("cat; exit $1", str(i)) for i in range(6)]
            outputs = [command.output(input=b"x" * 70_000) for command in commands]
            for i, done in enumerate(await asyncio.gather(*outputs)):
                assert done == Output(ExitStatus(i), b"x" * 70_000)

        loop = factory()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()

    failures: list[BaseException] = []

    def checked(factory: Any) -> None:
        try:
            one_thread(factory)
        except BaseException as error:
            failures.append(error)

    kinds = (blitzio.new_event_loop, asyncio.SelectorEventLoop, blitzio.new_event_loop)
    threads = [threading.Thread(target=checked, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not failures
    assert not has_children()


# ---- how it is started ---------------------------------------------------------------------------


def text_of(command: Command) -> str:
    return command.blocking_output(check=True).stdout.decode()


def test_arguments_arrive_as_given(tmp_path: Path) -> None:
    assert text_of(shell("printf '%s|' \"$@\"", "a b", "", "*", "é")) == "a b||*|é|"
    assert text_of(Command(b"printf", "%s", tmp_path)) == str(tmp_path)
    assert text_of(Command("sh", "-c", "echo $0", arg0="other")) == "other\n"
    assert Command("a", b"b", tmp_path).args == ("a", b"b", str(tmp_path))


def test_the_environment_is_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "kept")
    monkeypatch.setenv("GONE", "gone")
    assert text_of(shell("echo $A-$KEPT-$GONE", env={"A": "1", "GONE": None})) == "1-kept-\n"
    only = Command("/usr/bin/env", env_clear=True, env={"ONLY": "this"})
    assert text_of(only) == "ONLY=this\n"
    assert os.environ["GONE"] == "gone"


def test_the_path_that_counts_is_the_childs(tmp_path: Path) -> None:
    program = tmp_path / "told"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert text_of(Command("told", env={"PATH": f"{tmp_path}:/bin:/usr/bin"})) == "found\n"
    with pytest.raises(FileNotFoundError):
        Command("told").spawn()


def test_where_and_as_what_it_runs(tmp_path: Path) -> None:
    assert text_of(Command("pwd", cwd=tmp_path)) == f"{tmp_path}\n"
    assert text_of(shell("umask", umask=0o27)) == "0027\n"
    assert text_of(shell("ps -o pgid= -p $$; echo $$", process_group=0)).split()[0].isdigit()
    own_session = text_of(shell("ps -o sid= -p $$; echo $$", start_new_session=True)).split()
    assert own_session[0] == own_session[1]
    if os.geteuid() == 0:
        ids = shell("id -u; id -g; id -G", uid="nobody", gid=65533, groups=[65532])
        assert text_of(ids) == "65534\n65533\n65533 65532\n"
    else:
        with pytest.raises(PermissionError):
            Command("true", uid=0).spawn()


def test_passed_descriptors_keep_their_numbers_and_others_are_closed() -> None:
    reader, writer = os.pipe()
    try:
        assert (
            text_of(shell(f"echo here >/dev/fd/{writer}; echo done", pass_fds=[writer])) == "done\n"
        )
        assert os.read(reader, 100) == b"here\n"
        failed = shell(f"echo here >/dev/fd/{writer}").blocking_output()
        assert not failed.status.is_success
        assert b"here" not in failed.stdout
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("command", "wrong", "code"),
    [
        (Command("blitzio-no-such-program"), "blitzio-no-such-program", errno.ENOENT),
        (Command("true", cwd="/no/such/folder"), "/no/such/folder", errno.ENOENT),
        (Command("/etc/passwd"), "/etc/passwd", errno.EACCES),
        (Command("/tmp"), "/tmp", errno.EACCES),
    ],
)
def test_what_cannot_be_started_says_what_is_wrong(command: Command, wrong: str, code: int) -> None:
    with pytest.raises(OSError) as failure:
        command.spawn()
    assert failure.value.filename == wrong
    assert failure.value.errno == code


def test_a_descriptor_that_is_closed_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError) as failure:
        Command("true", stdout=reader).spawn()
    assert failure.value.errno == errno.EBADF


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"env": {"A=B": "1"}}, ValueError),
        ({"env": {"": "1"}}, ValueError),
        ({"env": {"A": "a\0b"}}, ValueError),
        ({"env": {"A": 1}}, TypeError),
        ({"env": 1}, TypeError),
        ({"env": [("A", "1")]}, TypeError),
        ({"cwd": "a\0b"}, ValueError),
        ({"cwd": 3}, TypeError),
        ({"stdin": "pipes"}, ValueError),
        ({"stdin": "stdout"}, ValueError),
        ({"stdout": -9}, ValueError),
        ({"stdout": 1.5}, TypeError),
        ({"stdout": True}, TypeError),
        ({"uid": -1}, ValueError),
        ({"uid": "blitzio-nobody"}, ValueError),
        ({"gid": 1.0}, TypeError),
        ({"groups": ["blitzio-nogroup"]}, ValueError),
        ({"umask": 0o10000}, ValueError),
        ({"process_group": -1}, ValueError),
        ({"pass_fds": [-1]}, ValueError),
        ({"nonsense": 1}, TypeError),
    ],
)
def test_a_mistake_shows_where_it_is_made(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Command("true", **options)


def test_a_program_must_be_text_without_nul() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Command("")
    with pytest.raises(ValueError, match="embedded null byte"):
        Command("true", "a\0b")
    with pytest.raises(TypeError):
        Command(3)  # type: ignore[arg-type]


def test_the_status_says_how_it_ended() -> None:
    killed = shell("kill -TERM $$").blocking_status()
    assert killed.signal is signal.SIGTERM
    assert killed.code is None
    assert killed.return_code == -15
    assert repr(killed) == "<ExitStatus signal=SIGTERM>"
    assert ExitStatus(-40).signal == 40
    assert ExitStatus(0) == ExitStatus(0) != ExitStatus(1)


def test_pythons_ignored_signals_have_their_default_in_the_child() -> None:
    died = shell("kill -PIPE $$; echo survived").blocking_output()
    assert died.status.signal is signal.SIGPIPE
    kept = shell("kill -PIPE $$; echo survived", restore_signals=False).blocking_output()
    assert kept.stdout == b"survived\n"
