"""What the framework tests share: servers as context managers, payloads, child processes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.python.loop.support import HOST, soon

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    import aiohttp.web

HERE = Path(__file__).parent


def payload(size: int) -> bytes:
    """Bytes whose every 8-byte group is different, so that lost or swapped parts show."""
    return b"".join(number.to_bytes(8, "big") for number in range((size + 7) // 8))[:size]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listening_socket(backlog: int = 1024) -> socket.socket:
    """A listening socket on a free port: who connects before the server runs waits in it."""
    sock = socket.create_server((HOST, 0), backlog=backlog)
    sock.setblocking(False)
    return sock


@contextlib.asynccontextmanager
async def aiohttp_server(
    application: aiohttp.web.Application,
    *,
    ssl_context: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[str]:
    """Serves an aiohttp application; gives its base address."""
    from aiohttp import web

    options.setdefault("access_log", None)
    runner = web.AppRunner(application, **options)
    await runner.setup()
    with listening_socket() as listener:
        try:
            site = web.SockSite(runner, listener, ssl_context=ssl_context)
            await site.start()
            port = listener.getsockname()[1]
            yield f"https://localhost:{port}" if ssl_context else f"http://{HOST}:{port}"
        finally:
            await soon(runner.cleanup())


@contextlib.asynccontextmanager
async def uvicorn_server(application: Callable[..., Any], **options: Any) -> AsyncIterator[str]:
    """Serves an ASGI application on the running loop; gives its base address."""
    import uvicorn

    options.setdefault("lifespan", "off")
    config = uvicorn.Config(application, log_level="error", access_log=False, **options)
    server = uvicorn.Server(config)
    with listening_socket() as listener:
        port = listener.getsockname()[1]
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        try:
            yield f"https://localhost:{port}" if config.is_ssl else f"http://{HOST}:{port}"
        finally:
            server.should_exit = True
            await soon(serving)


def child_environment(backend: str) -> dict[str, str]:
    """For a child process that shall import the same blitzio and use the backend under test."""
    environment = dict(os.environ)
    paths = [str(HERE)]
    if backend != "asyncio":
        import blitzio

        paths.append(str(Path(blitzio.__file__).parent.parent))
        environment["BLITZIO_BACKEND"] = backend
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
