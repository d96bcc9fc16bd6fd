"""blitzio.io.Deterministic: one seed, one run; simulated time, network, files, signals."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import channel, sync
from blitzio.io import ConcurrencyUnavailable, Deadlock, Deterministic, Faults, Io

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0


async def busy(io: Io) -> list[Any]:
    """Something of everything, in an order that the seed chooses."""
    seen: list[Any] = []
    lock = io.mutex()

    async def serve(listener: Any) -> None:
        async for stream in listener:
            async with stream:
                seen.append(await stream.read_line())

    async def work(number: int) -> None:
        for _ in range(3):
            async with lock:
                seen.append(number)
            await io.sleep(number)
        async with await io.net.connect(listener.local_address) as stream:
            await stream.write_all(b"from %d\n" % number)

    listener = io.net.listen("127.0.0.1:0")
    server = io.async_(serve, listener)
    async with io.group() as group:
        for number in range(4):
            group.async_(work, number)
    while sum(isinstance(each, bytes) for each in seen) < 4:
        await io.sleep(0.001)
    await server.cancel()
    listener.close()
    return seen


def test_one_seed_is_one_run_and_seeds_differ() -> None:
    runs = []
    for seed in (1, 1, 2, 3, 4):
        with Deterministic(seed=seed, keeps_trace=True) as world:
            runs.append((world.run(busy), world.fingerprint, world.trace, world.now()))
    assert runs[0] == runs[1]
    assert len({fingerprint for _, fingerprint, _, _ in runs}) == 4
    assert len({str(result) for result, _, _, _ in runs}) > 1
    assert {what for _, what, _ in runs[0][2]} >= {"run", "finish", "time", "deliver"}


def test_hours_pass_at_once_on_every_clock() -> None:
    async def main(io: Io) -> None:
        began = io.now()
        assert began == blitzio.Instant.now()
        await io.sleep(100 * HOUR)
        await asyncio.sleep(100 * HOUR)
        await blitzio.sleep(100 * HOUR)
        with pytest.raises(TimeoutError):
            await blitzio.timeout(100 * HOUR, asyncio.Event().wait())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 100 * HOUR)
        assert (io.now() - began).as_secs() == 500 * HOUR

    with Deterministic() as world:
        world.run(main)
        assert world.now().as_secs_f64() >= 500 * HOUR
    # Outside it is the machine's again.
    assert abs(blitzio.Instant.now().as_secs_f64() - time.monotonic()) < HOUR


def test_what_polls_gets_there_and_timers_are_not_starved() -> None:
    async def main(io: Io) -> list[str]:
        seen = []

        async def other() -> None:
            await io.sleep(0.0001)
            seen.append("timer")

        future = io.async_(other)
        until = io.now() + blitzio.Duration.from_millis(1)
        while io.now() < until:
            await asyncio.sleep(0)
        seen.append("polled")
        await future
        return seen

    with Deterministic() as world:
        assert world.run(main) == ["timer", "polled"]


def test_callbacks_keep_their_order_whatever_the_seed() -> None:
    async def main(io: Io) -> list[int]:
        seen: list[int] = []
        for number in range(10):
            asyncio.get_running_loop().call_soon(seen.append, number)
        while len(seen) < 10:
            await asyncio.sleep(0)
        return seen

    for seed in range(5):
        with Deterministic(seed=seed) as world:
            assert world.run(main) == list(range(10))


def test_seeds_find_a_race() -> None:
    async def main(io: Io) -> int:
        counter = 0

        async def increment() -> None:
            nonlocal counter
            seen = counter
            await asyncio.sleep(0)
            counter = seen + 1

        first, second = io.async_(increment), io.async_(increment)
        await first
        await second
        return counter

    results = set()
    for seed in range(20):
        with Deterministic(seed=seed) as world:
            results.add(world.run(main))
    assert results == {1, 2}


@pytest.mark.parametrize("wait", ["asyncio", "event", "channel"])
def test_a_deadlock_says_who_waits(wait: str) -> None:
    empty: channel.Channel[int] = channel.Channel(1)

    async def waits_for_nothing() -> None:
        waits: dict[str, Callable[[], Any]] = {
            "asyncio": asyncio.Event().wait,
            "event": sync.Event().wait,
            "channel": empty.recv,
        }
        await waits[wait]()

    ended = []

    async def main(io: Io) -> None:
        io.async_(waits_for_nothing).detach()
        try:
            await waits_for_nothing()
        finally:
            ended.append("cleaned up")

    with Deterministic() as world:
        with pytest.raises(Deadlock, match=r"nothing is to come(?s:.*)waits_for_nothing"):
            world.run(main)
        assert ended == ["cleaned up"]
        assert world.task_count == 0
        assert world.run(lambda io: "goes on") == "goes on"


def test_waiting_for_oneself_at_the_end_is_given_up() -> None:
    async def main(io: Io) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    with Deterministic() as world, pytest.raises(Deadlock):
        world.run(main)


def test_concurrency_has_a_limit() -> None:
    async def main(io: Io) -> None:
        first = io.concurrent(asyncio.Event().wait)
        with pytest.raises(ConcurrencyUnavailable):
            io.concurrent(asyncio.sleep, 0)
        await first.cancel()

    with Deterministic(concurrent_limit=1) as world:
        world.run(main)
        with pytest.raises(RuntimeError, match=r"in its run\(\)"):
            world.io().async_(pow, 1, 1)


def test_executors_run_in_place() -> None:
    async def main(io: Io) -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        return await asyncio.to_thread(pow, 2, 3)

    with Deterministic() as world:
        assert world.run(main) == 8


# ---- network -------------------------------------------------------------------------------------


def two_hosts(world: Deterministic) -> tuple[Io, Io]:
    return world.host("10.0.0.1"), world.host("10.0.0.2")


def test_latency_takes_time() -> None:
    with Deterministic() as world:
        a, b = two_hosts(world)
        world.set_faults(Faults(latency_min=1.0, latency_max=1.0))

        async def main(io: Io) -> float:
            listener = b.net.listen("10.0.0.2:80")
            began = io.now()
            async with await a.net.connect("10.0.0.2:80") as stream:
                accepted, peer = await listener.accept()
                assert peer.host == "10.0.0.1"
                await stream.write_all(b"hello")
                assert await accepted.read_exact(5) == b"hello"
                accepted.close()
            listener.close()
            return (io.now() - began).as_secs_f64()

        assert world.run(main) == pytest.approx(3.0, abs=0.01)


def test_a_partition_holds_what_is_sent_until_it_heals() -> None:
    with Deterministic() as world:
        a, b = two_hosts(world)

        async def main(io: Io) -> None:
            listener = b.net.listen("10.0.0.2:80")
            stream = await a.net.connect("10.0.0.2:80")
            accepted, _ = await listener.accept()
            world.partition("10.0.0.1", "10.0.0.2")
            await stream.write_all(b"held")
            with pytest.raises(TimeoutError):
                await io.timeout(HOUR, accepted.read())
            with pytest.raises(OSError, match="timed out"):
                await a.net.connect("10.0.0.2:80")
            connecting = io.async_(a.net.connect, "10.0.0.2:80")
            await io.sleep(10)
            world.heal("10.0.0.1", "10.0.0.2")
            assert await accepted.read_exact(4) == b"held"
            (await connecting).close()
            for each in (stream, accepted, listener):
                each.close()

        world.run(main)


def test_a_reset_ends_both_ends() -> None:
    with Deterministic() as world:
        a, b = two_hosts(world)

        async def main(io: Io) -> None:
            listener = b.net.listen("0.0.0.0:80")
            stream = await a.net.connect("10.0.0.2:80")
            accepted, _ = await listener.accept()
            reading = io.async_(accepted.read)
            await io.sleep(1)
            world.reset_connections("10.0.0.1", "10.0.0.2")
            with pytest.raises(ConnectionResetError):
                await reading
            with pytest.raises(ConnectionResetError):
                await stream.write_all(b"x")

        world.run(main)


def test_a_slow_reader_makes_the_writer_wait() -> None:
    async def main(io: Io) -> None:
        listener = io.net.listen("127.0.0.1:0")
        stream = await io.net.connect(listener.local_address)
        accepted, _ = await listener.accept()
        writing = io.async_(stream.write_all, bytes(200_000))
        await io.sleep(1)
        assert not writing.is_finished()
        assert stream.try_write(b"x") == 0
        assert len(await accepted.read_exact(200_000)) == 200_000
        await writing
        stream.shutdown("write")
        with pytest.raises(BrokenPipeError):
            await stream.write(b"x")
        assert await accepted.read() == b""
        with pytest.raises(asyncio.IncompleteReadError):
            await accepted.read_exact(1)
        accepted.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await accepted.read()
        with pytest.raises(OSError, match="Address already in use"):
            io.net.listen(listener.local_address)
        with pytest.raises(OSError, match="Cannot assign"):
            io.net.listen("10.9.9.9:80")
        listener.close()

    with Deterministic(seed=3) as world:
        world.run(main)


def test_a_cancelled_read_loses_no_byte() -> None:
    async def main(io: Io) -> None:
        listener = io.net.listen("127.0.0.1:0")
        stream = await io.net.connect(listener.local_address)
        accepted, _ = await listener.accept()
        await stream.write_all(b"abc")
        with pytest.raises(TimeoutError):
            await io.timeout(1, accepted.read_exact(6))
        await stream.write_all(b"def\n,rest")
        assert await accepted.read_line() == b"abcdef\n"
        assert await accepted.read_until(b",") == b","
        with pytest.raises(asyncio.LimitOverrunError):
            await accepted.read_until(b"!", limit=2)
        stream.close()
        assert await accepted.read_to_end() == b"rest"

    with Deterministic(seed=5) as world:
        world.run(main)


def test_datagrams_get_lost() -> None:
    async def main(io: Io) -> int:
        a, b = io.net.bind_udp("127.0.0.1:0"), io.net.bind_udp("127.0.0.1:0")
        for number in range(100):
            await a.send_to(b"%d" % number, b.local_address)
        await io.sleep(1)
        count = 0
        while b.try_recv_from() is not None:
            count += 1
        a.close()
        b.close()
        return count

    with Deterministic() as world:
        assert world.run(main) == 100
        world.set_faults(Faults(datagram_loss=0.5))
        assert 20 < world.run(main) < 80
        world.set_faults(Faults(datagram_loss=1))
        assert world.run(main) == 0


def test_names_are_the_worlds() -> None:
    async def main(io: Io) -> None:
        addresses = await io.net.resolve("db", 5432)
        assert [str(address) for address in addresses] == ["10.0.0.2:5432"]
        with pytest.raises(socket.gaierror):
            await io.net.connect("unknown", 80)
        with pytest.raises(ConnectionRefusedError):
            await io.net.connect("db", 5432)

    with Deterministic() as world:
        world.host("10.0.0.2")
        world.add_name("db", ["10.0.0.2"])
        world.run(main)


# ---- files, signals, processes -------------------------------------------------------------------


def test_files_are_in_memory_and_each_hosts_own() -> None:
    with Deterministic() as world:
        a, b = two_hosts(world)

        async def main(io: Io) -> None:
            await a.fs.mkdir_all("/var/log")
            await a.fs.write_text("/var/log/x", "one\n")
            await a.fs.append("/var/log/x", b"two\n")
            assert await a.fs.read_text("//var/../var/log//x") == "one\ntwo\n"
            await a.fs.rename("/var/log/x", "/var/log/y")
            assert [entry.name for entry in await a.fs.read_dir("/var/log")] == ["y"]
            assert not await b.fs.exists("/var/log")
            calls: list[tuple[type[OSError], Callable[[], Any]]] = [
                (FileNotFoundError, lambda: a.fs.read_file("/none")),
                (FileNotFoundError, lambda: a.fs.write_file("/no/folder", b"")),
                (IsADirectoryError, lambda: a.fs.read_file("/var")),
                (FileExistsError, lambda: a.fs.mkdir("/var")),
                (NotADirectoryError, lambda: a.fs.mkdir("/var/log/y/z")),
                (OSError, lambda: a.fs.remove_dir("/var")),
            ]
            for error, call in calls:
                with pytest.raises(error):
                    await call()
            await a.fs.remove("/var/log/y")
            await a.fs.remove_dir("/var/log")
            assert [entry async for entry in a.fs.read_dir("/var")] == []
            assert [entry.path async for entry in a.fs.read_dir("/") if entry.is_directory] == [
                "/var"
            ]
            with pytest.raises(FileNotFoundError):
                await a.fs.read_dir("/none")

        world.run(main)


def test_signals_are_the_worlds() -> None:
    with Deterministic() as world:

        async def main(io: Io) -> None:
            with io.signal.stream(signal.SIGHUP, signal.SIGTERM) as arrivals:
                world.raise_signal(signal.SIGTERM)
                world.raise_signal(signal.SIGTERM)
                world.raise_signal(signal.SIGHUP)
                world.raise_signal(signal.SIGUSR1)
                assert [await arrivals.next(), await arrivals.next()] == [
                    signal.SIGHUP,
                    signal.SIGTERM,
                ]
                assert arrivals.try_next() is None
            stopping = io.async_(io.signal.ctrl_c)
            await io.sleep(1)
            world.raise_signal(signal.SIGINT)
            await stopping
            with pytest.raises(OSError, match="not implemented"):
                io.process.spawn("true")

        world.run(main)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Deterministic(seed="1"),  # type: ignore[arg-type]
        lambda: Deterministic(step=-1),
        lambda: Deterministic(concurrent_limit=-1),
        lambda: Faults(latency_min=2, latency_max=1),
        lambda: Faults(datagram_loss=2),
    ],
)
def test_wrong_arguments_are_told(wrong: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        wrong()


@pytest.mark.parametrize("is_function", [True, False], ids=["function", "coroutine"])
def test_a_closed_world_runs_nothing(is_function: bool) -> None:
    """It made a coroutine first, which nobody awaited, and that was warned of."""
    world = Deterministic()
    world.close()
    with pytest.raises(RuntimeError, match="the world is closed"):
        if is_function:
            world.run(busy)
        else:
            world.io().run(busy(world.io()))
    gc.collect()
