"""TlsStream, which reads and writes as the other streams do: the same programs on each kind."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from blitzio import net
from tests.python.loop.support import client_context, server_context

if TYPE_CHECKING:
    from pathlib import Path

    from tests.python.runtime.conftest import Run

    StartTls = Callable[..., Awaitable[asyncio.Transport | None]]

Pair = tuple[Any, Any]
Connect = Callable[[], Awaitable[Pair]]


@pytest.fixture(params=["plain", "tls"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Connect:
    """Two connected streams."""
    server, client = server_context(tmp_path), client_context()

    async def connect() -> Pair:
        near, far = net.UnixStream.pair()
        if request.param == "plain":
            return near, far
        serving = asyncio.ensure_future(net.start_tls(far, server, server_side=True))
        return await net.start_tls(near, client, server_hostname="localhost"), await serving

    return connect


class Contexts(NamedTuple):
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture
def contexts(tmp_path: Path) -> Contexts:
    return Contexts(server_context(tmp_path), client_context())


def test_a_limit_leaves_the_bytes_in_the_stream(run: Run, connect: Connect) -> None:
    """Those of a TlsStream were lost."""

    async def main() -> None:
        near, far = await connect()
        async with near, far:
            await near.write_all(b"0123456789\nrest\n")
            for read in (far.read_line, lambda limit: far.read_until(b"\n", limit)):
                with pytest.raises(asyncio.LimitOverrunError) as over:
                    await read(10)
                assert str(over.value) == "no separator in the first 10 bytes"
            assert await far.read_exact(3) == b"012"
            assert await far.read(4) == b"3456"
            assert await far.read_line(4) == b"789\n"
            buffer = bytearray(2)
            assert await far.read_into(buffer) == len(buffer)
            assert buffer == b"re"
            near.close()
            with pytest.raises(asyncio.LimitOverrunError, match="more than 2 bytes came"):
                await far.read_to_end(2)
            assert await far.read_to_end(3) == b"st\n"

    run(main())


def test_a_limit_may_be_large(run: Run, connect: Connect) -> None:
    line = b"x" * 200_000 + b"\n"

    async def main() -> None:
        near, far = await connect()
        async with near, far:
            writing = asyncio.ensure_future(near.write_all(line))
            assert await far.read_until(b"\n", len(line)) == line
            await writing

    run(main())


def test_the_end_of_the_stream_gives_what_is_left(run: Run, connect: Connect) -> None:
    async def main() -> None:
        for read in ("read_exact", "read_until", "read_line"):
            near, far = await connect()
            async with near, far:
                await near.write_all(b"left")
                near.close()
                if read == "read_line":
                    assert await far.read_line() == b"left"
                else:
                    with pytest.raises(asyncio.IncompleteReadError) as incomplete:
                        await getattr(far, read)(10 if read == "read_exact" else b"\n")
                    assert incomplete.value.partial == b"left"
                assert await far.read() == b""

    run(main())


def test_a_cancelled_read_loses_nothing(run: Run, connect: Connect) -> None:
    async def main() -> None:
        near, far = await connect()
        async with near, far:
            for read in (far.read_exact(100), far.read_until(b"!"), far.read_to_end()):
                reading = asyncio.ensure_future(read)
                await near.write_all(b"part ")
                await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
            assert await far.read_exact(15) == b"part " * 3

    run(main())


def test_sizes_are_checked(run: Run, connect: Connect) -> None:
    async def main() -> None:
        near, far = await connect()
        async with near, far:
            for name, reads in {
                "n": (far.read, far.read_exact),
                "limit": (far.read_line, far.read_to_end, lambda n: far.read_until(b"a", n)),
            }.items():
                for read in reads:
                    with pytest.raises(ValueError, match=f"{name} must be at least 0, got -1"):
                        await read(-1)
                    for wrong in (1.5, float("nan"), "1", None):
                        with pytest.raises(TypeError, match="interpreted as an integer"):
                            await read(wrong)
            with pytest.raises(ValueError, match="the separator must have at least one byte"):
                await far.read_until(b"")

    run(main())


def test_a_closed_stream_refuses_to_read_and_to_write(run: Run, connect: Connect) -> None:
    """A TlsStream took what was written, and nobody ever got it."""

    async def main() -> None:
        near, far = await connect()
        async with far:
            await far.write_all(b"ahead")
            assert await near.read_exact(1) == b"a"
            near.close()
            for call in (
                lambda: near.write_all(b"lost"),
                near.read,
                lambda: near.read(0),
                lambda: near.read_into(bytearray()),
                lambda: near.read_exact(0),
                near.read_line,
                near.read_to_end,
            ):
                with pytest.raises(OSError, match="Bad file descriptor") as closed:
                    await call()
                assert closed.value.errno == errno.EBADF

    run(main())


def test_tls_does_not_begin_on_a_closed_stream(run: Run, contexts: Contexts) -> None:
    """It was a ValueError of the socket module's."""

    async def main() -> None:
        near, far = net.UnixStream.pair()
        near.close()
        far.close()
        with pytest.raises(OSError, match="Bad file descriptor") as closed:
            await net.start_tls(far, contexts.server, server_side=True)
        assert closed.value.errno == errno.EBADF

    run(main())


