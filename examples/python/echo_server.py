"""An echo server on asyncio's streams, and a client that asks it something."""

import asyncio

import blitzio


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        for word in ("hello", "world"):
            writer.write(f"{word}\n".encode())
            print("heard:", (await reader.readline()).decode().strip())
        writer.close()
        await writer.wait_closed()


blitzio.run(main())
