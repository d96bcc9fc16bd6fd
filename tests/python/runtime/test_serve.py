"""blitzio.serve and Server: one address on every worker."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import Server
from tests.python.loop.support import HOST, client_context, server_context

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 30.0


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data == b"who":
            data = threading.current_thread().name.encode()
        self.transport.write(data)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def ask(address: Any, message: bytes) -> bytes:
    with socket.create_connection(address[:2], PATIENCE) as client:
        client.sendall(message)
        return client.recv(1000)


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_every_worker_serves_the_address() -> None:
    with Server(Echo, "127.0.0.1", 0, workers=2) as server:
        assert ask(server.address, b"hello") == b"hello"
        # The kernel spreads connections by their ports.
        seen = {ask(server.address, b"who") for _ in range(64)}
        assert seen == {b"blitzio-worker-0", b"blitzio-worker-1"}
        assert server.runtime.config.workers == 2
    with pytest.raises(OSError, match="refused"):
        ask(server.address, b"hello")


@pytest.mark.no_faults("takes each message for one piece", "short")
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_long_connections_are_spread_evenly(is_tls: bool, tmp_path: Path) -> None:
    context = server_context(tmp_path) if is_tls else None
    with Server(Echo, "127.0.0.1", 0, workers=2, ssl=context) as server:
        clients = []
        seen = []
        for _ in range(16):
            client = socket.create_connection(server.address[:2], PATIENCE)
            if is_tls:
                client = client_context().wrap_socket(client, server_hostname=HOST)
            client.sendall(b"who")
            seen.append(client.recv(100))
            clients.append(client)
        # Whom the kernel chooses is chance, and sixteen times evenly would be a rare one.
        assert seen.count(b"blitzio-worker-0") == 8
        assert seen.count(b"blitzio-worker-1") == 8
        for client in clients:
            client.close()


def test_open_connections_end_with_the_server() -> None:
    with Server(Echo, "127.0.0.1", 0, workers=2) as server:
        clients = [socket.create_connection(server.address[:2], PATIENCE) for _ in range(10)]
        for client in clients:
            client.sendall(b"x")
            assert client.recv(10) == b"x"
    for client in clients:
        assert client.recv(10) == b""
        client.close()
    server.shutdown()


def test_connections_that_do_not_end_in_time_are_aborted() -> None:
    class Flood(Echo):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.write(bytes(1 << 24))  # More than a peer that does not read takes.

    with Server(Flood, "127.0.0.1", 0, grace=0.01) as server:
        client = socket.create_connection(server.address[:2], PATIENCE)
        client.recv(1)
    client.close()


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_a_worker_cannot_shut_its_server_down() -> None:
    class Ends(Echo):
        def data_received(self, data: bytes) -> None:
            try:
                server.shutdown()
            except RuntimeError as error:
                data = str(error).encode()
            self.transport.write(data)

    with Server(Ends, "127.0.0.1", 0, workers=1) as server:
        assert b"one of its own threads" in ask(server.address, b"end")
        assert b"one of its own threads" in ask(server.address, b"end")


@pytest.mark.no_faults("takes each message for one piece", "short")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_that_leaves_the_block_waits_for_nobody() -> None:
    child = -1
    with Server(Echo, "127.0.0.1", 0, workers=1) as server:
        child = os.fork()
        if child != 0:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
            assert ask(server.address, b"hello") == b"hello"
        else:
            signal.alarm(int(PATIENCE))
    if child == 0:
        os._exit(3)


def test_an_asgi_application_is_served() -> None:
    pytest.importorskip("uvicorn")
    with Server(app, "127.0.0.1", 0, workers=2) as server:
        answer = ask(server.address, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_what_is_neither_is_refused() -> None:
    for wrong in (42, lambda one, two: None):
        with pytest.raises(TypeError, match="a protocol factory or an ASGI application"):
            Server(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ssl is for protocol factories"):
        Server(app, ssl=ssl.create_default_context())


def test_an_address_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use"):
            Server(Echo, "127.0.0.1", taken.getsockname()[1])


def test_serve_ends_at_a_signal() -> None:
    program = (
        "import asyncio, blitzio, sys\n"
        "from blitzio import _serve\n"
        "class Told(_serve.Server):\n"
        "    def __init__(self, *args, **options):\n"
        "        super().__init__(*args, **options)\n"
        "        print('port', self.address[1], flush=True)\n"
        "_serve.Server = Told\n"
        "blitzio.serve(asyncio.Protocol, '127.0.0.1', 0)\n"
        "print('ended')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("port ")
        os.kill(process.pid, signal.SIGTERM)
        assert process.stdout.read() == "ended\n"
        assert process.wait(PATIENCE) == 0


def test_serve_does_not_block_a_loop() -> None:
    async def main() -> None:
        blitzio.serve(Echo)

    with pytest.raises(RuntimeError, match="would block the event loop"):
        blitzio.run(main())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"grace": "long"}, TypeError),
        ({"grace": float("nan")}, ValueError),
        ({"port": 70_000}, OverflowError),  # It served another one.
        ({"port": -1}, OverflowError),
        ({"ssl": 3}, TypeError),  # Each connection failed, when it came.
        ({"ssl": ""}, TypeError),
        ({"ssl": True}, TypeError),
    ],
)
def test_a_wrong_option_shows_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Server(asyncio.Protocol, **{"host": HOST, "port": 0, **options})
