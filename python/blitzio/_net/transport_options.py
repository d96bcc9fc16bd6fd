"""`TransportOptions`: the typed options of a stream whose socket a transport has.

A call makes a `TcpStream` or `UnixStream` of a duplicate of the descriptor, asks that, and closes
it: options belong to what both descriptors stand for. So they are told and set in one way
everywhere, for two more system calls where nobody counts them.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from blitzio._native import TcpStream, UnixStream
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blitzio._duration import Duration, Seconds
    from blitzio._net.keep_alive import KeepAlive


class TransportOptions:
    """Those of `TcpStream`. Over a Unix socket what TCP alone has is OSError (EOPNOTSUPP); once
    closed, everything is OSError (EBADF).
    """

    __reduce__ = refuse_copy

    def get_extra_info(self, name: str) -> Any:
        """What the transport knows."""
        raise NotImplementedError

    @property
    def is_closed(self) -> bool:
        """Whether close() was called."""
        raise NotImplementedError

    def fileno(self) -> int:
        """The descriptor, which stays the transport's; -1 once closed."""
        # The number alone does not tell: uvloop's transports keep it.
        return -1 if self.is_closed else int(self.get_extra_info("socket").fileno())

    def nodelay(self) -> bool:
        """Whether small writes leave at once (TCP_NODELAY)."""
        with self._tcp() as stream:
            return stream.nodelay()

    def set_nodelay(self, is_on: bool, /) -> None:
        """Have small writes leave at once, or wait for an answer on the way."""
        with self._tcp() as stream:
            stream.set_nodelay(is_on)

    def keepalive(self) -> KeepAlive | None:
        """When a silent peer is asked whether it is there; None: never."""
        with self._tcp() as stream:
            return stream.keepalive()

    def set_keepalive(self, keepalive: KeepAlive | None, /) -> None:
        """Have a silent peer asked; None: never."""
        with self._tcp() as stream:
            stream.set_keepalive(keepalive)

    def linger(self) -> Duration | None:
        """How long what is unsent is sent on after closing; None: as the system likes."""
        with self._tcp() as stream:
            return stream.linger()

    def set_linger(self, linger: Seconds | None, /) -> None:
        """Set it, in whole seconds, rounded up; 0 resets the connection."""
        with self._tcp() as stream:
            stream.set_linger(linger)

    def ttl(self) -> int:
        """How many routers a packet may pass; of IPv6 the hop limit."""
        with self._tcp() as stream:
            return stream.ttl()

    def set_ttl(self, ttl: int, /) -> None:
        """Set it, from 1 to 255."""
        with self._tcp() as stream:
            stream.set_ttl(ttl)

    def send_buffer_bytes(self) -> int:
        """Bytes that the kernel keeps for sending."""
        with self._socket() as stream:
            return stream.send_buffer_bytes()

    def set_send_buffer_bytes(self, bytes: int, /) -> None:
        """Ask for so many; the kernel may give more."""
        with self._socket() as stream:
            stream.set_send_buffer_bytes(bytes)

    def recv_buffer_bytes(self) -> int:
        """Bytes that the kernel keeps for receiving."""
        with self._socket() as stream:
            return stream.recv_buffer_bytes()

    def set_recv_buffer_bytes(self, bytes: int, /) -> None:
        """Ask for so many; the kernel may give more."""
        with self._socket() as stream:
            stream.set_recv_buffer_bytes(bytes)

    def take_error(self) -> OSError | None:
        """Take the error that the socket keeps from what happened between calls."""
        with self._socket() as stream:
            return stream.take_error()

    def option(self, level: int, name: int, /) -> int:
        """getsockopt() of an int."""
        with self._socket() as stream:
            return stream.option(level, name)

    def set_option(self, level: int, name: int, value: int, /) -> None:
        """setsockopt() of an int."""
        with self._socket() as stream:
            stream.set_option(level, name, value)

    @contextmanager
    def _socket(self) -> Iterator[TcpStream | UnixStream]:
        own = self.fileno()
        if own < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        is_local = self.get_extra_info("socket").family == socket.AF_UNIX
        fd = os.dup(own)
        try:
            stream = (UnixStream if is_local else TcpStream).from_fd(fd)
        except BaseException:
            os.close(fd)
            raise
        with closing(stream):
            yield stream

    @contextmanager
    def _tcp(self) -> Iterator[TcpStream]:
        with self._socket() as stream:
            if not isinstance(stream, TcpStream):
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            yield stream
