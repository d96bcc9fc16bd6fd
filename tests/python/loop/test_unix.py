"""Unix stream sockets: create_unix_connection, create_unix_server, accepted and passed sockets."""

from __future__ import annotations

import array
import asyncio
import errno
import logging
import os
import pathlib
import socket
import ssl
import sys
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

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]


class Accepting:
    """A protocol factory that keeps what it made."""

    def __init__(self) -> None:
        self.made: list[Recorder] = []
        self._grown = asyncio.Event()

    def __call__(self) -> Recorder:
        self.made.append(Recorder())
        self._grown.set()
        return self.made[-1]

    async def wait(self, count: int = 1) -> Recorder:
        async def wait() -> None:
            while len(self.made) < count:
                self._grown.clear()
                await self._grown.wait()

        await soon(wait())
        recorder = self.made[count - 1]
        await soon(recorder.made)
        return recorder


async def close(*recorders: Recorder) -> None:
    for recorder in recorders:
        assert recorder.transport is not None
        recorder.transport.close()
        await soon(asyncio.wait([recorder.lost]))


def abstract_name(tag: str) -> str:
    return f"\0blitzio-test-{os.getpid()}-{tag}"


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
            patches.setattr(os, "unlink", fail)
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
