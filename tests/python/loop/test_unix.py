"""Unix stream sockets: data both ways, the end, and sockets that others accepted."""

from __future__ import annotations

import array
import asyncio
import os
import pathlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    Recorder,
    client_context,
    fill,
    server_context,
    soon,
    turns,
)
from tests.python.loop.unix_support import Accepting, abstract_name, close

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("form", ["str", "bytes", "path", "abstract", "abstract bytes"])
def test_data_goes_both_ways(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, form: str, backend: str
) -> None:
    name = str(tmp_path / "socket")
    path: Any = {
        "str": name,
        "bytes": os.fsencode(name),
        "path": pathlib.Path(name),
        "abstract": abstract_name(backend),
        "abstract bytes": abstract_name(backend).encode(),
    }[form]

    async def main() -> None:
        accepting = Accepting()
        server = await loop.create_unix_server(accepting, path)
        assert server.is_serving()
        transport, client = await loop.create_unix_connection(Recorder, path)
        served = await accepting.wait()
        assert served.transport is not None
        transport.write(b"question")
        assert await served.received(8) == b"question"
        served.transport.write(b"answer")
        assert await client.received(6) == b"answer"

        expected = os.fsencode(path) if "abstract" in form else name
        assert transport.get_extra_info("peername") == expected
        assert served.transport.get_extra_info("sockname") == expected
        assert served.transport.get_extra_info("peername") == ""
        sock = transport.get_extra_info("socket")
        assert sock.family == socket.AF_UNIX
        assert served.transport.get_extra_info("socket").family == socket.AF_UNIX

        transport.write_eof()
        await soon(served.lost)
        assert served.events == ["made", "data", "eof", "lost"]
        await soon(client.lost)
        server.close()
        await soon(server.wait_closed())
        assert not server.is_serving()

    loop.run_until_complete(main())


