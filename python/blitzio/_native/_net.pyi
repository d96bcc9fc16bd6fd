"""Addresses, listeners and datagram sockets: `blitzio.net`."""

import os
from typing import final

from typing_extensions import Buffer, Self

from blitzio._duration import Seconds as _Seconds
from blitzio._native._awaitable import Awaitable
from blitzio._native._streams import TcpStream, UnixStream

@final
class Address:
    """Where a socket is: a numeric IPv4 or IPv6 address with a port, or a Unix socket's path.

    A value: compares equal to what is equal, can be a key, and `str()` gives the text that
    `parse()` reads.

    >>> address = net.Address.parse("[::1]:80")
    >>> address.host, address.port, str(address.with_port(443))
    ('::1', 80, '[::1]:443')
    """

    def __new__(cls, host: str, port: int) -> Self:
        """Of a numeric host ("127.0.0.1", "::1", "fe80::1%eth0"); names are for `net.resolve`.

        Raises:
            ValueError: the host is not numeric, or the port not from 0 to 65,535.
            TypeError: the host is no str, or the port no int.
        """

    @classmethod
    def parse(cls, text: str, /) -> Self:
        """Read "1.2.3.4:80", "[::1]:80", "/path" or "@abstract".

        Raises:
            ValueError: it is none of these.
        """

    @classmethod
    def local(cls, path: str | bytes | os.PathLike[str] | os.PathLike[bytes], /) -> Self:
        """Of a Unix socket. A name that begins with a zero byte is abstract: it has no file.

        Raises:
            ValueError: it has not 1 to 107 bytes.
        """

    def with_port(self, port: int, /) -> Address:
        """The same with another port; ValueError if that is not from 0 to 65,535."""

    @property
    def host(self) -> str:
        """Without the port; a Unix socket's path."""

    @property
    def port(self) -> int:
        """0 if it has none."""

    @property
    def family(self) -> int:
        """socket.AF_INET, AF_INET6 or AF_UNIX."""

    @property
    def scope_id(self) -> int:
        """The interface of a link-local address."""

    @property
    def is_loopback(self) -> bool: ...
    @property
    def is_multicast(self) -> bool: ...
    @property
    def is_unspecified(self) -> bool:
        """0.0.0.0 or ::"""

    @property
    def is_local(self) -> bool:
        """Whether it is a Unix socket's."""

    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

class _Descriptor:
    """What every open end has. Not a class at run time."""

    @property
    def is_closed(self) -> bool:
        """Whether close() or detach() was called."""

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""

    def detach(self) -> int:
        """Give the descriptor, in non-blocking mode, to the caller."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *exc_info: object) -> Awaitable[None]: ...

class _Socket(_Descriptor):
    """What every socket has. Not a class at run time."""

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def readable(self) -> Awaitable[None]:
        """Wait until reading, or accepting, would not block."""

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

    def writable(self) -> Awaitable[None]:
        """Wait until writing would not block."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

    def take_error(self) -> OSError | None:
        """Take the error that the socket keeps from what happened between calls; None if there is
        none."""

    def send_buffer_bytes(self) -> int:
        """Bytes that the kernel keeps for sending (SO_SNDBUF), with its own book-keeping."""

    def set_send_buffer_bytes(self, bytes: int, /) -> None:
        """Ask for so many. The kernel may give more, or less where its own limit is lower.

        Raises:
            ValueError: a negative number.
            OSError: EINVAL if it is above 2**31 - 1.
        """

    def recv_buffer_bytes(self) -> int:
        """Bytes that the kernel keeps for receiving (SO_RCVBUF), with its own book-keeping."""

    def set_recv_buffer_bytes(self, bytes: int, /) -> None:
        """As set_send_buffer_bytes()."""

    def option(self, level: int, name: int, /) -> int:
        """getsockopt() of an int, for options that have no function of their own.

        Raises:
            OSError: ENOPROTOOPT, …; EBADF once closed.
        """

    def set_option(self, level: int, name: int, value: int, /) -> None:
        """setsockopt() of an int, for options that have no function of their own; as option()."""

