"""The websockets library: server and clients on one loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.frameworks.support import payload
from tests.python.loop.support import HOST, client_context, server_context, soon

pytest.importorskip("websockets", reason="websockets is not there for this interpreter")

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def serving(
    handler: Callable[[ServerConnection], Awaitable[None]], **options: Any
) -> AsyncIterator[str]:
    """Serves `handler`; gives the address."""
    async with serve(handler, HOST, 0, **options) as server:
        (listener,) = server.sockets
        port = listener.getsockname()[1]
        yield f"wss://localhost:{port}" if "ssl" in options else f"ws://{HOST}:{port}"


@pytest.mark.smoke
@pytest.mark.parametrize("compression", ["deflate", None], ids=["deflate", "plain"])
def test_messages_of_every_size_come_back(
    loop: asyncio.AbstractEventLoop, compression: str | None
) -> None:
    async def main() -> None:
        limit = 1 << 24
        async with (
            serving(echo, max_size=limit, compression=compression) as url,
            connect(url, max_size=limit, compression=compression) as socket,
        ):
            for size in (0, 1, 125, 126, 65535, 65536, 1_000_000, 5_000_000):
                data = payload(size)
                # Together: the echo of a large message begins to come while it is being sent.
                _, received = await soon(asyncio.gather(socket.send(data), socket.recv()))
                assert received == data

    loop.run_until_complete(main())


def test_fragments_and_text(loop: asyncio.AbstractEventLoop) -> None:
    async def words() -> AsyncIterator[str]:
        for number in range(100):
            yield f"{number} "

    async def main() -> None:
        async with serving(echo) as url, connect(url) as socket:
            await socket.send(words())
            assert await soon(socket.recv()) == "".join([f"{number} " for number in range(100)])

    loop.run_until_complete(main())


def test_pings_are_answered(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with serving(echo, ping_interval=0.01) as url:
            async with connect(url, ping_interval=0.01) as socket:
                for _ in range(10):
                    pong = await socket.ping()
                    assert await soon(pong) >= 0
                # Its own keep-alive has measured the round trip, too.
                while socket.latency == 0:
                    await asyncio.sleep(0.01)

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    data = payload(1_000_000)

    async def main() -> None:
        async with (
            serving(echo, ssl=server_context(tmp_path), max_size=1 << 22) as url,
            connect(url, ssl=client_context(), max_size=1 << 22) as socket,
        ):
            _, received = await soon(asyncio.gather(socket.send(data), socket.recv()))
            assert received == data

    loop.run_until_complete(main())


def test_closing_tells_the_other_end_why(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        seen: asyncio.Future[int | None] = loop.create_future()

        async def watch(connection: ServerConnection) -> None:
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
            seen.set_result(connection.close_code)

        async with serving(watch) as url, connect(url) as socket:
            await socket.close(4001, "enough")
            assert await soon(seen) == 4001

    loop.run_until_complete(main())


def test_a_connection_that_breaks_is_not_a_clean_end(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        seen: asyncio.Future[int | None] = loop.create_future()

        async def watch(connection: ServerConnection) -> None:
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
            seen.set_result(connection.close_code)

        async with serving(watch) as url, connect(url) as socket:
            socket.transport.abort()
            assert await soon(seen) == 1006

    loop.run_until_complete(main())


def test_a_hundred_clients_hear_a_broadcast(loop: asyncio.AbstractEventLoop) -> None:
    count = 100

    async def main() -> None:
        connections: set[ServerConnection] = set()
        all_here = asyncio.Event()

        async def join(connection: ServerConnection) -> None:
            connections.add(connection)
            if len(connections) == count:
                all_here.set()
            await connection.wait_closed()

        async def listen(url: str) -> list[str | bytes]:
            async with connect(url) as socket:
                return [await soon(socket.recv()) for _ in range(10)]

        async with serving(join) as url:
            listening = asyncio.gather(*(listen(url) for _ in range(count)))
            await soon(all_here.wait())
            for number in range(10):
                broadcast(connections, f"news {number}")
            expected = [f"news {number}" for number in range(10)]
            assert await soon(listening) == [expected] * count

    loop.run_until_complete(main())


def test_closing_the_server_closes_its_clients(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            url = await stack.enter_async_context(serving(echo))
            socket = await connect(url)
            await socket.send("hello")
            assert await soon(socket.recv()) == "hello"
        with pytest.raises(ConnectionClosedOK):
            await soon(socket.recv())
        assert socket.close_code == 1001

    loop.run_until_complete(main())
