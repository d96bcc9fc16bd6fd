"""What is served: a framework's smallest application, or `raw`, a protocol that answers whatever
comes with ready bytes, which leaves the loop's own cost and the kernel's.

Here are the parts that are the same whatever waits for connections: server.py gives them to a loop,
floors/serving.py to what is none.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import uvicorn
    from aiohttp import web


class Application(NamedTuple):
    framework: str
    body: bytes  # of every answer


_BODIES = {
    "": json.dumps({"message": "Hello, world!", "numbers": list(range(10))}).encode(),
    "-10k": b"x" * 10 * 1024,
}
APPLICATIONS = {
    framework + suffix: Application(framework, body)
    for suffix, body in _BODIES.items()
    for framework in ("aiohttp", "uvicorn", "raw")
}


def aiohttp_runner(body: bytes) -> web.AppRunner:
    from aiohttp import web

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.router.add_get("/", hello)
    return web.AppRunner(application, access_log=None)


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


def uvicorn_server(body: bytes) -> uvicorn.Server:
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(asgi_hello(body), log_level="error", access_log=False, lifespan="off")
    )


def raw_protocol(body: bytes) -> type[asyncio.Protocol]:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    class Raw(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)

        def data_received(self, data: bytes) -> None:
            if data.endswith(b"\r\n\r\n"):
                self.transport.write(answer)

    return Raw
