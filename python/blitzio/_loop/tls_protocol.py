"""TLS, the half that runs once per connection: handshake, timeouts, shutdown, errors.

Records are the native half's, whose header (src/python/loop/tls_protocol.hpp) has the phases. The
behaviour is that of asyncio's sslproto since Python 3.11, on every Python.

The user's `ssl.SSLContext` makes the SSLObject, so its certificates, ALPN, SNI callback, sessions,
key log and verification are its own.
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
import sys
from _ssl import _SSLSocket  # type: ignore[attr-defined]
from asyncio import constants
from logging import getLogger
from typing import TYPE_CHECKING, Any

from blitzio._native import StreamTransport, TlsProtocolBase, TlsTransportBase

if TYPE_CHECKING:
    from blitzio._native import LoopBase

_logger = getLogger("asyncio")

# asyncio.constants of Python 3.10 has only the first of them.
_HANDSHAKE_TIMEOUT = constants.SSL_HANDSHAKE_TIMEOUT
_SHUTDOWN_TIMEOUT: float = getattr(constants, "SSL_SHUTDOWN_TIMEOUT", 30.0)
_READ_HIGH_WATER_KIB: int = getattr(constants, "FLOW_CONTROL_HIGH_WATER_SSL_READ", 256)
_WRITE_HIGH_WATER_KIB: int = getattr(constants, "FLOW_CONTROL_HIGH_WATER_SSL_WRITE", 512)


class _SSLProtocolTransport(TlsTransportBase):
    """The transport of an application over TLS."""

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.FALLBACK

    _ssl_protocol: SSLProtocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """'peercert', 'cipher', 'compression', 'sslcontext', 'ssl_object', or of the socket."""
        return self._ssl_protocol._get_extra_info(name, default)

    def close(self) -> None:
        """Closes after what is buffered was sent and the peer has answered close_notify."""
        if not self._closed:
            self._closed = True
            self._ssl_protocol._app_reading_over = True
            self._ssl_protocol._start_shutdown()

    def abort(self) -> None:
        """Closes now; what is buffered is lost."""
        self._force_close(None)

    def _force_close(self, exc: BaseException | None) -> None:
        self._closed = True
        self._ssl_protocol._abort(exc)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When to call pause_writing() and resume_writing(), in bytes."""
        self._ssl_protocol._set_write_buffer_limits(high, low)
        self._ssl_protocol._control_app_writing()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high) in bytes."""
        protocol = self._ssl_protocol
        return protocol._outgoing_low_water, protocol._outgoing_high_water

    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """How many encrypted bytes may arrive while reading is paused, in bytes."""
        self._ssl_protocol._set_read_buffer_limits(high, low)
        self._ssl_protocol._control_ssl_reading()

    def get_read_buffer_limits(self) -> tuple[int, int]:
        """(low, high) in bytes."""
        protocol = self._ssl_protocol
        return protocol._incoming_low_water, protocol._incoming_high_water

    @property
    def _loop(self) -> Any:
        return self._ssl_protocol._loop


class SSLProtocol(TlsProtocolBase):
    """Between an application's protocol and a transport of bytes; see TlsProtocolBase."""

    _handshake_start_time: float | None = None
    #: Of the handshake, later of the shutdown.
    _timeout_handle: asyncio.TimerHandle | None = None
    #: Both have said that they send no more.
    _is_shut = False

    def __init__(
        self,
        loop: LoopBase,
        app_protocol: asyncio.BaseProtocol,
        sslcontext: ssl_module.SSLContext | None,
        waiter: asyncio.Future[None] | None,
        server_side: bool = False,
        server_hostname: str | None = None,
        call_connection_made: bool = True,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        if ssl_handshake_timeout is None:
            ssl_handshake_timeout = _HANDSHAKE_TIMEOUT
        elif ssl_handshake_timeout <= 0:
            raise ValueError(
                f"ssl_handshake_timeout should be a positive number, got {ssl_handshake_timeout}"
            )
        if ssl_shutdown_timeout is None:
            ssl_shutdown_timeout = _SHUTDOWN_TIMEOUT
        elif ssl_shutdown_timeout <= 0:
            raise ValueError(
                f"ssl_shutdown_timeout should be a positive number, got {ssl_shutdown_timeout}"
            )
        if not sslcontext:
            sslcontext = _default_context(server_side, server_hostname)
        self._server_side = server_side
        self._server_hostname = server_hostname if server_hostname and not server_side else None
        self._sslcontext = sslcontext
        self._ssl_handshake_timeout = ssl_handshake_timeout
        self._ssl_shutdown_timeout = ssl_shutdown_timeout
        self._waiter = waiter
        self._extra: dict[str, Any] = {"sslcontext": sslcontext}

        incoming = ssl_module.MemoryBIO()
        outgoing = ssl_module.MemoryBIO()
        ssl_object = sslcontext.wrap_bio(
            incoming,
            outgoing,
            server_side=server_side,
            server_hostname=self._server_hostname,
        )
        super().__init__(
            loop,
            app_protocol,
            incoming,
            outgoing,
            ssl_object,
            _record_object(ssl_object),
            not call_connection_made,
        )
        self._app_transport = _SSLProtocolTransport(self)

    # ---- what the transport below calls

    def connection_made(self, transport: Any) -> None:
        """Starts the handshake."""
        app_transport = self._app_transport
        if app_transport is None or app_transport.is_closing():
            # Nobody waits for this connection any more.
            transport.abort()
            return
        loop = self._loop
        if loop.get_debug():
            _logger.debug("%r starts SSL handshake", self)
            self._handshake_start_time = loop.time()
        self._begin_handshake(transport)
        self._timeout_handle = loop.call_later(
            self._ssl_handshake_timeout, self._check_handshake_timeout
        )
        if not self._server_side:  # Where the client begins, which is still to come.
            self._do_handshake()

    def eof_received(self) -> bool:
        """The peer sends no more; returns whether the transport below must stay open."""
        self._eof_received = True
        try:
            if self._loop.get_debug():
                _logger.debug("%r received EOF", self)
            state = self._state
            if state == "DO_HANDSHAKE":
                self._on_handshake_complete(ConnectionResetError())
            elif state == "WRAPPED":
                self._begin_flushing()
                if self._app_reading_paused or self._reading_held:
                    return True
                self._do_flush()
            elif state in ("FLUSHING", "SHUTDOWN"):
                self._do_flush()
            if self._state == "FLUSHING":  # The transport below takes no more for now.
                self._start_shutdown_timer()
                return True
            return False
        except Exception:
            if self._transport is not None:
                self._transport.close()
            raise

    def connection_lost(self, exc: BaseException | None) -> None:
        """The transport below is gone."""
        app_protocol = self._app_protocol
        transport = self._transport
        if self._app_transport is not None:
            self._app_transport._closed = True
        was_handshake = self._state in ("DO_HANDSHAKE", "UNWRAPPED")
        is_owed = self._release()
        if self._timeout_handle is not None:
            self._cancel_timer()
        if self._waiter is not None:
            if exc is None and was_handshake:
                self._wakeup_waiter(
                    ConnectionAbortedError("the connection was closed during the SSL handshake")
                )
            else:
                self._wakeup_waiter(exc)
        if not is_owed:
            return
        if exc is None and isinstance(transport, (StreamTransport, TlsTransportBase)):
            # Ours say so from the loop, never from within a call of the application's. An error
            # is told a turn later: the data that was held has been given in this one, and who was
            # woken by it is to have it.
            app_protocol.connection_lost(None)
        else:
            self._loop.call_soon(app_protocol.connection_lost, exc)

    # ---- handshake

    def _check_handshake_timeout(self) -> None:
        if self._state == "DO_HANDSHAKE":
            self._fatal_error(
                ConnectionAbortedError(
                    f"SSL handshake is taking longer than {self._ssl_handshake_timeout} seconds: "
                    f"aborting the connection"
                )
            )

    def _on_handshake_complete(self, exc: BaseException | None) -> None:
        """Called by the native half."""
        self._cancel_timer()
        peercert = None
        if exc is None:
            try:
                self._become_wrapped()
                # Now, though few ask and it is long in decoding: it may be who the peer is, and
                # OpenSSL does not tell in the middle of a renegotiation, or after an error.
                peercert = self._sslobj.getpeercert()
            except Exception as failure:
                exc = failure
        if exc is not None:
            self._end()
            if isinstance(exc, ssl_module.CertificateError):
                message = "SSL handshake failed on verifying the certificate"
            else:
                message = "SSL handshake failed"
            self._fatal_error(exc, message)
            self._wakeup_waiter(exc)
            return
        loop = self._loop
        if self._handshake_start_time is not None and loop.get_debug():
            took = loop.time() - self._handshake_start_time
            _logger.debug("%r: SSL handshake took %.1f ms", self, took * 1e3)
        try:
            self._tell_of_handshake(peercert)
        except (KeyboardInterrupt, SystemExit):
            # It ends the run, not the connection.
            loop.call_soon(self._start_reading)
            raise
        # Who awaits the handshake, start_tls() say, hands the transport on before data comes.
        loop.call_soon(self._start_reading)

    def _tell_of_handshake(self, peercert: Any) -> None:
        ssl_object = self._sslobj
        self._extra.update(
            peercert=peercert,
            cipher=ssl_object.cipher(),
            compression=ssl_object.compression(),
            ssl_object=ssl_object,
        )
        if self._tell_made():
            self._app_protocol.connection_made(self._app_transport)
        self._wakeup_waiter()
        self._do_read()  # Sends what was written so far.

    def _wakeup_waiter(self, exc: BaseException | None = None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if exc is not None:
            waiter.set_exception(exc)
        else:
            waiter.set_result(None)

    # ---- shutdown

    def _on_close_notify(self) -> None:
        """The peer said that it sends no more; called by the native half."""
        self._call_eof_received()
        if self._state == "WRAPPED":
            self._start_shutdown()

    def _start_shutdown(self) -> None:
        if self._app_transport is not None:
            self._app_transport._closed = True
        state = self._state
        if state == "DO_HANDSHAKE":
            self._abort(None)
        elif state == "WRAPPED":
            self._begin_flushing()
            self._flush_in_time()
        elif state == "FLUSHING":
            # The peer ended while the application had paused; it will not read any more.
            self._flush_in_time()

    def _flush_in_time(self) -> None:
        try:
            self._do_flush()
        finally:
            self._start_shutdown_timer()

    def _start_shutdown_timer(self) -> None:
        """For what the peer has to do yet."""
        if self._timeout_handle is None and not self._is_shut and self._state != "UNWRAPPED":
            self._timeout_handle = self._loop.call_later(
                self._ssl_shutdown_timeout, self._check_shutdown_timeout
            )

    def _check_shutdown_timeout(self) -> None:
        if self._state in ("FLUSHING", "SHUTDOWN"):
            _force_close(self._transport, asyncio.TimeoutError("SSL shutdown timed out"))

    def _on_shutdown_complete(self, exc: BaseException | None) -> None:
        """Both sides have said that they send no more; called by the native half."""
        self._is_shut = True
        if self._timeout_handle is not None:
            self._cancel_timer()
        if exc is not None:
            self._fatal_error(exc)
        elif self._transport is not None:
            self._loop.call_soon(self._transport.close)

    def _call_eof_received(self) -> None:
        if not self._tell_eof():
            return
        try:
            keep_open = self._app_protocol.eof_received()
            if keep_open:
                _logger.warning("returning true from eof_received() has no effect when using ssl")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Error calling eof_received()")

    # ---- errors

    def _abort(self, exc: BaseException | None) -> None:
        self._end()
        if self._transport is not None:
            _force_close(self._transport, exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        transport = self._transport
        # An error of a handshake is told to who waits for it alone; see connection_lost().
        if self._state != "DO_HANDSHAKE":
            self._end()
        if transport is not None:
            _force_close(transport, exc)
        if isinstance(exc, OSError):
            if self._loop.get_debug():
                _logger.debug("%r: %s", self, message, exc_info=exc)
        elif not isinstance(exc, asyncio.CancelledError):
            self._loop.call_exception_handler(
                {
                    "message": message,
                    "exception": exc,
                    "transport": transport,
                    "protocol": self,
                }
            )

    def _cancel_timer(self) -> None:
        handle, self._timeout_handle = self._timeout_handle, None
        if handle is not None:
            handle.cancel()

    # ---- what the application's transport asks for

    def _get_extra_info(self, name: str, default: Any = None) -> Any:
        if name in self._extra:
            return self._extra[name]
        if self._transport is not None:
            return self._transport.get_extra_info(name, default)
        return default

    def _set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        limits = _water_marks(high, low, _WRITE_HIGH_WATER_KIB)
        self._outgoing_high_water, self._outgoing_low_water = limits

    def _set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        limits = _water_marks(high, low, _READ_HIGH_WATER_KIB)
        self._incoming_high_water, self._incoming_low_water = limits


def _force_close(transport: Any, exc: BaseException | None) -> None:
    force_close = getattr(transport, "_force_close", None)
    if force_close is not None:
        force_close(exc)
    else:
        transport.abort()


def _record_object(ssl_object: ssl_module.SSLObject) -> Any:
    """What reads and writes records without a Python frame; None if there is no such thing."""
    kind = type(ssl_object)
    plain = ssl_module.SSLObject
    if kind is not plain and (
        getattr(kind, "read", None) is not plain.read
        or getattr(kind, "write", None) is not plain.write
    ):
        return None
    record_object = getattr(ssl_object, "_sslobj", None)
    # One that the user has put there may keep what it is shown.
    return record_object if type(record_object) is _SSLSocket else None


def _default_context(server_side: bool, server_hostname: str | None) -> ssl_module.SSLContext:
    if server_side:
        raise ValueError("Server side SSL needs a valid SSLContext")
    context = ssl_module.create_default_context()
    if not server_hostname:
        context.check_hostname = False
    return context


def _water_marks(high: int | None, low: int | None, default_kib: int) -> tuple[int, int]:
    if high is None:
        high = default_kib * 1024 if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    # Too large for a size: never.
    return min(high, sys.maxsize), min(low, sys.maxsize)
