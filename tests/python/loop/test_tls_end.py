"""TLS: how connections end, and what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    Recorder,
    client_context,
    raw_pair,
    reset,
    server_context,
    soon,
    turns,
)
from tests.python.loop.tls_support import Peer, tls_and_peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("native")


def test_close_says_so_and_waits_for_the_answer(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            transport.write(b"last words")
            transport.close()
            assert transport.is_closing()
            transport.close()
            assert await peer.read_end() == b"last words"
            assert not protocol.lost.done()
            await peer.close()
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "eof", "lost"]

    loop.run_until_complete(main())


def test_data_that_arrives_after_close_is_dropped(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            transport.close()
            await peer.send(bytes(100_000))
            assert await peer.read_end() == b""
            await peer.close()
            assert await soon(protocol.lost) is None
            assert protocol.data == b""

    loop.run_until_complete(main())


def test_openssl_is_not_asked_for_an_end_that_has_not_come(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    """Its answer is an exception, and after a handshake's tickets there always was one."""
    asked: list[bool] = []

    class Counting(ssl.SSLObject):
        def unwrap(self) -> Any:
            asked.append(True)
            return super().unwrap()

    async def main() -> None:
        mine, other = raw_pair()
        with other:
            peer = Peer(other, server_context(tmp_path))
            shaking = loop.create_task(peer.handshake())
            ours = client_context()
            ours.sslobject_class = Counting
            transport, protocol = await soon(
                loop.create_connection(Recorder, sock=mine, ssl=ours, server_hostname="localhost")
            )
            await soon(shaking)
            transport.close()
            for _ in range(3):
                await peer.send(b"more")
                await turns()
            assert await peer.read_end() == b""
            await peer.close()
            assert await soon(protocol.lost) is None

    loop.run_until_complete(main())
    assert len(asked) == 2


def test_the_peers_close_notify_is_answered(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            await peer.send(b"data")
            await peer.close()
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "data", "eof", "lost"]
            assert transport.is_closing()
            assert transport.get_extra_info("peername") is None
            assert transport.get_extra_info("cipher") is not None

    loop.run_until_complete(main())


