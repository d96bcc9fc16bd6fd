"""blitzio.net on every kind of loop: ours on each backend, asyncio's, uvloop's."""

from __future__ import annotations

import asyncio
import copy
import errno
import gc
import os
import pickle
import socket
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net
from blitzio.net import (
    Address,
    TcpListener,
    TcpStream,
    UdpSocket,
    UnixDatagram,
    UnixListener,
    UnixStream,
)
from tests.python.loop.support import client_context, server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def connected() -> tuple[TcpStream, TcpStream]:
    async with TcpListener.bind("127.0.0.1:0") as listener:
        client = await TcpStream.connect(listener.local_address)
        server, peer = await listener.accept()
        assert peer == client.local_address
        return client, server


async def settle() -> None:
    """Lets what is ready run, and I/O be noticed."""
    for _ in range(3):
        await asyncio.sleep(0)


# ---- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:443", "/run/app.sock", "@abstract"])
def test_addresses_are_values(text: str) -> None:
    address = Address.parse(text)
    assert str(address) == text
    assert address == Address.parse(text)
    assert hash(address) == hash(Address.parse(text))
    assert eval(repr(address)) == address


@pytest.mark.parametrize(
    "address",
    [
        Address("127.0.0.1", 80),
        Address("fe80::1%1", 80),
        Address.local("/run/app.sock"),
        Address.local(b"relative\xff"),
        Address.local("@relative"),
        Address.local("\0name"),
    ],
)
def test_addresses_can_be_copied_and_sent_to_other_processes(address: Address) -> None:
    for same in (
        copy.copy(address),
        copy.deepcopy([address])[0],
        pickle.loads(pickle.dumps(address)),
    ):
        assert same == address == eval(repr(address))
        assert (str(same), same.port, same.scope_id) == (
            str(address),
            address.port,
            address.scope_id,
        )


def test_addresses_have_parts() -> None:
    address = Address("127.0.0.1", 80)
    assert (address.host, address.port, address.family) == ("127.0.0.1", 80, socket.AF_INET)
    assert address.is_loopback
    assert address.with_port(81) == Address("127.0.0.1", 81) != address
    local = Address.local("/tmp/x")
    assert local.is_local
    assert local.host == "/tmp/x"
    assert str(Address.local("\0name")) == "@name"


@pytest.mark.parametrize("text", ["", "127.0.0.1", "localhost:80", "127.0.0.1:65536", "::1:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        Address.parse(text)


def test_address_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="port must be from 0 to 65535"):
        Address("127.0.0.1", 65_536)
    with pytest.raises(ValueError, match="resolve"):
        Address("localhost", 80)
    with pytest.raises(TypeError):
        Address.parse(80)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="path"):
        Address.local("x" * 200)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: TcpListener.bind("/run/app.sock"),
        lambda: UdpSocket.bind("@abstract"),
        lambda: UnixListener.bind("127.0.0.1:0"),
        lambda: UnixDatagram.bind("[::1]:0"),
        lambda: TcpStream.connect("/run/app.sock"),
        lambda: UnixStream.connect("127.0.0.1:80"),
    ],
)
def test_an_address_of_another_kind_of_socket_is_named(refused: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"'(/run/app.sock|@abstract|127.*|\[::1\]:0)' is .*Unix"):
        refused()


# ---- streams -------------------------------------------------------------------------------------


async def echo(stream: TcpStream) -> None:
    async with stream:
        while data := await stream.read():
            await stream.write_all(data)


async def talk_to_echo() -> None:
    client, server = await connected()
    echoing = asyncio.ensure_future(echo(server))
    async with client:
        for i in range(50):
            message = b"message %d" % i
            await client.write_all(message)
            assert await client.read_exact(len(message)) == message
        big = os.urandom(2_000_000)
        writing = asyncio.ensure_future(client.write_all(big))
        assert await client.read_exact(len(big)) == big
        await writing
        client.shutdown("write")
        assert await client.read() == b""
    await echoing
    assert server.is_closed


