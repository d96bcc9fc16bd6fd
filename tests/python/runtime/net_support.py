"""Connections for the tests of blitzio.net."""

from __future__ import annotations

import asyncio

from blitzio.net import TcpListener, TcpStream


async def connected() -> tuple[TcpStream, TcpStream]:
    async with TcpListener.bind("127.0.0.1:0") as listener:
        client = await TcpStream.connect(listener.local_address)
        server, peer = await listener.accept()
        assert peer == client.local_address
        return client, server


async def settle() -> None:
    """Lets what is ready run, and I/O be noticed."""
    for _ in range(3):
        await asyncio.sleep(0)