def test_eof_received_cannot_keep_the_connection_open(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (_, protocol, peer):
            protocol.keep_open_after_eof = True
            await peer.close()
            assert await soon(protocol.lost) is None

    loop.run_until_complete(main())
    assert "returning true from eof_received() has no effect when using ssl" in caplog.text


def test_an_end_without_close_notify(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (_, protocol, peer):
            await peer.send(b"data")
            peer.sock.shutdown(socket.SHUT_WR)
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


def test_an_end_while_paused_is_told_after_the_data(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            transport.pause_reading()
            await peer.send(b"data")
            peer.sock.shutdown(socket.SHUT_WR)
            await turns(10)
            assert protocol.events == ["made"]
            transport.resume_reading()
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


def test_close_of_a_paused_connection_that_the_peer_ended(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            transport.pause_reading()
            await peer.send(b"never read")
            peer.sock.shutdown(socket.SHUT_WR)
            await turns(10)
            transport.close()
            assert await soon(protocol.lost) is None
            assert protocol.data == b""

    loop.run_until_complete(main())


def test_close_of_a_paused_connection_drops_what_waits(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            tls: Any = transport
            tls.set_read_buffer_limits(high=1000)
            transport.pause_reading()
            await peer.send(bytes(5000))
            # However many pieces it comes in: at the mark the transport below is paused as well.
            while tls.get_read_buffer_size() < 1000:
                await turns(1)
            # And still the peer's answer must come through.
            loop.call_soon(transport.close)
            transport.resume_reading()
            assert await peer.read_end() == b""
            await peer.close()
            assert await soon(protocol.lost) is None
            assert protocol.data == b""

    loop.run_until_complete(main())


def test_a_reset_is_told(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (_, protocol, peer):
            reset(peer.sock)
            assert isinstance(await soon(protocol.lost), ConnectionResetError)
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_abort_ends_at_once(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            transport.write(bytes(10_000_000))
            transport.abort()
            transport.abort()
            assert transport.is_closing()
            assert await soon(protocol.lost) is None
            assert protocol.events[-1] == "lost"
            assert "eof" not in protocol.events
            transport.abort()
            transport.close()
            assert peer.sock.fileno() >= 0

    loop.run_until_complete(main())


def test_writes_after_the_end_are_ignored_and_logged(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, _):
            transport.abort()
            await soon(protocol.lost)
            for _ in range(8):
                transport.write(b"nobody listens")

    loop.run_until_complete(main())
    assert "SSL connection is closed" in caplog.text


def test_a_peer_that_never_answers_close_notify(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, _):
            # Python 3.10 has no argument for it.
            transport._ssl_protocol._ssl_shutdown_timeout = 0.01  # type: ignore[attr-defined]
            transport.close()
            exc = await soon(protocol.lost)
            assert isinstance(exc, asyncio.TimeoutError)
            assert str(exc) == "SSL shutdown timed out"

    loop.run_until_complete(main())


class Failing(Recorder):
    """Raises in one callback."""

    where = ""

    def _fail(self, where: str) -> None:
        if self.where == where:
            raise ZeroDivisionError(where)

    def data_received(self, data: bytes) -> None:
        self._fail("data_received")
        super().data_received(data)

    def eof_received(self) -> bool | None:
        self._fail("eof_received")
        return super().eof_received()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._fail("pause_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._fail("connection_lost")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("data_received", "Fatal error on SSL protocol"),
        ("eof_received", "Error calling eof_received()"),
    ],
)
def test_a_callback_that_raises_ends_the_connection(
    loop: asyncio.AbstractEventLoop,
    tmp_path: Path,
    reports: list[dict[str, Any]],
    where: str,
    message: str,
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path, Failing) as (_, protocol, peer):
            protocol.where = where
            if where == "data_received":
                await peer.send(b"data")
            else:
                peer.tls.write(b"data")
                try:
                    peer.tls.unwrap()
                except ssl.SSLWantReadError:
                    await peer.flush()
            assert isinstance(await soon(protocol.lost), ZeroDivisionError)

    loop.run_until_complete(main())
    assert [report["message"] for report in reports] == [message]
    assert isinstance(reports[0]["exception"], ZeroDivisionError)
    assert "transport" in reports[0]
    assert "protocol" in reports[0]


def test_pause_writing_that_raises_is_reported(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path, Failing) as (transport, protocol, peer):
            protocol.where = "pause_writing"
            sent = 0
            while "pause" not in protocol.events:
                transport.write(bytes(200_000))
                sent += 200_000
            assert await peer.read(sent) == bytes(sent)

    loop.run_until_complete(main())
    assert [report["message"] for report in reports] == ["protocol.pause_writing() failed"]


def test_connection_lost_that_raises_is_reported(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path, Failing) as (transport, protocol, peer):
            protocol.where = "connection_lost"
            transport.abort()
            await soon(protocol.lost)
            # The socket is closed all the same; with a reset if something had not been read.
            with contextlib.suppress(ConnectionResetError):
                while await soon(loop.sock_recv(peer.sock, 65536)):
                    pass

    loop.run_until_complete(main())
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]


def test_connection_made_that_raises(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, reports: list[dict[str, Any]]
) -> None:
    class Refusing(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with tls_and_peer(tmp_path, Refusing):
                pass

    loop.run_until_complete(main())
    assert [report["message"] for report in reports] == [
        "Fatal error: protocol.buffer_updated() call failed."
    ]


def test_an_interrupt_in_a_callback_ends_the_run(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    class Interrupting(Recorder):
        def data_received(self, data: bytes) -> None:
            raise KeyboardInterrupt

    async def main() -> None:
        async with tls_and_peer(tmp_path, Interrupting) as (_, protocol, peer):
            # Beside it: up to 3.11 wait_for() swallows a cancellation once what it waits for has
            # ended, as this may have when the data comes.
            sending = asyncio.ensure_future(peer.send(b"data"))
            try:
                await soon(protocol.lost)
            finally:
                await sending

    task = loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


@pytest.mark.parametrize("how", ["close", "abort"])
def test_ending_from_within_data_received(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, how: str
) -> None:
    class Leaving(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            getattr(self.transport, how)()

    async def main() -> None:
        async with tls_and_peer(tmp_path, Leaving) as (_, protocol, peer):
            # The peer's end comes in the same arrival as the data.
            peer.tls.write(bytes(100_000))
            try:
                peer.tls.unwrap()
            except ssl.SSLWantReadError:
                await peer.flush()
            assert await soon(protocol.lost) is None
            assert protocol.events.count("lost") == 1

    loop.run_until_complete(main())


def test_an_unclosed_transport_warns(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, _, __):
            protocol: Any = transport._ssl_protocol  # type: ignore[attr-defined]
            orphan = type(transport)(protocol)
            with pytest.warns(ResourceWarning, match="unclosed transport .*_SSLProtocolTransport"):
                del orphan
                gc.collect()

    loop.run_until_complete(main())


def test_a_closed_connection_needs_no_collector(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    alive: list[weakref.ref[Any]] = []

    async def main() -> None:
        async with tls_and_peer(tmp_path) as (transport, protocol, peer):
            ssl_protocol: Any = transport._ssl_protocol  # type: ignore[attr-defined]
            alive.extend(map(weakref.ref, (transport, ssl_protocol, protocol)))
            transport.close()
            await peer.read_end()
            await peer.close()
            await soon(protocol.lost)

    gc.collect()
    gc.disable()
    try:
        loop.run_until_complete(main())
        # The turn that ran main() ended; no cycle may need the collector.
        loop.run_until_complete(turns(2))
        assert [reference() for reference in alive] == [None, None, None]
    finally:
        gc.enable()


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _leave_politely(transport: asyncio.Transport) -> None:
    transport.close()


def _leave_rudely(transport: asyncio.Transport) -> None:
    transport.abort()


@pytest.mark.parametrize("leave", [_leave_politely, _leave_rudely])
def test_hundreds_of_connections_leave_nothing(
    loop: asyncio.AbstractEventLoop,
    tmp_path: Path,
    leave: Callable[[asyncio.Transport], None],
) -> None:
    theirs, ours = server_context(tmp_path), client_context()
    known: weakref.WeakSet[Any] = weakref.WeakSet()
    lost: list[Exception | None] = []

    class Server(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            known.add(transport)
            known.add(transport._ssl_protocol)
            known.add(transport.get_extra_info("ssl_object"))
            transport.write(b"welcome")

        def connection_lost(self, exc: Exception | None) -> None:
            lost.append(exc)

    async def one(address: Any) -> None:
        transport, protocol = await soon(
            loop.create_connection(Recorder, *address, ssl=ours, server_hostname="localhost")
        )
        known.add(transport)
        await protocol.received(7)
        leave(transport)
        await soon(protocol.lost)

    async def main() -> None:
        server = await loop.create_server(Server, HOST, 0, ssl=theirs)
        address = server.sockets[0].getsockname()
        await one(address)
        while not lost:
            await asyncio.sleep(0)
        await turns(5)
        before = _descriptors()
        for _ in range(20):
            await asyncio.gather(*(one(address) for _ in range(5)))
        while len(lost) < 101:
            await asyncio.sleep(0)
        await turns(5)
        assert _descriptors() == before
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())
    gc.collect()
    assert len(lost) == 101
    assert len(known) == 0


def test_the_loop_may_close_under_a_connection(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    loop = new_loop()
    mine, other = raw_pair()
    protocols: list[Any] = []

    async def main() -> None:
        server, client = await asyncio.gather(
            loop.connect_accepted_socket(Recorder, other, ssl=server_context(tmp_path)),
            loop.create_connection(
                Recorder, sock=mine, ssl=client_context(), server_hostname="localhost"
            ),
        )
        client[0].write(bytes(1_000_000))
        server[0].pause_reading()
        protocols.extend((server, client))

    loop.run_until_complete(main())
    loop.close()
    for transport, protocol in protocols:
        assert protocol.events[0] == "made"
        assert "lost" not in protocol.events
        transport._closed = True
    protocols.clear()
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del transport, protocol
        gc.collect()


@pytest.mark.parametrize("what", ["unwrap", "write"])
def test_a_shutdown_that_fails_ends_in_its_time(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, what: str
) -> None:
    """Else a peer that says nothing more would keep the connection for ever."""

    def fail(*_: object) -> None:
        raise KeyError(what)

    async def main() -> None:
        async with tls_and_peer(tmp_path, server_side=True) as (transport, protocol, _peer):
            below: Any = transport
            # Python 3.10 has no other way to say how long.
            below._ssl_protocol._ssl_shutdown_timeout = 0.05
            if what == "unwrap":
                below._ssl_protocol._sslobj.unwrap = fail
            else:
                below._ssl_protocol._transport.write = fail
            with contextlib.suppress(KeyError):
                transport.close()
            assert isinstance(await soon(protocol.lost), (asyncio.TimeoutError, KeyError))

    loop.set_exception_handler(lambda _loop, _context: None)
    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_connection_made_leaves_a_connection_that_reads(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, kind: type[BaseException]
) -> None:
    protocols: list[Recorder] = []

    class Interrupting(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            protocols.append(self)
            raise kind("made")

    async def serve() -> asyncio.Server:
        return await loop.create_server(Interrupting, HOST, 0, ssl=server_context(tmp_path))

    async def talk(server: asyncio.Server) -> None:
        port = server.sockets[0].getsockname()[1]
        _reader, writer = await soon(
            asyncio.open_connection(HOST, port, ssl=client_context(), server_hostname="localhost")
        )
        writer.write(b"said later")
        while not (protocols and protocols[0].data):
            await asyncio.sleep(0)
        writer.close()
        await soon(protocols[0].lost)

    server = loop.run_until_complete(serve())
    talking = loop.create_task(talk(server))
    with pytest.raises(kind, match="made"):
        loop.run_until_complete(talking)
    loop.run_until_complete(soon(talking))
    assert protocols[0].data == b"said later"
    server.close()
