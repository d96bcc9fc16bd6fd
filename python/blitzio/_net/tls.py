"""TLS streams: the interface of the other streams over a loop's TLS transport.

On blitzio's loop that transport is native; elsewhere it is the loop's own.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import ssl
import sys
from operator import index
from typing import TYPE_CHECKING, Any

from blitzio._native import Address, TcpStream, UnixStream
from blitzio._net.transport_options import TransportOptions

if TYPE_CHECKING:
    from typing_extensions import Buffer

_LIMIT = 65536


class TlsStream(TransportOptions):
    """A TLS connection, as `connect(..., ssl=...)` and `start_tls()` make it.

    It is read, written and closed as a `TcpStream` is, and has its options. Cancelling a read loses
    nothing. It is its loop's: there are no `blocking_` and no `try_` forms, nor `peek` and `split`;
    one task may read it while another writes.

    Examples run where `server` and `client` are contexts: of a server with a certificate for
    "localhost", and of a client that trusts it.

    >>> import asyncio
    >>> from blitzio import net
    >>> async def main():
    ...     near, far = net.UnixStream.pair()
    ...     serving = asyncio.ensure_future(start_tls(far, server, server_side=True))
    ...     async with await start_tls(near, client, server_hostname="localhost") as one:
    ...         other = await serving
    ...         await one.write_all(b"question\\nmore")
    ...         line, rest = await other.read_line(), bytearray(16)
    ...         count = await other.read_into(rest)
    ...         other.close()
    ...         return line, bytes(rest[:count]), await one.read()
    >>> asyncio.run(main())
    (b'question\\n', b'more', b'')
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # What came and nobody has taken: a search that found nothing leaves it to the next read.
        self._ahead = bytearray()
        self._is_closed = False

    async def read(self, n: int = _LIMIT) -> bytes:
        """Read what is there, at most n bytes, or wait for some; none at the end. ValueError if n
        is negative."""
        self._check_open()
        _check_size("n", n)
        return self._take(n) if self._ahead else await self._receive(n)

    async def read_into(self, buffer: Buffer, /) -> int:
        """read() into a writable buffer. Gives how many bytes came."""
        with memoryview(buffer) as whole, whole.cast("B") as view:
            if view.readonly:
                raise TypeError(f"a writable buffer was expected, got {type(buffer).__name__}")
            if not view:
                self._check_open()
                return 0
            data = await self.read(len(view))
            view[: len(data)] = data
            return len(data)

    async def read_exact(self, n: int, /) -> bytes:
        """Read exactly n bytes; `asyncio.IncompleteReadError` if the stream ends before."""
        self._check_open()
        _check_size("n", n)
        while len(self._ahead) < n:
            if not await self._more():
                raise asyncio.IncompleteReadError(self._take(n), n)
        return self._take(n)

    async def read_until(self, separator: Buffer, limit: int = _LIMIT) -> bytes:
        """Read up to and with the separator.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.
            asyncio.LimitOverrunError: it is not within `limit` bytes, which stay in the stream.
        """
        self._check_open()
        wanted = bytes(memoryview(separator))
        if not wanted:
            raise ValueError("the separator must have at least one byte")
        _check_size("limit", limit)
        searched = 0
        while True:
            at = self._ahead.find(wanted, searched)
            if 0 <= at <= limit - len(wanted):
                return self._take(at + len(wanted))
            if at >= 0 or len(self._ahead) > limit:
                message = f"no separator in the first {limit} bytes"
                raise asyncio.LimitOverrunError(message, len(self._ahead))
            searched = max(len(self._ahead) - len(wanted) + 1, 0)
            if not await self._more():
                raise asyncio.IncompleteReadError(self._take(len(self._ahead)), None)

    async def read_line(self, limit: int = _LIMIT) -> bytes:
        """Read a line, with its end; at the end of the stream what is left. Limit as read_until().

        `async for line in stream` reads all of them.
        """
        try:
            return await self.read_until(b"\n", limit)
        except asyncio.IncompleteReadError as error:
            return error.partial

    async def read_to_end(self, limit: int = sys.maxsize) -> bytes:
        """Read all that is to come, at most `limit` bytes.

        Raises:
            asyncio.LimitOverrunError: more came; the bytes stay in the stream.
        """
        self._check_open()
        _check_size("limit", limit)
        while len(self._ahead) <= limit:
            if not await self._more():
                return self._take(len(self._ahead))
        raise asyncio.LimitOverrunError(f"more than {limit} bytes came", len(self._ahead))

    async def _more(self) -> bool:
        """Reads behind what is there. False at the end."""
        data = await self._receive(_LIMIT)
        self._ahead += data
        return bool(data)

    async def _receive(self, n: int) -> bytes:
        """The reader's read(), but that what came before the connection was lost is read before
        the error is; so is the end, if the peer had told it."""
        reader: Any = self._reader
        if reader.exception() is not None and (reader._buffer or reader.at_eof()):
            return _take_from(reader._buffer, n)
        data: bytes = await reader.read(n)
        return data

    def _check_open(self) -> None:
        if self._is_closed:
            raise _bad_descriptor()

    def _take(self, count: int) -> bytes:
        return _take_from(self._ahead, count)

    async def write_all(self, data: bytes, /) -> None:
        """Write all of data, waiting while the peer takes none.

        Raises:
            OSError: of the connection; EBADF once closed.

        Cancellation:
            the data is written all the same.
        """
        self._check_open()
        self._writer.write(data)
        await self._writer.drain()

    def shutdown(self, how: str = "both") -> None:
        """End the stream. TLS cannot end one way alone, so this ends both."""
        if how not in ("read", "write", "both"):
            raise ValueError(f"how must be 'read', 'write' or 'both', got {how!r}")
        self.close()

    def close(self) -> None:
        """Send what is left and close, in the background; see `wait_closed`."""
        self._is_closed = True
        self._writer.close()

    async def wait_closed(self) -> None:
        """Wait until it is closed."""
        await self._writer.wait_closed()

    @property
    def is_closed(self) -> bool:
        """Whether close() was called."""
        return self._writer.is_closing()

    def get_extra_info(self, name: str) -> Any:
        """What the transport knows: "ssl_object", "peercert", "cipher", "socket" and so on."""
        return self._writer.get_extra_info(name)

    def _is_quiet(self) -> bool:
        """Whether it is open, and nothing has come that nobody has read, its end included. What
        OpenSSL could decrypt the transport has given to the reader, unless that is full. A part of
        a record, which OpenSSL keeps until it has the rest, is not seen."""
        reader: Any = self._reader
        if self.is_closed or self._ahead or reader._buffer or reader.at_eof():
            return False
        if reader.exception() is not None:
            return False  # It is lost; that makes a transport of asyncio's closing from 3.11 on.
        # What the loop has not come to yet.
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """For the certificate, the protocol's version, ALPN."""
        found: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        return found

    @property
    def local_address(self) -> Address | None:
        """The Address of this end."""
        return _to_address(self._writer.get_extra_info("sockname"))

    @property
    def peer_address(self) -> Address | None:
        """The Address of the other end."""
        return _to_address(self._writer.get_extra_info("peername"))

    async def __aenter__(self) -> TlsStream:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()
        await self.wait_closed()

    def __repr__(self) -> str:
        if self.is_closed:
            return "<TlsStream closed>"
        ends = f"local={self.local_address} peer={self.peer_address}"
        return f"<TlsStream fd={self.fileno()} {ends} {self.ssl_object.version()}>"

    def __aiter__(self) -> TlsStream:
        return self

    async def __anext__(self) -> bytes:
        line = await self.read_line()
        if not line:
            raise StopAsyncIteration
        return line


