"""TLS records between data that are none: key updates (TLS 1.3) and renegotiation (TLS 1.2), which
OpenSSL's own programs send on command. What is taken for read too early would wait for ever."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    CERTIFICATE,
    HOST,
    KEY,
    Recorder,
    client_context,
    server_context,
    soon,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OPENSSL = shutil.which("openssl")

pytestmark = [
    pytest.mark.usefixtures("native"),
    pytest.mark.skipif(OPENSSL is None, reason="no openssl"),
]


class Echo(Recorder):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        assert self.transport is not None
        self.transport.write(data)


class Program:
    """One of OpenSSL's. It sends what stands on its stdin, but for letters that are commands, each
    of which must come alone."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdin = process.stdin
        self.stdout = process.stdout
        self.stderr = process.stderr

    async def line(self, reader: asyncio.StreamReader, start: bytes) -> bytes:
        """The next line that begins so."""
        while not (line := await soon(reader.readline())).startswith(start):
            assert line, f"it ended without saying {start!r}"
        return line.rstrip()


@contextlib.asynccontextmanager
async def started(*words: object) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        OPENSSL or "", *map(str, words), stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=1 << 20
    )
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@contextlib.asynccontextmanager
async def their_client(
    folder: Path, version: ssl.TLSVersion
) -> AsyncIterator[tuple[Program, Recorder]]:
    """openssl s_client, and our protocol that echoes."""
    loop = asyncio.get_running_loop()
    served = loop.create_future()

    def factory() -> Echo:
        served.set_result(Echo())
        protocol: Echo = served.result()
        return protocol

    context = server_context(folder)
    context.maximum_version = version
    authority = folder / "authority.pem"
    authority.write_text(CERTIFICATE)
    server = await loop.create_server(factory, HOST, 0, ssl=context)
    async with (
        server,
        started(
            *("s_client", "-brief", "-connect", f"{HOST}:{server.sockets[0].getsockname()[1]}"),
            *("-CAfile", authority, "-servername", "localhost"),
        ) as program,
    ):
        protocol: Echo = await soon(served)
        yield program, protocol
        if not protocol.lost.done() and protocol.transport is not None:
            protocol.transport.abort()
        await soon(asyncio.wait([protocol.lost]))


@contextlib.asynccontextmanager
async def their_server(
    folder: Path, version: ssl.TLSVersion, options: int = 0
) -> AsyncIterator[tuple[Program, asyncio.Transport, Recorder]]:
    """openssl s_server, and our transport and protocol."""
    loop = asyncio.get_running_loop()
    certificate = folder / "server.pem"
    certificate.write_text(CERTIFICATE + KEY)
    context = client_context()
    context.maximum_version = version
    context.options |= options
    async with started("s_server", "-accept", f"{HOST}:0", "-cert", certificate) as program:
        said = await program.line(program.stdout, b"ACCEPT ")
        port = int(said.decode().rpartition(":")[2])
        transport, protocol = await soon(
            loop.create_connection(Recorder, HOST, port, ssl=context, server_hostname="localhost")
        )
        yield program, transport, protocol
        transport.abort()
        await soon(asyncio.wait([protocol.lost]))


@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["told", "asked as well"])
def test_a_client_that_updates_its_keys(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, command: bytes
) -> None:
    async def main() -> None:
        async with their_client(tmp_path, ssl.TLSVersion.TLSv1_3) as (client, _):
            for number in range(3):
                client.stdin.write(b"%d before\n" % number)
                assert await client.line(client.stdout, b"%d " % number) == b"%d before" % number
                client.stdin.write(command)
                await client.line(client.stderr, b"KEYUPDATE")
                # The update goes out with this, and is read in one go with it.
                client.stdin.write(b"%d behind\n" % number)
                assert await client.line(client.stdout, b"%d " % number) == b"%d behind" % number

    loop.run_until_complete(main())


@pytest.mark.no_faults("what is left of a short write comes with the next command", "short")
@pytest.mark.parametrize(
    ("version", "command"),
    [
        (ssl.TLSVersion.TLSv1_3, b"k\n"),
        (ssl.TLSVersion.TLSv1_3, b"K\n"),
        (ssl.TLSVersion.TLSv1_2, b"r\n"),
    ],
    ids=["key update", "key update asked for", "renegotiation"],
)
def test_a_server_that_updates_keys_or_negotiates_anew(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, version: ssl.TLSVersion, command: bytes
) -> None:
    async def main() -> None:
        async with their_server(tmp_path, version) as (server, transport, protocol):
            size = 0
            for number in range(3):
                server.stdin.write(b"%d before\n" % number)
                size += 9
                await protocol.received(size)
                server.stdin.write(command)
                # Some of this meets a handshake that is not through.
                lines = [b"%d %04d %s" % (number, line, b"." * 2000) for line in range(50)]
                for line in lines:
                    transport.write(line + b"\n")
                    await asyncio.sleep(0)
                for line in lines:
                    assert await server.line(server.stdout, line[:6]) == line
                server.stdin.write(b"%d behind\n" % number)
                size += 9
                await protocol.received(size)
            assert bytes(protocol.data).split(b"\n")[:2] == [b"0 before", b"0 behind"]

    loop.run_until_complete(main())


def test_a_client_that_wants_to_negotiate_anew_is_refused(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    """By OpenSSL, with a warning; the client then gives up, and our side hears of it."""

    async def main() -> None:
        async with their_client(tmp_path, ssl.TLSVersion.TLSv1_2) as (client, protocol):
            client.stdin.write(b"0 before\n")
            assert await client.line(client.stdout, b"0 ") == b"0 before"
            client.stdin.write(b"R\n")
            await client.line(client.stderr, b"RENEGOTIATING")
            assert isinstance(await soon(asyncio.shield(protocol.lost)), ssl.SSLError)
            assert protocol.data == b"0 before\n"

    loop.run_until_complete(main())


def test_a_server_that_wants_to_negotiate_anew_may_be_refused(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        version, options = ssl.TLSVersion.TLSv1_2, ssl.OP_NO_RENEGOTIATION
        async with their_server(tmp_path, version, options) as (server, _, protocol):
            server.stdin.write(b"0 before\n")
            await protocol.received(9)
            server.stdin.write(b"r\n")
            lost: Any = await soon(asyncio.shield(protocol.lost))
            assert isinstance(lost, ssl.SSLError)

    loop.run_until_complete(main())
