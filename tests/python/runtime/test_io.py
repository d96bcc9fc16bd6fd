"""blitzio.io on every implementation: the same program does the same on all of them."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import sync
from blitzio.io import ConcurrencyUnavailable, Deterministic, Evented, Io, IoFuture, Threaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAKERS: dict[str, Callable[[], Any]] = {
    "threaded": Threaded,
    "threaded without threads": lambda: Threaded(async_limit=0, concurrent_limit=0),
    "evented": Evented,
    "evented with two workers": lambda: Evented(workers=2),
    "deterministic": lambda: Deterministic(seed=1),
}


@pytest.fixture(params=MAKERS)
def io(request: pytest.FixtureRequest) -> Iterator[Io]:
    with MAKERS[request.param]() as implementation:
        yield implementation.io()


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def fail() -> None:
    await asyncio.sleep(0)
    raise LookupError("failed")


async def forever() -> None:
    await asyncio.Event().wait()


def test_functions_and_coroutines_give_their_results(io: Io) -> None:
    async def main() -> None:
        futures: list[IoFuture[int]] = [
            io.async_(add, 1, 2),
            io.async_(pow, 2, 3),
            io.async_(add(4, 5)),
        ]
        assert [await future for future in futures] == [3, 8, 9]
        # Again, and in another way.
        assert [await future.await_() for future in futures] == [3, 8, 9]
        assert [future.try_await() for future in futures] == [3, 8, 9]
        assert all(future.is_finished() for future in futures)
        assert await futures[0].cancel() == 3

    io.run(main)


def test_errors_reach_who_awaits(io: Io) -> None:
    async def main() -> None:
        future = io.async_(fail)
        for _ in range(2):
            with pytest.raises(LookupError, match="failed"):
                await future
        with pytest.raises(LookupError):
            await future.cancel()
        with pytest.raises(ZeroDivisionError):
            await io.async_(divmod, 1, 0)

    io.run(main)
    with pytest.raises(LookupError):
        io.run(fail)
    with pytest.raises(TypeError):
        io.async_(3)  # type: ignore[call-overload]


def test_cancelling_is_idempotent_and_waits_for_the_end(io: Io) -> None:
    ended: list[str] = []
    begun = sync.Event()

    async def stubborn() -> None:
        try:
            begun.set()
            await forever()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async def main() -> None:
        future = io.async_(stubborn)
        await begun.wait()
        assert not future.is_finished()
        assert future.try_await() is None
        await future.cancel()
        assert ended == ["cleaned up"]
        await future.cancel()
        assert future.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await future

    io.run(main)


def test_a_dropped_future_ends_its_function_unless_it_is_detached(io: Io) -> None:
    async def main() -> None:
        ends: list[str] = []
        gate = sync.Event()

        started: list[str] = []

        async def work(name: str) -> None:
            started.append(name)
            try:
                await gate.wait()
                ends.append(f"{name} went on")
            except asyncio.CancelledError:
                ends.append(f"{name} cancelled")
                raise

        dropped = io.async_(work, "dropped")
        kept = io.async_(work, "detached")
        kept.detach()
        # What is cancelled before it starts never does.
        while len(started) < 2:
            await io.sleep(0.001)
        del dropped, kept
        while not ends:
            await io.sleep(0.001)
        assert ends == ["dropped cancelled"]
        gate.set()
        while len(ends) < 2:
            await io.sleep(0.001)
        assert ends[1] == "detached went on"

    io.run(main)


def test_the_group_ends_together(io: Io) -> None:
    async def main() -> None:
        async with io.group() as group:
            first = group.async_(add, 1, 1)
            second = group.async_(pow, 2, 2)
        assert (first.try_join(), second.try_join()) == (2, 4)
        with pytest.raises(LookupError):
            async with io.group() as group:
                other = group.async_(forever)
                group.async_(fail)
        assert other.cancelled()
        group = io.group()
        child = group.async_(forever)
        await io.sleep(0)
        group.cancel()
        await group.wait()
        assert child.cancelled()

    io.run(main)


def test_select_names_the_first_and_leaves_futures_alone(io: Io) -> None:
    async def main() -> None:
        gate = sync.Event()
        slow = io.async_(gate.wait)
        quick = io.async_(add, 2, 3)
        assert await io.select(slow=slow, quick=quick, timer=io.sleep(60)) == ("quick", 5)
        assert (await io.select(slow=slow, timer=io.sleep(0.001)))[0] == "timer"
        assert not slow.is_finished()
        gate.set()
        assert await io.select(slow=slow) == ("slow", None)
        with pytest.raises(ValueError, match="at least one"):
            await io.select()
        with pytest.raises(LookupError):
            await io.select(failing=io.async_(fail))

    io.run(main)


def test_mutex_and_condition_hand_over(io: Io) -> None:
    async def main() -> None:
        mutex = io.mutex()
        changed = io.condition(mutex)
        queue: list[int] = []

        async def produce() -> None:
            for item in range(20):
                async with mutex:
                    queue.append(item)
                    changed.signal()

        async def consume() -> list[int]:
            taken: list[int] = []
            while len(taken) < 20:
                async with mutex:
                    while not queue:
                        await changed.wait()
                    taken.append(queue.pop(0))
            return taken

        consumer = io.async_(consume)
        await io.async_(produce)
        assert await consumer == list(range(20))

    io.run(main)


def test_streams_talk(io: Io) -> None:
    async def echo(stream: Any) -> None:
        async with stream:
            async for line in stream:
                await stream.write_all(line.upper())

    async def serve(listener: Any) -> None:
        async with io.group() as group:
            async for stream in listener:
                group.async_(echo, stream)

    async def main() -> None:
        listener = io.net.listen("127.0.0.1:0")
        server = io.async_(serve, listener)
        async with await io.net.connect(listener.local_address) as stream:
            await stream.write_all(b"one\ntwo\n")
            assert await stream.read_exact(4) == b"ONE\n"
            assert await stream.read_line() == b"TWO\n"
            stream.shutdown("write")
            assert await stream.read_to_end() == b""
        port = listener.local_address.port
        async with await io.net.connect("localhost", port) as stream:
            assert stream.peer_address.port == port
        await server.cancel()
        listener.close()
        # On threads the loop that waited for connections may have its last look at them to end.
        with pytest.raises(ConnectionRefusedError):
            while True:
                (await io.net.connect(f"127.0.0.1:{port}")).close()
                await io.sleep(0.001)

    io.run(main)


def test_datagrams_arrive(io: Io) -> None:
    async def main() -> None:
        async with io.net.bind_udp("127.0.0.1:0") as a, io.net.bind_udp("127.0.0.1:0") as b:
            await a.send_to(b"ping", b.local_address)
            data, sender = await b.recv_from()
            assert (data, sender) == (b"ping", a.local_address)
        addresses = await io.net.resolve("127.0.0.1", 80)
        assert [str(address) for address in addresses] == ["127.0.0.1:80"]

    io.run(main)


def test_wrong_hosts_and_ports_are_refused_before_anything_is_resolved(io: Io) -> None:
    async def main() -> None:
        assert await io.net.resolve("", 80)  # This machine.
        for port in (-1, 65_536, 2**70):
            with pytest.raises(ValueError, match="port must be from 0 to 65535"):
                await io.net.resolve("127.0.0.1", port)
        with pytest.raises(ValueError, match="null character"):
            await io.net.resolve("a\0b", 80)
        wrong: Any
        for wrong in (0, []):
            with pytest.raises(TypeError, match="host must be a str"):
                await io.net.resolve(wrong, 80)

    io.run(main)


def test_time_passes_on_the_ios_clock(io: Io) -> None:
    async def main() -> None:
        began = io.now()
        await io.sleep(0.002)
        assert began + blitzio.Duration.from_millis(2) <= io.now()
        with pytest.raises(TimeoutError):
            await io.timeout(0.001, forever())
        with pytest.raises(TimeoutError):
            async with io.deadline(io.now()):
                await forever()
        await io.sleep_until(io.now() + blitzio.Duration.from_millis(1))
        ticks = io.interval(0.001)
        first = await ticks.tick()
        assert await ticks.tick() > first

    io.run(main)


def test_handles_are_values_and_run_blocks(io: Io) -> None:
    assert io.run(lambda: 7) == 7
    assert io == Io(io._implementation)
    assert len({io, Io(io._implementation)}) == 1

    async def main() -> None:
        with pytest.raises(RuntimeError, match="would block"):
            io.run(add(1, 2))

    io.run(main)


# ---- each in its own way -------------------------------------------------------------------------


def test_evented_starts_what_is_concurrent_while_its_starter_blocks() -> None:
    def block(io: Io) -> bool:
        done = threading.Event()
        io.concurrent(done.set).detach()
        return done.wait(20)

    with Evented(workers=2) as evented:
        io = evented.io()
        for _ in range(10):
            assert io.run(block, io)


def test_evented_is_concurrent_with_several_workers_only() -> None:
    async def main(io: Io) -> int:
        return await io.concurrent(add, 1, 2)

    with Evented(workers=2) as evented:
        assert evented.io().run(main, evented.io()) == 3
    with Evented(workers=1) as evented:
        with pytest.raises(ConcurrencyUnavailable):
            evented.io().run(main, evented.io())
        coroutine: Any = add(1, 2)
        with pytest.raises(ConcurrencyUnavailable):
            evented.io().concurrent(coroutine)
        assert coroutine.cr_frame is None, "it is closed, not left"


def test_evented_takes_a_runtime_of_the_callers() -> None:
    with blitzio.Runtime(workers=1) as runtime:
        with Evented(runtime) as evented:
            assert evented.io().run(add, 2, 2) == 4
        assert not runtime.is_shut_down
        with pytest.raises(TypeError):
            Evented(runtime, workers=2)


def test_threads_block_each_for_itself() -> None:
    with Threaded(async_limit=1) as threaded:
        io = threaded.io()
        gate, begun = threading.Event(), threading.Event()

        def block() -> str:
            begun.set()
            gate.wait(20)
            return threading.current_thread().name

        first = io.async_(block)
        assert begun.wait(20)
        assert threaded.busy_count == 1
        # The limit is reached: this one runs inside the call.
        here = io.async_(threading.get_ident)
        assert here.try_await() == threading.get_ident()
        second = io.concurrent(threading.get_ident)
        assert second.blocking_await(20) != threading.get_ident()
        gate.set()
        assert first.blocking_await(20) != threading.current_thread().name


def test_threads_have_a_limit() -> None:
    with Threaded(concurrent_limit=1) as threaded:
        io = threaded.io()
        gate = threading.Event()
        first = io.concurrent(gate.wait, 20)
        with pytest.raises(ConcurrencyUnavailable, match="1 tasks"):
            io.concurrent(pow, 1, 1)
        gate.set()
        assert first.blocking_await(20) is True
    with pytest.raises(RuntimeError, match="closed"):
        io.async_(pow, 1, 1)
    for wrong in ({"async_limit": -1}, {"concurrent_limit": -1}, {"keep_alive": -1}):
        with pytest.raises(ValueError):
            Threaded(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Threaded(async_limit=1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="config must be"):
        Threaded(config="poll")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="runtime must be"):
        Evented(2)  # type: ignore[arg-type]


def test_a_plain_function_can_ask_whether_it_shall_end() -> None:
    with Threaded() as threaded:
        io = threaded.io()
        begun = threading.Event()

        def work() -> str:
            begun.set()
            while not io.cancel_requested:
                time.sleep(0.001)
            return "asked"

        future = io.concurrent(work)
        assert begun.wait(20)
        assert not io.cancel_requested
        future.cancel()
        assert future.blocking_await(20) == "asked"


def test_closing_a_threaded_ends_its_tasks() -> None:
    threaded = Threaded()
    future = threaded.io().concurrent(forever)
    threaded.close()
    assert future.cancelled()


@pytest.mark.parametrize("name", ["threaded", "evented with two workers"])
def test_a_task_cannot_wait_for_the_end_of_its_own_thread(name: str) -> None:
    """A task of a Threaded used to, for ever."""
    with MAKERS[name]() as implementation:
        future = implementation.io().concurrent(implementation.close)
        with pytest.raises(RuntimeError, match="from one of its own threads"):
            future.blocking_await(20)
        assert implementation.io().concurrent(pow, 2, 3).blocking_await(20) == 8


@pytest.mark.parametrize("async_limit", [0, 1], ids=["in place", "in a thread"])
def test_a_coroutine_that_gets_no_loop_fails(
    async_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for it did so for ever."""

    def refuse(config: object) -> None:
        raise OSError(errno.EMFILE, "no descriptors")

    monkeypatch.setattr("blitzio._io.threaded.new_event_loop", refuse)
    with Threaded(async_limit=async_limit) as threaded:
        future = threaded.io().async_(forever)
        with pytest.raises(OSError, match="no descriptors"):
            future.blocking_await(20)


