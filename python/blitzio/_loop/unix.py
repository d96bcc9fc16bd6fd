"""Unix stream sockets: `create_unix_connection`, `create_unix_server`.

path ─▶ socket ─▶ connect, or take a dead server's place and bind ─▶ as with TCP
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat

from blitzio._loop import _compat
from blitzio._loop.connect import ConnectMixin
from blitzio._loop.listen import ListenMixin
from blitzio._loop.server import Server
from blitzio._loop.sockets import make_socket
from blitzio._loop.tls import check_timeouts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Callable
    from typing import Any, TypeVar

    from blitzio._loop.server import ProtocolFactory

    _Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

    _ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)

logger = logging.getLogger("asyncio")


# Seconds between attempts to connect to a server whose backlog is full: no event tells of room.
_RETRY_DELAY_FIRST = 0.001
_RETRY_DELAY_LAST = 0.05

# Taken before tools that find blocking calls replace them, as in sendfile.
_stat = os.stat
_unlink = os.unlink


class UnixMixin(ListenMixin, ConnectMixin):
    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        path: _Path | None = None,
        *,
        ssl: bool | ssl_module.SSLContext | None = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _ProtocolT]:
        """Connects to the Unix socket `path` (or takes the connected `sock`); makes a transport.

        Args:
            path: of the file system, or an abstract name, which begins with a zero byte.

        Raises:
            ValueError, TypeError: arguments that do not fit together.
            OSError: nobody listens there. While a listener's backlog is full this waits.

        Cancellation: the socket is closed.
        """
        if ssl:
            if server_hostname is None:
                raise ValueError("you have to pass server_hostname when using ssl")
        elif server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        check_timeouts(
            "create_unix_connection", bool(ssl), ssl_handshake_timeout, ssl_shutdown_timeout
        )
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            path = os.fspath(path)
            sock = make_socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                await self._connect_unix(sock, path)
            except BaseException:
                sock.close()
                raise
        else:
            if sock is None:
                raise ValueError("no path and sock were specified")
            _check_unix_stream(sock)
            sock.setblocking(False)
        return await self._create_connection_transport(
            sock,
            protocol_factory,
            ssl,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )

    async def create_unix_server(
        self,
        protocol_factory: ProtocolFactory,
        path: _Path | None = None,
        *,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: bool | ssl_module.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = _compat.CLEANS_UP_UNIX_SOCKETS,
    ) -> asyncio.Server:
        """Listens on the Unix socket `path`, or on the bound `sock`.

        A socket file that stands at `path` already is removed first: a server that was killed left
        it.

        Args:
            path: of the file system, or an abstract name, which begins with a zero byte.
            start_serving: False to begin with Server.start_serving().
            cleanup_socket: remove the socket file when the server closes, unless another has taken
                its place. Any version has it; the default is asyncio's, True from 3.13 on.

        Raises:
            ValueError, TypeError: arguments that do not fit together.
            OSError: `path` cannot be bound.
        """
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        check_timeouts("create_unix_server", bool(ssl), ssl_handshake_timeout, ssl_shutdown_timeout)
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            sock = _bind_unix(os.fspath(path))
        else:
            if sock is None:
                raise ValueError("path was not specified, and no sock specified")
            _check_unix_stream(sock)
        socket_file = _SocketFile.of(sock) if cleanup_socket else None
        sock.setblocking(False)
        server = Server(
            self,
            [sock],
            protocol_factory,
            ssl,
            backlog,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
            on_close=None if socket_file is None else socket_file.remove,
        )
        if start_serving:
            await server.start_serving()
        # It has the interface of that class, which type checkers expect, and not its insides.
        return server  # type: ignore[return-value]

    async def _connect_unix(self, sock: socket.socket, path: str | bytes) -> None:
        delay = _RETRY_DELAY_FIRST
        while True:
            try:
                await self.sock_connect(sock, path)
            except BlockingIOError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RETRY_DELAY_LAST)
            else:
                return


class _SocketFile:
    """The file of a listening socket, told from others of its name by its inode."""

    def __init__(self, path: str | bytes, inode: int) -> None:
        self.path = path
        self.inode = inode

    @classmethod
    def of(cls, sock: socket.socket) -> _SocketFile | None:
        path = sock.getsockname()
        if not path or _is_abstract(path):
            return None
        try:
            return cls(path, _stat(path).st_ino)
        except OSError:
            return None  # It is gone, or whoever made the socket for us keeps us from its folder.

    def remove(self) -> None:
        try:
            if _stat(self.path).st_ino == self.inode:
                _unlink(self.path)
        except FileNotFoundError:
            pass
        except OSError as exc:
            logger.error("Unable to clean up listening UNIX socket %r: %r", self.path, exc)


def _is_abstract(path: str | bytes) -> bool:
    return path[0] in (0, "\x00")


def _check_unix_stream(sock: Any) -> None:
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")


def _bind_unix(path: str | bytes) -> socket.socket:
    """A socket bound to `path`, where a socket file of a dead server gives way."""
    if not _is_abstract(path):
        try:
            if stat.S_ISSOCK(_stat(path).st_mode):
                os.remove(path)
        except FileNotFoundError:
            pass
        except OSError as exc:
            # The directory may let us create files and not look at them.
            logger.error("Unable to check or remove stale UNIX socket %r: %r", path, exc)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
    except OSError as exc:
        sock.close()
        if exc.errno == errno.EADDRINUSE:
            # The kernel's message does not say which.
            raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock
