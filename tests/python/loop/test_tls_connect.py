"""TLS connections by address: a numeric one is connected to natively, a name is not, and nobody can
tell which it was. Servers, whose connections are all made natively."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    Recorder,
    client_context,
    server_context,
    soon,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.usefixtures("native"),
    pytest.mark.parametrize("host", [HOST, "localhost"]),
]


def connect(
    host: str, port: int, factory: Callable[[], Any] = Recorder, **options: Any
) -> asyncio.Task[Any]:
    loop = asyncio.get_running_loop()
    options = {"ssl": client_context(), "server_hostname": "localhost", **options}
    return loop.create_task(loop.create_connection(factory, host, port, **options))


async def read_end(sock: socket.socket) -> None:
    """Reads what was said until then, and the end."""
    loop = asyncio.get_running_loop()
    while await soon(loop.sock_recv(sock, 65536)):
        pass


def silent_server() -> socket.socket:
    """Nobody accepts, let alone speaks TLS, but the kernel."""
    listener = socket.create_server((HOST, 0))
    listener.setblocking(False)
    return listener


def test_both_ends(loop: asyncio.AbstractEventLoop, tmp_path: Path, host: str) -> None:
    accepted: list[Recorder] = []

    def accept() -> Recorder:
        accepted.append(Recorder())
        return accepted[-1]

    async def main() -> None:
        server = await loop.create_server(accept, HOST, 0, ssl=server_context(tmp_path))
        address = server.sockets[0].getsockname()
        transport, protocol = await soon(connect(host, address[1]))
        assert protocol.transport is transport
        assert protocol.events == ["made"]
        assert transport.get_protocol() is protocol
        assert transport.get_extra_info("peername") == address
        name = transport.get_extra_info("sockname")
        assert transport.get_extra_info("socket").getsockname() == name
        await soon(accepted[0].made)
        other = accepted[0].transport
        assert other is not None
        assert other.get_extra_info("peername") == name
        assert other.get_extra_info("socket").getpeername() == name
        transport.write(b"there")
        assert await accepted[0].received(5) == b"there"
        other.write(b"back")
        assert await protocol.received(4) == b"back"
        transport.close()
        await soon(protocol.lost)
        await soon(accepted[0].lost)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())
    assert accepted[0].events[-2:] == ["eof", "lost"]


def test_a_name_that_the_certificate_has_not(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, host: str, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        server = await loop.create_server(Recorder, HOST, 0, ssl=server_context(tmp_path))
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await soon(connect(host, port, server_hostname="example.org"))
        server.close()
        await soon(server.wait_closed())
        await turns()

    loop.run_until_complete(main())
    assert reports == []


def test_a_handshake_that_is_cancelled(loop: asyncio.AbstractEventLoop, host: str) -> None:
    async def main() -> None:
        with silent_server() as listener:
            for wait in range(1, 6):
                made: list[Recorder] = []

                def factory(made: list[Recorder] = made) -> Recorder:
                    made.append(Recorder())
                    return made[-1]

                connecting = connect(host, listener.getsockname()[1], factory)
                await turns(wait)
                while wait > 3 and not made:
                    await asyncio.sleep(0)
                connecting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await connecting
                await turns()
                assert all(each.events == [] for each in made)

            connected = 0
            while True:
                try:
                    peer, _ = listener.accept()
                except BlockingIOError:
                    break
                connected += 1
                with peer:
                    peer.setblocking(False)
                    await read_end(peer)
            assert connected >= 2

    loop.run_until_complete(main())


def test_a_handshake_that_nobody_answers(loop: asyncio.AbstractEventLoop, host: str) -> None:
    async def main() -> None:
        with silent_server() as listener:
            with pytest.raises(ConnectionAbortedError, match="longer than 0.01 seconds"):
                await soon(connect(host, listener.getsockname()[1], ssl_handshake_timeout=0.01))

    loop.run_until_complete(main())


def test_a_factory_that_fails(loop: asyncio.AbstractEventLoop, host: str) -> None:
    if host != HOST:
        pytest.skip("as with asyncio, the socket is left to the garbage collector")

    def factory() -> asyncio.Protocol:
        raise RuntimeError("no protocol")

    async def main() -> None:
        with silent_server() as listener:
            with pytest.raises(RuntimeError, match="no protocol"):
                await soon(connect(host, listener.getsockname()[1], factory))
            with pytest.raises(ValueError, match="should be a positive number"):
                await soon(connect(host, listener.getsockname()[1], ssl_handshake_timeout=0))
            for _ in range(2):
                peer, _ = await soon(loop.sock_accept(listener))
                with peer:
                    await read_end(peer)

    loop.run_until_complete(main())


def test_a_servers_factory_that_fails_closes_the_connection_and_is_reported(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, host: str, reports: list[dict[str, Any]]
) -> None:
    def factory() -> asyncio.Protocol:
        raise RuntimeError("no protocol")

    async def main() -> None:
        server = await loop.create_server(factory, HOST, 0, ssl=server_context(tmp_path))
        with pytest.raises(ConnectionResetError):
            await soon(connect(host, server.sockets[0].getsockname()[1]))
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())
    (report,) = reports
    assert report["message"] == "Error on transport creation for incoming connection"
    assert str(report["exception"]) == "no protocol"
