"""What the TLS tests share: a peer that speaks TLS by hand, so that a test has every byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

from tests.python.loop.support import (
    Recorder,
    client_context,
    raw_pair,
    server_context,
    soon,
    turns,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class Peer:
    """The other end of a TLS connection, over a bare socket."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool = True
    ) -> None:
        self.sock = sock
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=server_side,
            server_hostname=None if server_side else "localhost",
        )
        self.plaintext = bytearray()

    async def handshake(self) -> None:
        await self.do(self.tls.do_handshake)
        await self.flush()

    async def do(self, step: Callable[[], Any]) -> Any:
        """Repeats `step` until it wants no more bytes from the wire."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self.flush()
                await self.fetch()

    async def fetch(self) -> None:
        loop = asyncio.get_running_loop()
        data = await soon(loop.sock_recv(self.sock, 65536))
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    async def flush(self) -> None:
        await soon(asyncio.get_running_loop().sock_sendall(self.sock, self.outgoing.read()))

    def records(self, data: bytes, size: int | None = None) -> bytes:
        """`data` as ciphertext, in records of `size` bytes each."""
        for start in range(0, len(data), size or len(data)):
            self.tls.write(data[start : start + (size or len(data))])
        return self.outgoing.read()

    async def send(self, data: bytes) -> None:
        self.tls.write(data)
        await self.flush()

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes of plaintext; fewer at the end."""
        while len(self.plaintext) < size:
            data = await self.do(lambda: self.tls.read(65536))
            if not data:
                break
            self.plaintext += data
        data = bytes(self.plaintext[:size])
        del self.plaintext[:size]
        return data

    async def read_end(self) -> bytes:
        """Everything up to the other side's close_notify."""
        return await self.read(1 << 40)

    async def close(self) -> None:
        """Says close_notify, and waits for the answer."""
        await self.do(self.tls.unwrap)
        await self.flush()


@contextlib.asynccontextmanager
async def tls_and_peer(
    folder: Path,
    factory: Callable[[], Any] = Recorder,
    *,
    server_side: bool = False,
    **options: Any,
) -> AsyncIterator[tuple[asyncio.Transport, Any, Peer]]:
    """A TLS transport on one end of a connection, and a peer that speaks by hand."""
    loop = asyncio.get_running_loop()
    mine, other = raw_pair()
    server, client = server_context(folder), client_context()
    with other:
        peer = Peer(other, client if server_side else server, server_side=not server_side)
        shaking = loop.create_task(peer.handshake())
        if server_side:
            transport, protocol = await soon(
                loop.connect_accepted_socket(factory, mine, ssl=server, **options)
            )
        else:
            transport, protocol = await soon(
                loop.create_connection(
                    factory, sock=mine, ssl=client, server_hostname="localhost", **options
                )
            )
        await soon(shaking)
        try:
            yield transport, protocol, peer
        finally:
            lost = getattr(protocol, "lost", None)
            transport.abort()
            if lost is not None and not lost.done():
                await soon(asyncio.wait([lost]))
            await turns()
