"""blitzio.process.Child and its pipes: waiting, signals, cancelling, the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import signal
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import net, process
from blitzio.process import Child, Command

if TYPE_CHECKING:
    from tests.python.runtime.conftest import Run

PATIENCE = 20.0


def cat() -> Child:
    return process.spawn("cat", stdin="pipe", stdout="pipe")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def has_pidfds() -> bool:
    """Whether the thread that reaps has a child left."""
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if "pidfd" in os.readlink(f"/proc/self/fd/{fd}"):
                return True
    return False


def test_it_is_talked_to(run: Run) -> None:
    async def main() -> None:
        async with cat() as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stderr is None
            assert child.pid == child.id > 0
            assert child.try_wait() is None
            for line in (b"one\n", b"two\n"):
                await child.stdin.write_all(line)
                assert await child.stdout.read_line() == line
            await child.stdin.write_all(b"a,b\nc\nd")
            child.stdin.close()
            assert await child.stdout.read_until(b",") == b"a,"
            assert [line async for line in child.stdout] == [b"b\n", b"c\n", b"d"]
            status = await child.wait()
        assert status.is_success
        assert child.try_wait() == status
        assert child.stdin.is_closed
        assert child.stdout.is_closed

    run(main())


def test_any_number_wait_and_a_cancelled_wait_loses_nothing(run: Run) -> None:
    async def main() -> None:
        child = cat()
        waits = [asyncio.ensure_future(child.wait()) for _ in range(4)]
        await asyncio.sleep(0)
        waits[0].cancel()
        await asyncio.sleep(0)
        child.close_pipes()
        ended = await asyncio.gather(*waits[1:])
        assert all(status.is_success for status in ended)
        assert waits[0].cancelled()
        assert (await child.wait()).is_success

    run(main())


def test_tasks_of_several_loops_and_threads_wait_for_one_child(run: Run) -> None:
    async def main() -> None:
        child = cat()
        results: list[Any] = []
        kinds = (blitzio.new_event_loop, asyncio.SelectorEventLoop)

        def elsewhere(factory: Any) -> None:
            loop = factory()
            results.append(loop.run_until_complete(child.wait()))
            loop.close()

        threads = [threading.Thread(target=elsewhere, args=(kind,)) for kind in kinds]
        threads.append(
            threading.Thread(target=lambda: results.append(child.blocking_wait(PATIENCE)))
        )
        for thread in threads:
            thread.start()
        child.close_pipes()
        results.append(await child.wait())
        for thread in threads:
            thread.join(PATIENCE)  # They need nothing of this loop.
        assert [status.return_code for status in results] == [0] * 4

    run(main())


def test_signals_reach_it_and_nobody_else(run: Run) -> None:
    async def main() -> None:
        child = process.spawn("sleep", "600")
        child.terminate()
        assert (await child.wait()).signal is signal.SIGTERM
        for send in (child.kill, child.terminate, lambda: child.send_signal(0)):
            with pytest.raises(ProcessLookupError):
                send()
        other = process.spawn("sleep", "600")
        with pytest.raises(OSError, match="Invalid argument"):
            other.send_signal(1000)
        with pytest.raises(TypeError):
            other.send_signal("KILL")  # type: ignore[arg-type]
        other.kill()
        assert (await other.wait()).signal is signal.SIGKILL

    run(main())


def test_a_blocking_wait_can_time_out() -> None:
    child = cat()
    with pytest.raises(TimeoutError):
        child.blocking_wait(timeout=0.001)
    child.close_pipes()
    assert child.blocking_wait(blitzio.Duration.from_secs(20)).is_success

    async def main() -> None:
        with pytest.raises(RuntimeError):
            child.blocking_wait()

    blitzio.run(main())


def test_an_exception_that_leaves_the_block_ends_the_process(run: Run) -> None:
    async def main() -> None:
        with contextlib.suppress(LookupError):
            async with process.spawn("sleep", "600", stdin="pipe") as child:
                raise LookupError
        status = child.try_wait()
        assert status is not None
        assert status.signal is signal.SIGKILL
        assert is_gone(child.id)

    run(main())


def test_a_cancelled_block_ends_the_process(run: Run) -> None:
    children: list[Child] = []

    async def block() -> None:
        async with process.spawn("sleep", "600") as child:
            children.append(child)

    async def main() -> None:
        task = asyncio.ensure_future(block())
        while not children:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()  # It waits for the process at the end of the block.
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_gone(children[0].id)

    run(main())


def test_a_dropped_child_runs_on_unless_it_was_to_be_killed(run: Run) -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        pid = process.spawn("sh", "-c", "read line; echo $line", stdin=reader, stdout="null").id
        gc.collect()
        assert not is_gone(pid)
        os.write(writer, b"end\n")
        os.close(writer)
        os.close(reader)
        # It was not waited for, and is reaped all the same.
        while not is_gone(pid) or has_pidfds():
            await asyncio.sleep(0.001)

        child = process.spawn("sleep", "600", stdout="pipe", kill_on_drop=True)
        assert child.stdout is not None
        stdout = child.stdout
        del child
        gc.collect()
        assert await stdout.read() == b""  # It is dead: nobody can write any more.
        stdout.close()
        while has_pidfds():
            await asyncio.sleep(0.001)

    run(main())


# ---- pipes ---------------------------------------------------------------------------------------


def test_a_cancelled_read_loses_no_byte(run: Run) -> None:
    async def main() -> None:
        # It writes to stdout first. That stdout becomes readable is nothing to wait for: the reader
        # may have taken the bytes by then.
        tee = process.spawn("tee", "/dev/stderr", stdin="pipe", stdout="pipe", stderr="pipe")
        async with tee as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stderr is not None
            read = asyncio.ensure_future(child.stdout.read_exact(6))
            await child.stdin.write_all(b"abc")
            assert await child.stderr.read_exact(3) == b"abc"
            await asyncio.sleep(0)
            read.cancel()
            await asyncio.sleep(0)
            await child.stdin.write_all(b"def")
            assert await child.stdout.read_exact(6) == b"abcdef"
            assert child.stdout.try_read() is None
            buffer = bytearray(3)
            await child.stdin.write_all(b"ghijk")
            # What is there: the child may have got it in pieces.
            count = await child.stdout.read_into(buffer)
            assert 1 <= count <= 3
            child.stdin.shutdown("write")
            assert buffer[:count] + await child.stdout.read_to_end() == b"ghijk"
            with pytest.raises(asyncio.IncompleteReadError):
                await child.stdout.read_exact(1)

    run(main())


def test_a_full_pipe_makes_the_writer_wait(run: Run) -> None:
    async def main() -> None:
        gate, opener = os.pipe()
        child = process.spawn(
            "sh",
            "-c",
            f"read go </dev/fd/{gate}; cat",
            stdin="pipe",
            stdout="pipe",
            pass_fds=[gate],
        )
        async with child:
            os.close(gate)
            assert child.stdin is not None
            assert child.stdout is not None
            sent = 0
            while count := child.stdin.try_write(bytes(65536)):
                sent += count
            assert child.stdin.try_write(b"x") == 0
            write = asyncio.ensure_future(child.stdin.write_all(b"end"))
            await asyncio.sleep(0)
            assert not write.done()
            os.write(opener, b"go\n")
            os.close(opener)
            assert await child.stdout.read_exact(sent + 3) == bytes(sent) + b"end"
            await write

    run(main())


@pytest.mark.no_faults("what is written leaves at once", "again")
def test_writing_to_who_does_not_read_is_a_broken_pipe(run: Run) -> None:
    async def main() -> None:
        child = process.spawn("true", stdin="pipe")
        await child.wait()
        assert child.stdin is not None
        with pytest.raises(BrokenPipeError):
            await child.stdin.write_all(b"x")
        with pytest.raises(BrokenPipeError):
            child.stdin.try_write(b"x")
        child.close_pipes()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await child.stdin.write_all(b"x")

    run(main())


def test_closing_ends_what_waits(run: Run) -> None:
    async def main() -> None:
        child = cat()
        assert child.stdout is not None
        read = asyncio.ensure_future(child.stdout.read())
        await asyncio.sleep(0)
        child.close_pipes()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await read
        assert child.stdout.fileno() == -1
        assert "closed" in repr(child.stdout)
        await child.wait()

    run(main())


def test_pipes_are_streams_as_those_of_net(run: Run) -> None:
    async def main() -> None:
        async with cat() as first, cat() as second:
            assert first.stdin is not None
            assert first.stdout is not None
            assert second.stdin is not None
            assert second.stdout is not None
            await first.stdin.write_all(b"through two")
            first.stdin.close()
            assert await net.copy(first.stdout, second.stdin) == 11
            second.stdin.shutdown("write")
            assert await second.stdout.read_to_end() == b"through two"
            with pytest.raises(ValueError, match="must be 'write'"):
                second.stdin.shutdown("both")  # type: ignore[arg-type]

    run(main())


def test_a_closed_pipe_refuses_to_move_no_bytes_too(run: Run) -> None:
    async def main() -> None:
        async with cat() as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.close_pipes()
            for call in (
                lambda: child.stdin.write(b""),
                lambda: child.stdin.write_all(b""),
                lambda: child.stdout.read(0),
                lambda: child.stdout.read_exact(0),
                lambda: child.stdout.read_into(bytearray()),
            ):
                with pytest.raises(OSError, match="Bad file descriptor"):
                    await call()

    run(main())


def test_wait_with_output_needs_a_pipe_for_its_input(run: Run) -> None:
    async def main() -> None:
        async with Command("true", stdin="null").spawn() as child:
            with pytest.raises(ValueError, match="stdin='pipe'"):
                await child.wait_with_output(b"lost")
            assert await child.wait_with_output() == (b"", b"")

    run(main())


def test_a_blocking_wait_with_output_is_for_threads() -> None:
    child = Command("cat", stdin="pipe", stdout="pipe", stderr="pipe").spawn()
    big = bytes(300_000)  # more than a pipe has room for
    assert child.blocking_wait_with_output(big) == (big, b"")
    assert child.blocking_wait_with_output() == (b"", b""), "again, of what has ended"

    slow = Command("cat", stdin="pipe", stdout="pipe", kill_on_drop=True).spawn()
    assert slow.stdin is not None
    other_end = os.dup(slow.stdin.fileno())  # It never sees the end of its input.
    with pytest.raises(TimeoutError):
        slow.blocking_wait_with_output(timeout=0.01)
    assert slow.try_wait() is None
    os.close(other_end)
    assert slow.blocking_wait_with_output(timeout=60) == (b"", b"")
    wrong: Any
    for wrong in (-1, -0.5, timedelta(seconds=-1), math.nan, -math.inf):
        with pytest.raises(ValueError, match=r"timeout must be None or seconds|NaN"):
            child.blocking_wait_with_output(timeout=wrong)
    for wrong in ("1", True, object()):
        with pytest.raises(TypeError, match="a duration must be seconds"):
            child.blocking_wait_with_output(timeout=wrong)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="would block the event loop"):
            child.blocking_wait_with_output()

    asyncio.run(main())


def test_a_detached_pipe_is_the_callers(run: Run) -> None:
    async def main() -> None:
        async with process.spawn("echo", "hi", stdout="pipe") as child:
            assert child.stdout is not None
            await child.wait()
            fd = child.stdout.detach()
            assert os.read(fd, 10) == b"hi\n"
            os.close(fd)

    run(main())