def test_the_address_of_a_tls_stream_has_its_scope() -> None:
    class Writer:
        def get_extra_info(self, name: str) -> object:
            return {"peername": ("fe80::1", 443, 0, 7), "sockname": ("::1", 80, 0, 0)}[name]

    writer: Any = Writer()
    reader: Any = None
    stream = net.TlsStream(reader, writer)
    assert stream.peer_address == net.Address("fe80::1%7", 443)
    assert stream.local_address == net.Address("::1", 80)


def test_tls(run: Run, tmp_path: Path) -> None:
    context = server_context(tmp_path)

    async def serve(listener: net.TcpListener) -> None:
        stream, _ = await listener.accept()
        async with await net.start_tls(stream, context, server_side=True) as tls:
            async for line in tls:
                await tls.write_all(line.upper())

    async def main() -> None:
        async with net.TcpListener.bind("127.0.0.1:0") as listener:
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


class Client:
    """A client's side of TLS, without a connection; `hello` are the first bytes that it sends."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            self.ssl.do_handshake()
        self.hello = self.outgoing.read()

    async def finish_handshake(self, near: net.UnixStream) -> None:
        """But for its own last word, which stays in `outgoing`."""
        while True:
            self.incoming.write(await near.read() or pytest.fail("an early end"))
            try:
                return self.ssl.do_handshake()
            except ssl.SSLWantReadError:
                pass


async def talk(near: net.UnixStream, context: ssl.SSLContext, greeting: bytes) -> bytes:
    """A client that begins TLS at once, in one piece with what it says in the clear. Gives what the
    server sends until its end."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    received, is_done = bytearray(), False
    while True:
        try:
            if not is_done:
                client.do_handshake()
                is_done = True
                client.write(b"question\n")
            if data := client.read(1024):
                received += data
                continue
            client.unwrap()
            await near.write_all(outgoing.read())
            return bytes(received)
        except ssl.SSLWantReadError:
            pass
        await near.write_all(greeting + outgoing.read())
        greeting = b""
        incoming.write(await near.read() or pytest.fail("an early end"))


