"""Tornado: its HTTP server and client, websockets, subprocesses, and its IOLoop on ours.

Tornado reads and writes its sockets itself and asks the loop only to watch them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
import tornado.httpclient
import tornado.httpserver
import tornado.ioloop
import tornado.iostream
import tornado.process
import tornado.simple_httpclient
import tornado.tcpclient
import tornado.tcpserver
import tornado.web
import tornado.websocket

from tests.python.frameworks.support import digest, listening_socket, payload
from tests.python.loop.support import HOST, client_context, soon

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from tests.ecosystem.conftest import Comparison


class Echo(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write({"name": self.get_argument("name", "nobody"), "protocol": self.request.protocol})

    async def post(self) -> None:
        await asyncio.sleep(0)
        self.write({"size": len(self.request.body), "digest": digest(self.request.body)})


class Stream(tornado.web.RequestHandler):
    async def get(self) -> None:
        data = payload(4_000_000)
        for start in range(0, len(data), 100_000):
            self.write(data[start : start + 100_000])
            await self.flush()


class InThread(tornado.web.RequestHandler):
    async def get(self) -> None:
        loop = tornado.ioloop.IOLoop.current()
        self.write(str(await loop.run_in_executor(None, sum, range(100))))


class Socket(tornado.websocket.WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message[::-1], binary=isinstance(message, bytes))

    def on_close(self) -> None:
        self.application.settings["closed"].set_result(self.close_code)


@contextlib.asynccontextmanager
async def serving(
    tls: ssl.SSLContext | None = None, **settings: Any
) -> AsyncIterator[tuple[str, tornado.httpclient.AsyncHTTPClient]]:
    """Serves the handlers; gives the base address and a client that trusts the server."""
    routes: list[Any] = [("/echo", Echo), ("/stream", Stream), ("/thread", InThread)]
    application = tornado.web.Application([*routes, ("/socket", Socket)], **settings)
    server = tornado.httpserver.HTTPServer(application, ssl_options=tls)
    listener = listening_socket()
    server.add_socket(listener)
    client = tornado.httpclient.AsyncHTTPClient(
        force_instance=True, defaults={"ssl_options": client_context()} if tls else None
    )
    try:
        yield f"http{'s' if tls else ''}://{HOST}:{listener.getsockname()[1]}", client
    finally:
        client.close()
        server.stop()
        await soon(server.close_all_connections())


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_requests_bodies_and_streams(
    same_on_asyncio: Comparison, encrypted: bool, tls_server: ssl.SSLContext
) -> None:
    data = payload(3_000_000)

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with serving(tls_server if encrypted else None) as (url, client):
            answers = await asyncio.gather(
                *(client.fetch(f"{url}/echo?name={n}") for n in range(30))
            )
            seen.append([tornado.escape.json_decode(answer.body)["name"] for answer in answers])
            kind = {"Content-Type": "application/octet-stream"}
            answer = await client.fetch(f"{url}/echo", method="POST", body=data, headers=kind)
            seen.append(tornado.escape.json_decode(answer.body))
            blocks: list[bytes] = []
            await client.fetch(f"{url}/stream", streaming_callback=blocks.append)
            seen.append(digest(b"".join(blocks)))
            seen.append((await client.fetch(f"{url}/thread")).body)
            with pytest.raises(tornado.httpclient.HTTPClientError) as error:
                await client.fetch(f"{url}/nowhere")
            seen.append(error.value.code)
        return seen

    assert same_on_asyncio(scenario) == [
        [str(n) for n in range(30)],
        {"size": len(data), "digest": digest(data)},
        digest(payload(4_000_000)),
        b"4950",
        404,
    ]


def test_a_websocket(same_on_asyncio: Comparison) -> None:
    large = payload(1_000_000)

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        closed = asyncio.get_running_loop().create_future()
        async with serving(closed=closed) as (url, _):
            address = url.replace("http", "ws") + "/socket"
            connection = await tornado.websocket.websocket_connect(address)
            for n in range(100):
                await connection.write_message(f"message {n}")
            seen.append([await connection.read_message() for _ in range(100)])
            await connection.write_message(large, binary=True)
            answer = await connection.read_message()
            assert isinstance(answer, bytes)
            seen.append(digest(answer))
            connection.close(code=4001)
            seen.append(await soon(closed))
            seen.append(await soon(connection.read_message()))
        return seen

    assert same_on_asyncio(scenario) == [
        [f"message {n}"[::-1] for n in range(100)],
        digest(large[::-1]),
        4001,
        None,
    ]


def test_streams_both_ways_and_a_peer_that_goes_away(same_on_asyncio: Comparison) -> None:
    class Lines(tornado.tcpserver.TCPServer):
        async def handle_stream(
            self, stream: tornado.iostream.IOStream, address: tuple[Any, ...]
        ) -> None:
            with contextlib.suppress(tornado.iostream.StreamClosedError):
                while True:
                    line = await stream.read_until(b"\n")
                    if line == b"leave\n":
                        stream.close()
                        return
                    await stream.write(line.upper() * 1000)

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        server = Lines()
        listener = listening_socket()
        server.add_socket(listener)
        stream = await tornado.tcpclient.TCPClient().connect(HOST, listener.getsockname()[1])
        try:
            await stream.write(b"hello\n" * 100)
            seen.append(digest(await stream.read_bytes(600_000)))
            await stream.write(b"leave\n")
            with pytest.raises(tornado.iostream.StreamClosedError):
                await soon(stream.read_until(b"never"))
            seen.append(stream.closed())
        finally:
            stream.close()
            server.stop()
        return seen

    assert same_on_asyncio(scenario) == [digest(b"HELLO\n" * 100_000), True]


def test_a_subprocess_and_a_periodic_callback(same_on_asyncio: Comparison) -> None:
    code = "import sys; data = sys.stdin.read(); print(data.upper() * 2, end=''); sys.exit(7)"

    async def scenario() -> list[Any]:
        called = asyncio.Semaphore(0)
        ticking = tornado.ioloop.PeriodicCallback(called.release, 5)
        ticking.start()
        stream = tornado.process.Subprocess.STREAM
        tornado.process.Subprocess.initialize()
        try:
            child = tornado.process.Subprocess(
                [sys.executable, "-c", code], stdin=stream, stdout=stream
            )
            ended = child.wait_for_exit(raise_error=False)
            await child.stdin.write(b"some words ")
            child.stdin.close()
            text = await soon(child.stdout.read_until_close())
            status = await soon(ended)
            for _ in range(3):
                await soon(called.acquire())
        finally:
            tornado.process.Subprocess.uninitialize()
            ticking.stop()
        child.stdout.close()
        return [text, status]

    assert same_on_asyncio(scenario) == [b"SOME WORDS SOME WORDS ", 7]
