"""Listeners, and what they accept."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from blitzio import net
from blitzio.net import (
    Address,
    TcpListener,
    TcpStream,
    UnixListener,
    UnixStream,
)
from tests.python.runtime.net_support import settle

if TYPE_CHECKING:
    from pathlib import Path

    from tests.python.runtime.conftest import Run


def test_listeners_accept(run: Run) -> None:
    async def main() -> None:
        async with TcpListener.bind("127.0.0.1:0", backlog=10) as listener:
            assert listener.try_accept() is None
            accepting = [asyncio.ensure_future(listener.accept()) for _ in range(3)]
            clients = [await TcpStream.connect(listener.local_address) for _ in range(3)]
            for stream, _ in await asyncio.gather(*accepting):
                stream.close()
            another = await net.connect("127.0.0.1", listener.local_address.port)
            async for stream in listener:
                stream.close()
                break
            for client in [*clients, another]:
                client.close()
        with pytest.raises(OSError):
            await listener.accept()

    run(main())


def test_a_cancelled_accept_takes_no_connection(run: Run) -> None:
    async def main() -> None:
        async with TcpListener.bind("127.0.0.1:0") as listener:
            accepting = asyncio.ensure_future(listener.accept())
            await settle()
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            client = await TcpStream.connect(listener.local_address)
            server, _ = await listener.accept()
            client.close()
            server.close()

    run(main())


def test_unix_streams(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        address = Address.local(tmp_path / "socket")
        async with UnixListener.bind(address) as listener:
            client = await UnixStream.connect(address)
            server, peer = await listener.accept()
            assert peer is None
            assert server.peer_credentials()[0] == os.getpid()
            await client.write_all(b"hello")
            assert await server.read() == b"hello"
            client.close()
            server.close()
        one, other = UnixStream.pair()
        async with one, other:
            await one.write_all(b"pair")
            assert await other.read() == b"pair"

    run(main())
