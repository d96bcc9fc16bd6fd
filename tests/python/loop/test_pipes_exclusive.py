"""A pipe that nobody else reads, as a child's output: after many small messages the driver may read
ahead, and its protocol must not notice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import select
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import _native
from tests.python.loop.pipe_support import PipeRecorder, pass_blocks, pipe_ends, put
from tests.python.loop.support import soon, turns
from tests.python.process.support import child_ends_with_the_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

#: After so many small messages in a row the driver reads.
MANY = 20

READS_AHEAD = "multishot_read" in _native.detect()[0][3]


class Messages(PipeRecorder):
    """Keeps what came apart, and does what the test says with each."""

    def __init__(self, then: Callable[[Messages], None] = lambda self: None) -> None:
        super().__init__()
        self.messages: list[bytes] = []
        self.then = then

    def data_received(self, data: bytes) -> None:
        self.messages.append(data)
        super().data_received(data)
        self.then(self)


@contextlib.asynccontextmanager
async def reading(
    loop: Any, folder: Path, kind: str = "pipe"
) -> AsyncIterator[tuple[Any, Any, Messages]]:
    """The writing end of a pipe, the transport of the reading one, and its protocol."""
    with pipe_ends(kind, folder) as ends:
        protocol = Messages()
        made = loop.create_future()
        transport = loop._make_read_pipe_transport(ends.reader, protocol, made)
        transport._set_exclusive()
        await made
        yield ends.writer, transport, protocol
        transport.close()
        await soon(protocol.lost)


@pytest.fixture(autouse=True)
def native_only(native: None) -> None:
    """Only our loops know what is exclusive."""


async def pass_small(writer: Any, protocol: Messages, count: int = MANY) -> None:
    for i in range(count):
        put(writer, b"%d\n" % i)
        await protocol.received(len(protocol.data) + 1)


def test_messages_of_every_size_arrive_in_order(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading(loop, tmp_path) as (writer, _transport, protocol):
            sizes = [5] * MANY + [60_000] + [7] * MANY + [4096, *[4095] * MANY, 4097, 1]
            await pass_blocks(writer, protocol, sizes)
            writer.close()
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


@pytest.mark.no_faults("what a short read leaves of a message is lost", "short")
def test_packets_stay_apart_and_whole(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with reading(loop, tmp_path, "packets") as (writer, _transport, protocol):
            await pass_small(writer, protocol)
            protocol.messages.clear()
            packets = [os.urandom(size) for size in (1, 30, select.PIPE_BUF, 2, select.PIPE_BUF)]
            for packet in packets:
                put(writer, packet)
            await protocol.until(lambda _: len(protocol.messages) == len(packets))
            assert protocol.messages == packets

    loop.run_until_complete(main())


def test_nothing_is_delivered_while_paused_and_everything_afterwards(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading(loop, tmp_path) as (writer, transport, protocol):
            await pass_small(writer, protocol)
            for round_ in range(5):
                seen = len(protocol.data)
                put(writer, b"before ")
                transport.pause_reading()
                put(writer, b"meanwhile ")
                await turns(round_)
                put(writer, b"later ")
                await turns()
                assert len(protocol.data) == seen
                assert not transport.is_reading()
                transport.resume_reading()
                await protocol.received(seen + 23)
                assert protocol.data[seen:] == b"before meanwhile later "

    loop.run_until_complete(main())


def test_pausing_and_resuming_at_random_loses_nothing(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    chance = random.Random(7)

    def perhaps_pause(protocol: Messages) -> None:
        outcome = chance.random()
        if outcome < 0.4:
            protocol.transport.pause_reading()
            if outcome < 0.1:
                protocol.transport.resume_reading()
            else:
                loop.call_later(outcome / 1000, protocol.transport.resume_reading)

    async def main() -> None:
        async with reading(loop, tmp_path) as (writer, _transport, protocol):
            await pass_small(writer, protocol)
            total = bytes(protocol.data)
            protocol.then = perhaps_pause
            for _ in range(400):
                block = os.urandom(chance.choice((1, 10, 100, 1000, 5000)))
                put(writer, block)
                total += block
                if len(total) - len(protocol.data) > 20_000 or chance.random() < 0.3:
                    await protocol.received(len(total))
                elif chance.random() < 0.5:
                    await asyncio.sleep(0)
            protocol.then = lambda self: None
            assert await protocol.received(len(total)) == total

    loop.run_until_complete(main())


# ---- what the driver has read already ----
#
# Packets that are there together come in one turn, one after the other, so what the protocol does
# with the first of them finds the others read.

PACKETS = [b"packet %d, " % i for i in range(6)]


async def pass_packets(writer: Any, protocol: Messages, then: Callable[[Messages], None]) -> None:
    """Small messages until the driver reads, then the packets; `then` is what each leads to."""
    await pass_small(writer, protocol)
    protocol.messages.clear()
    protocol.then = then
    for packet in PACKETS:
        put(writer, packet)


def once(action: Callable[[Messages], None]) -> Callable[[Messages], None]:
    """What `action` does with the first message alone."""

    def then(protocol: Messages) -> None:
        protocol.then = lambda _: None
        action(protocol)

    return then


def pause(protocol: Messages) -> None:
    protocol.transport.pause_reading()


async def pause_at_the_first(writer: Any, protocol: Messages) -> None:
    """The packets, of which the first one pauses: the others are read and not delivered."""
    await pass_packets(writer, protocol, once(pause))
    await protocol.until(lambda _: bool(protocol.messages))
    await turns(5)
    assert protocol.messages == PACKETS[:1]


no_cuts = pytest.mark.no_faults("a packet that is cut is none", "short", "late")


@no_cuts
def test_a_pause_holds_what_was_read_and_resuming_delivers_it(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading(loop, tmp_path, "packets") as (writer, transport, protocol):
            await pause_at_the_first(writer, protocol)
            put(writer, b"later")
            # A pause in what was held holds the rest of it.
            protocol.then = once(pause)
            transport.resume_reading()
            await protocol.until(lambda _: len(protocol.messages) > 1)
            await turns(5)
            assert protocol.messages == PACKETS[:2]
            transport.resume_reading()
            await protocol.until(lambda _: len(protocol.messages) == len(PACKETS) + 1)
            assert protocol.messages == [*PACKETS, b"later"]
            # And it reads on.
            put(writer, b"last")
            await protocol.until(lambda self: self.data.endswith(b"last"))

    loop.run_until_complete(main())


@no_cuts
def test_what_comes_while_something_is_held_waits_for_it(backend: str, tmp_path: Path) -> None:
    if backend != "io_uring":
        pytest.skip("others read when they are asked")
    # A kernel that reads as soon as something is there, and another pipe's protocol that resumes
    # this one in the turn in which it was paused.
    loop = blitzio.new_event_loop(blitzio.Config(backend="io_uring", defer_taskrun=False))

    async def main() -> None:
        async with (
            reading(loop, tmp_path, "packets") as (writer, transport, protocol),
            reading(loop, tmp_path, "packets") as (other_writer, _, other),
        ):
            await pass_small(writer, protocol)
            await pass_small(other_writer, other)
            protocol.messages.clear()

            def resume(_: Messages) -> None:
                transport.resume_reading()
                for packet in PACKETS[2:]:
                    put(writer, packet)

            protocol.then = once(pause)
            other.then = once(resume)
            put(writer, PACKETS[0])
            put(writer, PACKETS[1])
            put(other_writer, b"now")
            await protocol.until(lambda _: len(protocol.messages) == len(PACKETS))
            assert protocol.messages == PACKETS

    with contextlib.closing(loop):
        loop.run_until_complete(main())


@no_cuts
def test_the_end_is_told_after_what_was_held(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading(loop, tmp_path, "packets") as (writer, transport, protocol):
            await pass_packets(writer, protocol, once(pause))
            writer.close()  # Before anything is read: the end comes with the packets.
            await protocol.until(lambda _: bool(protocol.messages))
            await turns(5)
            assert protocol.messages == PACKETS[:1]
            assert protocol.events == ["made", "data"]
            transport.resume_reading()
            assert await soon(protocol.lost) is None
            assert protocol.messages == PACKETS
            assert protocol.events == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


@no_cuts
def test_closing_in_data_received_drops_what_was_read(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with reading(loop, tmp_path, "packets") as (writer, _transport, protocol):
            await pass_packets(writer, protocol, once(lambda self: self.transport.close()))
            assert await soon(protocol.lost) is None
            await turns()
            assert protocol.messages == PACKETS[:1]

    loop.run_until_complete(main())


@no_cuts
def test_of_a_pipe_that_others_may_read_a_pause_takes_nothing(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        with pipe_ends("packets", tmp_path) as ends:
            transport, protocol = await loop.connect_read_pipe(Messages, ends.reader)
            await pause_at_the_first(ends.writer, protocol)
            left = [os.read(ends.reader.fileno(), 100) for _ in PACKETS[1:]]
            assert left == PACKETS[1:]
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


@pytest.mark.parametrize("is_paused", [False, True])
def test_closing_ends_delivery(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, *, is_paused: bool
) -> None:
    async def main() -> None:
        async with reading(loop, tmp_path) as (writer, transport, protocol):
            await pass_small(writer, protocol)
            seen = len(protocol.data)
            put(writer, b"unheard")
            if is_paused:
                transport.pause_reading()
                await turns()
            transport.close()
            assert await soon(protocol.lost) is None
            await turns()
            assert len(protocol.data) == seen
            with pytest.raises(BrokenPipeError):
                os.write(writer.fileno(), b"nobody")

    loop.run_until_complete(main())


def test_a_failing_protocol_keeps_its_pipe(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: reported.append(context))

    def fail(_: Messages) -> None:
        raise ValueError("no")

    async def main() -> None:
        async with reading(loop, tmp_path) as (writer, _transport, protocol):
            await pass_small(writer, protocol)
            protocol.then = fail
            put(writer, b"first")
            await protocol.until(lambda _: bool(reported))
            protocol.then = lambda self: None
            put(writer, b"second")
            await protocol.until(lambda self: self.data.endswith(b"second"))

    loop.run_until_complete(main())
    assert str(reported[0]["exception"]) == "no"


@no_cuts
@pytest.mark.parametrize("is_held", [False, True])
def test_a_protocol_that_forks_leaves_the_rest_to_the_parent(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, *, is_held: bool
) -> None:
    parent = os.getpid()
    statuses: list[int] = []

    def fork(_: Messages) -> None:
        if os.getpid() != parent:
            os._exit(3)  # Heard of another message.
        if statuses:
            return
        child = os.fork()
        if child != 0:
            statuses.append(os.waitpid(child, 0)[1])

    async def main() -> None:
        async with reading(loop, tmp_path, "packets") as (writer, transport, protocol):
            await pass_packets(writer, protocol, pause if is_held else fork)
            if is_held:
                await protocol.until(lambda _: bool(protocol.messages))
                protocol.then = fork
                transport.resume_reading()
            await protocol.until(lambda _: len(protocol.messages) == len(PACKETS))
            assert protocol.messages == PACKETS

    with child_ends_with_the_run():
        loop.run_until_complete(main())
    assert statuses == [0]


def test_a_loop_that_is_closed_meanwhile_leaves_nothing_behind(
    new_loop: Any, tmp_path: Path
) -> None:
    loop = new_loop()
    with pipe_ends("pipe", tmp_path) as ends:

        async def main() -> tuple[Any, Messages]:
            protocol = Messages()
            transport = loop._make_read_pipe_transport(ends.reader, protocol)
            transport._set_exclusive()
            await pass_small(ends.writer, protocol)
            return transport, protocol

        transport, protocol = loop.run_until_complete(main())
        put(ends.writer, b"after the run")
        seen = len(protocol.data)
        loop.close()
        assert len(protocol.data) == seen
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            del transport
            protocol.transport = None


def test_a_driver_that_cannot_read_ahead_is_done_without(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, faults: Callable[[str], dict[str, int]]
) -> None:
    async def main() -> None:
        async with reading(loop, tmp_path) as (writer, _transport, protocol):
            await pass_small(writer, protocol, 3)
            faults("memory=1,seed=1")
            await pass_small(writer, protocol)
            await pass_small(writer, protocol)
            if READS_AHEAD and loop.backend == "io_uring":  # type: ignore[attr-defined]
                assert faults("")["memory"] == 1

    loop.run_until_complete(main())


def test_a_loop_may_make_pipe_transports_its_own_way(new_loop: Any) -> None:
    made: list[Any] = []

    async def main() -> bytes:
        process = await asyncio.create_subprocess_exec("echo", "heard", stdout=PIPE)
        return (await soon(process.communicate()))[0]

    loop = new_loop()
    original = loop._make_read_pipe_transport

    def make(pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> Any:
        made.append(original(pipe, protocol, waiter, extra))
        return made[-1]

    loop._make_read_pipe_transport = make
    assert loop.run_until_complete(main()) == b"heard\n"
    assert len(made) == 1
    loop.close()


def test_a_childs_lines_come_back_one_by_one_and_in_bulk(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            "cat", stdin=PIPE, stdout=PIPE, limit=1 << 20
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for size in [10] * MANY + [200_000] + [10] * MANY:
            line = b"x" * size + b"\n"
            process.stdin.write(line)
            assert await soon(process.stdout.readline()) == line
        process.stdin.close()
        assert await soon(process.stdout.read()) == b""
        assert await soon(process.wait()) == 0

    loop.run_until_complete(main())
