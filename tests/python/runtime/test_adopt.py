"""Descriptors that others opened: `from_fd` of sockets, `adopt` of pipes and of AsyncFd, and giving
them away; and what ends of streams have beside reading and writing: `finish`, `peek`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pty
import socket
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import net
from blitzio.process import PipeReader, PipeWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Run

KINDS: dict[str, Any] = {
    "TcpStream": net.TcpStream,
    "UnixStream": net.UnixStream,
    "TcpListener": net.TcpListener,
    "UnixListener": net.UnixListener,
    "UdpSocket": net.UdpSocket,
    "UnixDatagram": net.UnixDatagram,
}


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError as error:
        assert error.errno == errno.EBADF
        return False
    return True


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[dict[str, socket.socket]]:
    """A socket of the standard library of each kind, by the type that fits."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stream = stack.enter_context(socket.create_connection(listener.getsockname()))
        pair = [stack.enter_context(each) for each in socket.socketpair()]
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(tmp_path / "socket"))
        unix.listen()
        yield {
            "TcpStream": stream,
            "UnixStream": pair[0],
            "TcpListener": listener,
            "UnixListener": unix,
            "UdpSocket": stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
            "UnixDatagram": stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)),
        }


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_takes_its_own_and_refuses_the_others(
    name: str, opened: dict[str, socket.socket]
) -> None:
    for other, sock in opened.items():
        if other == name:
            continue
        with pytest.raises(ValueError, match=f"descriptor {sock.fileno()} has family"):
            KINDS[name].from_fd(sock.fileno())
        assert is_open(sock.fileno()), "it is the caller's still"
        assert sock.getblocking(), "and as it was"
    fd = opened[name].detach()
    adopted = KINDS[name].from_fd(fd)
    assert isinstance(adopted, KINDS[name])
    assert adopted.fileno() == fd
    assert not os.get_blocking(fd)
    given = adopted.detach()
    assert given == fd
    assert adopted.is_closed
    assert adopted.fileno() == -1
    assert is_open(fd)
    again = KINDS[name].from_fd(fd)
    again.close()
    assert not is_open(fd)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_socket_is_refused(name: str) -> None:
    kind = KINDS[name]
    with tempfile.TemporaryFile() as file:
        with pytest.raises(OSError, match="socket") as no_socket:
            kind.from_fd(file.fileno())
        assert no_socket.value.errno == errno.ENOTSOCK
        assert is_open(file.fileno())
        fd = os.dup(file.fileno())
    os.close(fd)
    for closed in (fd, -1, 2**40, -(2**70)):
        with pytest.raises(OSError, match="Bad file") as bad:
            kind.from_fd(closed)
        assert bad.value.errno == errno.EBADF
    with socket.socket() as sock:
        for unfit in (sock, "3", None, 3.0):
            with pytest.raises(TypeError, match="fd must be int, got .*; what has"):
                kind.from_fd(unfit)
        assert is_open(sock.fileno())


def test_options_stay_as_they_were() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    with contextlib.closing(net.TcpStream.from_fd(sock.detach())) as stream:
        assert not stream.nodelay()


def test_adopted_sockets_talk(run: Run) -> None:
    async def main() -> None:
        bound = socket.create_server(("127.0.0.1", 0))
        async with net.TcpListener.from_fd(bound.detach()) as listener:
            address = listener.local_address
            plain = socket.create_connection((address.host, address.port))
            server, _ = await listener.accept()
        async with server, net.TcpStream.from_fd(plain.detach()) as client:
            reading = asyncio.ensure_future(client.read_line())
            await asyncio.sleep(0)
            await server.write_all(b"waited for\n")
            assert await reading == b"waited for\n"
            await client.finish()
            assert await server.read() == b""
        one, other = socket.socketpair(type=socket.SOCK_DGRAM)
        async with net.UnixDatagram.from_fd(one.detach()) as datagrams:
            receiving = asyncio.ensure_future(datagrams.recv())
            await asyncio.sleep(0)
            other.send(b"datagram")
            other.close()
            assert await receiving == b"datagram"

    run(main())