@pytest.mark.parametrize("size", [1_000, 100_000, 3_000_000])
def test_messages_of_every_size_come_back(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, size: int
) -> None:
    class Echo(Recorder):
        def data_received(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(data)

    async def main() -> None:
        server = await loop.create_unix_server(Echo, tmp_path / "socket")
        transport, client = await loop.create_unix_connection(Recorder, str(tmp_path / "socket"))
        data = os.urandom(1000) * (size // 1000)
        for count in range(1, 4):
            transport.write(data)
            await client.received(size * count)
        assert client.data == data * 3
        await close(client)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_every_message_that_carries_a_descriptor_is_received(
    loop: asyncio.AbstractEventLoop,
) -> None:
    # Such messages end a read early, so a short read does not mean that nothing is left.
    async def main() -> None:
        ours, peer = socket.socketpair()
        with peer:
            transport, protocol = await loop.connect_accepted_socket(Recorder, ours)
            with open(os.devnull, "rb") as null:
                rights = array.array("i", [null.fileno()])
                for _ in range(20):
                    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
                    peer.sendmsg([b"fd"], ancillary)
                    peer.send(b"--")
            peer.send(b"x" * 20_000)
            await protocol.received(80 + 20_000)
            assert bytes(protocol.data[:80]) == b"fd--" * 20
            for _ in range(20):
                peer.sendmsg([b"fd"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights_of(peer))])
            await protocol.received(80 + 20_000 + 40)
            transport.close()
            await soon(protocol.lost)

    def rights_of(sock: socket.socket) -> bytes:
        return array.array("i", [sock.fileno()]).tobytes()

    loop.run_until_complete(main())


def test_tls_over_a_unix_socket(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        accepting = Accepting()
        server = await loop.create_unix_server(
            accepting, tmp_path / "socket", ssl=server_context(tmp_path), ssl_handshake_timeout=30.0
        )
        transport, client = await loop.create_unix_connection(
            Recorder,
            str(tmp_path / "socket"),
            ssl=client_context(),
            server_hostname="localhost",
            ssl_handshake_timeout=30.0,
        )
        transport.write(b"secret")
        served = await accepting.wait()
        assert await served.received(6) == b"secret"
        assert isinstance(transport.get_extra_info("ssl_object"), ssl.SSLObject)
        await close(client, served)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_a_failed_handshake_closes_the_connection(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        server = await loop.create_unix_server(
            Recorder, tmp_path / "socket", ssl=server_context(tmp_path)
        )
        with pytest.raises(ssl.SSLCertVerificationError):
            await loop.create_unix_connection(
                Recorder,
                str(tmp_path / "socket"),
                ssl=client_context(),
                server_hostname="elsewhere",
            )
        server.close()
        await soon(server.wait_closed())
        await turns()

    loop.run_until_complete(main())


# ---- closing with I/O pending ----------------------------------------------------------------


def test_closing_ends_a_blocked_writer_and_a_waiting_reader(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        with peer:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            reading = asyncio.ensure_future(reader.read(1))
            writer.write(bytes(4 << 20))
            draining = asyncio.ensure_future(writer.drain())
            await turns()
            assert not reading.done()
            assert not draining.done()
            writer.transport.abort()
            assert await soon(reading) == b""
            # Nothing failed: whoever drains is let go and finds the transport closing.
            await soon(asyncio.wait([draining]))
            assert draining.exception() is None
            assert writer.is_closing()

    loop.run_until_complete(main())


def test_the_peers_end_wakes_a_blocked_writer_with_its_error(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        writer.write(bytes(4 << 20))
        draining = asyncio.ensure_future(writer.drain())
        await turns()
        peer.close()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await soon(draining)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await soon(reader.read())
        writer.close()

    loop.run_until_complete(main())


def test_a_peer_that_closes_with_unread_data_resets(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        transport, protocol = await loop.create_unix_connection(Recorder, sock=ours)
        transport.write(b"never read")
        await turns()
        peer.close()
        assert isinstance(await soon(protocol.lost), (ConnectionResetError, type(None)))

    loop.run_until_complete(main())


def test_pausing_really_stops_the_kernel(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        with peer:
            peer.setblocking(False)
            transport, protocol = await loop.create_unix_connection(Recorder, sock=ours)
            transport.pause_reading()
            await turns()
            first = fill(peer)
            await turns(5)
            assert fill(peer) == 0
            transport.resume_reading()
            await protocol.received(first)
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


# ---- connect_accepted_socket -----------------------------------------------------------------


@pytest.mark.parametrize("family", ["unix", "tcp"])
@pytest.mark.parametrize("with_tls", [False, True])
def test_an_accepted_socket_gets_a_transport(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, family: str, with_tls: bool
) -> None:
    async def main() -> None:
        kind = socket.AF_UNIX if family == "unix" else socket.AF_INET
        address: Any = str(tmp_path / "socket") if family == "unix" else (HOST, 0)
        with socket.socket(kind) as listener:
            listener.bind(address)
            listener.listen()
            client_sock = socket.socket(kind)
            client_sock.connect(listener.getsockname())
            accepted, _ = listener.accept()
        server_side = asyncio.ensure_future(
            loop.connect_accepted_socket(
                Recorder,
                accepted,
                ssl=server_context(tmp_path) if with_tls else None,
                ssl_handshake_timeout=30 if with_tls else None,
            )
        )
        transport, client = await loop.create_connection(
            Recorder,
            sock=client_sock,
            ssl=client_context() if with_tls else None,
            server_hostname="localhost" if with_tls else None,
        )
        _, served = await soon(server_side)
        transport.write(b"hello")
        assert await served.received(5) == b"hello"
        await close(client, served)

    loop.run_until_complete(main())


def test_only_stream_sockets_are_accepted(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            with pytest.raises(ValueError, match="^A Stream Socket was expected, got <socket"):
                await loop.connect_accepted_socket(Recorder, sock)
        with socket.socket(socket.AF_UNIX) as sock:
            with pytest.raises(
                ValueError, match="^ssl_handshake_timeout is only meaningful with ssl$"
            ):
                await loop.connect_accepted_socket(Recorder, sock, ssl_handshake_timeout=1)

    loop.run_until_complete(main())
