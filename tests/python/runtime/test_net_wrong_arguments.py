"""Arguments of `connect()`, `resolve()`, `start_tls()` and `copy()` that cannot be: told before
anything is done."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net
from tests.python.loop.support import server_context

if TYPE_CHECKING:
    from pathlib import Path

    from tests.python.runtime.conftest import Run


@pytest.mark.parametrize("context", [None, False, True, 3, "context", ssl.SSLContext])
def test_tls_does_not_begin_without_a_context(run: Run, context: Any) -> None:
    """A server's with None or False was no TLS at all: it read and wrote in the clear."""

    async def main() -> None:
        near, far = net.UnixStream.pair()
        async with near, far:
            for options in ({"server_side": True}, {"server_hostname": "localhost"}):
                with pytest.raises(TypeError, match=r"an instance of ssl\.SSLContext, got"):
                    await net.start_tls(near, context, **options)
            await far.write_all(b"as it was")  # The stream is the caller's, still.
            assert await near.read_exact(9) == b"as it was"

    run(main())


def test_tls_begins_on_a_stream_only(run: Run, tmp_path: Path) -> None:
    context = server_context(tmp_path)

    async def main() -> None:
        near, far = net.UnixStream.pair()
        async with near, far:
            reader, writer = near.split()
            for wrong in (3, None, far.fileno(), net.UdpSocket, reader, writer):
                with pytest.raises(TypeError, match="a TcpStream or UnixStream was expected, got"):
                    await net.start_tls(wrong, context, server_side=True)  # type: ignore[arg-type]

    run(main())


def test_the_name_of_a_servers_certificate_is_text(run: Run) -> None:
    context = ssl.create_default_context()

    async def main() -> None:
        near, far = net.UnixStream.pair()
        async with near, far:
            with pytest.raises(TypeError, match="server_hostname must be a str, not int"):
                await net.start_tls(near, context, server_hostname=3)  # type: ignore[arg-type]
            assert not near.is_closed

    run(main())


@pytest.mark.parametrize("context", [False, True, 3, ""])
def test_connecting_asks_for_a_context_first(run: Run, context: Any) -> None:
    async def main() -> None:
        async with net.TcpListener.bind("127.0.0.1:0") as listener:
            for name in (None, "localhost"):
                with pytest.raises(TypeError, match="ssl argument must be an SSLContext or None"):
                    await net.connect(
                        "127.0.0.1",
                        listener.local_address.port,
                        ssl=context,
                        server_hostname=name,
                    )
            assert listener.try_accept() is None

    run(main())


def test_tls_without_a_host_needs_the_name_of_the_certificate(run: Run) -> None:
    """The empty host is this machine, whose name was not asked of the certificate then."""

    async def main() -> None:
        async with net.TcpListener.bind("127.0.0.1:0") as listener:
            with pytest.raises(ValueError, match="must set server_hostname when using ssl without"):
                await net.connect("", listener.local_address.port, ssl=ssl.create_default_context())
            assert listener.try_accept() is None

    run(main())


def test_a_server_asks_for_no_name(run: Run, tmp_path: Path) -> None:
    context = server_context(tmp_path)

    async def main() -> None:
        near, far = net.UnixStream.pair()
        async with near, far:
            with pytest.raises(ValueError, match="can only be specified in client mode"):
                await net.start_tls(near, context, server_side=True, server_hostname="localhost")
            assert not near.is_closed

    run(main())


@pytest.mark.parametrize(
    ("host", "port", "error"),
    [
        ("127.0.0.1", -1, ValueError),
        ("127.0.0.1", 65_536, ValueError),
        ("127.0.0.1", 65_536 + 80, ValueError),
        ("127.0.0.1", 2**70, ValueError),
        ("127.0.0.1", 1.5, TypeError),  # OSError, without an errno
        ("127.0.0.1", "80", TypeError),
        ("127.0.0.1", None, TypeError),
        ("127.0.0.1\0.example.com", 80, ValueError),  # The address in front of it.
        (b"127.0.0.1\0", 80, ValueError),
        (0, 80, TypeError),  # This machine.
        ([], 80, TypeError),
        (3, 80, TypeError),
    ],
)
def test_what_is_no_host_or_port_is_told(
    run: Run, host: Any, port: Any, error: type[Exception]
) -> None:
    async def main() -> None:
        for ask in (net.resolve, net.connect):
            with pytest.raises(error):
                await ask(host, port)

    run(main())
    for blocking_ask in (net.blocking_resolve, net.blocking_connect):
        with pytest.raises(error):
            blocking_ask(host, port)


@pytest.mark.parametrize(
    ("size", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (None, TypeError)]
)
def test_copying_needs_room_for_a_byte(run: Run, size: Any, error: type[Exception]) -> None:
    """With none both ways were taken for ended, and the streams were told so."""

    async def main() -> None:
        near, far = net.UnixStream.pair()
        async with near, far:
            await far.write_all(b"data")
            for copying in (net.copy, net.copy_bidirectional):
                with pytest.raises(error):
                    await copying(near, near, buffer_bytes=size)
            assert await near.read_exact(4) == b"data"
            assert far.try_read() is None

    run(main())


def test_nothing_is_read_for_what_cannot_write(run: Run) -> None:
    async def main() -> None:
        near, far = net.UnixStream.pair()
        async with near, far:
            await far.write_all(b"data")
            for wrong in (None, 3, b""):
                with pytest.raises(AttributeError, match="write_all"):
                    await net.copy(near, wrong)  # type: ignore[arg-type]
            assert await near.read_exact(4) == b"data"

    run(main())
