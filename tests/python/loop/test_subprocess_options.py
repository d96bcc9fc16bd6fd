"""Options of subprocess.Popen through the loop: what a child inherits and is."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pathlib
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.process_support import PIPE, output_of, start, wait_for_no_children
from tests.python.loop.support import soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]


@pytest.fixture(autouse=True)
def no_children_left() -> Iterator[None]:
    yield
    wait_for_no_children()


def run(loop: asyncio.AbstractEventLoop, *command: Any, **options: Any) -> bytes:
    return loop.run_until_complete(output_of(*command, **options))


def test_a_child_inherits_the_three_streams_and_nothing_else(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Above all no end of another child's pipes: that one would never see its end."""

    async def main() -> bytes:
        others = [
            await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE) for _ in range(3)
        ]
        listing = await output_of("ls", "/proc/self/fd")
        for other in others:
            await soon(other.communicate(b""))
        return listing

    # The fourth is the folder that ls itself has open.
    assert loop.run_until_complete(main()).split() == [b"0", b"1", b"2", b"3"]


def test_passed_fds_are_inherited_under_their_numbers(loop: asyncio.AbstractEventLoop) -> None:
    read, write = os.pipe()
    try:
        run(loop, "sh", "-c", f"echo passed > /proc/self/fd/{write}", pass_fds=[write])
        assert os.read(read, 100) == b"passed\n"
        assert not os.get_inheritable(write)
    finally:
        os.close(read)
        os.close(write)


def test_without_close_fds_the_inheritable_are_inherited(loop: asyncio.AbstractEventLoop) -> None:
    read, write = os.pipe()
    try:
        os.set_inheritable(write, True)
        run(loop, "sh", "-c", f"echo inherited > /proc/self/fd/{write}", close_fds=False)
        assert os.read(read, 100) == b"inherited\n"
    finally:
        os.close(read)
        os.close(write)


def test_streams_can_be_files_fds_and_sockets(
    loop: asyncio.AbstractEventLoop, tmp_path: pathlib.Path
) -> None:
    source = tmp_path / "in"
    target = tmp_path / "out"
    source.write_bytes(b"content")
    mine, theirs = socket.socketpair()

    async def main() -> None:
        with source.open("rb") as stdin, target.open("wb") as stdout:
            transport, protocol = await start("cat", stdin=stdin, stdout=stdout.fileno())
            await soon(protocol.lost)
            assert transport.get_returncode() == 0
            transport.close()
        transport, protocol = await start("cat; echo error >&2", stdin=theirs, stderr=theirs)
        theirs.close()
        mine.shutdown(socket.SHUT_WR)
        await soon(protocol.lost)
        transport.close()

    with mine, theirs:
        loop.run_until_complete(main())
        assert target.read_bytes() == b"content"
        assert mine.recv(100) == b"error\n"


def test_folder_and_environment(loop: asyncio.AbstractEventLoop, tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path.resolve()).encode()
    assert run(loop, "pwd", cwd=tmp_path) == folder + b"\n"
    assert run(loop, "pwd", cwd=os.fsencode(tmp_path)) == folder + b"\n"
    environment = {"PATH": os.environ["PATH"], "ONLY": "this"}
    assert b"ONLY=this" in run(loop, "env", env=environment).split()


def test_programs_and_arguments_as_bytes_and_paths(loop: asyncio.AbstractEventLoop) -> None:
    shell = pathlib.Path("/bin/sh")
    assert run(loop, b"echo", b"\xff", "text") == b"\xff text\n"
    assert run(loop, shell, "-c", "echo $0 $1", pathlib.Path("a"), b"b") == b"a b\n"

    async def main() -> bytes:
        process = await asyncio.create_subprocess_shell(b"echo \xfe", stdout=PIPE)
        return (await soon(process.communicate()))[0]

    assert loop.run_until_complete(main()) == b"\xfe\n"


def test_another_executable_than_the_first_argument(loop: asyncio.AbstractEventLoop) -> None:
    assert run(loop, "name", "-c", "echo $0", executable="/bin/sh") == b"name\n"


def test_a_session_and_a_process_group_of_its_own(loop: asyncio.AbstractEventLoop) -> None:
    def ids(**options: Any) -> list[int]:
        # The second field from the end of the name on: state, parent, group, session.
        stat = run(loop, "cat", "/proc/self/stat", **options)
        pid, rest = int(stat.split()[0]), stat.rpartition(b")")[2].split()
        return [pid, int(rest[2]), int(rest[3])]

    pid, group, session = ids()
    assert group == os.getpgid(0)
    assert session == os.getsid(0)
    pid, group, session = ids(start_new_session=True)
    assert pid == group == session
    if sys.version_info >= (3, 11):
        pid, group, session = ids(process_group=0)
        assert pid == group
        assert session == os.getsid(0)