def test_echo_on_each_kind_of_loop(run: Run) -> None:
    run(talk_to_echo())


def test_echo_on_each_backend(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(talk_to_echo())


def test_reads_of_each_kind(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            await client.write_all(b"one;two;line\nrest")
            assert await server.peek(3) == b"one"
            assert await server.read_until(b";") == b"one;"
            assert await server.read(2) == b"tw"
            buffer = bytearray(2)
            assert await server.read_into(buffer) == 2
            assert buffer == b"o;"
            assert await server.read_line() == b"line\n"
            assert server.try_read() == b"rest"
            assert server.try_read() is None
            await client.write_all(b"a\nb\nlast")
            client.shutdown("write")
            assert [line async for line in server] == [b"a\n", b"b\n", b"last"]
            assert await server.read_to_end() == b""
            assert await server.read_line() == b""

    run(main())


def test_a_stream_that_ends_early_says_so(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with server:
            await client.write_all(b"abc")
            client.close()
            with pytest.raises(asyncio.IncompleteReadError) as short:
                await server.read_exact(5)
            assert (short.value.partial, short.value.expected) == (b"abc", 5)
        client, server = await connected()
        async with server:
            await client.write_all(b"abc")
            client.close()
            with pytest.raises(asyncio.IncompleteReadError) as missing:
                await server.read_until(b";")
            assert missing.value.partial == b"abc"

    run(main())


def test_limits_leave_the_bytes_there(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            await client.write_all(b"0123456789\n")
            with pytest.raises(asyncio.LimitOverrunError):
                await server.read_line(limit=5)
            assert await server.read_line() == b"0123456789\n"

    run(main())


def test_cancelling_a_read_loses_no_byte(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            for operation in (
                lambda: server.read(),
                lambda: server.read_exact(10),
                lambda: server.read_line(),
                lambda: server.read_into(bytearray(10)),
            ):
                reading = asyncio.ensure_future(operation())
                await settle()
                await client.write_all(b"part")
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                if not reading.cancelled():
                    continue  # It was faster: then it has what came.
                await client.write_all(b" and rest\n")
                assert await server.read_exact(14) == b"part and rest\n"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(server.read_exact(10), 0.01)
            await client.write_all(b"0123456789")
            assert await server.read_exact(10) == b"0123456789"

    run(main())


def test_two_writers_do_not_mix(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            parts = [bytes([65 + i]) * 300_000 for i in range(4)]
            writing = [asyncio.ensure_future(client.write_all(part)) for part in parts]
            assert await server.read_exact(1_200_000) == b"".join(parts)
            await asyncio.gather(*writing)
            await client.write_all(memoryview(b"a view")[2:])
            assert await server.read() == b"view"

    run(main())


def test_closing_ends_what_waits(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        reading = asyncio.ensure_future(server.read())
        await settle()
        server.close()
        assert server.fileno() == -1
        with pytest.raises(OSError) as closed:
            await reading
        assert closed.value.errno == errno.EBADF
        assert await client.read() == b""
        client.close()
        client.close()
        with pytest.raises(OSError):
            await client.read()
        with pytest.raises(OSError):
            await client.write_all(b"x")

    run(main())


def test_a_closed_stream_refuses_to_move_no_bytes_too(run: Run) -> None:
    """Reading and writing nothing succeeded, where every other call said EBADF."""

    async def main() -> None:
        ours, theirs = net.UnixStream.pair()
        empty: tuple[Callable[[Any], Any], ...] = (
            lambda stream: stream.read(0),
            lambda stream: stream.peek(0),
            lambda stream: stream.read_into(bytearray()),
            lambda stream: stream.read_exact(0),
            lambda stream: stream.read_vectored([]),
            lambda stream: stream.write(b""),
            lambda stream: stream.write_all(b""),
            lambda stream: stream.write_vectored([]),
        )
        at_once: tuple[Callable[[Any], Any], ...] = (
            lambda stream: stream.try_write(b""),
            lambda stream: stream.try_read_vectored([]),
            lambda stream: stream.try_write_vectored([]),
        )
        assert [await call(ours) for call in empty] == [b"", b"", 0, b"", 0, 0, None, 0]
        assert [call(ours) for call in at_once] == [0, 0, 0]
        ours.close()
        for call in empty:
            with pytest.raises(OSError) as refused:
                await call(ours)
            assert refused.value.errno == errno.EBADF
        for call in at_once:
            with pytest.raises(OSError) as refused:
                call(ours)
            assert refused.value.errno == errno.EBADF
        theirs.close()

    run(main())


def test_errors_keep_their_errno(run: Run) -> None:
    async def main() -> None:
        with TcpListenerAddress() as address, pytest.raises(ConnectionRefusedError):
            await TcpStream.connect(address)
        client, server = await connected()
        async with client, server:
            client.shutdown("write")
            with pytest.raises(BrokenPipeError):
                await client.write_all(b"x")

    run(main())


class TcpListenerAddress:
    """An address at which nobody listens."""

    def __enter__(self) -> Address:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        return Address(*self._socket.getsockname())

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()


def test_arguments_are_checked(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        async with client, server:
            anything: Any = client
            with pytest.raises(ValueError, match="at least 0"):
                anything.read(-1)
            with pytest.raises(ValueError, match="how"):
                anything.shutdown("up")
            with pytest.raises(TypeError):
                anything.write_all("text")
            with pytest.raises(TypeError):
                anything.read("x")
            with pytest.raises(ValueError, match="separator"):
                client.read_until(b"")

    run(main())
    with pytest.raises(ValueError, match="no address"):
        TcpListener.bind("nowhere")


def test_outside_of_a_loop_waiting_is_an_error(run: Run) -> None:
    client, server = run(connected())
    with pytest.raises(RuntimeError, match="no running event loop"):
        server.read().send(None)
    client.close()
    server.close()


def test_a_stream_may_move_to_another_loop(any_loop: Callable[[], Any]) -> None:
    first, second = any_loop(), any_loop()
    try:
        client, server = first.run_until_complete(connected())

        async def exchange() -> None:
            reading = asyncio.ensure_future(server.read())
            await settle()
            await client.write_all(b"x")
            assert await reading == b"x"

        first.run_until_complete(exchange())
        first.close()
        second.run_until_complete(exchange())
        client.close()
        server.close()
        second.run_until_complete(settle())
    finally:
        first.close()
        second.close()


# ---- listeners -----------------------------------------------------------------------------------


def test_listeners_accept(run: Run) -> None:
    async def main() -> None:
        async with TcpListener.bind("127.0.0.1:0", backlog=10) as listener:
            assert listener.try_accept() is None
            accepting = [asyncio.ensure_future(listener.accept()) for _ in range(3)]
            clients = [await TcpStream.connect(listener.local_address) for _ in range(3)]
            for stream, _ in await asyncio.gather(*accepting):
                stream.close()
            another = await net.connect("127.0.0.1", listener.local_address.port)
            async for stream in listener:
                stream.close()
                break
            for client in [*clients, another]:
                client.close()
        with pytest.raises(OSError):
            await listener.accept()

    run(main())


def test_a_cancelled_accept_takes_no_connection(run: Run) -> None:
    async def main() -> None:
        async with TcpListener.bind("127.0.0.1:0") as listener:
            accepting = asyncio.ensure_future(listener.accept())
            await settle()
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            client = await TcpStream.connect(listener.local_address)
            server, _ = await listener.accept()
            client.close()
            server.close()

    run(main())


def test_unix_streams(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        address = Address.local(tmp_path / "socket")
        async with UnixListener.bind(address) as listener:
            client = await UnixStream.connect(address)
            server, peer = await listener.accept()
            assert peer is None
            assert server.peer_credentials()[0] == os.getpid()
            await client.write_all(b"hello")
            assert await server.read() == b"hello"
            client.close()
            server.close()
        one, other = UnixStream.pair()
        async with one, other:
            await one.write_all(b"pair")
            assert await other.read() == b"pair"

    run(main())


# ---- datagrams -----------------------------------------------------------------------------------


@pytest.mark.no_faults("what is sent leaves at once", "again")
def test_udp(run: Run) -> None:
    async def main() -> None:
        async with UdpSocket.bind("127.0.0.1:0") as one, UdpSocket.bind("127.0.0.1:0") as two:
            receiving = asyncio.ensure_future(two.recv_from())
            await settle()
            assert await one.send_to(b"hello", two.local_address) == 5
            assert await receiving == (b"hello", one.local_address)
            assert two.try_recv() is None
            one.connect(two.local_address)
            two.connect(one.local_address)
            await one.send(b"")
            assert one.try_send(b"x") == 1
            assert await two.recv() == b""
            assert await two.recv() == b"x"
            with pytest.raises(OSError) as too_long:
                await one.send(bytes(70_000))
            assert too_long.value.errno == errno.EMSGSIZE

    run(main())


def test_unix_datagrams(run: Run) -> None:
    async def main() -> None:
        one, other = net.UnixDatagram.pair()
        async with one, other:
            await one.send(b"a")
            assert await other.recv_from() == (b"a", None)

    run(main())


def test_datagrams_that_are_always_there_leave_room_for_others(run: Run) -> None:
    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            async with UdpSocket.bind("127.0.0.1:0") as receiver:
                sender.connect(("127.0.0.1", receiver.local_address.port))
                for _ in range(500):
                    sender.send(b"x")
                    assert await receiver.recv() == b"x"
        assert turns > 1
        counting.cancel()

    run(main())


def test_a_unix_datagram_is_whole_or_an_error(run: Run) -> None:
    longest = 256 * 1024

    async def main() -> None:
        one, other = net.UnixDatagram.pair()
        async with one, other:
            one.set_send_buffer_bytes(2 * longest)
            if one.send_buffer_bytes() <= longest + 1_000:
                pytest.skip("the system has no such large datagrams")
            for size in (64 * 1024, 64 * 1024 + 1, longest):
                data = os.urandom(size)
                await one.send(data)
                assert await other.peek() == data
                assert await other.recv_from() == (data, None)
                await one.send(data)
                assert other.try_peek_from() == (data, None)
                assert other.try_recv() == data
            for receive in (other.recv, other.recv_from, other.try_recv, other.try_recv_from):
                await one.send(bytes(longest + 1))
                await one.send(b"next")
                with pytest.raises(OSError) as too_long:
                    got: Any = receive()
                    await got
                assert too_long.value.errno == errno.EMSGSIZE
                assert await other.recv() == b"next"

    run(main())


# ---- names, TLS, copying, pools ------------------------------------------------------------------


def test_names(run: Run) -> None:
    async def main() -> None:
        assert await net.resolve("127.0.0.1", 80) == [Address("127.0.0.1", 80)]
        found = await net.resolve("localhost", 7, family=socket.AF_INET)
        assert found == [Address("127.0.0.1", 7)]
        with pytest.raises(socket.gaierror):
            await net.resolve("::1", 1, family=socket.AF_INET)
        async with TcpListener.bind("127.0.0.1:0") as listener:
            port = listener.local_address.port
            # Perhaps ::1 comes first, where nobody listens.
            async with await net.connect("localhost", port) as client:
                assert client.peer_address == Address("127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError):
            await net.connect("127.0.0.1", port)

    run(main())


def test_tls(run: Run, tmp_path: Path) -> None:
    context = server_context(tmp_path)

    async def serve(listener: TcpListener) -> None:
        stream, _ = await listener.accept()
        async with await net.start_tls(stream, context, server_side=True) as tls:
            async for line in tls:
                await tls.write_all(line.upper())

    async def main() -> None:
        async with TcpListener.bind("127.0.0.1:0") as listener:
            serving = asyncio.ensure_future(serve(listener))
            tls = await net.connect(
                "127.0.0.1",
                listener.local_address.port,
                ssl=client_context(),
                server_hostname="localhost",
            )
            async with tls:
                assert tls.ssl_object.version() is not None
                assert tls.peer_address == listener.local_address
                await tls.write_all(b"hello\nworld\n")
                assert await tls.read_line() == b"HELLO\n"
                assert await tls.read_exact(6) == b"WORLD\n"
            await serving

    run(main())


def test_copying_both_ways(run: Run) -> None:
    async def main() -> None:
        client, front = await connected()
        back, server = await connected()
        relaying = asyncio.ensure_future(net.copy_bidirectional(front, back))
        await client.write_all(b"request")
        client.shutdown("write")
        assert await server.read_to_end() == b"request"
        await server.write_all(b"a longer response")
        server.shutdown("write")
        assert await client.read_to_end() == b"a longer response"
        assert await relaying == (7, 17)
        for stream in (client, front, back, server):
            stream.close()

    run(main())


def test_pool_closes_a_connection_whose_health_cannot_be_told(run: Run) -> None:
    made: list[UnixStream] = []

    async def connect() -> UnixStream:
        ours, theirs = UnixStream.pair()
        made.extend((ours, theirs))
        return ours

    def is_healthy(stream: UnixStream) -> bool:
        raise ZeroDivisionError

    async def main() -> None:
        with net.Pool(connect, is_healthy=is_healthy) as pool:
            async with pool.acquire():
                pass
            with pytest.raises(ZeroDivisionError):
                async with pool.acquire():
                    pass
            assert made[0].is_closed
            assert pool.lent_count == pool.idle_count == 0
        made[1].close()

    run(main())


def test_pool_lends_again_and_serves_in_order(run: Run) -> None:
    made: list[UnixStream] = []

    async def connect() -> UnixStream:
        await asyncio.sleep(0)
        ours, theirs = UnixStream.pair()
        made.append(theirs)
        return ours

    async def main() -> None:
        made.clear()
        order: list[int] = []
        async with net.Pool(connect, connections_max=1) as pool:

            async def use(number: int) -> None:
                async with pool.acquire() as stream:
                    order.append(number)
                    await stream.write_all(b"x")
                    await asyncio.sleep(0)

            tasks = [asyncio.ensure_future(use(i)) for i in range(4)]
            await settle()
            tasks[2].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert order == [0, 1, 3]
            assert len(made) == 1
            assert (pool.lent_count, pool.idle_count) == (0, 1)
            made[0].close()  # no longer healthy
            await use(4)
            assert len(made) == 2
            with pytest.raises(KeyError):
                async with pool.acquire():
                    raise KeyError
            assert pool.idle_count == 0
            async with pool.acquire():
                waiting = asyncio.ensure_future(use(5))
                await settle()
                pool.close()
            with pytest.raises(RuntimeError, match="the pool is closed"):
                await waiting
        for stream in made:
            stream.close()

    run(main())
    with pytest.raises(ValueError, match="connections_max"):
        net.Pool(connect, connections_max=0)


def test_a_stream_that_is_forgotten_closes_its_socket(run: Run) -> None:
    async def main() -> None:
        client, server = await connected()
        fd = server.fileno()
        del server
        gc.collect()
        assert await client.read() == b""
        with pytest.raises(OSError):
            os.fstat(fd)
        client.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main())


@pytest.mark.parametrize("count", [2**32, 2**62])
def test_to_ask_for_more_than_comes_costs_no_memory(run: Run, count: int) -> None:
    """All of it was touched at once, though a peer may have named the number."""

    async def main() -> None:
        ours, theirs = net.UnixStream.pair()
        await theirs.write_all(b"abc")
        theirs.close()
        with pytest.raises(asyncio.IncompleteReadError) as raised:
            await ours.read_exact(count)
        assert raised.value.partial == b"abc"
        assert raised.value.expected == count
        ours.close()

    run(main())
