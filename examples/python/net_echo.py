"""Serve an echo over blitzio.net and talk to it: no transports, no protocols.

python net_echo.py          # a server and a client in one program
"""

from __future__ import annotations

import asyncio

import blitzio
from blitzio import net


async def echo(stream: net.TcpStream) -> None:
    async with stream:
        async for line in stream:
            await stream.write_all(line)


async def serve(listener: net.TcpListener) -> None:
    connections = set()
    async for stream in listener:
        connection = asyncio.ensure_future(echo(stream))
        connections.add(connection)
        connection.add_done_callback(connections.discard)


async def main() -> None:
    async with net.TcpListener.bind("127.0.0.1:0") as listener:
        server = asyncio.ensure_future(serve(listener))
        async with await net.connect("localhost", listener.local_address.port) as stream:
            for word in (b"hello\n", b"world\n"):
                await stream.write_all(word)
                print((await stream.read_line()).decode().strip())
        server.cancel()


if __name__ == "__main__":
    blitzio.run(main())
