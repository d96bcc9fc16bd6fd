"""The types that users see: checked by mypy in the lint job, and importable at run time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("blitzio._native", exc_type=ImportError)

import blitzio
from blitzio import channel, fs, net, process, signal, sync
from blitzio.io import Deterministic, Evented

if TYPE_CHECKING:
    from pathlib import Path
    from signal import SIGHUP, SIGTERM, Signals

    from typing_extensions import assert_type

    from blitzio._io.outside import BinaryFile, Listener, Stream, TextFile
    from blitzio.runtime import RuntimeMetrics


async def answer() -> int:
    return 42


def test_run_has_the_type_of_its_coroutine() -> None:
    result = blitzio.run(answer())
    if TYPE_CHECKING:
        assert_type(result, int)
    assert result == 42


def test_a_loop_is_an_asyncio_loop() -> None:
    loop: asyncio.AbstractEventLoop = blitzio.new_event_loop(blitzio.Config())
    future = loop.run_in_executor(None, str, 5)
    if TYPE_CHECKING:
        assert_type(future, asyncio.Future[str])
    assert loop.run_until_complete(future) == "5"
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_functions_of_asyncio_keep_the_type_of_a_native_awaitable() -> None:
    """They used to give Never, and with that mypy took what followed for unreachable."""

    async def main() -> None:
        numbers: channel.Channel[int] = channel.Channel(8)
        for number in range(6):
            numbers.try_send(number)
        first = await asyncio.wait_for(numbers.recv(), 30)
        pair = await asyncio.gather(numbers.recv(), numbers.recv())
        task = asyncio.create_task(numbers.recv())
        future = asyncio.ensure_future(numbers.recv())
        shielded = await asyncio.shield(numbers.recv())
        if TYPE_CHECKING:
            assert_type(first, int)
            assert_type(pair, tuple[int, int])
            assert_type(task, asyncio.Task[int])
            assert_type(future, asyncio.Task[int])
            assert_type(shielded, int)
        assert (first, list(pair), await task, await future, shielded) == (0, [1, 2], 3, 4, 5)
        last: object = numbers.recv()
        assert isinstance(last, Coroutine)
        assert isinstance(last, Generator)
        last.close()

    blitzio.run(main())


def test_methods_of_the_loop_have_precise_types() -> None:
    loop = blitzio.new_event_loop()
    task = loop.create_task(answer(), name="answer")
    handle = loop.call_soon(int)
    if TYPE_CHECKING:
        assert_type(task, asyncio.Task[int])
        assert_type(handle, asyncio.Handle)
        assert_type(loop.backend, str)
        assert_type(loop.metrics(), dict[str, int])
        assert_type(loop.run_until_complete(task), int)
    assert loop.run_until_complete(task) == 42
    loop.close()


def test_the_policy_makes_our_loops() -> None:
    policy: asyncio.AbstractEventLoopPolicy = blitzio.EventLoopPolicy()
    loop = policy.new_event_loop()
    assert isinstance(loop, blitzio.Loop)
    loop.close()


def test_what_is_imported_late_is_known_to_type_checkers() -> None:
    short = blitzio.time.Duration.from_millis(1)
    if TYPE_CHECKING:
        assert_type(short, blitzio.Duration)
    assert isinstance(short, blitzio.Duration)


def double(number: int) -> int:
    return 2 * number


async def double_later(number: int) -> int:
    return 2 * number


def test_a_runtime_gives_what_its_work_gives() -> None:
    with blitzio.Runtime(workers=1, strategy="single_threaded") as runtime:
        handle = runtime.spawn(double, 4)
        later = runtime.spawn(double_later, 4)
        blocking = runtime.spawn_blocking(str, 5)
        metrics = runtime.metrics()
        of_coroutine = runtime.block_on(answer())
        of_function = runtime.block_on(double, 5)
        of_coroutine_function = runtime.run(double_later, 6)
        if TYPE_CHECKING:
            assert_type(runtime, blitzio.Runtime)
            assert_type(handle, blitzio.JoinHandle[int])
            assert_type(later, blitzio.JoinHandle[int])
            assert_type(blocking, blitzio.JoinHandle[str])
            assert_type(runtime.concurrent(answer()), blitzio.JoinHandle[int])
            assert_type(runtime.concurrent(double, 1), blitzio.JoinHandle[int])
            assert_type(metrics, RuntimeMetrics)
            assert_type(metrics["workers"][0]["polls"], int)
            assert_type(of_coroutine, int)
            assert_type(of_function, int)
            assert_type(of_coroutine_function, int)
            assert_type(handle.try_join(), int | None)
            assert_type(blitzio.get_runtime(), blitzio.Runtime | None)
            # A wrong name, and a wrong type of a right one.
            blitzio.Runtime(worker=1)  # type: ignore[call-arg]
            blitzio.Runtime(workers="1")  # type: ignore[arg-type]
            Evented(backend=1)  # type: ignore[arg-type]
        assert (handle.blocking_join(), later.blocking_join()) == (8, 8)
        assert blocking.blocking_join() == "5"
        assert (of_coroutine, of_function, of_coroutine_function) == (42, 10, 12)
    once = blitzio.run_with(blitzio.Config(workers=1), double_later, 2)
    if TYPE_CHECKING:
        assert_type(once, int)
        assert_type(blitzio.run_with(blitzio.Config(), answer()), int)
        assert_type(blitzio.run_with(blitzio.Config(), str, 1), str)
        blitzio.serve(asyncio.Protocol, worker=1)  # type: ignore[call-arg]
    assert once == 4


def test_what_holds_tasks_together_keeps_their_types() -> None:
    async def main() -> None:
        spawned = blitzio.spawn(double_later, 1)
        computed = blitzio.compute(double, 2)
        mapped = blitzio.parallel_map([1, 2], str)
        async with blitzio.Group() as group:
            child = group.spawn(double_later, 3)
            other = group.async_(str, 4)
        both = await blitzio.join_all(spawned, mapped)
        outcomes = await blitzio.try_join_all([computed, child])
        chosen = await blitzio.select(spawned, computed)
        raced = await blitzio.race([answer()])
        limited = await blitzio.timeout(20, answer())
        under_token = await blitzio.CancelToken().run(answer())
        if TYPE_CHECKING:
            assert_type(spawned, blitzio.JoinHandle[int])
            assert_type(await spawned, int)
            assert_type(await spawned.join(), int)
            assert_type(computed, blitzio.JoinHandle[int])
            assert_type(mapped, blitzio.JoinHandle[list[str]])
            assert_type(child, blitzio.JoinHandle[int])
            assert_type(other, blitzio.JoinHandle[str])
            assert_type(group.concurrent(answer()), blitzio.JoinHandle[int])
            assert_type(blitzio.concurrent(double, 1), blitzio.JoinHandle[int])
            assert_type(both, tuple[int, list[str]])
            assert_type(outcomes, tuple[int | BaseException, ...])
            assert_type(chosen, tuple[int, int])
            assert_type(raced, int)
            assert_type(limited, int)
            assert_type(under_token, int)
        assert (both, outcomes) == ((2, ["1", "2"]), (4, 6))
        assert (chosen, raced, limited, under_token) == ((2, 0), 42, 42, 42)
        assert await other == "4"

    blitzio.run(main())


def test_locks_and_channels_keep_the_types_of_what_they_carry() -> None:
    async def main() -> None:
        numbers: channel.Channel[int] = channel.Channel(1)
        await numbers.send(1)
        oneshot: channel.Oneshot[str] = channel.Oneshot()
        oneshot.send("one")
        broadcast: channel.Broadcast[bytes] = channel.Broadcast(1)
        ear = broadcast.subscribe()
        broadcast.send(b"all")
        watch = channel.Watch(1.5)
        eye = watch.subscribe()
        cell: sync.OnceCell[int] = sync.OnceCell()
        lock = sync.RwLock()
        async with sync.Semaphore(2).permit(2) as permit, lock.read() as guard:
            assert permit.held()
            assert guard.held()
        values = (await numbers.recv(), await oneshot.recv(), await ear.recv(), eye.borrow())
        made = await cell.get_or_init(answer)
        if TYPE_CHECKING:
            assert_type(values, tuple[int, str, bytes, float])
            assert_type(ear, channel.BroadcastReceiver[bytes])
            assert_type(eye, channel.WatchReceiver[float])
            assert_type(numbers.try_recv(), int)
            assert_type(numbers.blocking_recv(1), int)
            assert_type(permit, sync.Guard)
            assert_type(lock.try_write(), sync.Guard | None)
            assert_type(await sync.Barrier(1).wait(), bool)
            assert_type(sync.Mutex().try_lock(), bool)
            assert_type(made, int)
            await numbers.send("text")  # type: ignore[arg-type]
        assert (values, made) == ((1, "one", b"all", 1.5), 42)

    blitzio.run(main())


def test_streams_and_files_have_precise_types(tmp_path: Path) -> None:
    async def main() -> None:
        async with net.TcpListener.bind("127.0.0.1:0") as listener:
            client = await net.connect("127.0.0.1", listener.local_address.port)
            server, peer = await listener.accept()
        ours, theirs = net.UnixStream.pair()
        written = await client.write(b"data")
        read = await server.read_exact(written)
        async with (
            fs.open(tmp_path / "file", "wb") as binary,
            fs.open(tmp_path / "text", "w") as text,
        ):
            await binary.write(b"data")
            await text.write("text")
        if TYPE_CHECKING:
            assert_type(client, net.TcpStream)
            assert_type(server, net.TcpStream)
            assert_type(peer, net.Address)
            assert_type(ours.peer_address, net.Address | None)
            assert_type(written, int)
            assert_type(read, bytes)
            assert_type(client.split(), tuple[net.ReadHalf, net.WriteHalf])
            assert_type(await net.copy(client, ours), int)
            assert_type(net.blocking_copy_bidirectional(client, ours), tuple[int, int])
            assert_type(await net.resolve("localhost", 1), list[net.Address])
            assert_type(binary, fs.File)
            assert_type(text, fs.TextFile)
            assert_type(await fs.read_text("path"), str)
            assert_type(await fs.read_dir("path"), list[fs.DirEntry[str]])
            assert_type(await fs.watch("path").next(), fs.WatchEvent | None)
            assert_type(await process.output("true"), process.Output)
            assert_type(await signal.wait(1), Signals | int)
            assert_type(await signal.wait(SIGTERM), Signals)
            assert_type(signal.blocking_wait(SIGTERM, timeout=1), Signals)
            with signal.stream(SIGTERM, SIGHUP) as arrivals:
                assert_type(arrivals.signals, tuple[Signals, ...])
                assert_type(arrivals.try_next(), Signals | None)
                async for arrived in arrivals:
                    assert_type(arrived, Signals)
            with signal.stream(1) as unnamed:
                assert_type(await unnamed.next(), Signals | int)
        assert read == b"data"
        for stream in (client, server, ours, theirs):
            stream.close()

    blitzio.run(main())


def test_an_io_has_precise_types() -> None:
    async def main(io: blitzio.io.Io) -> str:
        future = io.async_(double, 1)
        listener = io.net.listen("127.0.0.1:0")
        stream = await io.net.connect(listener.local_address)
        await io.fs.write_text("/file", "text")
        async with io.fs.open("/file") as text, io.fs.open("/file", "rb") as binary:
            first, second = await text.read(), await binary.read()
        if TYPE_CHECKING:
            assert_type(future, blitzio.io.IoFuture[int])
            assert_type(listener, Listener[net.Address])
            assert_type(stream, Stream[net.Address])
            assert_type(await stream.read(), bytes)
            assert_type(text, TextFile)
            assert_type(binary, BinaryFile)
            assert_type((await io.fs.stat("/file")).size, int)
            assert_type(await io.process.output("true"), process.Output)
            assert_type(await io.signal.wait(1), Signals | int)
            assert_type(await io.signal.wait(SIGTERM), Signals)
            async for arrived in io.signal.stream(SIGTERM):
                assert_type(arrived, Signals)
            assert_type(io.run(double_later, 1), int)
            assert_type(io.run(double, 1), int)
            assert_type(io.run(answer()), int)
        assert (first, second, await future) == ("text", b"text", 2)
        stream.close()
        listener.close()
        return first

    with Deterministic() as world:
        result: str = world.run(main)
    assert result == "text"