@final
class AsyncFd(_Descriptor):
    """Waits for a descriptor that another library reads and writes: an eventfd, a device, the
    connection of a database driver. Several tasks and threads may wait.

    >>> import os
    >>> reading, writing = os.pipe()
    >>> async with blitzio.AsyncFd.adopt(reading) as fd:
    ...     os.write(writing, b"x")
    ...     await fd.readable()
    ...     os.read(fd.fileno(), 1)
    1
    b'x'
    >>> os.close(writing)
    """

    @classmethod
    def adopt(cls, fd: int, /) -> Self:
        """Take over a descriptor, which is in non-blocking mode from then on. Who only lends one
        gives `os.dup(fd)`.

        Raises:
            OSError: EBADF.
            ValueError: a file or directory, which cannot be waited for.
            TypeError: no int. Whenever it raises the descriptor is still the caller's, as it was.
        """

    def close(self) -> None:
        """Close it now; what waits on it ends with OSError (EBADF)."""

    def readable(self) -> Awaitable[None]:
        """Wait until a read would not block: there is something, or the end, or an error.

        Raises:
            OSError: EPERM for what the kernel cannot wait for.

        Cancellation: loses nothing.
        """

    def blocking_readable(self, timeout: _Seconds | None = None) -> None:
        """readable() for threads. TimeoutError after `timeout` seconds."""

    def writable(self) -> Awaitable[None]:
        """Wait until a write would not block; as readable()."""

    def blocking_writable(self, timeout: _Seconds | None = None) -> None:
        """writable() for threads. TimeoutError after `timeout` seconds."""

@final
class TcpListener(_Socket):
    """Accepts TCP connections. Several tasks may accept.

    >>> async with net.TcpListener.bind("127.0.0.1:0") as listener:
    ...     client = await net.TcpStream.connect(listener.local_address)
    ...     server, peer = await listener.accept()
    >>> peer == client.local_address
    True
    >>> server.close(); client.close()
    """
    @classmethod
    def bind(
        cls,
        address: Address | str,
        *,
        backlog: int = 1024,
        reuse_address: bool = True,
        reuse_port: bool = False,
        v6_only: bool = False,
    ) -> TcpListener:
        """Listen at an address; port 0 takes a free one, which `local_address` tells.

        Args:
            address: IPv4 or IPv6.
            backlog: connections that may wait to be accepted.
            reuse_address: bind although old connections of the address linger.
            reuse_port: several sockets may share the port; the system spreads connections.
            v6_only: an IPv6 socket takes no IPv4 connections.

        Raises:
            OSError: EADDRINUSE, EACCES, EADDRNOTAVAIL, ….
            ValueError: the text is no address.
        """

    @classmethod
    def from_fd(cls, fd: int, /) -> Self:
        """Take over a TCP socket that listens, of `socket.detach()`, of another process, of
        systemd. It is in non-blocking mode from then on, with options as they were.

        >>> import socket
        >>> listening = socket.create_server(("127.0.0.1", 0))
        >>> listener = net.TcpListener.from_fd(listening.detach())
        >>> listener.close()

        Raises:
            OSError: EBADF, ENOTSOCK.
            ValueError: a socket of another kind.
            TypeError: no int. Whenever it raises the descriptor is still the caller's, as it was.
        """

    def accept(self) -> Awaitable[tuple[TcpStream, Address]]:
        """Wait for a connection. Gives the stream and its peer.

        `async for stream in listener` accepts for ever.

        Raises:
            OSError: EMFILE, ENFILE, ENOMEM, and the connection is there for the next call; EBADF
                once the listener is closed.

        Cancellation: takes no connection.
        """

    def blocking_accept(self, timeout: _Seconds | None = None) -> tuple[TcpStream, Address]:
        """accept() for threads. TimeoutError after `timeout` seconds."""

    def try_accept(self) -> tuple[TcpStream, Address] | None:
        """accept(), now; None if there is no connection."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[TcpStream]: ...
    @property
    def local_address(self) -> Address:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address:
        """The Address of the other end; OSError if there is none."""

@final
class UnixListener(_Socket):
    """Accepts connections of processes of this machine.

    >>> async with net.UnixListener.bind(folder + "/socket") as listener:
    ...     client = await net.UnixStream.connect(folder + "/socket")
    ...     server, peer = await listener.accept()
    >>> await client.write(b"hello")
    5
    >>> await server.read()
    b'hello'
    >>> server.close(); client.close()
    """
    @classmethod
    def bind(cls, address: Address | str, *, backlog: int = 1024) -> UnixListener:
        """Listen at a path or abstract name. The path stays when the listener is closed.

        Args:
            backlog: connections that may wait to be accepted.

        Raises:
            OSError: EADDRINUSE if the path exists, ENOENT, EACCES, ….
            ValueError: the text is no address.
        """

    @classmethod
    def from_fd(cls, fd: int, /) -> Self:
        """Take over a Unix stream socket that listens; as `TcpListener.from_fd`."""

    def accept(self) -> Awaitable[tuple[UnixStream, Address | None]]:
        """Wait for a connection. Gives the stream and its peer, None if that has no name.

        `async for stream in listener` accepts for ever.

        Raises:
            OSError: as TcpListener.accept().

        Cancellation: takes no connection.
        """

    def blocking_accept(self, timeout: _Seconds | None = None) -> tuple[UnixStream, Address | None]:
        """accept() for threads. TimeoutError after `timeout` seconds."""

    def try_accept(self) -> tuple[UnixStream, Address | None] | None:
        """accept(), now; None if there is no connection."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[UnixStream]: ...
    @property
    def local_address(self) -> Address | None:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address | None:
        """The Address of the other end; OSError if there is none."""

