"""create_server and Server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import resource
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import HOST, Recorder, raw_pair, server_context, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]


def serve(*args: Any, **kwargs: Any) -> Scenario:
    """A scenario that starts and closes a server with these arguments."""

    def scenario(loop: asyncio.AbstractEventLoop) -> int:
        async def main() -> int:
            server = await loop.create_server(Recorder, *args, **kwargs)
            count = len(server.sockets)
            server.close()
            await soon(server.wait_closed())
            return count

        return loop.run_until_complete(main())

    return scenario


def test_serving_and_closing(loop: asyncio.AbstractEventLoop) -> None:
    accepted: list[Recorder] = []

    def factory() -> Recorder:
        accepted.append(Recorder())
        return accepted[-1]

    async def main() -> None:
        server = await loop.create_server(factory, HOST, 0)
        assert server.is_serving()
        assert server.get_loop() is loop
        (listening,) = server.sockets
        address = listening.getsockname()
        assert repr(server).startswith("<Server sockets=(<asyncio.TransportSocket")

        transport, client = await loop.create_connection(Recorder, *address)
        transport.write(b"hello")
        while not accepted:
            await asyncio.sleep(0)
        assert await accepted[0].received(5) == b"hello"
        made = accepted[0].transport
        assert made is not None
        assert made.get_extra_info("peername") == transport.get_extra_info("sockname")
        assert made.get_extra_info("sockname") == address
        made.write(b"world")
        assert await client.received(5) == b"world"

        server.close()
        assert not server.is_serving()
        assert server.sockets == ()
        server.close()
        await turns()  # A listener that the kernel works on is gone by the next turn.
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Recorder, *address)
        transport.write(b"still open")
        assert await accepted[0].received(15) == b"hellostill open"
        transport.close()
        await soon(accepted[0].lost)
        await soon(client.lost)
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_a_burst_of_connections_is_accepted(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        protocols: list[Recorder] = []

        def factory() -> Recorder:
            protocols.append(Recorder())
            return protocols[-1]

        server = await loop.create_server(factory, HOST, 0, backlog=200)
        address = server.sockets[0].getsockname()
        clients = [socket.create_connection(address) for _ in range(150)]
        while len(protocols) < 150:
            await asyncio.sleep(0)
        for client in clients:
            client.close()
        for protocol in protocols:
            await soon(protocol.lost)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


@pytest.mark.parametrize("host", [HOST, "", None, "localhost", [HOST, HOST], [HOST, "localhost"]])
def test_hosts(host: Any, loop: asyncio.AbstractEventLoop) -> None:
    assert serve(host, 0)(loop) >= 1


def test_each_address_is_bound_once(loop: asyncio.AbstractEventLoop) -> None:
    assert serve([HOST, "127.0.0.1"], 0)(loop) == 1
    assert serve([HOST, "127.0.0.2"], 0)(loop) == 2


def test_arguments_that_do_not_fit_together(same_as_asyncio: Compare) -> None:
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        for arguments in (
            {},
            {"host": HOST, "port": 0, "sock": stream},
            {"sock": datagram},
            {"host": HOST, "port": 0, "ssl": True},
            {"host": HOST, "port": 0, "ssl": False},
            {"host": HOST, "port": 0, "ssl_handshake_timeout": 1},
        ):
            result = same_as_asyncio(serve(**arguments))
            assert result[0] == "raised", arguments


@pytest.mark.parametrize("port", [65536, -1, 2**40, "no-such-service"])
def test_bad_ports(port: Any, same_as_asyncio: Compare) -> None:
    assert same_as_asyncio(serve(HOST, port))[0] == "raised"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "1.2.3.4", 5])
def test_bad_hosts(host: Any, same_as_asyncio: Compare) -> None:
    assert same_as_asyncio(serve(host, 0))[0] == "raised"


def test_an_address_in_use(same_as_asyncio: Compare) -> None:
    with socket.create_server((HOST, 0)) as other:
        result = same_as_asyncio(serve(*other.getsockname()))
        assert result[1] is OSError
        assert "error while attempting to bind on address" in result[2]


def test_reuse_port(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        first = await loop.create_server(Recorder, HOST, 0, reuse_port=True)
        port = first.sockets[0].getsockname()[1]
        second = await loop.create_server(Recorder, HOST, port, reuse_port=True)
        for server in (first, second):
            server.close()
            await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_reuse_address_is_the_default(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        for given, expected in ((None, 1), (True, 1), (False, 0)):
            server = await loop.create_server(Recorder, HOST, 0, reuse_address=given)
            assert server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == expected
            server.close()
            await soon(server.wait_closed())

    loop.run_until_complete(main())


@pytest.mark.usefixtures("native")  # asyncio has it since 3.13
def test_connections_may_be_kept_alive(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        for given, expected in ((None, 0), (False, 0), (True, 1)):
            options: Any = {"keep_alive": given}
            server = await loop.create_server(Recorder, HOST, 0, **options)
            assert server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == expected
            server.close()
            await soon(server.wait_closed())

    loop.run_until_complete(main())


@pytest.mark.no_faults("the socket goes with its last completion", "late")
def test_a_port_is_free_again_after_close(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        server = await loop.create_server(Recorder, HOST, 0)
        port = server.sockets[0].getsockname()[1]
        for _ in range(20):
            server.close()
            await soon(server.wait_closed())
            server = await loop.create_server(Recorder, HOST, port)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_a_socket_of_ones_own_and_late_serving(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        sock = socket.socket()
        sock.bind((HOST, 0))
        server = await loop.create_server(Recorder, sock=sock, start_serving=False)
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Recorder, *sock.getsockname())
        await server.start_serving()
        await server.start_serving()
        assert server.is_serving()
        transport, protocol = await loop.create_connection(Recorder, *sock.getsockname())
        transport.close()
        await soon(protocol.lost)
        server.close()
        assert sock.fileno() == -1
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_serve_forever(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        server = await loop.create_server(Recorder, HOST, 0, start_serving=False)
        task = loop.create_task(server.serve_forever())
        await turns()
        assert server.is_serving()
        with pytest.raises(RuntimeError, match="is already being awaited on serve_forever"):
            await server.serve_forever()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        assert not server.is_serving()
        with pytest.raises(RuntimeError, match="^server <Server sockets=\\(\\)> is closed$"):
            await server.serve_forever()

    loop.run_until_complete(main())


def test_closing_ends_serve_forever(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        server = await loop.create_server(Recorder, HOST, 0)
        task = loop.create_task(server.serve_forever())
        await turns()
        server.close()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)

    loop.run_until_complete(main())


def test_a_server_is_an_async_context_manager(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        async with await loop.create_server(Recorder, HOST, 0) as server:
            assert server.is_serving()
        assert not server.is_serving()

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="wait_closed waits from 3.12 on")
def test_wait_closed_waits_for_connections(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        server = await loop.create_server(Recorder, HOST, 0)
        transport, protocol = await loop.create_connection(
            Recorder, *server.sockets[0].getsockname()
        )
        peer_seen = server._waiters  # type: ignore[attr-defined]
        assert peer_seen == []
        while not getattr(server, "_clients", None) and not server._active_count:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        task = loop.create_task(server.wait_closed())
        await turns()
        assert not task.done()
        server.close()
        await turns()
        assert not task.done()
        transport.close()
        await soon(protocol.lost)
        await soon(task)
        assert server._waiters is None  # type: ignore[attr-defined]

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
@pytest.mark.parametrize("method", ["close_clients", "abort_clients"])
def test_closing_the_clients(loop: asyncio.AbstractEventLoop, method: str) -> None:
    async def main() -> None:
        accepted: list[Recorder] = []

        def factory() -> Recorder:
            accepted.append(Recorder())
            return accepted[-1]

        server = await loop.create_server(factory, HOST, 0)
        address = server.sockets[0].getsockname()
        clients = [await loop.create_connection(Recorder, *address) for _ in range(3)]
        while len(accepted) < 3:
            await asyncio.sleep(0)
        for protocol in accepted:
            await soon(asyncio.shield(protocol.made))
        server.close()
        getattr(server, method)()
        for protocol in (*accepted, *(client for _, client in clients)):
            await soon(asyncio.shield(protocol.lost))
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_a_factory_that_fails_closes_the_connection(
    loop: asyncio.AbstractEventLoop, backend: str, reports: list[dict[str, Any]]
) -> None:
    if backend == "asyncio":
        pytest.skip("asyncio leaves the socket to the garbage collector")
    loop.set_debug(True)

    def factory() -> asyncio.Protocol:
        raise ValueError("in the factory")

    async def main() -> None:
        server = await loop.create_server(factory, HOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await soon(reader.read()) == b""
        writer.close()
        await writer.wait_closed()
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())
    (report,) = reports
    assert report["message"] == "Error on transport creation for incoming connection"
    assert str(report["exception"]) == "in the factory"


def test_a_connection_stays_if_choosing_who_takes_it_fails(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    def choose() -> None:
        raise RuntimeError("cannot choose")

    async def main() -> None:
        made: asyncio.Queue[Recorder] = asyncio.Queue()

        def factory() -> Recorder:
            made.put_nowait(recorder := Recorder())
            return recorder

        server: Any = await loop.create_server(factory, HOST, 0)
        address = server.sockets[0].getsockname()
        with pytest.raises(TypeError, match="a callable or None"):
            server._divert(42)
        server._divert(choose)
        _, stays = await asyncio.open_connection(*address)
        await soon(made.get())

        passed: asyncio.Queue[socket.socket] = asyncio.Queue()
        server._divert(lambda: passed.put_nowait)
        reader, moves = await asyncio.open_connection(*address)
        sock = await soon(passed.get())
        assert server._active_count == 1
        server._adopt(sock)
        await soon(made.get())
        assert server._active_count == 2
        with pytest.raises(ValueError, match="closed"):
            server._adopt(sock)

        server.close()
        server.abort_clients()
        with contextlib.suppress(ConnectionResetError):
            assert await soon(reader.read()) == b""
        for writer in (stays, moves):
            writer.close()
        await soon(server._wait_for_clients())

    loop.run_until_complete(main())
    (report,) = reports
    assert str(report["exception"]) == "cannot choose"


def test_a_factory_that_interrupts_leaves_the_loop(
    loop: asyncio.AbstractEventLoop, backend: str
) -> None:
    if backend == "asyncio":
        pytest.skip("asyncio leaves the socket to the garbage collector")

    def factory() -> asyncio.Protocol:
        raise KeyboardInterrupt("in the factory")

    server = loop.run_until_complete(loop.create_server(factory, HOST, 0))
    with socket.create_connection(server.sockets[0].getsockname()):
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        server.close()
        loop.run_until_complete(turns())


def test_running_out_of_descriptors_is_reported_and_survived(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> None:
        accepted = loop.create_future()

        class Accepted(Recorder):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                accepted.set_result(self)

        hoard: list[int] = []
        highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
        try:
            # The limit comes first: io_uring takes note of it when it begins to accept.
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 16, hard))
            server = await loop.create_server(Accepted, HOST, 0)
            client = socket.socket()
            try:
                while True:
                    hoard.append(os.dup(0))
            except OSError as exc:
                assert exc.errno == errno.EMFILE
            client.connect(server.sockets[0].getsockname())
            while not reports:
                await asyncio.sleep(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in hoard:
                os.close(fd)
        assert reports[0]["message"] == "socket.accept() out of system resource"
        assert reports[0]["exception"].errno == errno.EMFILE
        protocol = await soon(accepted)
        client.close()
        await soon(protocol.lost)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_closing_the_loop_with_a_server_and_connections_leaks_nothing(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        server = await loop.create_server(Recorder, HOST, 0)
        mine, peer = raw_pair()
        transport, protocol = await loop.create_connection(Recorder, sock=mine)
        peer.close()
        server.close()
        transport.abort()
        await soon(protocol.lost)

    loop.run_until_complete(main())
    loop.close()


@pytest.mark.parametrize("of", ["nobody", "a client", "TLS"])
def test_closing_the_loop_frees_the_address_of_a_server_nobody_holds(
    of: str, tmp_path: Path, loop: asyncio.AbstractEventLoop, backend: str
) -> None:
    # The address stayed in use until garbage was collected.
    if backend == "asyncio" and of == "a client":
        pytest.skip("asyncio's transport, which holds the server, is part of a cycle")

    async def main() -> Any:
        context = server_context(tmp_path) if of == "TLS" else None
        server = await loop.create_server(asyncio.Protocol, HOST, 0, ssl=context)
        return server.sockets[0].getsockname()

    gc.disable()
    try:
        address = loop.run_until_complete(main())
        with contextlib.ExitStack() as clients:
            if of == "a client":
                clients.enter_context(socket.create_connection(address))
            loop.run_until_complete(turns())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # Of the socket, too.
                loop.close()
            socket.create_server(address).close()
    finally:
        gc.enable()
