"""TLS: handshakes that succeed, fail, hang or are given up, and what the context decides."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    Recorder,
    client_context,
    raw_pair,
    read_all,
    server_context,
    soon,
    turns,
)
from tests.python.loop.tls_support import Peer, tls_and_peer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("native")


async def connect(sock: Any, context: ssl.SSLContext, **options: Any) -> Any:
    loop = asyncio.get_running_loop()
    return await soon(
        loop.create_connection(
            Recorder, sock=sock, ssl=context, server_hostname="localhost", **options
        )
    )


def test_extra_info(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, _, peer):
            tls: Any = transport.get_extra_info("ssl_object")
            assert isinstance(tls, ssl.SSLObject)
            assert transport.get_extra_info("cipher") == tls.cipher()
            assert transport.get_extra_info("compression") is None
            assert transport.get_extra_info("peercert") == tls.getpeercert()
            assert isinstance(transport.get_extra_info("sslcontext"), ssl.SSLContext)
            assert transport.get_extra_info("peername") == peer.sock.getsockname()
            assert transport.get_extra_info("socket") is not None
            assert transport.get_extra_info("no such thing") is None
            assert transport.get_extra_info("no such thing", 1) == 1
            assert type(transport).__name__ == "_SSLProtocolTransport"

    loop.run_until_complete(main())


def test_extra_info_that_is_asked_for_after_the_end(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, _):
            transport.abort()
            await soon(protocol.lost)
            assert transport.get_extra_info("peercert")["subject"]
            assert transport.get_extra_info("cipher")[1] == "TLSv1.3"

    loop.run_until_complete(main())


def test_extra_info_that_is_asked_for_after_an_error_of_tls(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        for was_asked in (False, True):
            async with tls_and_peer(tmp_path) as (transport, protocol, peer):
                if was_asked:
                    transport.get_extra_info("peercert")
                await soon(loop.sock_sendall(peer.sock, b"\x17\x03\x03\x00\x20" + bytes(32)))
                assert isinstance(await soon(protocol.lost), ssl.SSLError)
                assert transport.get_extra_info("peercert")["subject"]
                assert transport.get_extra_info("cipher") is not None

    loop.run_until_complete(main())


def test_the_certificate_is_where_asyncio_keeps_it(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    """Private, but programs look there for who it is that has connected."""

    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, _protocol, _peer):
            protocol: Any = transport
            assert protocol._ssl_protocol._extra["peercert"]["subject"]
            assert protocol._ssl_protocol._extra["cipher"][1].startswith("TLS")
            with pytest.raises(KeyError):
                protocol._ssl_protocol._extra["no such"]

    loop.run_until_complete(main())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_with_a_reused_session(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    async def main() -> None:
        theirs, ours = server_context(tmp_path), client_context()
        # The certificate of the tests signs itself: each end shows it and trusts it.
        theirs.verify_mode = ssl.CERT_REQUIRED
        theirs.load_verify_locations(tmp_path / "certificate.pem")
        ours.load_cert_chain(tmp_path / "certificate.pem")
        ours.minimum_version = ours.maximum_version = version
        keylog = tmp_path / "keys"
        ours.keylog_filename = str(keylog)
        session = None
        for attempt in range(2):
            mine, other = raw_pair()
            with mine:
                client = Peer(mine, ours, server_side=False)
                if session is not None:
                    client.tls.session = session
                shaking = loop.create_task(client.handshake())
                transport, protocol = await soon(
                    loop.connect_accepted_socket(Recorder, other, ssl=theirs)
                )
                await soon(shaking)
                transport.write(b"data")  # Brings the tickets of TLS 1.3 along.
                assert await client.read(4) == b"data"
                session = client.tls.session
                assert transport.get_extra_info("ssl_object").session_reused is (attempt == 1)
                # A resumed session knows the peer, but not the chain that it came with.
                assert transport.get_extra_info("peercert")["subject"]
                transport.abort()
                await soon(protocol.lost)
        assert keylog.read_text()

    loop.run_until_complete(main())


def test_a_client_without_the_certificate_that_it_may_have(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        theirs = server_context(tmp_path)
        theirs.verify_mode = ssl.CERT_OPTIONAL
        theirs.load_verify_locations(tmp_path / "certificate.pem")
        mine, other = raw_pair()
        (server, accepted), (client, _) = await soon(
            asyncio.gather(
                loop.connect_accepted_socket(Recorder, other, ssl=theirs),
                connect(mine, client_context()),
            )
        )
        assert server.get_extra_info("peercert", "none told") is None
        client.close()
        await soon(accepted.lost)

    loop.run_until_complete(main())


def test_who_is_refused_in_connection_made_is_not_heard(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    """Though the client's first data may have come together with the end of its handshake."""
    refused: list[Recorder] = []

    class Refusing(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            refused.append(self)
            raise ValueError("refused")

    async def main() -> None:
        server = await loop.create_server(Refusing, HOST, 0, ssl=server_context(tmp_path))
        port = server.sockets[0].getsockname()[1]
        reader, writer = await soon(
            asyncio.open_connection(HOST, port, ssl=client_context(), server_hostname="localhost")
        )
        writer.write(b"hello")
        with contextlib.suppress(ConnectionError):
            assert await soon(reader.read()) == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await soon(writer.wait_closed())
        await soon(refused[0].lost)
        assert refused[0].data == b""
        server.close()

    loop.set_exception_handler(lambda _loop, _context: None)
    loop.run_until_complete(main())


def test_the_clients_certificate_is_asked_for(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        theirs, ours = server_context(tmp_path), client_context()
        theirs.verify_mode = ssl.CERT_REQUIRED
        theirs.load_verify_locations(tmp_path / "certificate.pem")
        ours.load_cert_chain(tmp_path / "certificate.pem")
        mine, other = raw_pair()
        (server, accepted), (client, _) = await soon(
            asyncio.gather(
                loop.connect_accepted_socket(Recorder, other, ssl=theirs), connect(mine, ours)
            )
        )
        assert server.get_extra_info("peercert")["subject"]
        client.close()
        await soon(accepted.lost)

    loop.run_until_complete(main())


def test_post_handshake_authentication(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        theirs, ours = server_context(tmp_path), client_context()
        theirs.verify_mode = ssl.CERT_REQUIRED
        theirs.post_handshake_auth = ours.post_handshake_auth = True
        theirs.load_verify_locations(tmp_path / "certificate.pem")
        ours.load_cert_chain(tmp_path / "certificate.pem")
        mine, other = raw_pair()
        (server, accepted), (client, connected) = await soon(
            asyncio.gather(
                loop.connect_accepted_socket(Recorder, other, ssl=theirs), connect(mine, ours)
            )
        )
        tls = server.get_extra_info("ssl_object")
        assert tls.getpeercert() is None
        tls.verify_client_post_handshake()
        server.write(b"who are you?")
        await connected.received(12)
        # The client's OpenSSL has answered by itself, in the course of a read.
        client.write(b"see above")
        await accepted.received(9)
        assert tls.getpeercert()["subject"]
        client.close()
        await soon(accepted.lost)

    loop.run_until_complete(main())


@pytest.mark.no_faults("an alert is sent once, before the connection goes", "again", "short")
def test_a_wrong_name_is_refused(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        mine, other = raw_pair()
        with other:
            peer = Peer(other, server_context(tmp_path))
            shaking = loop.create_task(peer.handshake())
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                await soon(
                    loop.create_connection(
                        Recorder, sock=mine, ssl=client_context(), server_hostname="example.org"
                    )
                )
            # The server hears why.
            await asyncio.wait([shaking])
            if shaking.exception() is None:
                with pytest.raises(ssl.SSLError, match="(?i)alert"):
                    await peer.read(1)
            else:
                assert isinstance(shaking.exception(), ssl.SSLError)

    loop.run_until_complete(main())
    assert reports == []  # An OSError, which asyncio reports to who waits alone.


@pytest.mark.no_faults("an alert is sent once, before the connection goes", "again", "short")
def test_versions_that_do_not_meet(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        theirs, ours = server_context(tmp_path), client_context()
        theirs.maximum_version = ssl.TLSVersion.TLSv1_2
        ours.minimum_version = ssl.TLSVersion.TLSv1_3
        mine, other = raw_pair()
        results = await soon(
            asyncio.gather(
                loop.connect_accepted_socket(Recorder, other, ssl=theirs),
                connect(mine, ours),
                return_exceptions=True,
            )
        )
        # The client's is the server's alert, not a mere end of file.
        assert all(type(result) is ssl.SSLError for result in results)

    loop.run_until_complete(main())


@pytest.mark.parametrize("debug", [False, True])
def test_an_end_during_the_handshake(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    caplog.set_level(logging.DEBUG, "asyncio")
    loop.set_debug(debug)
    loop.slow_callback_duration = 1000

    async def main() -> None:
        mine, other = raw_pair()
        connecting = loop.create_task(connect(mine, client_context()))
        # All of it is read: what is not would make a reset of the end.
        header = await read_all(other, 5)
        await read_all(other, int.from_bytes(header[3:], "big"))
        other.close()
        with pytest.raises(ConnectionResetError):
            await soon(connecting)

    loop.run_until_complete(main())
    assert ("SSL handshake failed" in caplog.text) is debug
    assert ("starts SSL handshake" in caplog.text) is debug


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
@pytest.mark.parametrize("value", [0, -1.5])
def test_timeouts_must_be_positive(
    loop: asyncio.AbstractEventLoop, name: str, value: float
) -> None:
    if name == "ssl_shutdown_timeout" and sys.version_info < (3, 11):
        pytest.skip("asyncio of Python 3.10 has no such argument")

    async def main() -> None:
        mine, other = raw_pair()
        with mine, other:
            with pytest.raises(
                ValueError, match=f"{name} should be a positive number, got {value}"
            ):
                await connect(mine, client_context(), **{name: value})

    loop.run_until_complete(main())


def test_a_handshake_that_is_cancelled_closes_the_connection(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        for wait in range(1, 5):
            mine, other = raw_pair()
            with other:
                connecting = loop.create_task(
                    loop.create_connection(
                        Recorder, sock=mine, ssl=client_context(), server_hostname="localhost"
                    )
                )
                await turns(wait)
                connecting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await connecting
                while await soon(loop.sock_recv(other, 65536)):
                    pass  # What was said until then.

    loop.run_until_complete(main())


def test_writes_in_connection_made_go_out_first(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    class Eager(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            assert self.transport is not None
            self.transport.write(b"first ")
            # The handshake's last flight must leave even if nobody reads.
            self.transport.pause_reading()

    async def main() -> None:
        async with tls_and_peer(tmp_path, Eager) as (transport, _, peer):
            transport.write(b"second")
            assert await peer.read(12) == b"first second"

    loop.run_until_complete(main())


def test_the_handshake_completes_though_nobody_reads_or_writes(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    class Silent(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            assert self.transport is not None
            self.transport.pause_reading()

    async def main() -> None:
        async with tls_and_peer(tmp_path, Silent) as (transport, _, __):
            transport.resume_reading()

    loop.run_until_complete(main())


def test_data_that_comes_with_the_handshakes_last_flight(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    events: list[str] = []

    class Noting(Recorder):
        def data_received(self, data: bytes) -> None:
            events.append("data")
            super().data_received(data)

    async def main() -> None:
        mine, other = raw_pair()
        with mine:
            client = Peer(mine, client_context(), server_side=False)

            async def shake_and_send() -> None:
                await client.do(client.tls.do_handshake)
                client.tls.write(b"in a hurry")
                await client.flush()

            shaking = loop.create_task(shake_and_send())
            # Not by way of wait_for(), whose own task would hear of it later.
            transport, protocol = await loop.connect_accepted_socket(
                Noting, other, ssl=server_context(tmp_path)
            )
            events.append("returned")
            assert await protocol.received(10) == b"in a hurry"
            await soon(shaking)
            transport.abort()
            await soon(protocol.lost)

    loop.run_until_complete(main())
    assert events == ["returned", "data"]


def test_a_default_context(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        server = await loop.create_server(Recorder, HOST, 0, ssl=server_context(tmp_path))
        with pytest.raises(ssl.SSLCertVerificationError):
            await soon(
                loop.create_connection(
                    Recorder,
                    *server.sockets[0].getsockname(),
                    ssl=True,
                    server_hostname="localhost",
                )
            )
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_a_server_needs_a_context(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        mine, other = raw_pair()
        with mine, other:
            with pytest.raises(ValueError, match="Server side SSL needs a valid SSLContext"):
                await loop.connect_accepted_socket(Recorder, mine, ssl=True)

    loop.run_until_complete(main())