class _DatagramSocket(_Socket):
    """What the datagram sockets share. Not a class at run time."""

    @classmethod
    def from_fd(cls, fd: int, /) -> Self:
        """Take over a datagram socket of this family; as `TcpListener.from_fd`."""

    def connect(self, address: Address | str, /) -> None:
        """Send to this address, and receive from it alone, from now on.

        Raises:
            OSError: ENETUNREACH; between Unix sockets ECONNREFUSED, ENOENT, ….
            ValueError: the text is no address.
        """

    def recv(self) -> Awaitable[bytes]:
        """recv_from() without the sender."""

    def blocking_recv(self, timeout: _Seconds | None = None) -> bytes:
        """recv() for threads. TimeoutError after `timeout` seconds."""

    def try_recv(self) -> bytes | None:
        """recv(), now; None if there is none."""

    def peek(self) -> Awaitable[bytes]:
        """recv() that leaves the datagram there: the next one receives it.

        Cancellation: loses nothing.
        """

    def blocking_peek(self, timeout: _Seconds | None = None) -> bytes:
        """peek() for threads. TimeoutError after `timeout` seconds."""

    def try_peek(self) -> bytes | None:
        """peek(), now; None if there is none."""

    def send_to(self, data: Buffer, address: Address | str, /) -> Awaitable[int]:
        """Send a datagram, waiting for room, of a Unix socket for its receiver's. Gives its bytes.

        Raises:
            OSError: EMSGSIZE if it is too long, EACCES for a broadcast that is not allowed, ….

        Cancellation: nothing was sent.
        """

    def blocking_send_to(
        self, data: Buffer, address: Address | str, /, *, timeout: _Seconds | None = None
    ) -> int:
        """send_to() for threads. TimeoutError after `timeout` seconds."""

    def send(self, data: Buffer, /) -> Awaitable[int]:
        """send_to() the peer of connect()."""

    def blocking_send(self, data: Buffer, /, *, timeout: _Seconds | None = None) -> int:
        """send() for threads. TimeoutError after `timeout` seconds."""

    def try_send_to(self, data: Buffer, address: Address | str, /) -> int | None:
        """send_to(), now; None if there is no room."""

    def try_send(self, data: Buffer, /) -> int | None:
        """send(), now; None if there is no room."""

