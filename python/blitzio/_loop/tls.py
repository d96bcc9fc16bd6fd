"""TLS connections of the loop: their transports, and start_tls.

application protocol ◀─▶ _SSLProtocolTransport, SSLProtocol ◀─▶ StreamTransport (or another's)
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
import sys

from blitzio._native import LoopBase, StreamTransport

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from blitzio._loop.tls_protocol import SSLProtocol


_ssl_protocol_class: type[SSLProtocol] | None = None


def ssl_protocol_class() -> type[SSLProtocol]:
    """SSLProtocol, imported when it is needed: many programs leave TLS to a proxy."""
    global _ssl_protocol_class
    if _ssl_protocol_class is None:
        from blitzio._loop.tls_protocol import SSLProtocol

        _ssl_protocol_class = SSLProtocol
    return _ssl_protocol_class


class TlsMixin(LoopBase):
    def _make_socket_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
    ) -> asyncio.Transport:
        return StreamTransport(self, sock, protocol, extra=extra, server=server, waiter=waiter)

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl_module.SSLContext | None,
        waiter: asyncio.Future[None] | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        call_connection_made: bool = True,
    ) -> asyncio.Transport:
        ssl_protocol = ssl_protocol_class()(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            call_connection_made=call_connection_made,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        transport: asyncio.Transport = ssl_protocol._app_transport
        StreamTransport(self, rawsock, ssl_protocol, extra=extra, server=server, waiter=None)
        return transport

    async def start_tls(
        self,
        transport: asyncio.BaseTransport,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl_module.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.Transport:
        """Upgrades a connected transport to TLS.

        Returns:
            the transport that `protocol` is to use from now on.

        Raises:
            TypeError: `sslcontext` is no SSLContext, or `transport` cannot be upgraded.
            ssl.SSLError, ConnectionError: the handshake failed; the transport is closed.

        Cancellation: the transport is closed.
        """
        check_shutdown_timeout("start_tls", ssl_shutdown_timeout)
        if not isinstance(sslcontext, ssl_module.SSLContext):
            raise TypeError(
                f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}"
            )
        lower: Any = transport
        if not getattr(lower, "_start_tls_compatible", False):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")

        if lower.is_closing():
            # Its connection_lost() is the present protocol's, or was.
            raise ConnectionAbortedError("start_tls() on a transport that is closing")

        waiter: asyncio.Future[None] = self.create_future()
        ssl_protocol = ssl_protocol_class()(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            call_connection_made=False,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        upgraded: asyncio.Transport = ssl_protocol._app_transport
        # Paused first, so that no data reaches the new protocol before its connection_made().
        lower.pause_reading()
        lower.set_protocol(ssl_protocol)
        steps = [self.call_soon(ssl_protocol.connection_made, lower)]
        if server_side and (early := _take_read_ahead(protocol)):
            steps.append(self.call_soon(ssl_protocol.data_received, early))
        steps.append(self.call_soon(lower.resume_reading))
        try:
            await waiter
        except BaseException:
            transport.close()
            for step in steps:
                step.cancel()
            raise
        return upgraded


def _take_read_ahead(protocol: asyncio.BaseProtocol) -> bytes:
    """What a client sent on the heels of its last plain text, as behind a proxy that tells of it
    first, and a StreamReader has read: the beginning of the handshake. asyncio does so of late."""
    reader: Any = getattr(protocol, "_stream_reader", None)
    if not isinstance(protocol, asyncio.StreamReaderProtocol) or reader is None:
        return b""
    early = bytes(reader._buffer)
    reader._buffer.clear()
    return early


def check_not_ssl_socket(sock: socket.socket) -> None:
    if isinstance(sock, ssl_module.SSLSocket):
        raise TypeError("Socket cannot be of type SSLSocket")


def check_timeouts(
    method: str, with_ssl: bool, handshake_timeout: float | None, shutdown_timeout: float | None
) -> None:
    """Refuses the TLS timeouts of a connection or server that has no TLS."""
    check_shutdown_timeout(method, shutdown_timeout)
    if with_ssl:
        return
    if handshake_timeout is not None:
        raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
    if shutdown_timeout is not None:
        raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")


def check_shutdown_timeout(method: str, shutdown_timeout: float | None) -> None:
    if shutdown_timeout is not None and sys.version_info < (3, 11):
        raise TypeError(f"{method}() got an unexpected keyword argument 'ssl_shutdown_timeout'")
