"""TLS: connections, servers and start_tls over our transports."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    Recorder,
    client_context,
    raw_pair,
    server_context,
    soon,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]


# With asyncio's own loop as one more backend: SSLProtocol of 3.10 does not close its transport when
# the peer ends the connection, so the transport warns when it is collected.
quiet_on_310 = pytest.mark.filterwarnings(
    "ignore:.*asyncio._SSLProtocolTransport:pytest.PytestUnraisableExceptionWarning"
    if sys.version_info < (3, 11)
    else "error"
)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("debug", [False, True])
def test_an_echo_over_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path, debug: bool) -> None:
    loop.set_debug(debug)
    loop.slow_callback_duration = 1000

    async def main() -> None:
        server = await asyncio.start_server(echo, HOST, 0, ssl=server_context(tmp_path))
        port = server.sockets[0].getsockname()[1]
        reader, writer = await soon(
            asyncio.open_connection("localhost", port, ssl=client_context(), family=socket.AF_INET)
        )
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert writer.get_extra_info("peername") == (HOST, port)
        assert writer.get_extra_info("peercert")["subject"] == ((("commonName", "localhost"),),)
        data = bytes(range(256)) * 4096

        async def send() -> None:
            writer.write(data)
            await writer.drain()

        sending = loop.create_task(send())
        assert await soon(reader.readexactly(len(data))) == data
        await sending
        writer.close()
        await soon(writer.wait_closed())
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


@quiet_on_310
def test_alpn_and_the_users_context(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    names: list[Any] = []

    async def main() -> None:
        theirs = server_context(tmp_path)
        theirs.set_alpn_protocols(["two", "one"])
        theirs.sni_callback = lambda _, name, __: names.append(name)
        ours = client_context()
        ours.set_alpn_protocols(["one", "two"])
        server = await loop.create_server(Recorder, HOST, 0, ssl=theirs)
        transport, protocol = await soon(
            loop.create_connection(
                Recorder,
                *server.sockets[0].getsockname(),
                ssl=ours,
                server_hostname="localhost",
            )
        )
        assert transport.get_extra_info("ssl_object").selected_alpn_protocol() == "two"
        assert transport.get_extra_info("sslcontext") is ours
        transport.close()
        await soon(protocol.lost)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())
    assert names == ["localhost"]


def test_a_certificate_that_is_not_trusted(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, reports: list[dict[str, Any]]
) -> None:
    loop.set_debug(True)

    async def main() -> None:
        server = await loop.create_server(Recorder, HOST, 0, ssl=server_context(tmp_path))
        address = server.sockets[0].getsockname()
        with pytest.raises(ssl.SSLCertVerificationError):
            await soon(
                loop.create_connection(
                    Recorder,
                    *address,
                    ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                    server_hostname="localhost",
                )
            )
        while not reports:
            await asyncio.sleep(0)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())
    assert reports[0]["message"] == "Error on transport creation for incoming connection"
    assert isinstance(reports[0]["exception"], (ssl.SSLError, ConnectionError))


def test_a_client_that_speaks_no_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        server = await loop.create_server(Recorder, HOST, 0, ssl=server_context(tmp_path))
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        try:
            await soon(reader.read())
        except ConnectionResetError:
            pass
        writer.close()
        try:
            await soon(writer.wait_closed())
        except ConnectionResetError:
            pass
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_a_handshake_that_takes_too_long(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        mine, peer = raw_pair()
        with peer, pytest.raises(ConnectionAbortedError, match="is taking longer than 0.01"):
            await soon(
                loop.create_connection(
                    Recorder,
                    sock=mine,
                    ssl=client_context(),
                    server_hostname="localhost",
                    ssl_handshake_timeout=0.01,
                )
            )

    loop.run_until_complete(main())


@quiet_on_310
def test_start_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        theirs, ours = server_context(tmp_path), client_context()
        mine, other = raw_pair()
        client_transport, client = await loop.create_connection(Recorder, sock=mine)
        server_transport, server = await loop.connect_accepted_socket(Recorder, other)

        client_transport.write(b"starttls")
        assert await server.received(8) == b"starttls"
        secure_server, secure_client = await soon(
            asyncio.gather(
                loop.start_tls(server_transport, server, theirs, server_side=True),
                loop.start_tls(client_transport, client, ours, server_hostname="localhost"),
            )
        )
        assert secure_server is not None
        assert secure_client is not None
        secure_client.write(b" secret")
        assert await server.received(15) == b"starttls secret"
        secure_server.write(b"answer")
        assert await client.received(6) == b"answer"
        # The upgrade is not a new connection.
        assert client.events.count("made") == 1
        secure_client.close()
        await soon(client.lost)
        await soon(server.lost)

    loop.run_until_complete(main())


def test_start_tls_wants_a_context_and_a_transport(same_as_asyncio: Compare) -> None:
    context = client_context()

    for transport, given in ((None, "no context"), (None, context), (object(), context)):

        def scenario(
            loop: asyncio.AbstractEventLoop, transport: Any = transport, given: Any = given
        ) -> Any:
            class Fixed:
                def __repr__(self) -> str:
                    return "<transport>"

            used = Fixed() if transport is not None else None
            protocol = asyncio.Protocol()
            return loop.run_until_complete(loop.start_tls(used, protocol, given))  # type: ignore[arg-type]

        assert same_as_asyncio(scenario)[1] is TypeError


def test_an_ssl_socket_is_refused(same_as_asyncio: Compare) -> None:
    with (
        socket.socket() as plain,
        client_context().wrap_socket(
            plain, do_handshake_on_connect=False, server_hostname="localhost"
        ) as secure,
    ):
        for start in (
            lambda loop: loop.create_connection(Recorder, sock=secure),
            lambda loop: loop.create_server(Recorder, sock=secure),
            lambda loop: loop.connect_accepted_socket(Recorder, secure),
            lambda loop: loop.sock_recv(secure, 1),
            lambda loop: loop.sock_recv_into(secure, bytearray(1)),
            lambda loop: loop.sock_sendall(secure, b"data"),
            lambda loop: loop.sock_accept(secure),
            lambda loop: loop.sock_connect(secure, (HOST, 1)),
        ):

            async def run(loop: asyncio.AbstractEventLoop, start: Any = start) -> Any:
                return await start(loop)

            result = same_as_asyncio(lambda loop, run=run: loop.run_until_complete(run(loop)))  # type: ignore[misc]
            assert result[1:] == (TypeError, "Socket cannot be of type SSLSocket")