def test_adopted_sockets_talk_on_each_backend(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        async with net.UnixStream.from_fd(one.detach()) as ours:
            async with net.UnixStream.from_fd(other.detach()) as theirs:
                reading = asyncio.ensure_future(ours.read())
                await asyncio.sleep(0)
                await theirs.write_all(b"x")
                assert await reading == b"x"
                # What waits on one that is given away is told, and the taker has all of it.
                waiting = asyncio.ensure_future(ours.read())
                await asyncio.sleep(0)
                again = net.UnixStream.from_fd(ours.detach())
                with pytest.raises(OSError, match="Bad file"):
                    await waiting
                await theirs.write_all(b"y")
                assert await again.read() == b"y"
                again.close()

    loop.run_until_complete(main())


def test_an_unconnected_stream_tells_so_when_it_is_read() -> None:
    stream = net.TcpStream.from_fd(socket.socket().detach())
    with contextlib.closing(stream), pytest.raises(OSError, match="not connected") as unconnected:
        stream.blocking_read(timeout=20)
    assert unconnected.value.errno == errno.ENOTCONN


def test_out_of_memory_leaves_the_descriptor_with_the_caller() -> None:
    testcapi = pytest.importorskip("_testcapi")
    if not hasattr(testcapi, "set_nomemory"):
        pytest.skip("this interpreter cannot be short of memory")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    fd = sock.fileno()
    with sock:
        refused = 0
        for allowed in range(50):
            os.set_blocking(fd, True)
            testcapi.set_nomemory(allowed, allowed + 1)
            try:
                adopted = net.UnixDatagram.from_fd(fd)
            except MemoryError:
                testcapi.remove_mem_hooks()
                assert os.get_blocking(fd)
                refused += 1
            else:
                testcapi.remove_mem_hooks()
                assert adopted.detach() == fd
            finally:
                testcapi.remove_mem_hooks()
            assert is_open(fd)
        assert refused > 0


# ---- pipes ---------------------------------------------------------------------------------------


def test_adopted_pipes_talk(run: Run) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        async with PipeReader.adopt(reading) as reader, PipeWriter.adopt(writing) as writer:
            assert (reader.fileno(), writer.fileno()) == (reading, writing)
            assert not os.get_blocking(reading)
            line = asyncio.ensure_future(reader.read_line())
            await asyncio.sleep(0)
            await writer.write_all(b"one\ntwo")
            assert await line == b"one\n"
            await writer.finish()
            assert writer.is_closed
            assert await reader.read_to_end() == b"two"
            with pytest.raises(OSError, match="Bad file"):
                await writer.write(b"x")
            await writer.finish()  # Again: nothing.

    run(main())


def test_pipes_talk_on_each_backend(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        async with PipeReader.adopt(reading) as reader, PipeWriter.adopt(writing) as writer:
            big = os.urandom(300_000)  # more than a pipe holds
            sending = asyncio.ensure_future(writer.write_all(big))
            assert await reader.read_exact(len(big)) == big
            await sending

    loop.run_until_complete(main())


def test_other_things_than_pipes_are_adopted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDWR)
    with contextlib.closing(PipeWriter.adopt(os.dup(fifo))) as writer:
        writer.blocking_write_all(b"x", timeout=20)
    with contextlib.closing(PipeReader.adopt(fifo)) as reader:
        assert reader.blocking_read(timeout=20) == b"x"
    ours, theirs = socket.socketpair()
    with theirs, contextlib.closing(PipeWriter.adopt(ours.detach())) as writer:
        writer.blocking_write_all(b"y", timeout=20)
        assert theirs.recv(1) == b"y"
        writer.blocking_finish()
        assert theirs.recv(1) == b""
    terminal, end = pty.openpty()
    os.close(end)
    with contextlib.closing(PipeReader.adopt(terminal)) as reader:
        with pytest.raises(OSError, match="Input/output"):
            reader.blocking_read(timeout=20)


def test_pipes_of_the_wrong_kind_stay_the_callers(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    wrong: list[tuple[Callable[[int], object], int, str]] = [
        (PipeReader.adopt, writing, "is not open for reading"),
        (PipeWriter.adopt, reading, "is not open for writing"),
        (PipeReader.adopt, file, "a pipe, FIFO, socket or terminal was expected"),
        (PipeWriter.adopt, file, "a pipe, FIFO, socket or terminal was expected"),
    ]
    for adopt, fd, message in wrong:
        with pytest.raises(ValueError, match=message):
            adopt(fd)
        assert os.get_blocking(fd)
    for fd in (reading, writing, file):
        os.close(fd)
    for kind in (PipeReader, PipeWriter):
        with pytest.raises(OSError, match="Bad file"):
            kind.adopt(reading)
        with pytest.raises(TypeError, match="fd must be int"):
            kind.adopt("0")  # type: ignore[arg-type]


# ---- AsyncFd -------------------------------------------------------------------------------------


def test_any_descriptor_is_waited_for(run: Run) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        async with blitzio.AsyncFd.adopt(reading) as fd:
            assert (fd.fileno(), fd.is_closed) == (reading, False)
            assert repr(fd) == f"<blitzio.AsyncFd fd={reading}>"
            with pytest.raises(BlockingIOError):
                os.read(reading, 1)
            for _ in range(3):
                waits = [asyncio.ensure_future(fd.readable()) for _ in range(2)]
                await asyncio.sleep(0)
                assert not any(wait.done() for wait in waits)
                os.write(writing, b"x")
                await asyncio.gather(*waits)
                await fd.readable()  # It is so until it is read.
                assert os.read(reading, 1) == b"x"
            cancelled = asyncio.ensure_future(fd.readable())
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.wait({cancelled})
            waiting = asyncio.ensure_future(fd.readable())
            await asyncio.sleep(0)
            fd.close()
            with pytest.raises(OSError, match="Bad file"):
                await waiting
        assert repr(fd) == "<blitzio.AsyncFd closed>"
        assert not is_open(reading)
        async with blitzio.AsyncFd.adopt(writing) as full:
            await full.writable()
            given = full.detach()
        assert given == writing
        os.close(writing)

    run(main())


def test_any_descriptor_is_waited_for_on_each_backend(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        async with blitzio.AsyncFd.adopt(reading) as fd:
            waiting = asyncio.ensure_future(fd.readable())
            await asyncio.sleep(0)
            os.close(writing)  # The end is something to read, too.
            await waiting
            assert os.read(reading, 1) == b""

    loop.run_until_complete(main())


def test_any_descriptor_is_waited_for_in_threads() -> None:
    reading, writing = os.pipe()
    with contextlib.closing(blitzio.AsyncFd.adopt(reading)) as fd:
        with pytest.raises(TimeoutError):
            fd.blocking_readable(timeout=0)
        os.write(writing, b"x")
        fd.blocking_readable(timeout=20)
    with contextlib.closing(blitzio.AsyncFd.adopt(writing)) as fd:
        fd.blocking_writable(20)


def test_what_cannot_be_waited_for_stays_the_callers(tmp_path: Path) -> None:
    for fd in (os.open(tmp_path, os.O_RDONLY), os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)):
        with pytest.raises(ValueError, match="is of a file or directory"):
            blitzio.AsyncFd.adopt(fd)
        assert os.get_blocking(fd)
        os.close(fd)
        with pytest.raises(OSError, match="Bad file"):
            blitzio.AsyncFd.adopt(fd)
    with pytest.raises(TypeError, match="fd must be int"):
        blitzio.AsyncFd.adopt(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot create"):
        blitzio.AsyncFd()


# ---- finish, peek --------------------------------------------------------------------------------


def test_finish_ends_one_way(run: Run) -> None:
    async def main() -> None:
        ours, theirs = net.UnixStream.pair()
        await ours.finish()
        assert await theirs.read() == b""
        await theirs.write_all(b"still")
        assert await ours.read() == b"still"
        reader, writer = theirs.split()
        await writer.write_all(b"last")
        await writer.finish()
        assert not writer.is_closed
        with pytest.raises(BrokenPipeError):
            await writer.write(b"x")
        assert await ours.read_to_end() == b"last"
        late = ours.finish()
        ours.close()
        with pytest.raises(OSError, match="Bad file"):
            await late
        reader.close()
        writer.close()
        with pytest.raises(OSError, match="Bad file"):
            await writer.finish()

    run(main())


def test_finish_in_threads() -> None:
    ours, theirs = net.UnixStream.pair()
    reader, writer = ours.split()
    writer.blocking_finish()
    assert theirs.blocking_read(timeout=20) == b""
    theirs.blocking_finish(1)
    assert reader.blocking_read(timeout=20) == b""
    for each in (reader, writer, theirs):
        each.close()


def test_streams_are_peeked_into_now() -> None:
    ours, theirs = net.UnixStream.pair()
    assert ours.try_peek() is None
    theirs.try_write(b"ab\nc")
    assert ours.try_peek(1) == b"a"
    assert ours.try_peek(n=10) == b"ab\nc"
    assert ours.blocking_read_line(timeout=20) == b"ab\n"
    assert ours.try_peek() == b"c", "what was read ahead"
    reader, writer = ours.split()
    assert reader.try_peek() == reader.try_read() == b"c"
    theirs.close()
    assert reader.try_peek() == b""
    with pytest.raises(ValueError, match="n must be at least 0"):
        reader.try_peek(-1)
    ours.close()
    with pytest.raises(OSError, match="Bad file"):
        ours.try_peek()
    writer.close()


def test_datagrams_are_peeked_at(run: Run) -> None:
    async def main() -> None:
        async with net.UdpSocket.bind("127.0.0.1:0") as udp:
            here = udp.local_address
            assert udp.try_peek() is None
            assert udp.try_peek_from() is None
            peeking = asyncio.ensure_future(udp.peek_from())
            second = asyncio.ensure_future(udp.peek())
            await asyncio.sleep(0)
            await udp.send_to(b"one", here)
            await udp.send_to(b"two", here)
            assert await peeking == (b"one", here)
            assert await second == b"one"
            assert udp.try_peek() == b"one"
            assert udp.try_peek_from() == (b"one", here)
            assert await udp.recv() == b"one"
            assert await udp.peek() == b"two"
            assert await udp.recv_from() == (b"two", here)
            waiting = asyncio.ensure_future(udp.peek())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled()
            late = udp.peek()
        with pytest.raises(OSError, match="Bad file") as closed:
            await late
        assert closed.value.errno == errno.EBADF

    run(main())


def test_datagrams_are_peeked_at_on_each_backend(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ours, theirs = net.UnixDatagram.pair()
        async with ours, theirs:
            peeking = asyncio.ensure_future(ours.peek_from())
            await asyncio.sleep(0)
            await theirs.send(b"x")
            assert await peeking == (b"x", None)
            assert await ours.recv() == b"x"

    loop.run_until_complete(main())


def test_datagrams_are_peeked_at_in_threads() -> None:
    ours, theirs = net.UnixDatagram.pair()
    with contextlib.closing(ours), contextlib.closing(theirs):
        with pytest.raises(TimeoutError):
            ours.blocking_peek(timeout=0)
        with pytest.raises(TimeoutError):
            ours.blocking_peek_from(timeout=0)
        theirs.try_send(b"x")
        assert ours.blocking_peek(timeout=20) == b"x"
        assert ours.blocking_peek_from(20) == (b"x", None)
        assert ours.blocking_recv(timeout=20) == b"x"

        async def main() -> None:
            with pytest.raises(RuntimeError, match="would block the event loop"):
                ours.blocking_peek()

        blitzio.run(main())
