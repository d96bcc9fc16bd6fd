"""`split()`: a stream's two halves, and its end with the second of them."""

from __future__ import annotations

import asyncio
import errno
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net
from blitzio._net.split import split
from blitzio.net import TcpListener, TcpStream, UnixStream
from tests.python.loop.support import client_context, server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

pytestmark = pytest.mark.no_faults("takes each message for one piece", "short", "again")


def test_two_tasks_have_a_half_each(run: Run) -> None:
    async def main() -> None:
        async with TcpListener.bind("127.0.0.1:0") as listener:
            client = await TcpStream.connect(listener.local_address)
            server, _ = await listener.accept()
        reader, writer = client.split()
        assert reader.peer_address == writer.peer_address == server.local_address

        async def echo() -> None:
            one, other = server.split()
            async with one, other:
                await net.copy(one, other)

        async def send() -> None:
            async with writer:
                for number in range(100):
                    await writer.write_all(b"%d\n" % number)

        echoing, sending = asyncio.ensure_future(echo()), asyncio.ensure_future(send())
        async with reader:
            assert [int(line) async for line in reader] == list(range(100))
        await asyncio.gather(echoing, sending)
        assert client.is_closed
        assert server.is_closed

    run(main())


@pytest.mark.parametrize("first", ["reader", "writer"])
@pytest.mark.parametrize("way", ["close", "drop"])
def test_the_stream_ends_with_the_second_half(run: Run, first: str, way: str) -> None:
    async def main() -> None:
        ours, theirs = UnixStream.pair()
        async with theirs:
            halves: dict[str, Any] = dict(zip(("reader", "writer"), ours.split(), strict=True))
            halves.pop(first).close() if way == "close" else halves.pop(first)
            gc.collect()
            assert ours.fileno() >= 0
            if first == "writer":
                assert await theirs.read() == b""
                await theirs.write_all(b"still")
                assert await halves["reader"].read_exact(5) == b"still"
            else:
                await halves["writer"].write_all(b"still")
                assert await theirs.read() == b"still"
            halves.popitem()[1].close() if way == "close" else halves.clear()
            gc.collect()
            assert ours.is_closed
            assert await theirs.read() == b""

    run(main())


def test_two_threads_that_close_a_half_leave_the_other_open() -> None:
    class Stream:
        """In the place of a stream, so that there can be many."""

        is_closed = False

        def shutdown(self, how: str) -> None:
            pass

        def close(self) -> None:
            self.is_closed = True

    streams: list[Any] = [Stream() for _ in range(20_000)]
    halves = [split(stream) for stream in streams]
    begin = threading.Barrier(2)

    def close() -> None:
        begin.wait(20)
        for _, writer in halves:
            writer.close()

    threads = [threading.Thread(target=close) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(stream.is_closed for stream in streams)
    for reader, _ in halves:
        reader.close()
    assert all(stream.is_closed for stream in streams)


async def read_ahead(ours: UnixStream, theirs: UnixStream) -> None:
    """Has `ours` read b"rest" ahead."""
    await theirs.write_all(b"line\nrest")
    assert await ours.read_line() == b"line\n"


def test_what_was_read_ahead_is_the_reading_halfs(run: Run) -> None:
    async def main() -> None:
        ours, theirs = UnixStream.pair()
        async with theirs:
            await read_ahead(ours, theirs)
            reader, writer = ours.split()
            async with reader, writer:
                assert reader.try_read() == b"rest"
                assert await writer.write_vectored([b"a", b"b"]) == 2
                writer.shutdown()
                assert await theirs.read_to_end() == b"ab"

    run(main())


def test_each_function_for_threads_is_the_streams() -> None:
    ours, theirs = UnixStream.pair()
    (reader, _ours), (_theirs, writer) = ours.split(), theirs.split()
    assert writer.blocking_write(b"0123", timeout=20) == 4
    assert writer.blocking_write_vectored([b"45", b"67;line\nrest"], timeout=20) == 14
    assert writer.try_write(b"!") == 1
    assert writer.try_write_vectored([b"!"]) == 1
    reader.blocking_readable(20)
    assert reader.blocking_peek(1, timeout=20) == b"0"
    buffer = bytearray(1)
    assert reader.blocking_read_into(buffer, timeout=20) == 1
    assert reader.blocking_read_vectored([buffer], timeout=20) == 1
    assert reader.try_read_vectored([buffer]) == 1
    assert buffer == b"2"
    assert reader.blocking_read(1, timeout=20) == b"3"
    assert reader.blocking_read_exact(2, timeout=20) == b"45"
    assert reader.blocking_read_until(b";", timeout=20) == b"67;"
    assert reader.blocking_read_line(timeout=20) == b"line\n"
    writer.close()
    assert reader.blocking_read_to_end(timeout=20) == b"rest!!"
    assert reader.blocking_read_to_end(4, timeout=20) == b""


def test_a_closed_half_says_so_and_a_stream_is_split_once() -> None:
    ours, theirs = UnixStream.pair()
    reader, writer = ours.split()
    with pytest.raises(RuntimeError, match="split already"):
        ours.split()
    assert reader.fileno() == writer.fileno() == ours.fileno()
    with pytest.raises(ValueError, match="'write'"):
        writer.shutdown("read")  # type: ignore[arg-type]
    reader.close()
    reader.close()
    assert (reader.is_closed, writer.is_closed, reader.fileno()) == (True, False, -1)
    assert "closed" in repr(reader)
    with pytest.raises(OSError, match="descriptor") as caught:
        reader.read()
    assert caught.value.errno == errno.EBADF
    writer.blocking_writable(20)
    writer.blocking_write_all(b"x")
    assert theirs.blocking_read_exact(1) == b"x"
    theirs.close()
    writer.close()
    assert ours.is_closed
    with pytest.raises(OSError, match="descriptor"):
        writer.try_write(b"x")


def test_tls_does_not_take_a_stream_from_its_halves(run: Run, tmp_path: Path) -> None:
    """They were closed by that, whoever had them."""

    async def main() -> None:
        ours, theirs = UnixStream.pair()
        async with theirs:
            await read_ahead(ours, theirs)
            reader, writer = ours.split()
            async with reader, writer:
                with pytest.raises(RuntimeError, match="the stream has been split"):
                    await net.start_tls(ours, client_context(), server_hostname="localhost")
                with pytest.raises(RuntimeError, match="the stream has been split"):
                    await net.start_tls(ours, server_context(tmp_path), server_side=True)
                assert await reader.read() == b"rest"
                await writer.write_all(b"answer")
                assert await theirs.read() == b"answer"
            with pytest.raises(OSError, match="descriptor"):
                await net.start_tls(ours, client_context(), server_hostname="localhost")

    run(main())
