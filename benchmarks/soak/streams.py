"""Streams under a soak: an echo server, and clients that send, check, pause, reset and vanish.

A client that finishes has its echo compared, digest by digest; one that resets in the middle counts
as reset, and what it had received until then must be a prefix of what it sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

from soak.ledger import Ledger, Wrong

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

PATIENCE = 60.0
RESETS = (ConnectionError, BrokenPipeError, ssl.SSLError)
_LIMIT = 1 << 18


class Echo(asyncio.Protocol):
    """Sends back what comes, and reads no faster than that leaves."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The same with streams."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except RESETS:
        pass
    finally:
        writer.close()
        with contextlib.suppress(*RESETS):
            await writer.wait_closed()


def pieces(rng: random.Random) -> list[bytes]:
    """What one client sends: mostly small pieces, sometimes large ones."""
    count = rng.choice((1, 3, 10, 30))
    size_max = rng.choice((64, 1024, 20_000, 300_000))
    return [rng.randbytes(rng.randint(1, size_max)) for _ in range(count)]


async def client(
    part: str,
    ledger: Ledger,
    rng: random.Random,
    connect: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]],
) -> None:
    """One connection from its beginning to one of its ends."""
    data = pieces(rng)
    reset_at = rng.randrange(len(data)) if rng.random() < 0.15 else None
    reader, writer = await connect()
    sent = b"".join(data)
    received = bytearray()

    async def send() -> None:
        for number, piece in enumerate(data):
            if number == reset_at:
                sock = writer.get_extra_info("socket")
                if rng.random() < 0.5 and sock is not None and sock.family == socket.AF_INET:
                    linger = struct.pack("ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return
            writer.write(piece)
            if rng.random() < 0.5:
                await writer.drain()

    sending = asyncio.ensure_future(send())
    try:
        while len(received) < len(sent):
            if rng.random() < 0.05:
                await asyncio.sleep(rng.random() / 100)
            block = await reader.read(rng.choice((1000, 65536, 1 << 20)))
            if not block:
                break
            received += block
        await sending
    except RESETS:
        if reset_at is None:
            raise Wrong(f"{part}: reset after {len(received)} of {len(sent)} bytes") from None
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
        with contextlib.suppress(*RESETS):
            await writer.wait_closed()
    if reset_at is not None:
        if not sent.startswith(received):
            raise Wrong(f"{part}: a reset connection had received what was never sent")
        ledger.add(part, resets=1)
        return
    if hashlib.sha256(received).digest() != hashlib.sha256(sent).digest():
        raise Wrong(f"{part}: {len(received)} of {len(sent)} bytes came back, or others")
    ledger.add(part, connections=1, bytes=len(sent))


async def serve(loop: asyncio.AbstractEventLoop, as_streams: bool, **keywords: Any) -> Any:
    """An echo server on 127.0.0.1, or at `path`."""
    if "path" in keywords:
        if as_streams:
            return await asyncio.start_unix_server(echo, limit=_LIMIT, **keywords)
        return await loop.create_unix_server(Echo, **keywords)
    if as_streams:
        return await asyncio.start_server(echo, "127.0.0.1", 0, limit=_LIMIT, **keywords)
    return await loop.create_server(Echo, "127.0.0.1", 0, **keywords)
