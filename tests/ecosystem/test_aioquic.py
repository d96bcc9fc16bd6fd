"""aioquic: QUIC and HTTP/3 over datagram endpoints of the loop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

from tests.python.frameworks.support import digest, payload
from tests.python.loop.support import CERTIFICATE, HOST, KEY, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from aioquic.quic.events import QuicEvent

    from tests.ecosystem.conftest import Comparison

LARGE = payload(500_000)


class HttpProtocol(QuicConnectionProtocol):
    """HTTP/3 on a connection: collects the messages of each stream until they end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self._messages: dict[int, tuple[dict[bytes, bytes], bytearray]] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        for http_event in self.http.handle_event(event):
            self._collect(http_event)

    def _collect(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            self._messages[event.stream_id] = (dict(event.headers), bytearray())
        elif isinstance(event, DataReceived):
            self._messages[event.stream_id][1].extend(event.data)
        else:
            return
        if event.stream_ended:
            headers, body = self._messages.pop(event.stream_id)
            self.message_received(event.stream_id, headers, bytes(body))

    def message_received(self, stream: int, headers: dict[bytes, bytes], body: bytes) -> None:
        raise NotImplementedError

    def send(self, stream: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.http.send_headers(stream, headers)
        self.http.send_data(stream, body, end_stream=True)
        self.transmit()


class Server(HttpProtocol):
    def message_received(self, stream: int, headers: dict[bytes, bytes], body: bytes) -> None:
        self.send(stream, [(b":status", b"200"), (b"path", headers[b":path"])], body[::-1])


class Client(HttpProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._answers: dict[int, asyncio.Future[tuple[bytes, bytes]]] = {}

    async def ask(self, path: str, body: bytes) -> tuple[bytes, bytes]:
        stream = self._quic.get_next_available_stream_id()
        answer = self._answers[stream] = asyncio.get_running_loop().create_future()
        start = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"localhost")]
        self.send(stream, [*start, (b":path", path.encode())], body)
        return await soon(answer)

    def message_received(self, stream: int, headers: dict[bytes, bytes], body: bytes) -> None:
        self._answers.pop(stream).set_result((headers[b"path"], body))


@contextlib.asynccontextmanager
async def serving(
    folder: Path, protocols: list[str], **options: Any
) -> AsyncIterator[tuple[int, QuicConfiguration]]:
    """A QUIC server; gives its port and what a client that trusts it is configured with."""
    (folder / "server.crt").write_text(CERTIFICATE)
    (folder / "server.key").write_text(KEY)
    configuration = QuicConfiguration(is_client=False, alpn_protocols=protocols)
    configuration.load_cert_chain(folder / "server.crt", folder / "server.key")
    loop = asyncio.get_running_loop()
    # Instead of aioquic.asyncio.serve(), which does not tell which port it got.
    transport, _ = await loop.create_datagram_endpoint(
        lambda: QuicServer(configuration=configuration, **options), local_addr=(HOST, 0)
    )
    client = QuicConfiguration(is_client=True, alpn_protocols=protocols)
    client.load_verify_locations(cadata=CERTIFICATE.encode())
    client.server_name = "localhost"
    try:
        yield transport.get_extra_info("sockname")[1], client
    finally:
        transport.close()
        await asyncio.sleep(0)


def test_http_3(same_on_asyncio: Comparison, tmp_path: Path) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with (
            serving(tmp_path, H3_ALPN, create_protocol=Server) as (port, configuration),
            connect(HOST, port, configuration=configuration, create_protocol=Client) as connection,
        ):
            assert isinstance(connection, Client)
            small = await asyncio.gather(
                *(connection.ask(f"/number/{n}", f"body {n}".encode()) for n in range(20))
            )
            seen += small
            path, body = await connection.ask("/large", LARGE)
            seen.append((path, digest(body)))
        return seen

    assert same_on_asyncio(scenario) == [
        *((f"/number/{n}".encode(), f"body {n}"[::-1].encode()) for n in range(20)),
        (b"/large", digest(LARGE[::-1])),
    ]


def test_streams_of_a_connection(same_on_asyncio: Comparison, tmp_path: Path) -> None:
    tasks: set[asyncio.Task[None]] = set()

    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.write_eof()

    def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(upper(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def scenario() -> list[bytes]:
        async with (
            serving(tmp_path, ["echo"], stream_handler=handler) as (port, configuration),
            connect(HOST, port, configuration=configuration) as connection,
        ):
            await connection.ping()

            async def ask(number: int) -> bytes:
                reader, writer = await connection.create_stream()
                for part in range(50):
                    writer.write(f"stream {number} part {part} ".encode())
                writer.write_eof()
                return await soon(reader.read())

            return await asyncio.gather(*(ask(number) for number in range(5)))

    assert same_on_asyncio(scenario) == [
        "".join(f"STREAM {number} PART {part} " for part in range(50)).encode()
        for number in range(5)
    ]


def test_who_is_not_trusted_is_not_talked_to(same_on_asyncio: Comparison, tmp_path: Path) -> None:
    async def attempt(meet: Callable[[], Awaitable[Any]]) -> str:
        try:
            await soon(meet())
        except (ConnectionError, ssl.SSLError) as exc:
            return type(exc).__name__
        return "welcome"

    async def scenario() -> list[str]:
        async with serving(tmp_path, ["echo"]) as (port, trusting):
            other = QuicConfiguration(is_client=True, alpn_protocols=["other"])
            other.load_verify_locations(cadata=CERTIFICATE.encode())
            distrustful = QuicConfiguration(is_client=True, alpn_protocols=["echo"])
            seen = []
            for configuration in (trusting, distrustful, other):

                async def meet(configuration: QuicConfiguration = configuration) -> None:
                    async with connect(HOST, port, configuration=configuration):
                        pass

                seen.append(await attempt(meet))
            return seen

    assert same_on_asyncio(scenario) == ["welcome", "ConnectionError", "ConnectionError"]


def test_lost_datagrams_are_sent_again(same_on_asyncio: Comparison, tmp_path: Path) -> None:
    """The loop's timers drive the retransmissions."""

    class Forgetful(QuicConnectionProtocol):
        received = 0

        def datagram_received(self, data: bytes | str, addr: Any) -> None:
            self.received += 1
            # Not at random: each run loses the same share.
            if self.received < 5 or self.received % 5 != 0:
                super().datagram_received(data, addr)

    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.write_eof()

    tasks: set[asyncio.Task[None]] = set()

    def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(upper(reader, writer)))

    async def scenario() -> str:
        async with (
            serving(tmp_path, ["echo"], stream_handler=handler) as (port, configuration),
            connect(
                HOST, port, configuration=configuration, create_protocol=Forgetful
            ) as connection,
        ):
            reader, writer = await connection.create_stream()
            writer.write(LARGE[:100_000])
            writer.write_eof()
            answer = digest(await soon(reader.read()))
            tasks.clear()
            return answer

    assert same_on_asyncio(scenario) == digest(LARGE[:100_000].upper())
