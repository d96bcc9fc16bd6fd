"""IPv6 addresses are four-tuples (host, port, flow label, scope) wherever an address is told."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.datagram_support import Datagrams, Echo, endpoint
from tests.python.loop.support import Recorder, client_context, server_context, soon
from tests.python.loop.unix_support import Accepting, close

if TYPE_CHECKING:
    from pathlib import Path

HOST = "::1"


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind((HOST, 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")


def is_full(address: Any, port: int | None = None) -> bool:
    host, number, flow, scope = address
    return (host, flow, scope) == (HOST, 0, 0) and (port is None or number == port)


@pytest.mark.parametrize("secure", [False, True])
def test_streams(loop: asyncio.AbstractEventLoop, secure: bool, tmp_path: Path) -> None:
    served: dict[str, Any] = {"ssl": server_context(tmp_path)} if secure else {}
    client: dict[str, Any] = {}
    if secure:
        client = {"ssl": client_context(), "server_hostname": "localhost"}

    async def main() -> None:
        accepting = Accepting()
        server = await loop.create_server(accepting, HOST, 0, **served)
        address = server.sockets[0].getsockname()
        assert is_full(address)
        transport, protocol = await loop.create_connection(Recorder, *address[:2], **client)
        theirs = await accepting.wait()
        mine = transport.get_extra_info("sockname")
        assert is_full(mine)
        assert is_full(transport.get_extra_info("peername"), address[1])
        assert theirs.transport is not None
        assert theirs.transport.get_extra_info("peername") == mine
        assert theirs.transport.get_extra_info("sockname") == address
        sock = transport.get_extra_info("socket")
        assert (sock.getsockname(), sock.getpeername()) == (mine, address)
        server.close()
        await close(protocol, theirs)

    loop.run_until_complete(main())


def test_stream_reader_and_writer(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        seen = loop.create_future()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(writer.get_extra_info("peername"))
            writer.close()

        async with await asyncio.start_server(serve, HOST, 0) as server:
            _, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname()[:2], local_addr=(HOST, 0)
            )
            assert is_full(await soon(seen))
            assert await seen == writer.get_extra_info("sockname")
            writer.close()
            await writer.wait_closed()

    loop.run_until_complete(main())


def test_bare_sockets(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        with (
            socket.create_server((HOST, 0), family=socket.AF_INET6) as listener,
            socket.socket(socket.AF_INET6) as client,
        ):
            listener.setblocking(False)
            client.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(listener))
            await soon(loop.sock_connect(client, listener.getsockname()))
            accepted, address = await soon(accepting)
            with accepted:
                assert is_full(address)
                assert address == client.getsockname()

    loop.run_until_complete(main())


def test_bare_datagram_sockets(loop: Any) -> None:
    if not hasattr(loop, "sock_recvfrom"):
        pytest.skip("asyncio's own has it from 3.11 on")

    async def main() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.bind((HOST, 0))
            for address in (sock.getsockname(), sock.getsockname()[:2]):
                await soon(loop.sock_sendto(sock, b"data", address))
                assert await soon(loop.sock_recvfrom(sock, 10)) == (b"data", sock.getsockname())
                await soon(loop.sock_sendto(sock, b"data", address))
                size, sender = await soon(loop.sock_recvfrom_into(sock, bytearray(10)))
                assert (size, sender) == (4, sock.getsockname())
                assert is_full(sender)

    loop.run_until_complete(main())


@pytest.mark.parametrize("connected", [False, True])
def test_datagram_endpoints(loop: asyncio.AbstractEventLoop, connected: bool) -> None:
    async def main() -> None:
        async with endpoint(Echo, local_addr=(HOST, 0)) as (server, echo):
            address = server.get_extra_info("sockname")
            assert is_full(address)
            options: dict[str, Any] = (
                {"remote_addr": address[:2]} if connected else {"local_addr": (HOST, 0)}
            )
            async with endpoint(Datagrams, **options) as (client, protocol):
                client.sendto(b"data", None if connected else address[:2])
                assert await protocol.until_received(1) == [(b"data", address)]
                assert echo.received == [(b"data", client.get_extra_info("sockname"))]
                assert is_full(echo.received[0][1])
                if connected:
                    assert client.get_extra_info("peername") == address

    loop.run_until_complete(main())
