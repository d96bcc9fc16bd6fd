"""The fastest way to serve: a protocol, called by the transport with each piece of data."""

import asyncio

import blitzio


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Client(asyncio.Protocol):
    def __init__(self, message: bytes) -> None:
        self.message = message
        self.answer = bytearray()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.message)
        transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self.answer += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(bytes(self.answer))


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        _, client = await loop.create_connection(lambda: Client(b"hello"), host, port)
        print("heard:", (await client.done).decode())


blitzio.run(main())
