"""start_tls(): upgrades, TLS in TLS, and TLS over transports of others."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    Recorder,
    client_context,
    raw_pair,
    server_context,
    soon,
    turns,
)
from tests.python.loop.tls_support import Peer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("native")


async def plain_pair() -> tuple[Any, Any, Any, Any]:
    """(client's transport and protocol, server's transport and protocol)"""
    loop = asyncio.get_running_loop()
    mine, other = raw_pair()
    client = await loop.create_connection(Recorder, sock=mine)
    server = await loop.connect_accepted_socket(Recorder, other)
    return *client, *server


async def upgrade(
    folder: Path, client: Any, client_protocol: Any, server: Any, server_protocol: Any
) -> tuple[Any, Any]:
    loop = asyncio.get_running_loop()
    upgraded: tuple[Any, Any] = await soon(
        asyncio.gather(
            loop.start_tls(client, client_protocol, client_context(), server_hostname="localhost"),
            loop.start_tls(server, server_protocol, server_context(folder), server_side=True),
        )
    )
    return upgraded


def test_tls_in_tls_in_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        client, client_protocol, server, server_protocol = await plain_pair()
        for _ in range(3):
            client, server = await upgrade(
                tmp_path, client, client_protocol, server, server_protocol
            )
        data = bytes(range(256)) * 2000
        client.write(data)
        assert await server_protocol.received(len(data)) == data
        server.write(b"answer")
        assert await client_protocol.received(6) == b"answer"
        assert client.get_extra_info("peername") is not None
        client.close()
        assert await soon(server_protocol.lost) is None
        assert await soon(client_protocol.lost) is None
        assert server_protocol.events.count("eof") == 1

    loop.run_until_complete(main())


def test_connection_made_is_not_called_again(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        client, client_protocol, server, server_protocol = await plain_pair()
        client, server = await upgrade(tmp_path, client, client_protocol, server, server_protocol)
        client.abort()
        await soon(server_protocol.lost)
        await soon(client_protocol.lost)
        assert client_protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_what_was_written_before_goes_out_in_clear(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        client, client_protocol, server, server_protocol = await plain_pair()
        client.write(b"STARTTLS\r\n")
        assert await server_protocol.received(10) == b"STARTTLS\r\n"
        server.write(b"220 go ahead\r\n")
        assert await client_protocol.received(14) == b"220 go ahead\r\n"
        client, server = await upgrade(tmp_path, client, client_protocol, server, server_protocol)
        client.write(b"secret")
        assert await server_protocol.received(16) == b"STARTTLS\r\nsecret"
        client.abort()
        await soon(server_protocol.lost)

    loop.run_until_complete(main())


def test_what_a_stream_has_read_ahead_is_part_of_the_handshake(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    """As behind a proxy, whose header and the client's first message come together."""

    async def main() -> None:
        mine, other = raw_pair()
        reader = asyncio.StreamReader()
        transport, protocol = await loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader), mine
        )
        with other:
            peer = Peer(other, client_context(), server_side=False)
            with pytest.raises(ssl.SSLWantReadError):
                peer.tls.do_handshake()
            other.sendall(b"PROXY TCP4\r\n" + peer.outgoing.read())
            assert await soon(reader.readline()) == b"PROXY TCP4\r\n"
            while not reader._buffer:  # type: ignore[attr-defined]
                await turns()
            shaking = asyncio.ensure_future(peer.handshake())
            context = server_context(tmp_path)
            upgraded = await soon(loop.start_tls(transport, protocol, context, server_side=True))
            await soon(shaking)
            await peer.send(b"secret\n")
            assert await soon(reader.readline()) == b"secret\n"
            assert upgraded is not None
            upgraded.abort()
            await turns()

    loop.run_until_complete(main())


def test_a_closing_transport_is_refused_and_keeps_its_protocol(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        client, client_protocol, server, server_protocol = await plain_pair()
        for _ in range(2):  # Closing, then closed.
            client.close()
            with pytest.raises(ConnectionAbortedError):
                await loop.start_tls(
                    client, client_protocol, client_context(), server_hostname="localhost"
                )
            assert await soon(client_protocol.lost) is None
        server.abort()
        await soon(server_protocol.lost)

    loop.run_until_complete(main())


def test_a_transport_that_is_closed_meanwhile(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        client, client_protocol, server, server_protocol = await plain_pair()
        starting = loop.create_task(
            loop.start_tls(client, client_protocol, client_context(), server_hostname="localhost")
        )
        await turns(3)
        client.close()
        with pytest.raises(ConnectionError):
            await soon(starting)
        await soon(server_protocol.lost)

    loop.run_until_complete(main())


def test_a_cancelled_upgrade_closes_the_transport(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        for wait in range(4):
            client, client_protocol, server, server_protocol = await plain_pair()
            starting = loop.create_task(
                loop.start_tls(
                    client, client_protocol, client_context(), server_hostname="localhost"
                )
            )
            await turns(wait)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            await soon(server_protocol.lost) if wait else server.abort()
            client.abort()
            await turns(5)

    loop.run_until_complete(main())


class Foreign(asyncio.Transport):
    """A transport of somebody else's: hands bytes to its twin through the loop."""

    _start_tls_compatible = True

    def __init__(self, loop: asyncio.AbstractEventLoop, buffered: bool) -> None:
        super().__init__()
        self.loop = loop
        self.buffered = buffered
        self.protocol: Any = None
        self.twin: Foreign | None = None
        self.closed = False
        self.waiting: list[bytes] = []
        self.paused = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: Any) -> None:
        assert self.twin is not None
        self.loop.call_soon(self.twin.arrive, bytes(data))

    def arrive(self, data: bytes) -> None:
        if self.closed:
            return
        if self.paused:
            self.waiting.append(data)
            return
        if not self.buffered:
            self.protocol.data_received(data)
            return
        while data:
            buffer = memoryview(self.protocol.get_buffer(-1))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            self.protocol.buffer_updated(count)
            data = data[count:]

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        waiting, self.waiting = self.waiting, []
        for data in waiting:
            self.arrive(data)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.loop.call_soon(self.protocol.connection_lost, None)

    abort = close


@pytest.mark.parametrize("buffered", [False, True])
def test_tls_over_a_transport_of_somebody_else(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, buffered: bool
) -> None:
    async def main() -> None:
        below_client, below_server = Foreign(loop, buffered), Foreign(loop, buffered)
        below_client.twin, below_server.twin = below_server, below_client
        client_protocol, server_protocol = Recorder(), Recorder()
        client, server = await upgrade(
            tmp_path, below_client, client_protocol, below_server, server_protocol
        )
        data = bytes(range(256)) * 1000
        client.write(data)
        assert await server_protocol.received(len(data)) == data
        server.close()
        assert await soon(client_protocol.lost) is None
        assert await soon(server_protocol.lost) is None
        assert below_client.closed
        assert below_server.closed

    loop.run_until_complete(main())
