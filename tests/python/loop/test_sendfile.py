"""sock_sendfile and sendfile: by system call and by reading and sending."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import struct
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    Recorder,
    client_context,
    raw_pair,
    read_all,
    reset,
    server_context,
    soon,
    transport_and_peer,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

# More than the kernel takes for a peer that does not read.
SIZE = 8_000_003
DATA = bytes(range(251)) * (SIZE // 251 + 1)
DATA = DATA[:SIZE]

Unavailable = asyncio.SendfileNotAvailableError


@pytest.fixture(scope="module")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sendfile") / "data"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def file(data_path: Path) -> Iterator[IO[bytes]]:
    with open(data_path, "rb") as file:
        yield file


class Memory(io.BytesIO):
    """A file that is none, so that it must be read."""


@contextlib.contextmanager
def stream_pair(family: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = socket.socketpair() if family == "unix" else raw_pair()
    with ours, peer:
        ours.setblocking(False)
        peer.setblocking(False)
        yield ours, peer


# ---- sock_sendfile ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["tcp", "unix"])
@pytest.mark.parametrize("fallback", [False, True])
def test_a_whole_file_goes_through_a_socket(
    loop: asyncio.AbstractEventLoop, file: IO[bytes], family: str, fallback: bool
) -> None:
    async def main() -> None:
        with stream_pair(family) as (ours, peer):
            reading = asyncio.ensure_future(read_all(peer, SIZE))
            assert await soon(loop.sock_sendfile(ours, file, fallback=fallback)) == SIZE
            assert file.tell() == SIZE
            assert await reading == DATA

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("offset", "count", "expected"),
    [
        (0, None, SIZE),
        (1, None, SIZE - 1),
        (1000, 5000, 5000),
        (SIZE - 10, 100, 10),
        (SIZE, None, 0),
        (SIZE + 10, None, 0),
        (0, SIZE, SIZE),
        (0, 256 * 1024, 256 * 1024),
        (7, 1, 1),
    ],
)
@pytest.mark.parametrize("way", ["syscall", "reading"])
def test_offset_and_count_choose_what_is_sent(
    loop: asyncio.AbstractEventLoop,
    file: IO[bytes],
    offset: int,
    count: int | None,
    expected: int,
    way: str,
) -> None:
    async def main() -> None:
        source: IO[bytes] = file if way == "syscall" else Memory(DATA)
        with stream_pair("tcp") as (ours, peer):
            reading = asyncio.ensure_future(read_all(peer, expected))
            assert await soon(loop.sock_sendfile(ours, source, offset, count)) == expected
            assert await reading == DATA[offset : offset + expected]
            if expected:
                assert source.tell() == offset + expected

    loop.run_until_complete(main())


def test_an_empty_file_sends_nothing(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")

    async def main() -> None:
        with stream_pair("tcp") as (ours, _), open(tmp_path / "empty", "rb") as empty:
            assert await loop.sock_sendfile(ours, empty) == 0
            assert empty.tell() == 0

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["memory", "pipe"])
def test_what_is_no_regular_file_is_read(
    loop: asyncio.AbstractEventLoop, native: None, kind: str
) -> None:
    async def main() -> None:
        source: IO[bytes] = Memory(b"some data")
        if kind == "pipe":
            read_fd, write_fd = os.pipe()
            os.write(write_fd, b"some data")
            os.close(write_fd)
            source = open(read_fd, "rb", 0)
        with stream_pair("tcp") as (ours, peer), source:
            with pytest.raises(Unavailable, match="^not a regular file$"):
                await loop.sock_sendfile(ours, source, fallback=False)
            if kind == "pipe":
                # A pipe has no position to set in the end, which is the caller's to know.
                with pytest.raises(OSError, match="Illegal seek"):
                    await soon(loop.sock_sendfile(ours, source))
            else:
                assert await soon(loop.sock_sendfile(ours, source)) == 9
            assert await read_all(peer, 9) == b"some data"

    loop.run_until_complete(main())


def test_a_socket_that_is_not_connected_fails_as_asyncios(
    loop: asyncio.AbstractEventLoop, file: IO[bytes]
) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            sock.setblocking(False)
            with pytest.raises(Unavailable, match=r"^os\.sendfile call failed$"):
                await loop.sock_sendfile(sock, file, fallback=False)
            with pytest.raises(OSError):
                await loop.sock_sendfile(sock, file)
            assert file.tell() in (0, 256 * 1024)

    loop.run_until_complete(main())


def test_cancelling_keeps_the_position_of_what_was_sent(
    loop: asyncio.AbstractEventLoop, native: None, file: IO[bytes]
) -> None:
    async def main() -> None:
        with stream_pair("tcp") as (ours, peer):
            task = asyncio.ensure_future(loop.sock_sendfile(ours, file))
            await until_stuck(lambda: unread(peer))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            position = file.tell()
            assert 0 < position < SIZE
            ours.shutdown(socket.SHUT_WR)
            assert await read_all(peer) == DATA[:position]

    loop.run_until_complete(main())


def unread(sock: socket.socket) -> int:
    import fcntl
    import termios

    return int(struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0])


async def until_stuck(progress: Callable[[], object]) -> None:
    """Lets the loop turn until nothing changes any more."""
    steady = 0
    last: object = None
    while steady < 50:
        await asyncio.sleep(0.001)
        now = progress()
        steady = steady + 1 if now == last and now else 0
        last = now


def test_a_peer_that_resets_half_way_ends_it_with_its_error(
    loop: asyncio.AbstractEventLoop, file: IO[bytes]
) -> None:
    async def main() -> None:
        with stream_pair("tcp") as (ours, peer):
            task = asyncio.ensure_future(loop.sock_sendfile(ours, file))
            await soon(loop.sock_recv(peer, 1000))
            reset(peer)
            with pytest.raises(ConnectionError):
                await soon(task)
            assert 0 < file.tell() < SIZE

    loop.run_until_complete(main())


def test_others_run_while_a_file_goes_out(loop: asyncio.AbstractEventLoop, file: IO[bytes]) -> None:
    # A reader that keeps up would let one call send everything.
    async def main() -> None:
        with stream_pair("unix") as (ours, peer):
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0)

            ticking = asyncio.ensure_future(tick())
            reading = asyncio.ensure_future(read_all(peer, SIZE))
            await soon(loop.sock_sendfile(ours, file))
            assert await reading == DATA
            ticking.cancel()
            assert ticks > 10

    loop.run_until_complete(main())


def sending(*args: Any, **kwargs: Any) -> Scenario:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        with stream_pair("tcp") as (ours, _), Memory(b"x") as memory:
            return loop.run_until_complete(loop.sock_sendfile(ours, memory, *args, **kwargs))

    return scenario


@pytest.mark.parametrize(
    "scenario",
    [
        sending(-1),
        sending("1"),
        sending(1.0),
        sending(0, 0),
        sending(0, -1),
        sending(0, "1"),
        sending(0, 1.5),
    ],
)
def test_wrong_arguments_fail_as_asyncios(same_as_asyncio: Compare, scenario: Scenario) -> None:
    kind, *_ = same_as_asyncio(scenario)
    assert kind == "raised"


def test_wrong_files_and_sockets_fail_as_asyncios(
    loop: asyncio.AbstractEventLoop, data_path: Path, file: IO[bytes], tmp_path: Path
) -> None:
    async def main() -> None:
        with stream_pair("tcp") as (ours, _):
            text: Any
            with open(data_path, encoding="latin-1") as text:
                with pytest.raises(ValueError, match="^file should be opened in binary mode$"):
                    await loop.sock_sendfile(ours, text)
            with socket.socket(type=socket.SOCK_DGRAM) as datagram:
                datagram.setblocking(False)
                with pytest.raises(
                    ValueError, match="^only SOCK_STREAM type sockets are supported$"
                ):
                    await loop.sock_sendfile(datagram, file)
            loop.set_debug(True)
            ours.settimeout(1)
            with pytest.raises(ValueError, match="^the socket must be non-blocking$"):
                await loop.sock_sendfile(ours, file)

    loop.run_until_complete(main())


def test_a_socket_that_may_block_does_not_block_the_loop(
    loop: asyncio.AbstractEventLoop, native: None, file: IO[bytes]
) -> None:
    async def main() -> None:
        with stream_pair("tcp") as (ours, peer):
            ours.setblocking(True)
            with pytest.raises(Unavailable):
                await loop.sock_sendfile(ours, file, fallback=False)
            reading = asyncio.ensure_future(read_all(peer, SIZE))
            assert await soon(loop.sock_sendfile(ours, file)) == SIZE
            assert await reading == DATA

    loop.run_until_complete(main())


# ---- sendfile through a transport ------------------------------------------------------------


@contextlib.asynccontextmanager
async def tls_transport(tmp_path: Path) -> AsyncIterator[tuple[Any, Recorder, Recorder]]:
    """A client's transport over TLS, its protocol, and the server's protocol."""
    loop = asyncio.get_running_loop()
    served = Recorder()
    server = await loop.create_server(lambda: served, HOST, 0, ssl=server_context(tmp_path))
    transport, protocol = await loop.create_connection(
        Recorder,
        *server.sockets[0].getsockname(),
        ssl=client_context(),
        server_hostname="localhost",
    )
    await soon(served.made)
    yield transport, protocol, served
    assert served.transport is not None
    for each in (transport, served.transport):
        each.abort()  # Of both: SSLProtocol of 3.10 leaves open what the peer ends.
    await soon(asyncio.wait([protocol.lost, served.lost]))
    server.close()
    await soon(server.wait_closed())
    await turns()


@pytest.mark.parametrize("fallback", [False, True])
def test_a_file_goes_between_writes(
    loop: asyncio.AbstractEventLoop, file: IO[bytes], fallback: bool
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            head = b"head" * 500_000
            reading = asyncio.ensure_future(read_all(peer, len(head) + SIZE + 4))
            transport.write(head)
            assert await soon(loop.sendfile(transport, file, fallback=fallback)) == SIZE
            transport.write(b"tail")
            assert file.tell() == SIZE
            assert await reading == head + DATA + b"tail"
            peer.send(b"answer")
            assert await protocol.received(6) == b"answer"

    loop.run_until_complete(main())


def test_offset_and_count_through_a_transport(
    loop: asyncio.AbstractEventLoop, file: IO[bytes]
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, _, peer):
            reading = asyncio.ensure_future(read_all(peer, 5000))
            assert await soon(loop.sendfile(transport, file, 1000, 5000)) == 5000
            assert await reading == DATA[1000:6000]
            assert file.tell() == 6000

    loop.run_until_complete(main())


def test_nothing_is_read_or_written_while_a_file_goes_out(
    loop: asyncio.AbstractEventLoop, native: None, file: IO[bytes]
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await turns(5)
            peer.send(b"early")
            with pytest.raises(RuntimeError, match="^unable to write; sendfile is in progress$"):
                transport.write(b"x")
            with pytest.raises(RuntimeError, match="^Empty waiter is already set$"):
                await loop.sendfile(transport, file)
            await turns(5)
            assert not transport.is_reading()
            assert not protocol.data
            assert await read_all(peer, SIZE) == DATA
            assert await soon(task) == SIZE
            assert await protocol.received(5) == b"early"
            assert transport.is_reading()

    loop.run_until_complete(main())


def test_reading_that_was_paused_stays_paused(
    loop: asyncio.AbstractEventLoop, file: IO[bytes]
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, _, peer):
            transport.pause_reading()
            reading = asyncio.ensure_future(read_all(peer, SIZE))
            await soon(loop.sendfile(transport, file))
            await reading
            assert not transport.is_reading()

    loop.run_until_complete(main())


def test_cancelling_leaves_the_transport_usable(
    loop: asyncio.AbstractEventLoop, native: None, file: IO[bytes]
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await until_stuck(lambda: unread(peer))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            position = file.tell()
            assert 0 < position < SIZE
            assert transport.is_reading()
            transport.write(b"afterwards")
            received = await read_all(peer, position + 10)
            assert received == DATA[:position] + b"afterwards"
            peer.send(b"answer")
            assert await protocol.received(6) == b"answer"

    loop.run_until_complete(main())


def test_cancelling_while_the_buffer_empties_leaves_the_transport_usable(
    loop: asyncio.AbstractEventLoop, native: None, file: IO[bytes]
) -> None:
    # asyncio's transport can neither read nor write afterwards.
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            transport.write(DATA)
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await turns()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert file.tell() == 0
            transport.write(b"more")
            assert await read_all(peer, SIZE + 4) == DATA + b"more"
            peer.send(b"answer")
            assert await protocol.received(6) == b"answer"

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["abort", "close"])
def test_closing_the_transport_ends_the_sending(
    loop: asyncio.AbstractEventLoop, native: None, file: IO[bytes], end: str
) -> None:
    # asyncio's own never returns.
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await until_stuck(lambda: unread(peer))
            getattr(transport, end)()
            with pytest.raises(ConnectionError):
                await soon(task)
            position = file.tell()
            assert 0 < position < SIZE
            await soon(protocol.lost)
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_the_number_of_one_closed_while_it_sends_a_file_serves_others(
    loop: asyncio.AbstractEventLoop, native: None, file: IO[bytes]
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            number = transport.get_extra_info("socket").fileno()
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await until_stuck(lambda: unread(peer))
            transport.close()
            await soon(protocol.lost)
            with pytest.raises(ConnectionError):
                await soon(task)
            ours, theirs = raw_pair()
            with theirs:
                if ours.fileno() != number:
                    os.dup2(ours.fileno(), number)
                    ours.close()
                    ours = socket.socket(fileno=number)
                    ours.setblocking(False)
                with ours:
                    receiving = asyncio.ensure_future(loop.sock_recv(ours, 10))
                    await turns(3)
                    theirs.send(b"hello")
                    assert await soon(receiving) == b"hello"

    loop.run_until_complete(main())


def test_a_peer_that_resets_ends_the_sending_and_the_connection(
    loop: asyncio.AbstractEventLoop, file: IO[bytes]
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await soon(loop.sock_recv(peer, 1000))
            reset(peer)
            with pytest.raises(ConnectionError):
                await soon(task)
            assert 0 < file.tell() < SIZE
            await soon(asyncio.wait([protocol.lost]))

    loop.run_until_complete(main())


def test_a_transport_that_closes_takes_no_file(
    loop: asyncio.AbstractEventLoop, file: IO[bytes]
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, _, _):
            transport.close()
            with pytest.raises(RuntimeError, match="^Transport is closing$"):
                await loop.sendfile(transport, file)

    loop.run_until_complete(main())


def test_transports_that_cannot_send_files_say_so(
    loop: asyncio.AbstractEventLoop, file: IO[bytes]
) -> None:
    async def main() -> None:
        read_fd, write_fd = os.pipe()
        with open(read_fd, "rb"), open(write_fd, "wb") as pipe:
            transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, pipe)
            with pytest.raises(RuntimeError, match="^sendfile is not supported for transport <"):
                await loop.sendfile(transport, file)
            transport.set_protocol(asyncio.Protocol())
            transport.close()
            await turns()

    loop.run_until_complete(main())


def test_a_text_file_is_refused(loop: asyncio.AbstractEventLoop, data_path: Path) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, _, _):
            text: Any
            with open(data_path, encoding="latin-1") as text:
                with pytest.raises(ValueError, match="^file should be opened in binary mode$"):
                    await loop.sendfile(transport, text)
            transport.write(b"still usable")

    loop.run_until_complete(main())


def test_a_file_in_memory_goes_through_a_transport(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            memory = Memory(DATA)
            with pytest.raises(Unavailable, match="^not a regular file$"):
                await loop.sendfile(transport, memory, fallback=False)
            reading = asyncio.ensure_future(read_all(peer, SIZE))
            assert await soon(loop.sendfile(transport, memory)) == SIZE
            assert memory.tell() == SIZE
            assert await reading == DATA
            assert transport.get_protocol() == protocol
            peer.send(b"answer")
            assert await protocol.received(6) == b"answer"
            await protocol.until(lambda protocol: transport.get_write_buffer_size() == 0)

    loop.run_until_complete(main())


def test_the_protocol_hears_of_flow_control_that_outlasts_the_file(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    # asyncio tells a protocol to resume that never heard of a pause.
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            transport.write(DATA)
            assert protocol.events == ["made", "pause"]
            task = asyncio.ensure_future(loop.sendfile(transport, Memory(DATA)))
            assert await read_all(peer, SIZE) == DATA
            assert await read_all(peer, SIZE) == DATA
            await soon(task)
            await protocol.until(lambda protocol: protocol.events[-1] == "resume")
            assert protocol.events == ["made", "pause", "resume"]
            # What is written last leaves the transport paused when the protocol comes back.
            await soon(loop.sendfile(transport, Memory(DATA), 0, 200_000))
            task = asyncio.ensure_future(loop.sendfile(transport, Memory(DATA), 0, 6_000_000))
            received = await read_all(peer, 200_000 + 6_000_000)
            await soon(task)
            assert received == DATA[:200_000] + DATA[:6_000_000]
            # The peer may have the last bytes before the loop hears that they are gone.
            await protocol.until(
                lambda protocol: protocol.events.count("pause") == protocol.events.count("resume")
            )

    loop.run_until_complete(main())


def test_losing_the_connection_while_a_file_is_read_reaches_both(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            memory = Memory(DATA)
            task = asyncio.ensure_future(loop.sendfile(transport, memory))
            await soon(loop.sock_recv(peer, 1000))
            await until_stuck(transport.get_write_buffer_size)
            transport.abort()
            with pytest.raises(ConnectionError):
                await soon(task)
            assert await soon(protocol.lost) is None
            assert 0 < memory.tell() < SIZE

    loop.run_until_complete(main())


def test_a_protocol_set_meanwhile_stays(loop: asyncio.AbstractEventLoop, native: None) -> None:
    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            other = Recorder()
            task = asyncio.ensure_future(loop.sendfile(transport, Memory(DATA), 0, 1000))
            await asyncio.sleep(0)
            transport.set_protocol(other)
            assert await soon(task) == 1000
            assert transport.get_protocol() is other
            transport.set_protocol(protocol)
            assert await read_all(peer, 1000) == DATA[:1000]

    loop.run_until_complete(main())


def test_a_failing_file_leaves_the_transport_usable(loop: asyncio.AbstractEventLoop) -> None:
    class Failing(Memory):
        def readinto(self, buffer: Any) -> int:
            if self.tell() > 0:
                raise ZeroDivisionError
            return super().readinto(buffer)

    async def main() -> None:
        async with transport_and_peer() as (transport, protocol, peer):
            failing = Failing(DATA)
            with pytest.raises(ZeroDivisionError):
                await soon(loop.sendfile(transport, failing))
            assert transport.get_protocol() == protocol
            position = failing.tell()
            transport.write(b"!")
            assert await read_all(peer, position + 1) == DATA[:position] + b"!"
            peer.send(b"answer")
            assert await protocol.received(6) == b"answer"

    loop.run_until_complete(main())


def test_tls_sends_files_by_reading_them(
    loop: asyncio.AbstractEventLoop, file: IO[bytes], tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_transport(tmp_path) as (transport, protocol, served):
            with pytest.raises(
                RuntimeError,
                match="^fallback is disabled and native sendfile is not supported for transport <",
            ):
                await loop.sendfile(transport, file, fallback=False)
            assert await soon(loop.sendfile(transport, file, 3, 1_000_000)) == 1_000_000
            assert file.tell() == 1_000_003
            await served.received(1_000_000)
            assert served.data == DATA[3:1_000_003]
            assert served.transport is not None
            served.transport.write(b"answer")
            assert await protocol.received(6) == b"answer"

    loop.run_until_complete(main())
