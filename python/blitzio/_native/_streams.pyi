"""Connections: `blitzio.net`."""

from collections.abc import Iterable
from typing import Literal, final

from typing_extensions import Buffer, Self

from blitzio._duration import Duration
from blitzio._duration import Seconds as _Seconds
from blitzio._native._awaitable import Awaitable
from blitzio._native._net import Address, _Descriptor, _Socket
from blitzio._net.keep_alive import KeepAlive
from blitzio._net.split import ReadHalf as _ReadHalf
from blitzio._net.split import WriteHalf as _WriteHalf

class _ReadEnd(_Descriptor):
    """What can be read from. Not a class at run time."""

    def read(self, n: int = 65536) -> Awaitable[bytes]:
        """Read what is there, at most n bytes, or wait for some; none at the end.

        Raises:
            OSError: ECONNRESET, …; EBADF once closed.
            ValueError: n is negative.

        Cancellation: loses no byte.
        """

    def blocking_read(self, n: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """read() for threads. TimeoutError after `timeout` seconds."""

    def read_into(self, buffer: Buffer, /) -> Awaitable[int]:
        """read() into a writable buffer. Gives how many bytes came, 0 at the end."""

    def blocking_read_into(self, buffer: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """read_into() for threads. TimeoutError after `timeout` seconds."""

    def read_exact(self, n: int, /) -> Awaitable[bytes]:
        """Read exactly n bytes.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.

        Cancellation: loses no byte: what had come is there for the next read.
        """

    def blocking_read_exact(self, n: int, /, *, timeout: _Seconds | None = None) -> bytes:
        """read_exact() for threads. TimeoutError after `timeout` seconds."""

    def read_until(self, separator: Buffer, limit: int = 65536) -> Awaitable[bytes]:
        """Read up to and with the separator.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; `partial` has what came.
            asyncio.LimitOverrunError: it is not within `limit` bytes, which stay in the stream.

        Cancellation: as read_exact().
        """

    def blocking_read_until(
        self, separator: Buffer, limit: int = 65536, *, timeout: _Seconds | None = None
    ) -> bytes:
        """read_until() for threads. TimeoutError after `timeout` seconds."""

    def read_line(self, limit: int = 65536) -> Awaitable[bytes]:
        """Read a line, with its end; at the end of the stream what is left. Limit as read_until().

        `async for line in stream` reads all of them.
        """

    def blocking_read_line(self, limit: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """read_line() for threads. TimeoutError after `timeout` seconds."""

    def read_to_end(self, limit: int = ...) -> Awaitable[bytes]:
        """Read all that is to come, at most `limit` bytes.

        Raises:
            asyncio.LimitOverrunError: more came; the bytes stay in the stream.

        Cancellation: as read_exact().
        """

    def blocking_read_to_end(self, limit: int = ..., *, timeout: _Seconds | None = None) -> bytes:
        """read_to_end() for threads. TimeoutError after `timeout` seconds."""

    def try_read(self, n: int = 65536) -> bytes | None:
        """read(), now; None if nothing is there."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[bytes]: ...

class _WriteEnd(_Descriptor):
    """What can be written to. Not a class at run time."""

    def write(self, data: Buffer, /) -> Awaitable[int]:
        """Write some of data, waiting for room. Gives how many bytes.

        Raises:
            OSError: BrokenPipeError, ConnectionResetError, …; EBADF once closed.

        Cancellation: nothing was written.
        """

    def blocking_write(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """write() for threads. TimeoutError after `timeout` seconds."""

    def write_all(self, data: Buffer, /) -> Awaitable[None]:
        """Write all of data. Several writers take turns: their data does not mix.

        Raises:
            OSError: as write().

        Cancellation: part of it may be written.
        """

    def blocking_write_all(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> None:
        """write_all() for threads. TimeoutError after `timeout` seconds."""

    def try_write(self, data: Buffer, /) -> int:
        """write(), now; 0 if there is no room, or others wait."""

class _ByteStream(_ReadEnd, _WriteEnd, _Socket):
    """What the connections share. Not a class at run time."""

    def peek(self, n: int = 65536) -> Awaitable[bytes]:
        """read() that leaves the bytes there; the next read gives them, too."""

    def blocking_peek(self, n: int = 65536, *, timeout: _Seconds | None = None) -> bytes:
        """peek() for threads. TimeoutError after `timeout` seconds."""

    def try_peek(self, n: int = 65536) -> bytes | None:
        """peek(), now; None if nothing is there."""

    @classmethod
    def from_fd(cls, fd: int, /) -> Self:
        """Take over a connected socket of this family, of `socket.detach()`, say; as
        `TcpListener.from_fd`. That it is not connected the first read or write tells.

        >>> import socket
        >>> one, other = socket.socketpair()
        >>> stream = net.UnixStream.from_fd(one.detach())
        >>> await stream.write(b"hello"), other.recv(5)
        (5, b'hello')
        >>> stream.close(); other.close()
        """

    def read_vectored(self, buffers: Iterable[Buffer], /) -> Awaitable[int]:
        """read() into several writable buffers, one after the other; of more than 1,024 into the
        first. Gives how many bytes came; 0 at the end.

        Cancellation: loses no byte.
        """

    def blocking_read_vectored(
        self, buffers: Iterable[Buffer], /, *, timeout: _Seconds | None = None
    ) -> int:
        """read_vectored() for threads. TimeoutError after `timeout` seconds."""

    def try_read_vectored(self, buffers: Iterable[Buffer], /) -> int | None:
        """read_vectored(), now; None if nothing is there."""

    def write_vectored(self, buffers: Iterable[Buffer], /) -> Awaitable[int]:
        """write() from several buffers, with one system call and no copy; of more than 1,024 from
        the first. Gives how many bytes of them, one after the other, were written.

        Cancellation: nothing was written.
        """

    def blocking_write_vectored(
        self, buffers: Iterable[Buffer], /, *, timeout: _Seconds | None = None
    ) -> int:
        """write_vectored() for threads. TimeoutError after `timeout` seconds."""

    def try_write_vectored(self, buffers: Iterable[Buffer], /) -> int:
        """write_vectored(), now; 0 if there is no room, or others wait."""

    def finish(self) -> Awaitable[None]:
        """Tell the peer that no more will come: shutdown("write") to be awaited, ready at once, as
        whatever is written to has it."""

    def blocking_finish(self, timeout: _Seconds | None = None) -> None:
        """finish() for threads."""

    def shutdown(self, how: Literal["read", "write", "both"] = "both") -> None:
        """End one way, or both, while the socket stays open.

        Raises:
            ValueError: `how` is none of the three.
            OSError: ENOTCONN if the peer has reset the connection.
        """

    def _take_ahead(self) -> bytes:
        """What was read ahead, which is the caller's then; RuntimeError if it has been split."""

    def split(self) -> tuple[_ReadHalf, _WriteHalf]:
        """Two halves, for two tasks. The stream is theirs from then on: closing the writing one
        ends that way, and it is closed when both are, or are dropped.

        Raises:
            RuntimeError: it has been split already.
        """

@final
class TcpStream(_ByteStream):
    """A TCP connection. One task may read while another writes.

    >>> async with net.TcpListener.bind("127.0.0.1:0") as listener:
    ...     client = await net.TcpStream.connect(listener.local_address)
    ...     server, _ = await listener.accept()
    >>> await client.write_all(b"one\\ntwo\\n")
    >>> client.close()
    >>> [line async for line in server]
    [b'one\\n', b'two\\n']
    >>> server.close()
    """
    @classmethod
    def connect(cls, address: Address | str, /) -> Awaitable[TcpStream]:
        """Connect to an address; `net.connect` takes names.

        Raises:
            OSError: ConnectionRefusedError, ETIMEDOUT, ENETUNREACH, ….
            ValueError: the text is no address, or the address a Unix socket's.

        Cancellation: gives up the attempt.
        """

    @classmethod
    def blocking_connect(
        cls, address: Address | str, /, *, timeout: _Seconds | None = None
    ) -> TcpStream:
        """connect() for threads. TimeoutError after `timeout` seconds."""

    def nodelay(self) -> bool:
        """Whether small writes leave at once (TCP_NODELAY); they do at first, but for from_fd().

        >>> listener = net.TcpListener.bind("127.0.0.1:0")
        >>> stream = await net.TcpStream.connect(listener.local_address)
        >>> stream.set_nodelay(False)
        >>> stream.set_linger(2.5)
        >>> stream.set_ttl(9)
        >>> stream.nodelay(), stream.keepalive(), stream.linger(), stream.ttl()
        (False, None, Duration(3s), 9)
        >>> stream.close(); listener.close()
        """

    def set_nodelay(self, is_on: bool, /) -> None:
        """Have small writes leave at once, or wait for an answer on the way."""

    def keepalive(self) -> KeepAlive | None:
        """When the system asks a silent peer whether it is still there; None: never."""

    def set_keepalive(self, keepalive: KeepAlive | None, /) -> None:
        """Have it ask; None: never."""

    def linger(self) -> Duration | None:
        """How long closing may go on sending what is unsent, in the background; None: as long as
        the system likes."""

    def set_linger(self, linger: _Seconds | None, /) -> None:
        """Set it, in whole seconds, rounded up; 0 has close() reset the connection. ValueError if
        it is negative."""

    def ttl(self) -> int:
        """How many routers a packet may pass; of IPv6 the hop limit."""

    def set_ttl(self, ttl: int, /) -> None:
        """Set it, from 1 to 255; else ValueError."""

    @property
    def local_address(self) -> Address:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address:
        """The Address of the other end; OSError if there is none."""

@final
class UnixStream(_ByteStream):
    """A connection between processes of this machine, as a TcpStream.

    >>> one, other = net.UnixStream.pair()
    >>> await one.write_all(b"hello")
    >>> await other.read_exact(4)
    b'hell'
    >>> one.close(); other.close()
    """
    @classmethod
    def connect(cls, address: Address | str, /) -> Awaitable[UnixStream]:
        """Connect to a path or abstract name.

        Raises:
            OSError: FileNotFoundError, ConnectionRefusedError, PermissionError; BlockingIOError if
                the listener's backlog is full.
            ValueError: it is no Unix socket's address.
        """

    @classmethod
    def blocking_connect(
        cls, address: Address | str, /, *, timeout: _Seconds | None = None
    ) -> UnixStream:
        """connect() for threads. TimeoutError after `timeout` seconds."""

    @classmethod
    def pair(cls) -> tuple[UnixStream, UnixStream]:
        """Two that are connected with each other; OSError (EMFILE) without descriptors."""

    def peer_credentials(self) -> tuple[int, int, int]:
        """(process, user, group) of who is at the other end, as numbers, when it connected."""

    @property
    def local_address(self) -> Address | None:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address | None:
        """The Address of the other end; OSError if there is none."""