def test_preexec_fn_runs_in_the_child(loop: asyncio.AbstractEventLoop) -> None:
    def in_child() -> None:
        os.nice(5)

    before = os.nice(0)
    assert run(loop, "nice", preexec_fn=in_child) == b"%d\n" % min(before + 5, 19)
    assert os.nice(0) == before


def test_preexec_fn_that_raises(same_as_asyncio: Compare) -> None:
    def in_child() -> None:
        raise ValueError("in the child")

    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        return loop.run_until_complete(
            loop.subprocess_exec(asyncio.SubprocessProtocol, "true", preexec_fn=in_child)
        )

    assert same_as_asyncio(scenario)[0] == "raised"


def test_umask(loop: asyncio.AbstractEventLoop) -> None:
    assert run(loop, "sh", "-c", "umask", umask=0o027) == b"0027\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
def test_another_user_and_other_groups(loop: asyncio.AbstractEventLoop) -> None:
    options: dict[str, Any] = {"user": 65534, "group": 65533, "extra_groups": [65532]}
    status = run(loop, "cat", "/proc/self/status", **options).decode()
    assert re.search(r"^Uid:\t65534\t65534", status, re.MULTILINE)
    assert re.search(r"^Gid:\t65533\t65533", status, re.MULTILINE)
    assert re.search(r"^Groups:\t65532 ?$", status, re.MULTILINE)


BAD_OPTIONS: dict[str, dict[str, Any]] = {
    "an unknown user": {"user": "no-such-user"},
    "a negative user": {"user": -2},
    "an unknown group": {"group": "no-such-group"},
    "a negative group": {"group": -2},
    "a word for groups": {"extra_groups": "root"},
    "a negative one of the groups": {"extra_groups": [-2]},
    "a word for a umask": {"umask": "077"},
    "a word for a process group": {"process_group": "0"},
    "an option that is none": {"colour": "red"},
    "text": {"text": True},
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options_fail_as_in_asyncio(name: str, same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        # Without pipes: Popen of 3.10 leaves them open.
        options = {**dict.fromkeys(("stdin", "stdout", "stderr")), **BAD_OPTIONS[name]}
        loop.run_until_complete(loop.subprocess_exec(asyncio.SubprocessProtocol, "true", **options))

    assert same_as_asyncio(scenario)[0] == "raised"


def test_a_pipe_of_another_size(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> int:
        transport, protocol = await start("cat", stdin=PIPE, pipesize=8192)
        pipe = transport.get_pipe_transport(0).get_extra_info("pipe")
        size = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
        transport.get_pipe_transport(0).close()
        await soon(protocol.lost)
        transport.close()
        return size

    assert loop.run_until_complete(main()) == 8192


def ignored_signals(loop: asyncio.AbstractEventLoop, **options: Any) -> int:
    status = run(loop, "cat", "/proc/self/status", **options).decode()
    found = re.search(r"^SigIgn:\t(\w+)$", status, re.MULTILINE)
    assert found is not None
    return int(found[1], 16)


def blocked_signals(loop: asyncio.AbstractEventLoop) -> int:
    status = run(loop, "cat", "/proc/self/status").decode()
    found = re.search(r"^SigBlk:\t(\w+)$", status, re.MULTILINE)
    assert found is not None
    return int(found[1], 16)


def test_signals_that_python_ignores_are_restored(loop: asyncio.AbstractEventLoop) -> None:
    bit = 1 << (signal.SIGPIPE - 1)
    assert ignored_signals(loop) & bit == 0
    assert ignored_signals(loop, restore_signals=False) & bit == bit


def test_handlers_of_the_loop_leave_no_trace_in_the_child(
    loop: asyncio.AbstractEventLoop,
) -> None:
    loop.add_signal_handler(signal.SIGUSR1, print)
    try:
        assert ignored_signals(loop) & (1 << (signal.SIGUSR1 - 1)) == 0
        assert blocked_signals(loop) == 0
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


def test_a_childs_pipes_block_for_the_child(loop: asyncio.AbstractEventLoop) -> None:
    """The loop's ends do not block; that must not spill over to the child's."""
    program = (
        "import os; print(os.get_blocking(0), os.get_blocking(1), os.get_blocking(2), flush=True)"
    )

    async def main() -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", program, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        return (await soon(process.communicate(b"")))[0]

    assert loop.run_until_complete(main()) == b"True True True\n"