def _take_from(buffer: bytearray, count: int) -> bytes:
    with memoryview(buffer) as view:
        taken = bytes(view[:count])
    del buffer[:count]
    return taken


def _bad_descriptor() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def _check_size(name: str, value: int) -> None:
    if index(value) < 0:  # A float is no size, though it compares.
        raise ValueError(f"{name} must be at least 0, got {value}")


def address_of(name: tuple[Any, ...]) -> Address:
    """The Address of what the socket module has for one of IPv4 or IPv6."""
    scope = f"%{name[3]}" if len(name) == 4 and name[3] else ""
    return Address(f"{name[0]}{scope}", name[1])


def _to_address(name: Any) -> Address | None:
    if isinstance(name, tuple):
        return address_of(name)
    return Address.local(name) if name else None


async def start_tls(
    stream: TcpStream | UnixStream,
    context: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
) -> TlsStream:
    """Begin TLS on a connection, which is the returned stream's from then on.

    >>> import asyncio
    >>> from blitzio import net
    >>> async def main():
    ...     near, far = net.UnixStream.pair()
    ...     serving = asyncio.ensure_future(start_tls(far, server, server_side=True))
    ...     stream = await start_tls(near, client, server_hostname="localhost")
    ...     async with stream, await serving:
    ...         return stream.ssl_object.version(), near.is_closed
    >>> asyncio.run(main())  # The contexts are those of `TlsStream`.
    ('TLSv1.3', True)

    What came before, and was read ahead of what the program has taken, is the beginning of the
    peer's handshake: of a client that does not wait for an answer, or stands behind a proxy that
    tells of it first. It is never given as data that TLS has protected: what somebody slipped in in
    the clear, behind an answer to STARTTLS say, fails the handshake.

    Args:
        stream: a connection that has not been split.
        context: certificates, and what is asked of the peer's.
        server_side: whether this is the side that was connected to.
        server_hostname: of the client's side: the name that the certificate must have. If it is
            empty no name is asked for, and any will do, as with asyncio.

    Raises:
        ssl.SSLError: the handshake failed; the connection is closed.
        OSError: the connection was lost; EBADF: it had been closed.
        RuntimeError: the stream has been split: it is its halves' then.
        TypeError: `stream` is none that TLS can begin on, or `context` no SSLContext.
        ValueError: a client needs server_hostname, and a server has none.
    """
    loop = asyncio.get_running_loop()
    _check_arguments(stream, context, server_side, server_hostname)
    if stream.is_closed:
        raise _bad_descriptor()
    reader = asyncio.StreamReader(limit=_LIMIT, loop=loop)
    protocol = _Reading(reader, loop=loop)
    early = stream._take_ahead()
    sock = socket.socket(fileno=stream.detach())
    try:
        transport: asyncio.BaseTransport
        if early:
            transport = await _upgrade(sock, early, protocol, context, server_side, server_hostname)
        elif server_side:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=context)
        else:
            transport, _ = await loop.create_connection(
                lambda: protocol, sock=sock, ssl=context, server_hostname=server_hostname
            )
    except BaseException:
        sock.close()
        raise
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    return TlsStream(reader, writer)