@final
class UdpSocket(_DatagramSocket):
    """Datagrams over IPv4 and IPv6.

    >>> async with net.UdpSocket.bind("127.0.0.1:0") as one:
    ...     await one.send_to(b"to myself", one.local_address)
    ...     await one.recv()
    9
    b'to myself'
    """
    @classmethod
    def bind(
        cls,
        address: Address | str,
        *,
        reuse_address: bool = False,
        reuse_port: bool = False,
        v6_only: bool = False,
    ) -> UdpSocket:
        """A socket at an address; port 0 takes a free one, which `local_address` tells.

        Args:
            address: IPv4 or IPv6.
            reuse_address: several sockets of one address, for multicast: all of them hear.
            reuse_port: several sockets may share the port; the system spreads senders.
            v6_only: an IPv6 socket hears no IPv4.

        Raises:
            OSError: EADDRINUSE, EACCES, EADDRNOTAVAIL, ….
            ValueError: the text is no address.
        """

    def recv_from(self) -> Awaitable[tuple[bytes, Address]]:
        """Wait for a datagram, whole, up to 64 KiB. Gives it and its sender.

        Raises:
            OSError: ECONNREFUSED if the peer of connect() refused what was sent before; EBADF once
                closed.

        Cancellation: takes no datagram.
        """

    def blocking_recv_from(self, timeout: _Seconds | None = None) -> tuple[bytes, Address]:
        """recv_from() for threads. TimeoutError after `timeout` seconds."""

    def try_recv_from(self) -> tuple[bytes, Address] | None:
        """recv_from(), now; None if there is none."""

    def peek_from(self) -> Awaitable[tuple[bytes, Address]]:
        """recv_from() that leaves the datagram there.

        Cancellation: loses nothing.

        >>> one = net.UdpSocket.bind("127.0.0.1:0")
        >>> await one.send_to(b"to myself", one.local_address)
        9
        >>> await one.peek_from() == await one.recv_from() == (b"to myself", one.local_address)
        True
        >>> one.close()
        """

    def blocking_peek_from(self, timeout: _Seconds | None = None) -> tuple[bytes, Address]:
        """peek_from() for threads. TimeoutError after `timeout` seconds."""

    def try_peek_from(self) -> tuple[bytes, Address] | None:
        """peek_from(), now; None if there is none."""

    def broadcast(self) -> bool:
        """Whether it may send to broadcast addresses; not at first."""

    def set_broadcast(self, is_on: bool, /) -> None:
        """Allow or forbid it."""

    def ttl(self) -> int:
        """How many routers what it sends may pass; of IPv6 the hop limit.

        >>> socket = net.UdpSocket.bind("127.0.0.1:0")
        >>> socket.set_ttl(3)
        >>> socket.set_multicast_loop(False)
        >>> socket.ttl(), socket.multicast_ttl(), socket.multicast_loop(), socket.broadcast()
        (3, 1, False, False)
        >>> socket.close()
        """

    def set_ttl(self, ttl: int, /) -> None:
        """Set it, from 1 to 255; else ValueError."""

    def multicast_ttl(self) -> int:
        """ttl() of multicasts; 1 at first."""

    def set_multicast_ttl(self, ttl: int, /) -> None:
        """Set it, from 0, which stays on this machine, to 255; else ValueError."""

    def multicast_loop(self) -> bool:
        """Whether this machine hears its own multicasts; it does at first."""

    def set_multicast_loop(self, is_on: bool, /) -> None:
        """Have it hear them, or not."""

    def join_multicast(self, group: Address | str, interface: int = 0) -> None:
        """Hear what is sent to a group.

        Args:
            group: a multicast address; its port says nothing.
            interface: the index of the interface to hear on; 0: the system chooses.

        Raises:
            ValueError: the group is no multicast address.
            OSError: EADDRINUSE if it has joined already, ENODEV, ….
        """

    def leave_multicast(self, group: Address | str, interface: int = 0) -> None:
        """No longer hear it; OSError (EADDRNOTAVAIL) if it has not joined."""

    @property
    def local_address(self) -> Address:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address:
        """The Address of the other end; OSError if there is none."""

@final
class UnixDatagram(_DatagramSocket):
    """Datagrams between processes of this machine.

    >>> one, other = net.UnixDatagram.pair()
    >>> await one.send(b"hello")
    5
    >>> await other.recv()
    b'hello'
    >>> one.close(); other.close()
    """
    @classmethod
    def bind(cls, address: Address | str = ...) -> UnixDatagram:
        """A socket at a path or abstract name, or without one: then nobody can answer.

        Raises:
            OSError: EADDRINUSE if the path exists, ENOENT, EACCES, ….
            ValueError: the text is no address.
        """

    @classmethod
    def pair(cls) -> tuple[UnixDatagram, UnixDatagram]:
        """Two that are connected with each other."""

    def recv_from(self) -> Awaitable[tuple[bytes, Address | None]]:
        """Wait for a datagram, up to 256 KiB. Gives it and its sender, None if that has no name.

        Cancellation: takes no datagram.
        """

    def blocking_recv_from(self, timeout: _Seconds | None = None) -> tuple[bytes, Address | None]:
        """recv_from() for threads. TimeoutError after `timeout` seconds."""

    def try_recv_from(self) -> tuple[bytes, Address | None] | None:
        """recv_from(), now; None if there is none."""

    def peek_from(self) -> Awaitable[tuple[bytes, Address | None]]:
        """recv_from() that leaves the datagram there.

        Cancellation: loses nothing.
        """

    def blocking_peek_from(self, timeout: _Seconds | None = None) -> tuple[bytes, Address | None]:
        """peek_from() for threads. TimeoutError after `timeout` seconds."""

    def try_peek_from(self) -> tuple[bytes, Address | None] | None:
        """peek_from(), now; None if there is none."""

    @property
    def local_address(self) -> Address | None:
        """The Address of this end."""

    @property
    def peer_address(self) -> Address | None:
        """The Address of the other end; OSError if there is none."""
