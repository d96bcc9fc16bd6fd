"""create_unix_server: the socket's file, serving, closing."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    Recorder,
    soon,
    turns,
)
from tests.python.loop.unix_support import Accepting, abstract_name, close

if TYPE_CHECKING:
    from pathlib import Path


# ---- the socket's file -----------------------------------------------------------------------


def test_a_stale_socket_gives_way(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        assert path.is_socket()
        server = await loop.create_unix_server(Recorder, path)
        _, client = await loop.create_unix_connection(Recorder, str(path))
        await close(client)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_a_file_that_is_no_socket_stays(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"precious")

    async def main() -> None:
        with pytest.raises(OSError) as caught:
            await loop.create_unix_server(Recorder, str(path))
        assert caught.value.errno == errno.EADDRINUSE
        assert caught.value.strerror == f"Address {str(path)!r} is already in use"

    loop.run_until_complete(main())
    assert path.read_bytes() == b"precious"


def test_a_socket_that_cannot_be_looked_at_is_logged(
    loop: asyncio.AbstractEventLoop,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = str(tmp_path / "socket")

    def fail(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    async def main() -> None:
        with monkeypatch.context() as patches:
            patches.setattr(os, "remove", fail)
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(path)
            with pytest.raises(OSError, match="is already in use"):
                await loop.create_unix_server(Recorder, path)

    with caplog.at_level(logging.ERROR, "asyncio"):
        loop.run_until_complete(main())
    assert [record.getMessage() for record in caplog.records] == [
        f"Unable to check or remove stale UNIX socket {path!r}: "
        "PermissionError(13, 'Permission denied')"
    ]


def test_whether_the_file_goes_with_the_server_is_the_versions_choice(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    path = tmp_path / "socket"

    async def main() -> None:
        server = await loop.create_unix_server(Recorder, path)
        assert path.is_socket()
        server.close()
        assert path.exists() == (sys.version_info < (3, 13))
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_the_file_goes_with_the_server_if_asked_to(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    anyhow: Any = loop

    async def main() -> None:
        server = await anyhow.create_unix_server(Recorder, path, cleanup_socket=True)
        server.close()
        assert not path.exists()
        server = await anyhow.create_unix_server(Recorder, path, cleanup_socket=False)
        server.close()
        assert path.is_socket()
        # Somebody else's by now.
        server = await anyhow.create_unix_server(Recorder, path, cleanup_socket=True)
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as filler:
            filler.bind(str(tmp_path / "filler"))  # Takes the inode that became free.
            other.bind(str(path))
            server.close()
            assert path.is_socket()
            path.unlink()
        # Gone already.
        server = await anyhow.create_unix_server(Recorder, path, cleanup_socket=True)
        path.unlink()
        server.close()
        # A socket of the caller's, and one without a file.
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(str(path))
            server = await anyhow.create_unix_server(Recorder, sock=own, cleanup_socket=True)
            server.close()
            assert not path.exists()
        server = await anyhow.create_unix_server(
            Recorder, abstract_name("cleanup"), cleanup_socket=True
        )
        server.close()

    loop.run_until_complete(main())


def test_a_file_that_cannot_be_removed_is_logged(
    loop: asyncio.AbstractEventLoop,
    native: None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = str(tmp_path / "socket")
    anyhow: Any = loop

    def fail(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    async def main() -> None:
        server = await anyhow.create_unix_server(Recorder, path, cleanup_socket=True)
        with monkeypatch.context() as patches:
            patches.setattr("blitzio._loop.unix._unlink", fail)
            server.close()
        await soon(server.wait_closed())

    with caplog.at_level(logging.ERROR, "asyncio"):
        loop.run_until_complete(main())
    assert [record.getMessage() for record in caplog.records] == [
        f"Unable to clean up listening UNIX socket {path!r}: "
        "PermissionError(13, 'Permission denied')"
    ]


# ---- serving ---------------------------------------------------------------------------------


def test_a_server_that_does_not_serve_yet_refuses(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        server = await loop.create_unix_server(Recorder, tmp_path / "socket", start_serving=False)
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_unix_connection(Recorder, str(tmp_path / "socket"))
        await server.start_serving()
        _, client = await loop.create_unix_connection(Recorder, str(tmp_path / "socket"))
        await close(client)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_a_bound_socket_is_served(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(tmp_path / "socket"))
            accepting = Accepting()
            server = await loop.create_unix_server(accepting, sock=bound, backlog=5)
            _, client = await loop.create_unix_connection(Recorder, str(tmp_path / "socket"))
            await accepting.wait()
            await close(client)
            server.close()
            await soon(server.wait_closed())
            assert bound.fileno() == -1

    loop.run_until_complete(main())


def test_a_bound_socket_whose_file_cannot_be_looked_at_is_served(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that systemd passes may stand where its server may not look. asyncio fails."""
    path = str(tmp_path / "socket")
    look = os.stat

    def fail(of: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        if of == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return look(of, *args, **kwargs)

    async def main() -> None:
        anyhow: Any = loop
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path)
            monkeypatch.setattr("blitzio._loop.unix._stat", fail)
            server = await anyhow.create_unix_server(Recorder, sock=bound, cleanup_socket=True)
            _, client = await loop.create_unix_connection(Recorder, path)
            await close(client)
            server.close()
            await soon(server.wait_closed())
        monkeypatch.undo()
        assert os.path.exists(path)

    loop.run_until_complete(main())


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_a_closed_server_refuses_within_the_same_turn(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, family: str
) -> None:
    async def main() -> None:
        address: Any
        if family == "unix":
            address = str(tmp_path / "socket")
            server = await loop.create_unix_server(asyncio.Protocol, address)
            kind = socket.AF_UNIX
        else:
            server = await loop.create_server(asyncio.Protocol, HOST, 0)
            address = server.sockets[0].getsockname()
            kind = socket.AF_INET
        listening = server.sockets[0].fileno()
        server.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(listening)
        with socket.socket(kind) as client:
            assert client.connect_ex(address) in (errno.ECONNREFUSED, errno.ENOENT)
        if family == "tcp":
            with socket.socket() as again:
                again.bind(address)
                again.listen()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_a_server_that_closes_a_shared_socket_leaves_it_to_others(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, family: str
) -> None:
    # As processes do that inherit the listening socket of their parent.
    async def main() -> None:
        kind = socket.AF_UNIX if family == "unix" else socket.AF_INET
        address: Any = str(tmp_path / "socket") if family == "unix" else (HOST, 0)
        with socket.socket(kind) as bound:
            bound.bind(address)
            bound.listen()
            first = await loop.create_server(asyncio.Protocol, sock=bound.dup())
            accepting = Accepting()
            second = await loop.create_server(accepting, sock=bound.dup())
            first.close()
            await turns()
            with socket.socket(kind) as client:
                client.connect(bound.getsockname())
                served = await accepting.wait()
                await close(served)
            second.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_connections_that_a_closing_server_has_not_seen_are_closed(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, family: str
) -> None:
    async def main() -> None:
        accepting = Accepting()
        if family == "unix":
            server = await loop.create_unix_server(accepting, tmp_path / "socket")
        else:
            server = await loop.create_server(accepting, HOST, 0)
        kind = socket.AF_UNIX if family == "unix" else socket.AF_INET
        address = server.sockets[0].getsockname()
        clients = [socket.socket(kind) for _ in range(20)]
        for client in clients:
            client.connect(address)
        server.close()
        await soon(server.wait_closed())
        await turns()
        for client in clients:
            client.settimeout(10)
            with client:
                try:
                    assert client.recv(1) == b""
                except ConnectionResetError:
                    pass
        assert not accepting.made

    loop.run_until_complete(main())


def test_closing_the_server_in_its_protocol_factory(
    loop: asyncio.AbstractEventLoop, native: None, tmp_path: Path
) -> None:
    async def main() -> None:
        made = asyncio.Event()

        def factory() -> asyncio.Protocol:
            server.close()
            made.set()
            return asyncio.Protocol()

        server = await loop.create_unix_server(factory, tmp_path / "socket")
        clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in clients:
            client.connect(str(tmp_path / "socket"))
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        await soon(made.wait())
        await turns(5)
        assert not server.is_serving()
        for client in clients:
            client.close()
        await turns(5)

    loop.run_until_complete(main())
