"""create_unix_connection, and what both it and create_unix_server refuse."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    Recorder,
    soon,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]


# ---- arguments -------------------------------------------------------------------------------


def connecting(*args: Any, **kwargs: Any) -> Scenario:
    return lambda loop: loop.run_until_complete(
        loop.create_unix_connection(asyncio.Protocol, *args, **kwargs)
    )


def serving(*args: Any, **kwargs: Any) -> Scenario:
    return lambda loop: loop.run_until_complete(
        loop.create_unix_server(asyncio.Protocol, *args, **kwargs)
    )


@pytest.mark.parametrize(
    "scenario",
    [
        connecting(),
        connecting("p", sock=object()),
        connecting("p", server_hostname="h"),
        connecting("p", ssl=True),
        connecting("p", ssl_handshake_timeout=1),
        connecting(3),
        connecting(""),
        connecting("x" * 200),
        connecting("/no/such/path"),
        connecting("a\0b"),
        serving(),
        serving("p", sock=object()),
        serving("p", ssl=True),
        serving("p", ssl=False),
        serving("p", ssl_handshake_timeout=1),
        serving(3),
        serving("x" * 200),
        serving("/no/such/path/socket"),
        *(
            [connecting("p", ssl_shutdown_timeout=1), serving("p", ssl_shutdown_timeout=1)]
            if sys.version_info >= (3, 11)
            else []
        ),
    ],
)
def test_wrong_arguments_fail_as_asyncios(same_as_asyncio: Compare, scenario: Scenario) -> None:
    kind, *_ = same_as_asyncio(scenario)
    assert kind == "raised"


def test_an_empty_path_is_no_path(loop: asyncio.AbstractEventLoop, native: None) -> None:
    # As in asyncio, which leaves a socket open, too.
    with pytest.raises(IndexError):
        loop.run_until_complete(loop.create_unix_server(asyncio.Protocol, ""))


@pytest.mark.parametrize("method", ["create_unix_connection", "create_unix_server"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_sockets_of_another_kind_are_refused(
    loop: asyncio.AbstractEventLoop, method: str, family: int
) -> None:
    async def main() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            with pytest.raises(
                ValueError, match="^A UNIX Domain Stream Socket was expected, got <socket"
            ):
                await getattr(loop, method)(asyncio.Protocol, sock=sock)
            assert sock.fileno() >= 0

    loop.run_until_complete(main())


# ---- connecting ------------------------------------------------------------------------------


def test_a_connected_socket_is_taken_over(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        with peer:
            transport, protocol = await loop.create_unix_connection(Recorder, sock=ours)
            assert ours.gettimeout() == 0
            peer.send(b"data")
            assert await protocol.received(4) == b"data"
            transport.close()
            await soon(protocol.lost)
            assert peer.recv(1) == b""
        assert ours.fileno() == -1

    loop.run_until_complete(main())


def test_a_file_that_nobody_listens_on_refuses(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path)
            with pytest.raises(ConnectionRefusedError):
                await loop.create_unix_connection(Recorder, path)
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(ConnectionRefusedError):
            await loop.create_unix_connection(Recorder, str(tmp_path / "file"))

    loop.run_until_complete(main())


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_connecting_waits_while_the_backlog_is_full(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    # asyncio takes the kernel's refusal for a connection, which then fails.
    path = str(tmp_path / "socket")

    async def main() -> None:
        clients = []
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(0)
            listener.setblocking(False)
            while True:
                client = socket.socket(socket.AF_UNIX)
                clients.append(client)
                client.setblocking(False)
                if client.connect_ex(path) == errno.EAGAIN:
                    break
            connecting = asyncio.ensure_future(loop.create_unix_connection(Recorder, path))
            cancelled = asyncio.ensure_future(loop.create_unix_connection(Recorder, path))
            await turns(5)
            assert not connecting.done()
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            accepted = []
            while not connecting.done():
                accepted.append((await soon(loop.sock_accept(listener)))[0])
                await asyncio.sleep(0)
                if len(accepted) == len(clients) - 1:
                    break
            transport, protocol = await soon(connecting)
            while len(accepted) < len(clients):
                accepted.append((await soon(loop.sock_accept(listener)))[0])
            transport.write(b"through")
            assert await soon(loop.sock_recv(accepted[-1], 100)) == b"through"
            transport.close()
            await soon(protocol.lost)
        for sock in [*clients, *accepted]:
            sock.close()

    loop.run_until_complete(main())


def test_cancelling_closes_the_socket(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        server = await loop.create_unix_server(Recorder, tmp_path / "socket")
        for steps in range(4):
            task = asyncio.ensure_future(
                loop.create_unix_connection(asyncio.Protocol, str(tmp_path / "socket"))
            )
            await turns(steps)
            if task.done():
                task.result()[0].abort()
                continue
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await turns(5)
        server.close()

    loop.run_until_complete(main())
