"""Writes of one turn leave together. What a program does in the same turn finds what it would find
on asyncio's loop, which sends in `write()`; where it does not, docs/reference/compatibility.md says
so."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    PATIENCE,
    Recorder,
    raw_pair,
    read_all,
    socket_pair,
    soon,
    transport_and_peer,
    turns,
)
from tests.python.loop.tls_support import tls_and_peer
from tests.python.process.support import in_child

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

KINDS = ("stream", "pipe")


def take(fd: int) -> bytes:
    """What has arrived by now."""
    with contextlib.suppress(BlockingIOError):
        return os.read(fd, 1 << 16)
    return b""


@contextlib.asynccontextmanager
async def writing(kind: str) -> AsyncIterator[tuple[Any, int]]:
    """A transport that writes, and the bare other end's descriptor, which does not block."""
    if kind == "stream":
        async with transport_and_peer() as (transport, _, peer):
            yield transport, peer.fileno()
        return
    loop = asyncio.get_running_loop()
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    with open(read_fd, "rb", 0) as reader, open(write_fd, "wb", 0) as writer:
        pipe, protocol = await loop.connect_write_pipe(Recorder, writer)
        try:
            yield pipe, reader.fileno()
        finally:
            pipe.close()
            await soon(protocol.lost)


@pytest.mark.parametrize("size", [4_095, 4_096, 4_097, 20_000])
def test_pieces_arrive_in_order_whether_they_are_copied_together_or_not(
    loop: asyncio.AbstractEventLoop, size: int
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, _, peer):
            pieces = [b"a", b"b" * 7, b"", b"c" * 1_000]
            pieces.append(b"d" * (size - sum(map(len, pieces))))
            for piece in pieces:
                transport.write(piece)
            received = b""
            while len(received) < size:
                received += await loop.sock_recv(peer, size)
            assert received == b"".join(pieces)

    loop.run_until_complete(main())


# ---- the end of a connection ---------------------------------------------------------------------

ENDS: dict[str, Callable[[Any], object]] = {
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "eof": lambda transport: transport.write_eof(),
    "eof, close": lambda transport: (transport.write_eof(), transport.close()),
    "eof, abort": lambda transport: (transport.write_eof(), transport.abort()),
}


@pytest.mark.no_faults("what the kernel did not take goes with the end", "short", "again")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_leaves_before_the_end(
    kind: str, end: str, same_as_asyncio: Compare
) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> bytes:
        async def main() -> bytes:
            async with writing(kind) as (transport, fd):
                transport.write(b"head ")
                transport.write(bytearray(b"body"))
                ENDS[end](transport)
                received = b""
                readable = asyncio.Event()
                loop.add_reader(fd, readable.set)
                while True:
                    await soon(readable.wait())
                    readable.clear()
                    try:
                        block = os.read(fd, 1 << 16)
                    except BlockingIOError:
                        continue
                    if not block:
                        break
                    received += block
                loop.remove_reader(fd)
                return received

        return loop.run_until_complete(main())

    assert same_as_asyncio(scenario) == ("returned", b"head body")


@pytest.mark.no_faults("what the kernel did not take goes with the end", "short", "again")
@pytest.mark.parametrize("end", ["close", "abort"])
def test_what_was_written_leaves_before_the_end_of_tls(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, end: str
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, _, peer):
            transport.write(b"head ")
            transport.write(b"body")
            ENDS[end](transport)
            assert await peer.read(9) == b"head body"

    loop.run_until_complete(main())


