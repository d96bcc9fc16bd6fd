"""Cancelling at every await: sockets, names, TLS, pools, children and signals; see
cancel_support."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net, process
from blitzio import signal as signals
from blitzio._net.connect import _connect_first
from tests.python.loop.support import client_context, server_context
from tests.python.runtime.cancel_support import (
    CANCELLED,
    KINDS,
    Make,
    Scenario,
    cancel_everywhere,
)

if TYPE_CHECKING:
    from pathlib import Path


async def read() -> Scenario:
    # A socket of Python's own for the other side: what it sends leaves at once and whole.
    listener = socket.create_server(("127.0.0.1", 0))
    ours = await net.TcpStream.connect(f"127.0.0.1:{listener.getsockname()[1]}")
    theirs, _ = listener.accept()

    async def check(result: object) -> None:
        assert (await ours.read_exact(4) if result is CANCELLED else result) == b"data"

    async def work() -> bytes:
        return await ours.read_exact(4)

    return Scenario(
        work, lambda: theirs.sendall(b"data"), check, [listener.close, ours.close, theirs.close]
    )


async def accept() -> Scenario:
    listener = net.TcpListener.bind("127.0.0.1:0")
    connecting: list[asyncio.Future[net.TcpStream]] = []

    async def connect() -> net.TcpStream:
        return await net.TcpStream.connect(listener.local_address)

    async def work() -> net.TcpStream:
        stream, _ = await listener.accept()
        return stream

    async def check(result: Any) -> None:
        stream = (await listener.accept())[0] if result is CANCELLED else result
        (await connecting[0]).close()
        stream.close()
        listener.close()

    return Scenario(work, lambda: connecting.append(asyncio.ensure_future(connect())), check)


async def write() -> Scenario:
    ours, theirs = net.UnixStream.pair()
    data = os.urandom(1_000_000)
    received = bytearray()
    receiving: list[asyncio.Future[None]] = []

    async def receive() -> None:
        while piece := await theirs.read():
            received.extend(piece)

    async def work() -> None:
        await ours.write_all(data)

    async def check(result: object) -> None:
        await ours.write_all(b"end")
        ours.close()
        await receiving[0]
        theirs.close()
        # The turn of the cancelled one is over, and it has written a part at most.
        assert received.endswith(b"end")
        assert data.startswith(bytes(received[:-3]))
        assert result is CANCELLED or len(received) == len(data) + 3

    return Scenario(work, lambda: receiving.append(asyncio.ensure_future(receive())), check)


async def receive_datagram() -> Scenario:
    ours = net.UdpSocket.bind("127.0.0.1:0")
    theirs = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # Python's own: its sends arrive.
    theirs.bind(("127.0.0.1", 0))

    async def work() -> Any:
        return await ours.recv_from()

    async def check(result: Any) -> None:
        got = await ours.recv_from() if result is CANCELLED else result
        assert got == (b"whole", net.Address(*theirs.getsockname()))
        assert ours.try_recv() is None

    to = ("127.0.0.1", ours.local_address.port)
    return Scenario(work, lambda: theirs.sendto(b"whole", to), check, [ours.close, theirs.close])


async def send_datagram() -> Scenario:
    ours, theirs = net.UnixDatagram.pair()
    # Filled and emptied by sockets of Python's own: injected faults would end that early.
    filling, emptying = (socket.socket(fileno=os.dup(each.fileno())) for each in (ours, theirs))
    sent = 0
    with suppress(BlockingIOError):
        while filling.send(b"x", socket.MSG_DONTWAIT):
            sent += 1
    received = []

    def receive_all() -> None:
        with suppress(BlockingIOError):
            while True:
                received.append(emptying.recv(16, socket.MSG_DONTWAIT))

    async def work() -> int:
        return await ours.send(b"last")

    def check(result: object) -> None:
        receive_all()
        assert received == [b"x"] * sent + ([] if result is CANCELLED else [b"last"])

    return Scenario(
        work, receive_all, check, [ours.close, theirs.close, filling.close, emptying.close]
    )


async def connect_by_name() -> Scenario:
    """Time lets it go by itself: a thread resolves the name."""
    listener = net.TcpListener.bind("127.0.0.1:0")

    async def work() -> net.TcpStream:
        return await net.connect("localhost", listener.local_address.port)

    def check(result: Any) -> None:
        if result is not CANCELLED:
            result.close()

    return Scenario(work, lambda: None, check, [listener.close])


async def connect_to_the_second() -> Scenario:
    """Attempts that overlap: the first one's backlog is full, so that nobody answers."""
    deaf = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = deaf.getsockname()[1]
    filler = socket.create_connection(("127.0.0.1", port))
    listener = net.TcpListener.bind(f"127.0.0.2:{port}")

    async def work() -> net.TcpStream:
        return await _connect_first([net.Address("127.0.0.1", port), listener.local_address])

    def check(result: Any) -> None:
        if result is not CANCELLED:
            assert result.peer_address == listener.local_address
            result.close()

    return Scenario(work, lambda: None, check, [deaf.close, filler.close, listener.close])


