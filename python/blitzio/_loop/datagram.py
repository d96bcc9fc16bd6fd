"""Datagram endpoints: UDP, and Unix datagram sockets.

addresses ─▶ resolve, joined by family and protocol ─▶ a socket, bound and connected ─▶ transport
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import sys
import warnings

from blitzio._loop import _compat
from blitzio._loop.names import NamesMixin
from blitzio._loop.sockets import make_socket, set_reuse_port
from blitzio._native import DatagramTransport, numeric_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any, TypeAlias, TypeVar

    _ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)
    # A host and a port, or the path or abstract name of a Unix socket.
    _Address: TypeAlias = tuple[str, int] | str | None
    # ((family, proto), (local address, remote address)), resolved.
    _Candidate: TypeAlias = tuple[tuple[int, int], tuple[Any, Any]]

logger = logging.getLogger("asyncio")

_unset = object()


class DatagramMixin(NamesMixin):
    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        local_addr: _Address = None,
        remote_addr: _Address = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_address: Any = _unset,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: socket.socket | None = None,
    ) -> tuple[asyncio.DatagramTransport, _ProtocolT]:
        """Makes a datagram socket, bound to `local_addr` and connected to `remote_addr`.

        Args:
            local_addr: (host, port), or with family AF_UNIX a path or an abstract name; a stale
                socket at the path is removed.
            remote_addr: where sendto() sends to, and the only peer that is heard, unless
                `allow_broadcast` is set.
            reuse_address: a leftover of Python 3.10 that may only be false; unknown from 3.11 on.
            sock: a bound or connected non-stream socket, instead of all other arguments.

        Raises:
            ValueError, TypeError: arguments that do not fit together.
            socket.gaierror: a name cannot be resolved.
            OSError: no address could be bound and connected.

        Cancellation: the socket is closed.
        """
        if reuse_address is not _unset and sys.version_info >= (3, 11):
            raise TypeError(
                "create_datagram_endpoint() got an unexpected keyword argument 'reuse_address'"
            )
        remote: Any = None
        is_ours = sock is None
        if sock is not None:
            _check_sock(
                sock,
                {
                    "local_addr": local_addr,
                    "remote_addr": remote_addr,
                    "family": family,
                    "proto": proto,
                    "flags": flags,
                    "reuse_port": reuse_port,
                    "allow_broadcast": allow_broadcast,
                },
            )
            sock.setblocking(False)
        else:
            candidates = await self._find_candidates(local_addr, remote_addr, family, proto, flags)
            if reuse_address is not _unset:
                _check_reuse_address(reuse_address)
            sock, remote = await self._make_datagram_socket(
                candidates,
                is_bound=bool(local_addr),
                is_connected=bool(remote_addr),
                reuse_port=bool(reuse_port),
                allow_broadcast=bool(allow_broadcast),
            )

        try:
            protocol = protocol_factory()
            waiter: asyncio.Future[None] = self.create_future()
            transport = self._make_datagram_transport(sock, protocol, remote, waiter)
        except BaseException:
            if is_ours:
                sock.close()
            raise
        if self.get_debug():
            if local_addr:
                logger.info(
                    "Datagram endpoint local_addr=%r remote_addr=%r created: (%r, %r)",
                    local_addr,
                    remote_addr,
                    transport,
                    protocol,
                )
            else:
                logger.debug(
                    "Datagram endpoint remote_addr=%r created: (%r, %r)",
                    remote_addr,
                    transport,
                    protocol,
                )
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.DatagramTransport:
        return DatagramTransport(self, sock, protocol, address, waiter, extra)

    async def _find_candidates(
        self, local_addr: Any, remote_addr: Any, family: int, proto: int, flags: int
    ) -> list[_Candidate]:
        """What may be tried, in order."""
        if not (local_addr or remote_addr):
            if family == 0:
                raise ValueError("unexpected address family")
            return [((family, proto), (None, None))]
        if family == socket.AF_UNIX:
            for address in (local_addr, remote_addr):
                if address is not None and not isinstance(address, str):
                    raise TypeError("string is expected")
            if local_addr and local_addr[0] != "\x00":
                _remove_stale_socket(local_addr)
            return [((family, proto), (local_addr, remote_addr))]

        pairs: dict[tuple[int, int], list[Any]] = {}
        for index, address in enumerate((local_addr, remote_addr)):
            if address is None:
                continue
            if not (isinstance(address, tuple) and len(address) == 2):
                if sys.version_info < (3, 11):
                    raise AssertionError("2-tuple is expected")
                raise TypeError("2-tuple is expected")
            only = numeric_info(*address, family, socket.SOCK_DGRAM, proto)
            infos = (
                [only]
                if only is not None
                else await self._ensure_resolved(
                    address,
                    family=family,
                    type=socket.SOCK_DGRAM,
                    proto=proto,
                    flags=flags,
                    loop=self,
                )
            )
            if not infos:
                raise OSError("getaddrinfo() returned empty list")
            for found_family, _, found_proto, _, resolved in infos:
                pairs.setdefault((found_family, found_proto), [None, None])[index] = resolved
        # A family must offer each address that was asked for.
        candidates: list[_Candidate] = [
            (key, (local, remote))
            for key, (local, remote) in pairs.items()
            if not ((local_addr and local is None) or (remote_addr and remote is None))
        ]
        if not candidates:
            raise ValueError("can not get address information")
        return candidates

    async def _make_datagram_socket(
        self,
        candidates: list[_Candidate],
        *,
        is_bound: bool,
        is_connected: bool,
        reuse_port: bool,
        allow_broadcast: bool,
    ) -> tuple[socket.socket, Any]:
        """The first socket that can be bound and connected, and the address to send to."""
        first_failure: OSError | None = None
        try:
            for (family, proto), (local, remote) in candidates:
                sock: socket.socket | None = None
                try:
                    sock = make_socket(family, socket.SOCK_DGRAM, proto)
                    if reuse_port:
                        set_reuse_port(sock)
                    if allow_broadcast:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    if is_bound:
                        sock.bind(local)
                    # A socket that is connected to a broadcast address hears no answer to it.
                    if is_connected and not allow_broadcast:
                        await self.sock_connect(sock, remote)
                except OSError as exc:
                    if sock is not None:
                        sock.close()
                    if first_failure is None:
                        first_failure = exc
                except BaseException:
                    if sock is not None:
                        sock.close()
                    raise
                else:
                    return sock, remote if is_connected else None
            assert first_failure is not None
            raise first_failure
        finally:
            # The exception holds this frame, and this frame holds it.
            del first_failure


def _check_sock(sock: socket.socket, options: dict[str, Any]) -> None:
    """Refuses stream sockets, and options of a socket that is made already."""
    if _compat.TAKES_ANY_DATAGRAM_SOCKET:
        if sock.type == socket.SOCK_STREAM:
            raise ValueError(f"A datagram socket was expected, got {sock!r}")
    elif sock.type != socket.SOCK_DGRAM:
        raise ValueError(f"A UDP Socket was expected, got {sock!r}")
    problems = ", ".join(f"{name}={value}" for name, value in options.items() if value)
    if problems:
        raise ValueError(
            "socket modifier keyword arguments can not be used when sock is specified. "
            f"({problems})"
        )


def _check_reuse_address(reuse_address: Any) -> None:
    # SO_REUSEADDR would let another process take over a UDP port.
    if reuse_address:
        raise ValueError(
            "Passing `reuse_address=True` is no longer supported, as the usage of SO_REUSEPORT in "
            "UDP poses a significant security concern."
        )
    warnings.warn(
        "The *reuse_address* parameter has been deprecated as of 3.5.10 and is scheduled for "
        "removal in 3.11.",
        DeprecationWarning,
        stacklevel=3,
    )


def _remove_stale_socket(path: str) -> None:
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        # The directory may allow no more than creating a socket in it.
        logger.error("Unable to check or remove stale UNIX socket %r: %r", path, exc)
