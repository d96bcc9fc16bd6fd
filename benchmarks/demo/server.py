"""One application on one loop, in a process of its own: `python -m demo.server APP LOOP`.

Prints the port that it listens on and serves until its standard input closes, so it cannot outlive
the process that started it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import TYPE_CHECKING, Any

from demo.loops import loop_factory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BODY = json.dumps({"message": "Hello, world!", "numbers": list(range(10))}).encode()


async def until_stdin_closes() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def serve_aiohttp(listener: socket.socket) -> None:
    from aiohttp import web

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="application/json")

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    await until_stdin_closes()
    await runner.cleanup()


async def asgi_hello(
    scope: dict[str, Any],
    _receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] != "http":
        raise RuntimeError(f"the demo speaks HTTP only, not {scope['type']}")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def serve_uvicorn(listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(asgi_hello, log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    await until_stdin_closes()
    server.should_exit = True
    await serving


APPLICATIONS = {"aiohttp": serve_aiohttp, "uvicorn": serve_uvicorn}


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
        loop.run_until_complete(APPLICATIONS[application](listener))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


if __name__ == "__main__":
    main()