@pytest.mark.no_faults("what the kernel did not take goes with the end", "short", "again")
@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_what_a_protocol_wrote_leaves_before_its_failure_ends_the_connection(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]], kind: str, tmp_path: Path
) -> None:
    class Failing(Recorder):
        def data_received(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(b"bad request")
            raise ValueError("bad request")

    async def main() -> None:
        if kind == "tcp":
            async with transport_and_peer(Failing) as (_, protocol, bare):
                bare.send(b"?")
                assert await read_all(bare) == b"bad request"
                await soon(asyncio.shield(protocol.lost))
        else:
            async with tls_and_peer(tmp_path, Failing) as (_, protocol, peer):
                await peer.send(b"?")
                assert await peer.read(11) == b"bad request"
                await soon(asyncio.shield(protocol.lost))

    loop.run_until_complete(main())
    assert [str(report["exception"]) for report in reports] == ["bad request"]


@contextlib.contextmanager
def writing_between_runs(loop: asyncio.AbstractEventLoop, kind: str) -> Iterator[tuple[Any, int]]:
    """As writing(), for a loop that stands still."""
    context = writing(kind)
    yield loop.run_until_complete(context.__aenter__())
    loop.run_until_complete(context.__aexit__(None, None, None))


@pytest.mark.no_faults("what the kernel did not take goes with the end", "short", "again")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_was_written_leaves_before_an_exception_ends_the_run(
    loop: asyncio.AbstractEventLoop, kind: str, error: type[BaseException]
) -> None:
    with writing_between_runs(loop, kind) as (transport, fd):

        def write_and_end() -> None:
            transport.write(b"last words")
            raise error

        loop.call_soon(write_and_end)
        with pytest.raises(error):
            loop.run_forever()
        assert take(fd) == b"last words"


# ---- turns ---------------------------------------------------------------------------------------


@pytest.mark.no_faults("counts turns")
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_a_turn_ago_has_left(loop: asyncio.AbstractEventLoop, kind: str) -> None:
    """So `await asyncio.sleep(0)` is enough before os._exit(), os.exec…() and what blocks."""

    async def main() -> None:
        async with writing(kind) as (transport, fd):
            transport.write(b"head ")
            transport.write(b"body")
            await asyncio.sleep(0)
            assert take(fd) == b"head body"

    loop.run_until_complete(main())


@pytest.mark.no_faults("counts turns")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_outside_of_a_run_leaves_at_once(
    loop: asyncio.AbstractEventLoop, kind: str
) -> None:
    with writing_between_runs(loop, kind) as (transport, fd):
        transport.write(b"between two runs")
        assert take(fd) == b"between two runs"


@pytest.mark.no_faults("takes each message for one piece", "short", "again")
@pytest.mark.parametrize("kind", KINDS)
def test_much_leaves_at_once(loop: asyncio.AbstractEventLoop, kind: str) -> None:
    async def main() -> None:
        async with writing(kind) as (transport, fd):
            transport.write(b"small ")
            assert transport.get_write_buffer_size() in (0, 6)
            transport.write(bytes(20_000))
            assert take(fd) == b"small " + bytes(20_000)

    loop.run_until_complete(main())


# ---- several transports --------------------------------------------------------------------------


@pytest.mark.no_faults("takes each message for one piece", "short", "again")
def test_much_of_many_leaves_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """Together they hold back no more than 256 KiB."""

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            pairs = [await stack.enter_async_context(writing("stream")) for _ in range(40)]
            for number, (transport, _) in enumerate(pairs):
                transport.write(b"%d:" % number)
                transport.write(b"x" * 8_000)
            arrived = [take(fd) for _, fd in pairs]
            left = [number for number, data in enumerate(arrived) if data]
            assert left == list(range(len(left)))
            assert 32 <= len(left) < len(pairs)
            await turns(1)
            for number, (_, fd) in enumerate(pairs):
                whole = arrived[number] + take(fd)
                assert whole == b"%d:" % number + b"x" * 8_000

    loop.run_until_complete(main())


@pytest.mark.no_faults("takes each message for one piece", "short", "again")
def test_what_has_left_or_waits_for_room_is_not_gathered(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with writing("stream") as (large, _), writing("stream") as (small, fd):
            large.write(bytes(10_000))
            large.write(bytes(2_000_000))  # The kernel takes a part.
            small.write(b"head ")
            small.write(b"body")
            assert take(fd) == b""
            await turns(1)
            assert take(fd) == b"head body"
            large.abort()

    loop.run_until_complete(main())


def test_each_transport_sends_its_own_in_order(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (a, _, at_a), transport_and_peer() as (b, _, at_b):
            for number in range(50):
                a.write(b"a%d " % number)
                b.write(b"b%d " % number)
                if number % 10 == 9:
                    await turns(1)
            a.close()
            b.close()
            received = await read_all(at_a), await read_all(at_b)
            assert received[0] == b"".join(b"a%d " % number for number in range(50))
            assert received[1] == b"".join(b"b%d " % number for number in range(50))

    loop.run_until_complete(main())


SIZES = (10, 10, 20_000, 5, 9000, 9000)


@pytest.mark.no_faults("reads while the loop stands")
@pytest.mark.parametrize("sizes", [SIZES[:2], SIZES])
def test_two_pipes_to_one_file_keep_the_order_of_the_writes(
    same_as_asyncio: Compare, sizes: tuple[int, ...]
) -> None:
    """As stdout and stderr, which often lead to one file."""

    def scenario(loop: asyncio.AbstractEventLoop) -> bytes:
        async def main() -> bytes:
            read_fd, write_fd = os.pipe()
            fcntl.fcntl(read_fd, 1031, 1 << 20)  # F_SETPIPE_SZ: room for all.
            with open(read_fd, "rb", 0) as reader:
                pipes: list[Any] = [
                    await loop.connect_write_pipe(Recorder, open(fd, "wb", 0))
                    for fd in (os.dup(write_fd), write_fd)
                ]
                letters = iter("abcdefghijklmnopqrstuvwxyz")
                for number, size in enumerate(sizes * 3):
                    pipes[number % 2][0].write(next(letters).encode() * size)
                for transport, protocol in pipes:
                    transport.close()
                    await soon(protocol.lost)
                received = b""
                while block := reader.read(1 << 20):
                    received += block
                return received

        return loop.run_until_complete(main())

    kind, received = same_as_asyncio(scenario)
    assert kind == "returned"
    assert len(received) == sum(sizes) * 3


# ---- processes -----------------------------------------------------------------------------------


@pytest.mark.no_faults("what the kernel did not take leaves after the fork", "short", "again")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_leaves_before_a_fork_and_once(
    loop: asyncio.AbstractEventLoop, kind: str, native: None
) -> None:
    async def main() -> None:
        async with writing(kind) as (transport, fd):
            transport.write(b"head ")
            transport.write(b"body")
            # Both processes read from the same end: whoever comes first has it.
            assert in_child(lambda: take(fd)) == str(b"head body")
            await turns()
            assert take(fd) == b""
            transport.write(b"more")
            await turns()
            assert take(fd) == b"more"

    loop.run_until_complete(main())


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_what_the_kernel_did_not_take_before_a_fork_is_sent_once(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            data = bytes(range(256)) * (1 << 15)
            transport.write(data)
            assert transport.get_write_buffer_size() > 0
            transport.write(b"behind")
            assert in_child(lambda: "child") == "child"
            assert await read_all(peer, len(data) + 6) == data + b"behind"
            transport.close()
            await soon(asyncio.shield(protocol.lost))
            assert await read_all(peer) == b""

    loop.run_until_complete(main())


ENDING = """
import asyncio, os, socket, sys
import blitzio

ours = socket.socket(fileno=int(sys.argv[2]))
factory = asyncio.SelectorEventLoop
if sys.argv[1] != "asyncio":
    factory = lambda: blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))

async def main():
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    transport.write(b"head ")
    transport.write(b"body")
    {end}

loop = factory()
loop.run_until_complete(main())
"""

PROGRAM_ENDS = {
    "_exit": "await asyncio.sleep(0); os._exit(0)",
    "exec": "await asyncio.sleep(0); os.execv(sys.executable, [sys.executable, '-c', ''])",
    "daemon": "os._exit(0) if os.fork() else os._exit(0)",
    "exit": "sys.exit(0)",
    "killed": "await asyncio.sleep(0); os.kill(os.getpid(), 9)",
}


@pytest.mark.no_faults("what a short send leaves is lost at the end, as with asyncio")
@pytest.mark.parametrize("end", PROGRAM_ENDS)
def test_what_was_written_before_a_program_ends_arrives(backend: str, end: str) -> None:
    with socket_pair() as (ours, peer):
        peer.setblocking(True)
        peer.settimeout(PATIENCE)
        ours.set_inheritable(True)
        with subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore", "-c", ENDING.format(end=PROGRAM_ENDS[end])),
                *(backend, str(ours.fileno())),
            ],
            pass_fds=(ours.fileno(),),
        ) as process:
            ours.close()
            received = b""
            while block := peer.recv(100):
                received += block
        assert received == b"head body"
        assert process.returncode == (-signal.SIGKILL if end == "killed" else 0)


# ---- what differs --------------------------------------------------------------------------------


@pytest.mark.no_faults("counts turns")
def test_what_blocks_in_the_turn_of_a_write_comes_before_it(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    """Not so with asyncio."""

    async def main() -> None:
        ours, peer = raw_pair()
        with peer:
            transport, protocol = await loop.create_connection(Recorder, sock=ours)
            transport.write(b"gathered")
            assert take(peer.fileno()) == b""
            transport.get_write_buffer_size()  # One of the things that send at once.
            assert take(peer.fileno()) == b"gathered"
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())
