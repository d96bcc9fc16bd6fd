"""One application on one loop, in a process of its own: `python -m demo.server APP LOOP`.

An application is a framework, or `raw`: a protocol that answers whatever comes with ready bytes,
which leaves the loop's own cost and the kernel's. With `-10k` in its name its answers have 10 KiB.

Prints the port that it listens on and serves until its standard input closes, so it cannot outlive
the process that started it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import sys
from typing import TYPE_CHECKING, Any, cast

from demo.loops import loop_factory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SMALL = json.dumps({"message": "Hello, world!", "numbers": list(range(10))}).encode()
LARGE = b"x" * 10 * 1024


async def until_stdin_closes() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def serve_aiohttp(listener: socket.socket, body: bytes) -> None:
    from aiohttp import web

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    await until_stdin_closes()
    await runner.cleanup()


def asgi_hello(body: bytes) -> Callable[..., Awaitable[None]]:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def hello(
        scope: dict[str, Any],
        _receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the demo speaks HTTP only, not {scope['type']}")
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return hello


async def serve_uvicorn(listener: socket.socket, body: bytes) -> None:
    import uvicorn

    config = uvicorn.Config(asgi_hello(body), log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    await until_stdin_closes()
    server.should_exit = True
    await serving


async def serve_raw(listener: socket.socket, body: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    class Raw(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)

        def data_received(self, data: bytes) -> None:
            if data.endswith(b"\r\n\r\n"):
                self.transport.write(answer)

    server = await asyncio.get_running_loop().create_server(Raw, sock=listener)
    await until_stdin_closes()
    server.close()


async def serve_echo(listener: socket.socket) -> None:
    """What benchmarks/scale.py talks to."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    server = await asyncio.get_running_loop().create_server(Echo, sock=listener)
    await until_stdin_closes()
    server.close()


_SERVERS = {"aiohttp": serve_aiohttp, "uvicorn": serve_uvicorn, "raw": serve_raw}
#: Name → coroutine function that serves on a listening socket.
APPLICATIONS = {
    name + suffix: functools.partial(serve, body=body)
    for suffix, body in (("", SMALL), ("-10k", LARGE))
    for name, serve in _SERVERS.items()
}


def main() -> None:
    application, loop_name = sys.argv[1:3]
    # With the protocol named: asyncio sets TCP_NODELAY only on sockets whose `proto` says TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    loop = loop_factory(loop_name)()
    try:
        asyncio.set_event_loop(loop)
        serve = serve_echo if application == "echo" else APPLICATIONS[application]
        loop.run_until_complete(serve(listener))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


if __name__ == "__main__":
    main()
