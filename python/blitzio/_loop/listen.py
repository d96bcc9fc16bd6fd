"""`create_server`: resolving, binding and listening; and accepting with TLS.

hosts ─▶ resolve, each address once ─▶ a bound socket per address ─▶ Server ─▶ listen and accept
"""

from __future__ import annotations

import asyncio
import collections.abc
import errno
import functools
import itertools
import logging
import socket

from blitzio._loop import _compat
from blitzio._loop.errors import ErrorsMixin
from blitzio._loop.names import NamesMixin
from blitzio._loop.server import Server
from blitzio._loop.sockets import set_reuse_port
from blitzio._loop.tls import TlsMixin, check_not_ssl_socket, check_timeouts, ssl_protocol_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Sequence
    from typing import Any

    from blitzio._loop.names import AddressInfo
    from blitzio._loop.server import ProtocolFactory
    from blitzio._loop.tls_protocol import SSLProtocol

logger = logging.getLogger("asyncio")


class ListenMixin(NamesMixin, TlsMixin, ErrorsMixin):
    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: bool | ssl_module.SSLContext | None = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> asyncio.Server:
        """Listens on `host`:`port`, on each of several hosts, or on the bound `sock`.

        Args:
            host: a name, several names, or None or "" for all interfaces.
            port: 0 for one that is free.
            reuse_address: None for the default, True.
            keep_alive: SO_KEEPALIVE for the connections (any version; asyncio's since 3.13).
            start_serving: False to begin with Server.start_serving().

        Raises:
            ValueError, TypeError: arguments that do not fit together.
            socket.gaierror: a name cannot be resolved.
            OSError: an address cannot be bound.
        """
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        check_timeouts(
            "create_server", ssl is not None, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        if sock is not None:
            check_not_ssl_socket(sock)

        if host is not None or port is not None:
            if sock is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            infos = await self._resolve_hosts(host, port, family, flags)
            sockets = self._bind_all(
                infos,
                reuse_address=reuse_address is None or reuse_address,
                reuse_port=bool(reuse_port),
                keep_alive=bool(keep_alive),
            )
        else:
            if sock is None:
                raise ValueError("Neither host/port nor sock were specified")
            if sock.type != socket.SOCK_STREAM:
                raise ValueError(f"A Stream Socket was expected, got {sock!r}")
            sockets = [sock]

        for each in sockets:
            each.setblocking(False)
        server = Server(
            self,
            sockets,
            protocol_factory,
            ssl,
            backlog,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
        )
        if start_serving:
            await server.start_serving()
        if self.get_debug():
            logger.info("%r is serving", server)
        # It has the interface of that class, which type checkers expect, and not its insides.
        return server  # type: ignore[return-value]

    async def _resolve_hosts(
        self, host: Any, port: Any, family: int, flags: int
    ) -> list[AddressInfo]:
        """The addresses of all hosts, each once."""
        hosts: list[Any]
        if host == "":
            hosts = [None]
        elif isinstance(host, str) or not isinstance(host, collections.abc.Iterable):
            hosts = [host]
        else:
            hosts = list(host)

        async def resolve(one: Any) -> list[AddressInfo]:
            infos = await self._ensure_resolved(
                (one, port), family=family, type=socket.SOCK_STREAM, flags=flags, loop=self
            )
            if not infos:
                raise OSError(f"getaddrinfo({one!r}) returned empty list")
            return infos

        if len(hosts) == 1:  # As a rule: no task for that.
            found = [await resolve(hosts[0])]
        else:
            found = await asyncio.gather(*[resolve(one) for one in hosts])
        return list(dict.fromkeys(itertools.chain.from_iterable(found)))

    def _bind_all(
        self, infos: list[AddressInfo], *, reuse_address: bool, reuse_port: bool, keep_alive: bool
    ) -> list[socket.socket]:
        """A bound socket per address; none stays open if one of them fails."""
        sockets: list[socket.socket] = []
        try:
            for family, type_, proto, _, address in infos:
                try:
                    sock = socket.socket(family, type_, proto)
                except OSError:
                    # The resolver names families that the kernel may not have.
                    if self.get_debug():
                        logger.warning(
                            "create_server() failed to create socket.socket(%r, %r, %r)",
                            family,
                            type_,
                            proto,
                            exc_info=True,
                        )
                    continue
                sockets.append(sock)
                if reuse_address:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
                if reuse_port:
                    set_reuse_port(sock)
                if keep_alive:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
                if family == socket.AF_INET6:
                    # Linux would listen on IPv4 as well, where another of our sockets does.
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, True)
                if not self._bind_one(sock, address):
                    sockets.remove(sock)
            if not sockets and _compat.SKIPS_UNAVAILABLE_ADDRESSES:
                raise OSError(
                    f"could not bind on any address out of {[info[4] for info in infos]!r}"
                )
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        return sockets

    def _bind_one(self, sock: socket.socket, address: Any) -> bool:
        """Binds; False (and closed) if this host has no such address and asyncio would skip it."""
        try:
            sock.bind(address)
        except OSError as exc:
            text = _compat.os_error_text(exc, with_errno=_compat.BIND_ERRORS_NAME_ERRNO)
            message = f"error while attempting to bind on address {address!r}: {text}"
            if exc.errno == errno.EADDRNOTAVAIL and _compat.SKIPS_UNAVAILABLE_ADDRESSES:
                sock.close()
                if self.get_debug():
                    logger.warning(message)
                return False
            raise OSError(exc.errno, message) from None
        return True

    def _accept_tls(self, server: Server) -> SSLProtocol:
        """What stands between a new protocol and an accepted connection; called by the native
        listener."""
        protocol = server._protocol_factory()
        # Like asyncio in debug mode only: any client can make a handshake fail.
        waiter = self.create_future() if self.get_debug() else None
        ssl_protocol = ssl_protocol_class()(
            self,
            protocol,
            server._ssl_context,
            waiter,
            server_side=True,
            ssl_handshake_timeout=server._ssl_handshake_timeout,
            ssl_shutdown_timeout=server._ssl_shutdown_timeout,
        )
        if waiter is not None:
            transport = ssl_protocol._app_transport
            waiter.add_done_callback(
                functools.partial(self._report_failed_handshake, protocol, transport)
            )
        return ssl_protocol

    def _report_failed_handshake(
        self,
        protocol: asyncio.BaseProtocol,
        transport: asyncio.Transport,
        waiter: asyncio.Future[None],
    ) -> None:
        exc = None if waiter.cancelled() else waiter.exception()
        if exc is not None:
            self.call_exception_handler(
                {
                    "message": "Error on transport creation for incoming connection",
                    "exception": exc,
                    "protocol": protocol,
                    "transport": transport,
                }
            )
