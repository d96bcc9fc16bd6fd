"""Small applications written with asyncio's streams, as people write them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.frameworks.support import digest, payload
from tests.python.loop.support import HOST, client_context, server_context, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[int]:
    """Serves `handler`; gives the port. Ends when every handler has."""
    handlers: set[asyncio.Task[Any]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(run, HOST, 0, **options)
    async with server:
        yield server.sockets[0].getsockname()[1]
        if handlers:
            await soon(asyncio.gather(*handlers))


@contextlib.asynccontextmanager
async def connection(port: int, **options: Any) -> AsyncIterator[Streams]:
    host = "localhost" if "ssl" in options else HOST
    reader, writer = await asyncio.open_connection(host, port, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.smoke
def test_a_chat_room(loop: asyncio.AbstractEventLoop) -> None:
    people = 20

    async def main() -> None:
        room: dict[str, asyncio.StreamWriter] = {}
        full = asyncio.Event()

        async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            name = (await reader.readline()).decode().strip()
            room[name] = writer
            if len(room) == people:
                full.set()
            while line := await reader.readline():
                for other in list(room.values()):
                    other.write(f"{name}: ".encode() + line)
            del room[name]

        async def talk(name: str) -> set[bytes]:
            async with connection(port) as (reader, writer):
                writer.write(f"{name}\n".encode())
                await soon(full.wait())
                writer.write(b"hello\n")
                return {await soon(reader.readline()) for _ in range(people)}

        async with serving(member) as port:
            names = [f"person {number}" for number in range(people)]
            heard = await asyncio.gather(*map(talk, names))
        expected = {f"{name}: hello\n".encode() for name in names}
        assert heard == [expected] * people

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_frames_with_a_length_prefix(loop: asyncio.AbstractEventLoop) -> None:
    async def receive(reader: asyncio.StreamReader) -> bytes:
        size = int.from_bytes(await reader.readexactly(4), "big")
        return await reader.readexactly(size)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                frame = await receive(reader)
                writer.writelines([len(frame).to_bytes(4, "big"), frame[::-1]])
                await writer.drain()

    async def main() -> None:
        async with serving(answer) as port, connection(port) as (reader, writer):
            for size in (0, 1, 1000, 65_536, 1_000_000):
                data = payload(size)
                writer.writelines([size.to_bytes(4, "big"), data])
                assert await soon(receive(reader)) == data[::-1]

    loop.run_until_complete(main())


def test_a_proxy_passes_both_directions_and_both_ends(loop: asyncio.AbstractEventLoop) -> None:
    data = payload(8_000_000)

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reads to the end, then answers: the end of a direction must pass the proxy alone."""
        received = await reader.read()
        writer.write(digest(received).encode() + received)
        await writer.drain()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
        writer.write_eof()

    async def main() -> None:
        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with connection(behind) as (back_reader, back_writer):
                await asyncio.gather(pump(reader, back_writer), pump(back_reader, writer))

        async with (
            serving(sink) as behind,
            serving(proxy) as port,
            connection(port) as (reader, writer),
        ):
            writer.write(data)
            writer.write_eof()
            assert await soon(reader.readexactly(64)) == digest(data).encode()
            assert await soon(reader.read()) == data

    loop.run_until_complete(main())


def test_drain_holds_back_who_writes_to_a_slow_reader(loop: asyncio.AbstractEventLoop) -> None:
    block = payload(256 * 1024)
    count = 200

    async def main() -> None:
        held = asyncio.Event()
        go_on = asyncio.Event()
        written = 0

        async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            for _ in range(count):
                writer.write(block)
                written += 1
                draining = asyncio.ensure_future(writer.drain())
                await asyncio.sleep(0)
                if not draining.done():
                    held.set()
                await draining

        async def read() -> None:
            async with connection(port) as (reader, _):
                await soon(go_on.wait())
                for _ in range(count):
                    assert await reader.readexactly(len(block)) == block
                assert await reader.read() == b""

        async with serving(flood) as port:
            reading = asyncio.ensure_future(read())
            await soon(held.wait())
            assert written < count
            go_on.set()
            await soon(reading)

    loop.run_until_complete(main())


def test_a_line_beyond_the_limit(loop: asyncio.AbstractEventLoop) -> None:
    async def send(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"short\n" + b"x" * 5000 + b"\n" + b"short\n")
        await writer.drain()

    async def main() -> None:
        async with serving(send) as port, connection(port, limit=1000) as (reader, _):
            assert await soon(reader.readline()) == b"short\n"
            with pytest.raises(ValueError, match="limit"):
                await soon(reader.readline())

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_tls_from_the_start(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    data = payload(3_000_000)

    async def double(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.readexactly(len(data))
        writer.write(received)
        writer.write(received)
        await writer.drain()

    async def main() -> None:
        async with (
            serving(double, ssl=server_context(tmp_path)) as port,
            connection(port, ssl=client_context()) as (reader, writer),
        ):
            assert writer.get_extra_info("cipher") is not None
            assert writer.get_extra_info("peercert")["subject"]
            writer.write(data)
            assert await soon(reader.readexactly(2 * len(data))) == data + data

    loop.run_until_complete(main())


if sys.version_info >= (3, 11):

    def test_tls_after_a_greeting(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
        server_side = server_context(tmp_path)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"ready?\n")
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"go\n")
            await writer.drain()
            await writer.start_tls(server_side)
            writer.write((await reader.readline()).upper())
            await writer.drain()

        async def main() -> None:
            async with serving(answer) as port, connection(port) as (reader, writer):
                assert await soon(reader.readline()) == b"ready?\n"
                writer.write(b"STARTTLS\n")
                assert await soon(reader.readline()) == b"go\n"
                await writer.start_tls(client_context(), server_hostname="localhost")
                writer.write(b"secret\n")
                assert await soon(reader.readline()) == b"SECRET\n"

        loop.run_until_complete(main())
