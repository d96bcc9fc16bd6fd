"""The floor of an HTTP server: a framework's own protocols and its tasks, on what takes no more
than is needed for a request (bare_server.cpp or bare_ring_server.cpp, and bare_loop.cpp).

It serves the application of an arm of `./dev.py bench http`, and is one more arm there.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
from typing import TYPE_CHECKING, Any

from demo.applications import aiohttp_runner, raw_protocol, uvicorn_server

from floors.loop import make_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from demo.applications import Application

    ProtocolFactory = Callable[[], asyncio.Protocol]


def serve(application: Application, listener: socket.socket, module: str) -> None:
    """Until standard input closes, and whoever has asked has closed before that."""
    bare_loop, bare_server = map(importlib.import_module, ("bare_loop", module))
    loop = make_loop(bare_loop)
    asyncio._set_running_loop(loop)
    try:
        make_protocol = _PROTOCOLS[application.framework](loop, application.body)

        def accept() -> Any:
            sock, peer = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            extra = {"peername": peer, "sockname": sock.getsockname()}
            connection = bare_server.Connection(sock.detach(), extra.get)
            protocol = make_protocol()
            protocol.connection_made(connection)
            connection.data_received = protocol.data_received
            connection.connection_lost = protocol.connection_lost
            return connection

        bare_server.serve(listener.fileno(), sys.stdin.fileno(), accept, loop.run)
    finally:
        asyncio._set_running_loop(None)


def aiohttp_protocols(loop: Any, body: bytes) -> ProtocolFactory:
    runner = aiohttp_runner(body)
    run_now(loop, runner.setup())
    assert runner.server is not None
    return runner.server


def uvicorn_protocols(loop: Any, body: bytes) -> ProtocolFactory:
    """What uvicorn.Server does before it listens; the date of its answers stays that of now."""
    server = uvicorn_server(body)
    config = server.config
    config.load()
    server.lifespan = config.lifespan_class(config)
    run_now(loop, server.on_tick(0))

    def make_protocol() -> asyncio.Protocol:
        return config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=server.server_state, app_state=server.lifespan.state
        )

    return make_protocol


def raw_protocols(_loop: Any, body: bytes) -> ProtocolFactory:
    return raw_protocol(body)


_PROTOCOLS = {"aiohttp": aiohttp_protocols, "uvicorn": uvicorn_protocols, "raw": raw_protocols}


def run_now(loop: Any, coroutine: Coroutine[Any, Any, object]) -> None:
    """Runs what waits for nothing."""
    task = loop.create_task(coroutine)
    loop.run()
    task.result()
