"""asyncio's streams on our transports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.python.loop.support import HOST, soon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def serve(handler: Handler) -> tuple[asyncio.AbstractServer, tuple[str, int]]:
    server = await asyncio.start_server(handler, HOST, 0)
    address: tuple[str, int] = server.sockets[0].getsockname()
    return server, address


async def finish(server: asyncio.AbstractServer, writer: asyncio.StreamWriter) -> None:
    writer.close()
    await soon(writer.wait_closed())
    server.close()
    await soon(server.wait_closed())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


def test_lines(loop: asyncio.AbstractEventLoop) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server, address = await serve(shout)
        reader, writer = await asyncio.open_connection(*address)
        for number in range(100):
            writer.write(f"line {number}\n".encode())
            assert await soon(reader.readline()) == f"LINE {number}\n".encode()
        writer.write(b"".join(b"batch\n" for _ in range(1000)))
        for _ in range(1000):
            assert await soon(reader.readline()) == b"BATCH\n"
        await finish(server, writer)

    loop.run_until_complete(main())


def test_reading_by_size_and_separator(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        server, address = await serve(echo)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"head|tail and the rest")
        assert await soon(reader.readuntil(b"|")) == b"head|"
        assert await soon(reader.readexactly(4)) == b"tail"
        writer.write_eof()
        assert await soon(reader.read()) == b" and the rest"
        assert reader.at_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(1)
        await finish(server, writer)

    loop.run_until_complete(main())


def test_megabytes_both_ways(loop: asyncio.AbstractEventLoop) -> None:
    size = 20 * 1024 * 1024

    async def main() -> None:
        server, address = await serve(echo)
        reader, writer = await asyncio.open_connection(*address)
        block = bytes(range(256)) * 1024

        async def send() -> None:
            for _ in range(size // len(block)):
                writer.write(block)
                await writer.drain()
            writer.write_eof()

        sending = loop.create_task(send())
        received = 0
        while data := await soon(reader.read(1 << 20)):
            start = received % 256
            assert data[:1] == bytes([start])
            received += len(data)
        await sending
        assert received == size
        await finish(server, writer)

    loop.run_until_complete(main())


@pytest.mark.no_faults("beyond the backlog SYN cookies lose a small first piece", "short")
def test_many_connections_at_once(loop: asyncio.AbstractEventLoop) -> None:
    async def one(address: tuple[str, int], number: int) -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(5):
            writer.write(number.to_bytes(4, "big"))
            data = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        return data

    async def main() -> None:
        server, address = await serve(echo)
        answers = await soon(asyncio.gather(*[one(address, number) for number in range(300)]))
        assert answers == [number.to_bytes(4, "big") for number in range(300)]
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_drain_waits_for_a_slow_reader(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        go_on, finished = asyncio.Event(), asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await go_on.wait()
            while await reader.read(1 << 20):
                pass
            writer.close()
            await writer.wait_closed()
            finished.set()

        server, address = await serve(slow)
        _, writer = await asyncio.open_connection(*address)

        async def flood() -> None:
            for _ in range(256):
                writer.write(bytes(65536))
                await writer.drain()

        flooding = loop.create_task(flood())
        await asyncio.sleep(0.05)
        assert not flooding.done()
        go_on.set()
        await soon(flooding)
        await finish(server, writer)
        await soon(finished.wait())  # Up to 3.11 the server does not wait for it.

    loop.run_until_complete(main())


def test_a_reset_reaches_the_reader(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async def abort(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            import socket
            import struct

            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

        server, address = await serve(abort)
        reader, writer = await asyncio.open_connection(*address)
        with pytest.raises(ConnectionResetError):
            await soon(reader.read())
        writer.close()
        with pytest.raises(ConnectionResetError):
            await soon(writer.wait_closed())
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())