def _check_arguments(
    stream: object, context: object, server_side: bool, server_hostname: object
) -> None:
    """Refuses what cannot be while the stream is still its owner's. A loop would take no context
    for no TLS, and go on in the clear."""
    if not isinstance(stream, (TcpStream, UnixStream)):
        raise TypeError(f"a TcpStream or UnixStream was expected, got {stream!r}")
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"context is expected to be an instance of ssl.SSLContext, got {context!r}")
    if server_side:
        if server_hostname is not None:
            raise ValueError("server_hostname can only be specified in client mode")
    elif server_hostname is None:
        raise ValueError("a client's TLS needs server_hostname")
    elif not isinstance(server_hostname, (str, bytes)):  # Bytes are what ssl takes, too.
        raise TypeError(f"server_hostname must be a str, not {type(server_hostname).__name__}")


class _Reading(asyncio.StreamReaderProtocol):
    """asyncio's asks for the connection to stay half open, unless connection_made() has told of
    TLS, which cannot be. In an upgrade the end may come before that, with the handshake's."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


async def _upgrade(
    sock: socket.socket,
    early: bytes,
    protocol: asyncio.StreamReaderProtocol,
    context: ssl.SSLContext,
    server_side: bool,
    server_hostname: str | None,
) -> asyncio.Transport:
    """The transport over TLS of a connection whose first bytes, `early`, have been received."""
    loop = asyncio.get_running_loop()
    plain, received = await loop.connect_accepted_socket(lambda: _Early(early), sock)

    def begin() -> None:
        if plain.get_protocol() is not received:
            loop.call_soon(feed)
        elif not upgrading.done():
            loop.call_soon(begin)

    def feed() -> None:
        if not plain.is_closing():
            try:
                _feed(plain.get_protocol(), received.data)
            except BaseException:
                plain.abort()  # Which ends the handshake; the loop tells of the error.
                raise

    try:
        if plain.is_closing():
            raise ConnectionResetError("the peer ended the connection before TLS began")
        plain.pause_reading()  # Its end is for TLS to hear.
        # In its first step it sets the protocol, and schedules that one's connection_made(), then
        # resume_reading(); `feed` comes at once behind both, in the same turn, so before anything
        # that is read then. A loop that does something else first is looked at again each turn; if
        # it is no loop that runs callbacks before it reads, what is read then may come first.
        # Not by a factory of the user's, whose task might take that step at once.
        upgrading = asyncio.Task(
            loop.start_tls(
                plain, protocol, context, server_side=server_side, server_hostname=server_hostname
            ),
            loop=loop,
        )
        loop.call_soon(begin)
        upgraded = await upgrading
        if upgraded is None:  # asyncio has none if it ends in the same turn as the handshake.
            raise ConnectionResetError("the connection was lost as the handshake ended")
    except BaseException:
        plain.abort()
        raise
    protocol.connection_made(upgraded)
    return upgraded


class _Early(asyncio.Protocol):
    """Gathers what comes until TLS begins: the loop reads from the first moment on, and not all
    heed a pause in connection_made()."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def data_received(self, data: bytes) -> None:
        self.data += data


def _feed(protocol: Any, data: bytes) -> None:
    """What a transport does that has received `data`."""
    if not hasattr(protocol, "get_buffer"):
        protocol.data_received(data)
        return
    left = memoryview(data)
    while left:
        room = memoryview(protocol.get_buffer(len(left))).cast("B")
        if not room:
            raise RuntimeError("get_buffer() returned an empty buffer")
        count = min(len(room), len(left))
        room[:count] = left[:count]
        protocol.buffer_updated(count)
        left = left[count:]