def test_a_coroutine_that_gets_no_loop_fails_even_if_it_refuses_to_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(config: object) -> None:
        raise OSError(errno.EMFILE, "no descriptors")

    async def obstinate() -> None:
        try:
            await asyncio.sleep(0)
        except GeneratorExit:
            raise LookupError("not now") from None

    monkeypatch.setattr("blitzio._io.threaded.new_event_loop", refuse)
    begun = obstinate()
    begun.send(None)
    with Threaded(async_limit=1) as threaded:
        future = threaded.io().async_(begun)
        with pytest.raises(LookupError, match="not now"):
            future.blocking_await(20)


def test_a_guest_outlives_the_task_of_its_thread() -> None:
    """A coroutine that runs in place belongs to its starter's loop, which waits for it."""

    async def main(io: Io) -> list[Any]:
        started: list[IoFuture[str]] = []

        async def starter() -> None:
            started.append(io.async_(slow))

        async def slow() -> str:
            await io.sleep(0.01)
            return "to its end"

        await io.concurrent(starter)
        return [await future for future in started]

    with Threaded(async_limit=0) as threaded:
        assert threaded.io().run(main, threaded.io()) == ["to its end"]


def test_processes_and_signals_are_those_of_the_machine() -> None:
    async def main(io: Io) -> bytes:
        assert io.signal.wait is not None
        done = await io.process.output("echo", "hi")
        output: bytes = done.stdout
        return output

    for maker in (Threaded, Evented):
        with maker() as implementation:
            assert implementation.io().run(main, implementation.io()) == b"hi\n"