def tls_pair(folder: Path) -> Make:
    async def make() -> Scenario:
        ours, theirs = net.UnixStream.pair()
        serving = asyncio.ensure_future(
            net.start_tls(theirs, server_context(folder), server_side=True)
        )
        client = await net.start_tls(ours, client_context(), server_hostname="localhost")
        server = await serving
        sending: list[asyncio.Future[None]] = []

        async def work() -> bytes:
            return await client.read_exact(4)

        async def check(result: object) -> None:
            await sending[0]
            assert (await client.read_exact(4) if result is CANCELLED else result) == b"data"
            server.close()
            client.close()
            await asyncio.gather(client.wait_closed(), server.wait_closed(), return_exceptions=True)

        return Scenario(
            work,
            lambda: sending.append(asyncio.ensure_future(server.write_all(b"data"))),
            check,
        )

    return make


def tls_handshake(folder: Path) -> Make:
    async def make() -> Scenario:
        ours, theirs = net.UnixStream.pair()
        serving: list[asyncio.Future[net.TlsStream]] = []

        async def work() -> net.TlsStream:
            return await net.start_tls(ours, client_context(), server_hostname="localhost")

        async def check(result: Any) -> None:
            (server,) = await asyncio.gather(*serving, return_exceptions=True)
            if result is not CANCELLED:
                assert isinstance(server, net.TlsStream)
            for stream in (server, result):
                if isinstance(stream, net.TlsStream):
                    stream.close()
                    await asyncio.gather(stream.wait_closed(), return_exceptions=True)

        def let_go() -> None:
            begun = net.start_tls(theirs, server_context(folder), server_side=True)
            serving.append(asyncio.ensure_future(begun))

        return Scenario(work, let_go, check)

    return make


async def borrow() -> Scenario:
    theirs: list[net.UnixStream] = []

    async def connect() -> net.UnixStream:
        await asyncio.sleep(0)
        ours, other = net.UnixStream.pair()
        theirs.append(other)
        return ours

    pool = net.Pool(connect, connections_max=1)
    lent = pool.acquire()
    await lent.__aenter__()
    returning: list[asyncio.Future[Any]] = []

    async def work() -> None:
        async with pool.acquire() as stream:
            await stream.write_all(b"x")
            await asyncio.sleep(0)

    async def check(_: object) -> None:
        await returning[0]
        assert pool.lent_count == 0
        async with pool.acquire():
            pass
        pool.close()
        for stream in theirs:
            stream.close()

    def let_go() -> None:
        returning.append(asyncio.ensure_future(lent.__aexit__(None, None, None)))

    return Scenario(work, let_go, check)


async def first_connection() -> Scenario:
    made: list[net.UnixStream] = []
    opened = asyncio.Event()

    async def connect() -> net.UnixStream:
        await opened.wait()
        ours, theirs = net.UnixStream.pair()
        made.append(theirs)
        return ours

    pool = net.Pool(connect, connections_max=1)

    async def work() -> None:
        async with pool.acquire():
            await asyncio.sleep(0)

    async def check(_: object) -> None:
        assert pool.lent_count == 0
        async with pool.acquire():
            pass
        pool.close()
        for stream in made:
            stream.close()

    return Scenario(work, opened.set, check)


async def child() -> Scenario:
    cat = process.spawn("cat", stdin="pipe", stdout="pipe")
    stdin, stdout = cat.stdin, cat.stdout
    assert stdin is not None
    assert stdout is not None

    async def work() -> tuple[bytes, bool]:
        return await stdout.read_exact(4), (await cat.wait()).is_success

    async def check(result: object) -> None:
        if result is CANCELLED:
            assert await stdout.read_to_end() in (b"data", b"")
        assert (await cat.wait()).is_success
        cat.close_pipes()

    def let_go() -> None:
        # Not by try_write(), which injected faults would cut short.
        assert os.write(stdin.fileno(), b"data") == 4
        stdin.close()

    return Scenario(work, let_go, check)


async def program() -> Scenario:
    """Its child is killed and reaped with it."""
    reader, writer = os.pipe()
    command = process.Command("cat", stdin=reader)

    async def work() -> bytes:
        return (await command.output()).stdout

    def let_go() -> None:
        os.write(writer, b"data")
        os.close(writer)

    def check(result: object) -> None:
        assert result in (CANCELLED, b"data")
        os.close(reader)

    return Scenario(work, let_go, check)


async def hear() -> Scenario:
    arrivals = signals.stream(signal.SIGUSR1)

    async def work() -> Any:
        return await arrivals.next()

    async def check(result: object) -> None:
        assert (await arrivals.next() if result is CANCELLED else result) == signal.SIGUSR1

    return Scenario(work, lambda: os.kill(os.getpid(), signal.SIGUSR1), check, [arrivals.close])


SCENARIOS: dict[str, Make] = {
    "read": read,
    "write": write,
    "accept": accept,
    "receive_datagram": receive_datagram,
    "send_datagram": send_datagram,
    "connect_by_name": connect_by_name,
    "connect_to_the_second": connect_to_the_second,
    "borrow": borrow,
    "first_connection": first_connection,
    "child": child,
    "program": program,
    "hear": hear,
}
WITH_CERTIFICATE = {"tls_read": tls_pair, "tls_handshake": tls_handshake}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_wherever_it_is_cancelled(name: str, kind: str) -> None:
    cancel_everywhere(SCENARIOS[name], kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WITH_CERTIFICATE)
def test_nothing_is_lost_under_tls(name: str, kind: str, tmp_path: Path) -> None:
    cancel_everywhere(WITH_CERTIFICATE[name](tmp_path), kind)
