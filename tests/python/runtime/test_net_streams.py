"""Streams of blitzio.net on every kind of loop: ours on each backend, asyncio's, uvloop's."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net
from blitzio.net import (
    Address,
    TcpListener,
    TcpStream,
)
from blitzio.process import PipeReader, PipeWriter
from tests.python.runtime.net_support import connected, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.python.runtime.conftest import Run


async def echo(stream: TcpStream) -> None:
    async with stream:
        while data := await stream.read():
            await stream.write_all(data)


async def talk_to_echo() -> None:
    client, server = await connected()
    echoing = asyncio.ensure_future(echo(server))
    async with client:
        for i in range(50):
            message = b"message %d" % i
            await client.write_all(message)
            assert await client.read_exact(len(message)) == message
        big = os.urandom(2_000_000)
        writing = asyncio.ensure_future(client.write_all(big))
        assert await client.read_exact(len(big)) == big
        await writing
        client.shutdown("write")
        assert await client.read() == b""
    await echoing
    assert server.is_closed


def test_echo_on_each_kind_of_loop(run: Run) -> None:
    run(talk_to_echo())


def test_echo_on_each_backend(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(talk_to_echo())


def test_reads_of_each_kind(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            await client.write_all(b"one;two;line\nrest")
            assert await server.peek(3) == b"one"
            assert await server.read_until(b";") == b"one;"
            assert await server.read(2) == b"tw"
            buffer = bytearray(2)
            assert await server.read_into(buffer) == 2
            assert buffer == b"o;"
            assert await server.read_line() == b"line\n"
            assert server.try_read() == b"rest"
            assert server.try_read() is None
            await client.write_all(b"a\nb\nlast")
            client.shutdown("write")
            assert [line async for line in server] == [b"a\n", b"b\n", b"last"]
            assert await server.read_to_end() == b""
            assert await server.read_line() == b""

    run(main())


def test_a_stream_that_ends_early_says_so(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with server:
            await client.write_all(b"abc")
            client.close()
            with pytest.raises(asyncio.IncompleteReadError) as short:
                await server.read_exact(5)
            assert (short.value.partial, short.value.expected) == (b"abc", 5)
        client, server = await connected()
        async with server:
            await client.write_all(b"abc")
            client.close()
            with pytest.raises(asyncio.IncompleteReadError) as missing:
                await server.read_until(b";")
            assert missing.value.partial == b"abc"

    run(main())


def test_limits_leave_the_bytes_there(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            await client.write_all(b"0123456789\n")
            with pytest.raises(asyncio.LimitOverrunError):
                await server.read_line(limit=5)
            assert await server.read_line() == b"0123456789\n"

    run(main())


def test_cancelling_a_read_loses_no_byte(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            for operation in (
                lambda: server.read(),
                lambda: server.read_exact(10),
                lambda: server.read_line(),
                lambda: server.read_into(bytearray(10)),
            ):
                reading = asyncio.ensure_future(operation())
                await settle()
                await client.write_all(b"part")
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                if not reading.cancelled():
                    continue  # It was faster: then it has what came.
                await client.write_all(b" and rest\n")
                assert await server.read_exact(14) == b"part and rest\n"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(server.read_exact(10), 0.01)
            await client.write_all(b"0123456789")
            assert await server.read_exact(10) == b"0123456789"

    run(main())


def test_two_writers_do_not_mix(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            parts = [bytes([65 + i]) * 300_000 for i in range(4)]
            writing = [asyncio.ensure_future(client.write_all(part)) for part in parts]
            assert await server.read_exact(1_200_000) == b"".join(parts)
            await asyncio.gather(*writing)
            await client.write_all(memoryview(b"a view")[2:])
            assert await server.read() == b"view"

    run(main())


def test_closing_ends_what_waits(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        reading = asyncio.ensure_future(server.read())
        await settle()
        server.close()
        assert server.fileno() == -1
        with pytest.raises(OSError) as closed:
            await reading
        assert closed.value.errno == errno.EBADF
        assert await client.read() == b""
        client.close()
        client.close()
        with pytest.raises(OSError):
            await client.read()
        with pytest.raises(OSError):
            await client.write_all(b"x")

    run(main())


def test_a_closed_stream_refuses_to_move_no_bytes_too(run: Run) -> None:
    """Reading and writing nothing succeeded, where every other call said EBADF."""

    async def main() -> None:
        ours, theirs = net.UnixStream.pair()
        empty: tuple[Callable[[Any], Any], ...] = (
            lambda stream: stream.read(0),
            lambda stream: stream.peek(0),
            lambda stream: stream.read_into(bytearray()),
            lambda stream: stream.read_exact(0),
            lambda stream: stream.read_vectored([]),
            lambda stream: stream.write(b""),
            lambda stream: stream.write_all(b""),
            lambda stream: stream.write_vectored([]),
        )
        at_once: tuple[Callable[[Any], Any], ...] = (
            lambda stream: stream.try_write(b""),
            lambda stream: stream.try_read_vectored([]),
            lambda stream: stream.try_write_vectored([]),
        )
        assert [await call(ours) for call in empty] == [b"", b"", 0, b"", 0, 0, None, 0]
        assert [call(ours) for call in at_once] == [0, 0, 0]
        ours.close()
        for call in empty:
            with pytest.raises(OSError) as refused:
                await call(ours)
            assert refused.value.errno == errno.EBADF
        for call in at_once:
            with pytest.raises(OSError) as refused:
                call(ours)
            assert refused.value.errno == errno.EBADF
        theirs.close()

    run(main())


@pytest.mark.parametrize("make", ["tcp", "unix", "half", "pipe"])
def test_reading_no_bytes_now_gives_none_of_them(run: Run, make: str) -> None:
    """try_read(0) of an empty socket was None, as if it had to wait for some."""

    async def main() -> None:
        opened: list[Any] = []
        if make == "tcp":
            opened += await connected()
        elif make == "pipe":
            reading, writing = os.pipe()
            opened += [PipeReader.adopt(reading), PipeWriter.adopt(writing)]
        else:
            opened += net.UnixStream.pair()
        stream, peer = opened
        if make == "half":
            stream, writer = stream.split()
            opened += [stream, writer]
        for data in (b"", b"data"):
            if data:
                await peer.write_all(data)
                await stream.readable()
            assert await stream.read(0) == stream.try_read(0) == b""
            assert await stream.read_into(bytearray()) == 0
            if make != "pipe":
                assert await stream.peek(0) == stream.try_peek(0) == b""
                assert stream.try_read_vectored([]) == 0
        assert stream.try_read() == b"data"
        assert stream.try_read() is None
        for each in opened:
            each.close()
            if hasattr(each, "try_read"):
                with pytest.raises(OSError) as closed:
                    each.try_read(0)
                assert closed.value.errno == errno.EBADF

    run(main())


def test_errors_keep_their_errno(run: Run) -> None:
    async def main() -> None:
        with TcpListenerAddress() as address, pytest.raises(ConnectionRefusedError):
            await TcpStream.connect(address)
        client, server = await connected()
        async with client, server:
            client.shutdown("write")
            with pytest.raises(BrokenPipeError):
                await client.write_all(b"x")

    run(main())


class TcpListenerAddress:
    """An address at which nobody listens."""

    def __enter__(self) -> Address:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        return Address(*self._socket.getsockname())

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()


def test_arguments_are_checked(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            anything: Any = client
            with pytest.raises(ValueError, match="at least 0"):
                anything.read(-1)
            with pytest.raises(ValueError, match="how"):
                anything.shutdown("up")
            with pytest.raises(TypeError):
                anything.write_all("text")
            with pytest.raises(TypeError):
                anything.read("x")
            with pytest.raises(ValueError, match="separator"):
                client.read_until(b"")

    run(main())
    with pytest.raises(ValueError, match="no address"):
        TcpListener.bind("nowhere")


def test_outside_of_a_loop_waiting_is_an_error(run: Run) -> None:
    client, server = run(connected())
    with pytest.raises(RuntimeError, match="no running event loop"):
        server.read().send(None)
    client.close()
    server.close()


def test_a_stream_may_move_to_another_loop(any_loop: Callable[[], Any]) -> None:
    first, second = any_loop(), any_loop()
    try:
        client, server = first.run_until_complete(connected())

        async def exchange() -> None:
            reading = asyncio.ensure_future(server.read())
            await settle()
            await client.write_all(b"x")
            assert await reading == b"x"

        first.run_until_complete(exchange())
        first.close()
        second.run_until_complete(exchange())
        client.close()
        server.close()
        second.run_until_complete(settle())
    finally:
        first.close()
        second.close()


def test_a_stream_that_is_forgotten_closes_its_socket(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        fd = server.fileno()
        del server
        gc.collect()
        assert await client.read() == b""
        with pytest.raises(OSError):
            os.fstat(fd)
        client.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main())


@pytest.mark.parametrize("count", [2**32, 2**62])
def test_to_ask_for_more_than_comes_costs_no_memory(run: Run, count: int) -> None:
    """All of it was touched at once, though a peer may have named the number."""

    async def main() -> None:
        ours, theirs = net.UnixStream.pair()
        await theirs.write_all(b"abc")
        theirs.close()
        with pytest.raises(asyncio.IncompleteReadError) as raised:
            await ours.read_exact(count)
        assert raised.value.partial == b"abc"
        assert raised.value.expected == count
        ours.close()

    run(main())
