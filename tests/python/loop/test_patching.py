"""What other suites do to servers, transports and handles: they replace methods of an instance, and
read attributes that are private in asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import subprocess
import traceback
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from tests.python.loop.datagram_support import Datagrams
from tests.python.loop.process_support import ProcessRecorder
from tests.python.loop.support import (
    HOST,
    PATIENCE,
    Recorder,
    client_context,
    server_context,
    soon,
    transport_and_peer,
    turns,
)
from tests.python.loop.tls_support import tls_and_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

KINDS = ("stream", "tls", "datagram", "read pipe", "write pipe", "process", "server", "loop")


@contextlib.asynccontextmanager
async def one(kind: str, folder: Path) -> AsyncIterator[Any]:
    """A server or transport of that kind, or the loop; ended afterwards."""
    loop = asyncio.get_running_loop()
    if kind == "stream":
        async with transport_and_peer() as (transport, _, _):
            yield transport
    elif kind == "tls":
        async with tls_and_peer(folder) as (transport, _, _):
            yield transport
    elif kind == "server":
        async with await loop.create_server(asyncio.Protocol, HOST, 0) as server:
            yield server
    elif kind == "loop":
        yield loop
    else:
        async with transport_of(kind) as transport:
            yield transport


@contextlib.asynccontextmanager
async def transport_of(kind: str) -> AsyncIterator[Any]:
    loop = asyncio.get_running_loop()
    transport: Any
    protocol: Any
    ends = contextlib.ExitStack()
    if kind == "datagram":
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, (HOST, 0))
    elif kind == "process":
        transport, protocol = await loop.subprocess_exec(
            ProcessRecorder, "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
        )
    else:
        read, write = os.pipe()
        reader = ends.enter_context(open(read, "rb", 0))
        writer = ends.enter_context(open(write, "wb", 0))
        if kind == "read pipe":
            transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        else:
            transport, protocol = await loop.connect_write_pipe(Recorder, writer)
    with ends:
        try:
            yield transport
        finally:
            transport.close()
            await soon(protocol.lost)


def methods_of(thing: Any) -> list[str]:
    return [
        name for name in dir(thing) if not name.startswith("_") and callable(getattr(thing, name))
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_can_be_replaced_and_comes_back(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with one(kind, tmp_path) as thing:
            names = methods_of(thing)
            assert "close" in names
            for name in names:
                before = getattr(thing, name)
                replaced = mock.Mock(return_value="replaced")
                with mock.patch.object(thing, name, replaced):
                    assert getattr(thing, name)(1, key=2) == "replaced"
                replaced.assert_called_once_with(1, key=2)
                assert name not in vars(thing)
                assert getattr(thing, name) == before

    loop.run_until_complete(main())


def test_a_loop_does_not_watch_for_itself_through_what_replaces_its_methods(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    loop = new_loop()
    broken = mock.Mock(side_effect=RuntimeError("replaced"))

    async def main() -> int:
        loop.add_signal_handler(signal.SIGUSR1, lambda: None)
        child = await asyncio.create_subprocess_exec("true")
        return await soon(child.wait())

    with (
        mock.patch.object(loop, "add_reader", broken),
        mock.patch.object(loop, "remove_reader", broken),
    ):
        assert loop.run_until_complete(main()) == 0
        loop.close()
    broken.assert_not_called()


def test_a_stream_writer_calls_what_replaces_its_transports_methods(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        async with await asyncio.start_server(lambda reader, writer: writer.close(), HOST, 0) as it:
            port = it.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(HOST, port)
            assert await soon(reader.read()) == b""
            transport: Any = writer.transport
            names = ("write", "writelines", "write_eof", "is_closing", "get_extra_info")
            with contextlib.ExitStack() as stack:
                mocks = [stack.enter_context(mock.patch.object(transport, n)) for n in names]
                writer.write(b"one")
                writer.writelines([b"two"])
                writer.write_eof()
                writer.is_closing()
                writer.get_extra_info("peername")
                for replaced in mocks:
                    replaced.assert_called_once()
            with mock.patch.object(transport, "close", wraps=transport.close) as close:
                writer.close()
                close.assert_called_once_with()
            await soon(writer.wait_closed())

    loop.run_until_complete(main())


def test_a_stream_reader_pauses_through_what_replaces_the_method(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        reader = asyncio.StreamReader(limit=10)
        async with transport_and_peer(lambda: asyncio.StreamReaderProtocol(reader)) as (
            transport,
            _,
            peer,
        ):
            paused = loop.create_future()

            def pause() -> None:
                if not paused.done():
                    paused.set_result(None)

            with mock.patch.object(transport, "pause_reading", pause):
                peer.send(bytes(100))
                await soon(paused)
            assert transport.is_reading()

    loop.run_until_complete(main())


def test_closing_a_server_calls_what_replaces_its_connections_methods(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        made = loop.create_future()

        class Served(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.set_result(transport)

        async with await loop.create_server(Served, HOST, 0) as server:
            if not hasattr(server, "close_clients"):
                pytest.skip("asyncio's own has it from 3.13 on")
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            transport = await soon(made)
            for method, name in (
                (server.close_clients, "close"),
                (server.abort_clients, "abort"),  # type: ignore[attr-defined]
            ):
                with mock.patch.object(transport, name) as replaced:
                    method()
                replaced.assert_called_once_with()
            transport.close()
            writer.close()
            await soon(writer.wait_closed())

    loop.run_until_complete(main())


# ---- private names ---------------------------------------------------------------------------


def test_a_server_shows_its_sockets_waiters_and_context(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    context = server_context(tmp_path)

    async def main() -> None:
        plain: Any = await loop.create_server(asyncio.Protocol, HOST, 0, backlog=7)
        secure: Any = await loop.create_server(
            asyncio.Protocol, HOST, 0, ssl=context, ssl_handshake_timeout=5.0
        )
        assert plain._loop is loop
        assert plain._ssl_context is None
        assert secure._ssl_context is context
        assert secure._ssl_handshake_timeout == 5.0
        assert plain._backlog == 7
        assert plain._protocol_factory is asyncio.Protocol
        assert plain._serving is True
        assert plain._active_count == 0
        assert plain._waiters == []
        assert [sock.fileno() for sock in plain._sockets] == [plain.sockets[0].fileno()]
        for server in (plain, secure):
            server.close()
            assert server._sockets is None
            assert server._waiters is None
            assert server._serving is False

    loop.run_until_complete(main())


def test_a_servers_connections_know_their_server_and_context(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    context = server_context(tmp_path)
    trusting = client_context()

    async def main() -> None:
        accepted: asyncio.Queue[Any] = asyncio.Queue()

        class Served(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.put_nowait(transport)

        for secure in (False, True):
            options: dict[str, Any] = {"ssl": trusting, "server_hostname": "localhost"}
            server = await loop.create_server(Served, HOST, 0, ssl=context if secure else None)
            client: Any
            client, _ = await loop.create_connection(
                asyncio.Protocol,
                *server.sockets[0].getsockname(),
                **(options if secure else {}),
            )
            served = await soon(accepted.get())
            if secure:
                assert served._ssl_protocol._sslcontext is context
                assert client._ssl_protocol._sslcontext is trusting
                assert isinstance(client._ssl_protocol._sslobj, ssl.SSLObject)
                below = served._ssl_protocol._transport
                assert client._ssl_protocol._server_hostname == "localhost"
            else:
                below = served
                assert client._server is None
            assert below._server is server
            assert below._sock_fd == below._sock.fileno() == below.get_extra_info("socket").fileno()
            server.close()
            client.close()
            served.close()
            deadline = loop.time() + PATIENCE
            while server._active_count:
                assert loop.time() < deadline
                await asyncio.sleep(0)

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["stream", "datagram", "read pipe", "write pipe"])
def test_a_transport_shows_its_protocol_and_state(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with one(kind, tmp_path) as transport:
            assert transport._loop is loop
            assert transport._protocol is transport.get_protocol()
            assert transport._closing is False
            assert isinstance(transport._extra, dict)
            if kind != "write pipe":
                assert transport._paused is False
            if kind in ("stream", "read pipe"):
                transport.pause_reading()
                assert transport._paused is True
                transport.resume_reading()
                assert transport._paused is False
            if kind != "read pipe":
                assert transport._conn_lost == 0
                assert transport._protocol_paused is False
            if kind.endswith("pipe"):
                assert transport._fileno == transport._pipe.fileno()
            transport.close()
            assert transport._closing is True

    loop.run_until_complete(main())


def test_a_process_shows_its_popen_and_waits(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with transport_of("process") as transport:
            protocol = transport.get_protocol()
            assert transport._loop is loop
            assert transport._protocol is protocol
            assert transport._proc is transport.get_extra_info("subprocess")
            assert transport._pid == transport._proc.pid == transport.get_pid()
            assert transport.get_returncode() is None
            assert vars(transport)["_returncode"] is None
            assert transport._closed is False
            assert transport._finished is False
            assert set(transport._pipes) == {0, 1}
            assert transport._pipes[1].pipe is transport.get_pipe_transport(1)
            waiting = loop.create_task(transport._wait())
            await turns(1)
            assert len(transport._exit_waiters) == 1
            transport.get_pipe_transport(0).close()
            assert await soon(waiting) == 0
            assert vars(transport)["_returncode"] == 0
            await soon(asyncio.shield(protocol.lost))

    loop.run_until_complete(main())


def test_handles_show_what_they_call_and_where_they_were_made(
    loop: asyncio.AbstractEventLoop,
) -> None:
    plain: Any = loop.call_soon(int, "1")
    names = ("_callback", "_args", "_cancelled", "_source_traceback")
    assert [getattr(plain, name) for name in names] == [int, ("1",), False, None]
    plain.cancel()
    assert plain._cancelled is True

    loop.set_debug(True)
    handles: list[Any] = [loop.call_soon(int), loop.call_later(3600, int)]
    for handle in handles:
        assert isinstance(handle._source_traceback, traceback.StackSummary)
        assert handle._source_traceback[-1].name == (
            "test_handles_show_what_they_call_and_where_they_were_made"
        )
        handle.cancel()
