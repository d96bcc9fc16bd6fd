"""Outgoing stream connections, and accepted sockets that somebody else accepted.

create_connection: resolve ─▶ order by family ─▶ try one after the other, or staggered ─▶ transport
                   └ a numeric host and nothing special: `ConnectOperation`, native ────▶ ┘
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import socket
import sys
from asyncio import staggered

from blitzio._loop import _compat
from blitzio._loop.names import NamesMixin
from blitzio._loop.sockets import make_socket
from blitzio._loop.tls import TlsMixin, check_not_ssl_socket, check_timeouts, ssl_protocol_class
from blitzio._native import numeric_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn, TypeVar

    from blitzio._loop.names import AddressInfo
    from blitzio._loop.tls_protocol import SSLProtocol

    _Tls = bool | ssl_module.SSLContext | None

    _ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)

logger = logging.getLogger("asyncio")

_Socket = socket.socket
_socket_connect = socket.socket.connect


class ConnectMixin(NamesMixin, TlsMixin):
    async def create_connection(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: _Tls = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[asyncio.Transport, _ProtocolT]:
        """Connects to `host`:`port` (or takes the connected `sock`) and makes a transport.

        Args:
            happy_eyeballs_delay: seconds after which the next address is tried beside the first.
            interleave: how many addresses of the first family come before families alternate.
            all_errors: raise every attempt's error in an ExceptionGroup (Python 3.11 and newer).

        Raises:
            ValueError, TypeError: arguments that do not fit together.
            socket.gaierror: the name cannot be resolved.
            OSError: no address could be connected.

        Cancellation: sockets that are being connected are closed.
        """
        # What clients do that connect often, if the host is numeric: natively, see below.
        is_usual = (
            not (proto or all_errors or self.get_debug())
            and sock is None
            and local_addr is None
            and happy_eyeballs_delay is None
            # Unless somebody wants to see connections: tests that forbid them, proxies.
            and socket.socket is _Socket
            and _Socket.connect is _socket_connect
        )
        if (
            is_usual
            and not ssl
            and server_hostname is None
            and ssl_handshake_timeout is None
            and ssl_shutdown_timeout is None
        ):
            connecting = self._connect_numeric(protocol_factory, host, port, family, False)
            if connecting is not None:
                return await connecting
        _check_server_hostname(ssl, server_hostname, host)
        if server_hostname is None and ssl:
            server_hostname = host
        check_timeouts("create_connection", bool(ssl), ssl_handshake_timeout, ssl_shutdown_timeout)
        if is_usual and ssl:
            factory = functools.partial(
                self._make_client_tls,
                protocol_factory,
                ssl,
                server_hostname,
                ssl_handshake_timeout,
                ssl_shutdown_timeout,
            )
            connecting = self._connect_numeric(factory, host, port, family, True)
            if connecting is not None:
                return await connecting
        if all_errors and sys.version_info < (3, 11):
            raise TypeError("create_connection() got an unexpected keyword argument 'all_errors'")
        if sock is not None:
            check_not_ssl_socket(sock)

        if host is not None or port is not None:
            if sock is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            # A numeric host is the common case of clients that connect often.
            only = numeric_info(host, port, family, socket.SOCK_STREAM, proto)
            infos = (
                [only]
                if only is not None
                else await self._resolve_stream((host, port), family, proto, flags)
            )
            local_infos = None
            if local_addr is not None:
                local_infos = await self._resolve_stream(local_addr, family, proto, flags)
            if interleave is None and happy_eyeballs_delay is not None:
                interleave = 1
            if interleave:
                infos = interleave_families(infos, interleave)
            sock = await self._connect_first(infos, local_infos, happy_eyeballs_delay, all_errors)
        elif sock is None:
            raise ValueError("host and port was not specified and no sock specified")
        elif sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")

        transport, protocol = await self._create_connection_transport(
            sock,
            protocol_factory,
            ssl,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        if self.get_debug():
            connected = transport.get_extra_info("socket")
            logger.debug(
                "%r connected to %s:%r: (%r, %r)", connected, host, port, transport, protocol
            )
        return transport, protocol

    async def connect_accepted_socket(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        sock: socket.socket,
        *,
        ssl: _Tls = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _ProtocolT]:
        """Makes a transport for a connection that was accepted outside of the loop.

        Raises:
            ValueError: `sock` is no stream socket, or a TLS timeout is given without `ssl`.
        """
        if sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")
        check_timeouts(
            "connect_accepted_socket", bool(ssl), ssl_handshake_timeout, ssl_shutdown_timeout
        )
        check_not_ssl_socket(sock)
        transport, protocol = await self._create_connection_transport(
            sock,
            protocol_factory,
            ssl,
            "",
            server_side=True,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        if self.get_debug():
            accepted = transport.get_extra_info("socket")
            logger.debug("%r handled: (%r, %r)", accepted, transport, protocol)
        return transport, protocol

    def _make_client_tls(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        ssl: _Tls,
        server_hostname: str | None,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None,
    ) -> SSLProtocol:
        """What stands between the protocol and a connection that has been made natively."""
        return ssl_protocol_class()(
            self,
            protocol_factory(),
            None if isinstance(ssl, bool) else ssl,
            self.create_future(),
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )

    async def _create_connection_transport(
        self,
        sock: socket.socket,
        protocol_factory: Callable[[], _ProtocolT],
        ssl: _Tls,
        server_hostname: str | None,
        server_side: bool = False,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _ProtocolT]:
        if sock.gettimeout() != 0:
            sock.setblocking(False)
        protocol = protocol_factory()
        waiter: asyncio.Future[None] = self.create_future()
        if ssl:
            transport = self._make_ssl_transport(
                sock,
                protocol,
                None if isinstance(ssl, bool) else ssl,
                waiter,
                server_side=server_side,
                server_hostname=server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
        else:
            transport = self._make_socket_transport(sock, protocol, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def _resolve_stream(
        self, address: Any, family: int, proto: int, flags: int
    ) -> list[AddressInfo]:
        infos = await self._ensure_resolved(
            address, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags, loop=self
        )
        if not infos:
            raise OSError("getaddrinfo() returned empty list")
        return infos

    async def _connect_first(
        self,
        infos: list[AddressInfo],
        local_infos: list[AddressInfo] | None,
        happy_eyeballs_delay: float | None,
        all_errors: bool,
    ) -> socket.socket:
        """The first socket that connects; raises what went wrong with all of them."""
        failures: list[list[OSError]] = []  # One list per attempt, in the order of the attempts.
        sock: socket.socket | None = None
        try:
            if happy_eyeballs_delay is None:
                for info in infos:
                    try:
                        sock = await self._connect_sock(failures, info, local_infos)
                        break
                    except OSError:
                        continue  # Kept in failures.
            else:
                # Neither a partial nor an unpacked result, which would hold the exceptions.
                attempts: Any = [
                    lambda info=info: self._connect_sock(failures, info, local_infos)
                    for info in infos
                ]
                race: Any = staggered.staggered_race
                sock = (await race(attempts, happy_eyeballs_delay, loop=self))[0]
            if sock is None:
                _raise_failures([exc for attempt in failures for exc in attempt], all_errors)
            return sock
        finally:
            # The exceptions hold this frame, and this frame holds them.
            failures = []

    async def _connect_sock(
        self,
        failures: list[list[OSError]],
        info: AddressInfo,
        local_infos: list[AddressInfo] | None = None,
    ) -> socket.socket:
        """Makes, binds and connects one socket; its errors are also left in `failures`."""
        own_failures: list[OSError] = []
        failures.append(own_failures)
        family, type_, proto, _, address = info
        sock: socket.socket | None = None
        try:
            sock = make_socket(family, type_, proto)
            if local_infos is not None:
                _bind_local(sock, family, local_infos, own_failures)
            await self.sock_connect(sock, address)
            return sock
        except OSError as exc:
            own_failures.append(exc)
            if sock is not None:
                sock.close()
            raise
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        finally:
            del own_failures, failures


def _check_server_hostname(ssl: _Tls, server_hostname: str | None, host: str | None) -> None:
    if server_hostname is not None and not ssl:
        raise ValueError("server_hostname is only meaningful with ssl")
    if server_hostname is None and ssl and not host:
        raise ValueError("You must set server_hostname when using ssl without a host")


def _bind_local(
    sock: socket.socket, family: int, local_infos: list[AddressInfo], failures: list[OSError]
) -> None:
    """Binds to the first local address of the right family that can be bound."""
    try:
        for local_family, _, _, _, local_address in local_infos:
            if local_family != family:
                continue
            try:
                sock.bind(local_address)
                return
            except OSError as exc:
                text = _compat.os_error_text(exc, with_errno=_compat.LOCAL_BIND_ERRORS_NAME_ERRNO)
                failures.append(
                    OSError(
                        exc.errno,
                        f"error while attempting to bind on address {local_address!r}: {text}",
                    )
                )
        if failures:
            raise failures.pop()
        raise OSError(f"no matching local address with {family=} found")
    finally:
        del failures  # What is raised holds this frame.


def _raise_failures(failures: list[OSError], all_errors: bool) -> NoReturn:
    try:
        if all_errors and sys.version_info >= (3, 11):
            raise ExceptionGroup("create_connection failed", failures)  # noqa: F821
        if not failures:
            raise TimeoutError("create_connection failed")
        texts = [str(exc) for exc in failures]
        if len(set(texts)) == 1:
            raise failures[0]
        raise OSError("Multiple exceptions: {}".format(", ".join(texts)))
    finally:
        del failures  # What is raised holds this frame.


def interleave_families(infos: Iterable[AddressInfo], first_count: int) -> list[AddressInfo]:
    """`infos` with their families taking turns, after `first_count - 1` of the first family."""
    by_family: dict[int, list[AddressInfo]] = {}
    for info in infos:
        by_family.setdefault(info[0], []).append(info)
    groups = list(by_family.values())
    ahead: list[AddressInfo] = []
    if first_count > 1:
        ahead = groups[0][: first_count - 1]
        del groups[0][: first_count - 1]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*groups))
    return ahead + [info for info in turns if info is not None]
