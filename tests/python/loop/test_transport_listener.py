"""The native listener: accepting, failing to, and closing."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import os
import resource
import socket
import warnings
from typing import Any

import pytest

from blitzio import _native
from tests.python.loop.support import reset
from tests.python.loop.transport_support import TIMEOUT, Recorder, run, until

pytestmark = pytest.mark.usefixtures("native_only")


def start_server(loop: Any, factory: Any, **keywords: Any) -> tuple[Any, tuple[str, int]]:
    server = run(loop, loop.create_server(factory, "127.0.0.1", 0, **keywords))
    return server, server.sockets[0].getsockname()


def test_accepted_transports_tell_addresses_and_have_no_delay(loop: Any) -> None:
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    server, address = start_server(loop, factory)
    with socket.create_connection(address) as peer:
        run(loop, until(lambda: made and made[0].transport))
        transport = made[0].transport
        assert transport.get_extra_info("peername") == peer.getsockname()
        assert transport.get_extra_info("sockname") == address
        sock = transport.get_extra_info("socket")
        assert sock.family == socket.AF_INET
        assert sock.fileno() == transport._sock_fd
        assert sock.gettimeout() == 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert not os.get_inheritable(sock.fileno())
    assert made[0].lost is not None
    run(loop, made[0].lost)
    server.close()
    run(loop, server.wait_closed())


def test_the_peer_is_known_though_it_was_gone_before_it_was_accepted(
    loop: Any, backend: str
) -> None:
    if backend == "io_uring":
        pytest.skip("a ring that accepts again and again does not tell whom")
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    server, address = start_server(loop, factory)
    peer = socket.create_connection(address)
    name = peer.getsockname()
    reset(peer)
    run(loop, until(lambda: made and made[0].lost))
    assert made[0].transport.get_extra_info("peername") == name
    run(loop, made[0].lost)
    server.close()
    run(loop, server.wait_closed())


def test_each_connection_has_a_context_of_its_own(loop: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []

    class Looks(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            seen.append(variable.get())

    def factory() -> Looks:
        variable.set(variable.get() + 1)
        return Looks()

    server, address = start_server(loop, factory)
    peers = [socket.create_connection(address) for _ in range(3)]
    run(loop, until(lambda: len(seen) == 3))
    assert seen == [1, 1, 1]
    for peer in peers:
        peer.close()
    server.close()
    run(loop, until(lambda: loop.metrics()["transports"] == 0))


def test_a_failing_protocol_factory_is_reported_and_the_connection_closed(
    loop: Any, reports: list[Any]
) -> None:
    def factory() -> asyncio.Protocol:
        raise RuntimeError("no protocol")

    server, address = start_server(loop, factory)
    with socket.create_connection(address, timeout=TIMEOUT) as peer:
        run(loop, until(lambda: reports))
        assert peer.recv(1) == b""
    assert reports[0]["message"] == "Error on transport creation for incoming connection"
    assert str(reports[0]["exception"]) == "no protocol"
    server.close()
    run(loop, server.wait_closed())


def test_running_out_of_descriptors_is_reported_and_retried(
    loop: Any, reports: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    call_later = type(loop).call_later

    def record(self: Any, delay: float, callback: Any, *args: Any, **keywords: Any) -> Any:
        delays.append(delay)
        # The listener's retry at once; the patience of the test itself lasts as long as ever.
        return call_later(self, 0 if delay == 1.0 else delay, callback, *args, **keywords)

    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    server, address = start_server(loop, factory)
    run(loop, asyncio.sleep(0))
    peer = socket.socket()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    fillers: list[int] = []

    def report(_: Any, context: dict[str, Any]) -> None:
        reports.append(context)
        # Room again, before the retry.
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    loop.set_exception_handler(report)
    monkeypatch.setattr(type(loop), "call_later", record, raising=False)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
        while True:
            try:
                fillers.append(os.dup(peer.fileno()))
            except OSError:
                break
        peer.connect(address)
        run(loop, until(lambda: made and made[0].transport))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        monkeypatch.undo()
        for fd in fillers:
            os.close(fd)
    assert reports[0]["message"] == "socket.accept() out of system resource"
    assert reports[0]["exception"].errno == errno.EMFILE
    assert isinstance(reports[0]["socket"], asyncio.trsock.TransportSocket)
    assert 1.0 in delays
    peer.close()
    assert made[0].lost is not None
    run(loop, made[0].lost)
    server.close()
    run(loop, server.wait_closed())


def test_what_is_accepted_after_close_is_closed(loop: Any) -> None:
    """The connection is in the kernel's queue, perhaps in the ring, when the server closes."""
    for _ in range(20):
        made: list[Recorder] = []

        def factory(made: list[Recorder] = made) -> Recorder:
            made.append(Recorder())
            return made[-1]

        server, address = start_server(loop, factory)
        run(loop, asyncio.sleep(0))
        peer = socket.create_connection(address, timeout=TIMEOUT)
        server.close()
        run(loop, asyncio.sleep(0.001))
        assert made == []
        try:
            assert peer.recv(1) == b""
        except ConnectionResetError:
            pass
        peer.close()


def test_a_closed_server_frees_its_port(loop: Any) -> None:
    server, address = start_server(loop, Recorder)
    server.close()
    run(loop, server.wait_closed())
    run(loop, asyncio.sleep(0))
    again = run(loop, loop.create_server(Recorder, *address))
    again.close()
    run(loop, again.wait_closed())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_paused_listener_leaves_connections_in_the_queue(loop: Any) -> None:
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    listener = _native.Listener(loop, sock, factory, None, 10)
    assert repr(listener) == f"<Listener idle fd={sock.fileno()}>"
    listener.start()
    listener.start()
    run(loop, asyncio.sleep(0))
    listener.pause()
    run(loop, asyncio.sleep(0.005))
    peer = socket.create_connection(sock.getsockname())
    run(loop, asyncio.sleep(0.01))
    assert made == []
    listener.start()
    run(loop, until(lambda: made and made[0].transport))
    listener.close()
    listener.close()
    assert sock.fileno() == -1
    with pytest.raises(RuntimeError, match="closed"):
        listener.start()
    peer.close()
    assert made[0].lost is not None
    run(loop, made[0].lost)


def test_many_connections_leave_nothing_behind(loop: Any) -> None:
    class Echo(Recorder):
        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    server, address = start_server(loop, Echo, backlog=500)

    async def visit() -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        for _ in range(5):
            await asyncio.gather(*[visit() for _ in range(100)])
        await until(lambda: loop.metrics()["transports"] == 0)

    before = len(os.listdir("/proc/self/fd"))
    run(loop, main())
    run(loop, asyncio.sleep(0))
    assert len(os.listdir("/proc/self/fd")) == before
    server.close()
    run(loop, server.wait_closed())


def test_a_loop_closed_with_a_listening_server_closes_the_listener(new_loop: Any) -> None:
    loop = new_loop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        server, address = start_server(loop, Recorder)
        server.close()
        loop.close()
        del server
        gc.collect()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
