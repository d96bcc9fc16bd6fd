"""TLS is asyncio's: an `ssl.SSLContext` on each side. Here with a certificate made on the spot."""

import asyncio
import ssl

import trustme

import blitzio


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def main() -> None:
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    server = await asyncio.start_server(shout, "127.0.0.1", 0, ssl=server_side)
    async with server:
        _, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_side, server_hostname="localhost"
        )
        print("encrypted with:", writer.get_extra_info("cipher")[0])
        writer.write(b"hello\n")
        print("heard:", (await reader.readline()).decode().strip())
        writer.close()
        await writer.wait_closed()


blitzio.run(main())