@pytest.mark.parametrize("greeting", [b"", b"PROXY\n"], ids=["plain", "read ahead"])
def test_a_client_may_say_all_and_end_with_the_handshake(
    run: Run, contexts: Contexts, greeting: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio warned of what the end was answered with, where something had been read ahead."""

    async def main() -> None:
        near, far = net.UnixStream.pair()
        client = Client(contexts.client)
        await near.write_all(greeting + client.hello)
        if greeting:
            assert await far.read_line() == greeting
        serving = asyncio.ensure_future(net.start_tls(far, contexts.server, server_side=True))
        await client.finish_handshake(near)
        client.ssl.write(b"question")
        with pytest.raises(ssl.SSLWantReadError):
            client.ssl.unwrap()
        await near.write_all(client.outgoing.read())
        async with await serving as stream:
            assert await stream.read_to_end() == b"question"
        near.close()

    run(main())
    assert not caplog.records


@pytest.mark.parametrize("padding", [0, 100_000])
def test_what_was_read_ahead_begins_the_handshake(
    run: Run, contexts: Contexts, padding: int
) -> None:
    """It was lost, and the handshake waited for it until its time was over."""
    greeting = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + b"x" * padding + b"\n"

    async def main() -> None:
        near, far = net.UnixStream.pair()
        client = asyncio.ensure_future(talk(near, contexts.client, greeting))
        assert (await far.read_line()).startswith(b"PROXY")
        await far.read_line(padding + 1)
        async with await net.start_tls(far, contexts.server, server_side=True) as stream:
            assert await stream.read_line() == b"question\n"
            assert stream.ssl_object.version() is not None
            await stream.write_all(b"answer")
            stream.close()
        assert await client == b"answer"
        near.close()

    run(main())


@pytest.mark.parametrize("turns", range(8))
def test_a_part_of_the_handshake_may_be_read_ahead(
    run: Run, contexts: Contexts, turns: int
) -> None:
    """Whenever the rest comes, it is behind that part."""

    async def main() -> None:
        near, far = net.UnixStream.pair()
        client = Client(contexts.client)
        await near.write_all(b"first\n" + client.hello[:20])
        assert await far.read_line() == b"first\n"
        serving = asyncio.ensure_future(net.start_tls(far, contexts.server, server_side=True))
        for _ in range(turns):
            await asyncio.sleep(0)
        await near.write_all(client.hello[20:])
        await client.finish_handshake(near)
        near.close()
        # The client's last word is missing.
        with pytest.raises(ConnectionError):
            await serving

    run(main())


@pytest.mark.parametrize("server_side", [False, True], ids=["client", "server"])
def test_what_was_slipped_in_before_tls_fails_the_handshake(
    run: Run, contexts: Contexts, server_side: bool
) -> None:
    async def main() -> None:
        near, far = net.UnixStream.pair()
        await near.write_all(b"220 begin TLS\r\n250 slipped in\r\n")
        assert await far.read_line() == b"220 begin TLS\r\n"
        with pytest.raises(ssl.SSLError):
            if server_side:
                await net.start_tls(far, contexts.server, server_side=True)
            else:
                await net.start_tls(far, contexts.client, server_hostname="localhost")
        while await near.read():
            pass  # The alert, and the end: the connection is closed.
        near.close()

    run(main())


def test_a_connection_that_ends_behind_what_was_read_ahead(run: Run, contexts: Contexts) -> None:
    async def main() -> None:
        near, far = net.UnixStream.pair()
        await near.write_all(b"first\n" + Client(contexts.client).hello[:20])
        near.close()
        assert await far.read_line() == b"first\n"
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await net.start_tls(far, contexts.server, server_side=True)

    run(main())


def test_a_handshake_that_was_begun_ahead_can_be_cancelled(run: Run, contexts: Contexts) -> None:
    async def main() -> None:
        for turns in range(6):
            near, far = net.UnixStream.pair()
            await near.write_all(b"first\n" + Client(contexts.client).hello[:20])
            assert await far.read_line() == b"first\n"
            serving = asyncio.ensure_future(net.start_tls(far, contexts.server, server_side=True))
            for _ in range(turns):
                await asyncio.sleep(0)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            if not turns:
                far.close()  # It had not begun.
            assert await near.read_to_end() == b""
            near.close()

    run(main())


async def begin_with(
    start_tls: Callable[[StartTls], StartTls], monkeypatch: pytest.MonkeyPatch, contexts: Contexts
) -> bytes:
    """An upgrade, behind something read ahead, on a loop whose start_tls() is another. Gives what
    the client said."""
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "start_tls", start_tls(loop.start_tls))
    near, far = net.UnixStream.pair()
    async with near:
        client = asyncio.ensure_future(talk(near, contexts.client, b"first\n"))
        try:
            assert await far.read_line() == b"first\n"
            async with await net.start_tls(far, contexts.server, server_side=True) as stream:
                return await stream.read_line()
        finally:
            client.cancel()
            await asyncio.wait([client])


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_a_loop_may_wait_before_it_begins_tls(
    run: Run, contexts: Contexts, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """What had been read ahead was lost."""

    def late(start_tls: StartTls) -> StartTls:
        async def start_late(*args: Any, **options: Any) -> asyncio.Transport | None:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await start_tls(*args, **options)

        return start_late

    assert run(begin_with(late, monkeypatch, contexts)) == b"question\n"


@pytest.mark.no_faults("counts on what is read ahead", "short", "again")
def test_a_connection_that_is_lost_as_the_handshake_ends(
    run: Run, contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio then has no transport to give. It was an AssertionError, and the socket stayed."""

    def lost(start_tls: StartTls) -> StartTls:
        async def start_and_lose(*args: Any, **options: Any) -> asyncio.Transport | None:
            transport = await start_tls(*args, **options)
            assert transport is not None
            transport.abort()
            return None

        return start_and_lose

    with pytest.raises(ConnectionResetError, match="as the handshake ended"):
        run(begin_with(lost, monkeypatch, contexts))


@pytest.mark.no_faults("counts on what is read ahead", "short", "again")
def test_a_protocol_that_has_no_room_for_what_was_read_ahead(
    run: Run, contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop stood still."""

    class Full(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.end = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return bytearray()

        def connection_lost(self, exc: Exception | None) -> None:
            self.end.set_result(None)

    def full(start_tls: StartTls) -> StartTls:
        async def start(plain: asyncio.Transport, *args: Any, **options: Any) -> None:
            protocol = Full()
            plain.set_protocol(protocol)
            await protocol.end

        return start

    told: list[dict[str, Any]] = []

    async def main() -> bytes:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        return await begin_with(full, monkeypatch, contexts)

    with pytest.raises(ConnectionResetError):
        run(main())
    assert "get_buffer() returned an empty buffer" in str([each["exception"] for each in told])


@pytest.mark.parametrize("ends", [False, True])
def test_what_came_is_read_before_the_error_that_ended_the_connection(
    run: Run, contexts: Contexts, ends: bool
) -> None:
    async def main() -> None:
        near, far = net.UnixStream.pair()
        serving = asyncio.ensure_future(net.start_tls(far, contexts.server, server_side=True))
        one = await net.start_tls(near, contexts.client, server_hostname="localhost")
        async with one, await serving as other:
            await one.write_all(b"line\nrest")
            reader: Any = other._reader
            while len(reader._buffer) < 9:
                await asyncio.sleep(0)
            # What the transport does that has lost the connection.
            if ends:
                reader.feed_eof()
            reader.set_exception(ConnectionResetError("lost"))
            assert await other.read_line() == b"line\n"
            assert await other.read(2) == b"re"
            assert await other.read() == b"st"
            if ends:
                assert await other.read() == b""
            else:
                with pytest.raises(ConnectionResetError, match="lost"):
                    await other.read()

    run(main())
