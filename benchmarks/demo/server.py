"""One application on one loop, in a process of its own: `python -m demo.server APP LOOP`.

An application is one of applications.py; with `-10k` in its name its answers have 10 KiB. Instead
of a loop there may be a floor, which is none: floors/serving.py.

Prints the port that it listens on and serves until its standard input closes, so it cannot outlive
the process that started it.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import cast

from demo.applications import APPLICATIONS, aiohttp_runner, raw_protocol, uvicorn_server
from demo.loops import FLOORS, loop_factory


async def until_stdin_closes() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def serve_aiohttp(listener: socket.socket, body: bytes) -> None:
    from aiohttp import web

    runner = aiohttp_runner(body)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    await until_stdin_closes()
    await runner.cleanup()


async def serve_uvicorn(listener: socket.socket, body: bytes) -> None:
    server = uvicorn_server(body)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    await until_stdin_closes()
    server.should_exit = True
    await serving


async def serve_raw(listener: socket.socket, body: bytes) -> None:
    server = await asyncio.get_running_loop().create_server(raw_protocol(body), sock=listener)
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


async def serve(application: str, listener: socket.socket) -> None:
    if application == "echo":
        await serve_echo(listener)
    else:
        framework, body = APPLICATIONS[application]
        await _SERVERS[framework](listener, body)


def main() -> None:
    application, loop_name = sys.argv[1:3]
    # With the protocol named: asyncio sets TCP_NODELAY only on sockets whose `proto` says TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    if loop_name in FLOORS:
        from floors import serving

        serving.serve(APPLICATIONS[application], listener, FLOORS[loop_name])
        return
    loop = loop_factory(loop_name)()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve(application, listener))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


if __name__ == "__main__":
    main()
