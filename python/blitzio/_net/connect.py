"""Names to addresses, and connecting to the first address that answers."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, overload

from blitzio._native import Address, TcpStream
from blitzio._net.tls import TlsStream, start_tls

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Iterable

#: Seconds between the beginnings of two attempts (RFC 8305 recommends it).
_ATTEMPT_DELAY = 0.25


async def resolve(host: str, port: int, *, family: int = socket.AF_UNSPEC) -> list[Address]:
    """Find the addresses of a host, in the order of preference, each once.

    A numeric host is answered at once, a name by the system's resolver in a thread.

    Args:
        host: a name, or a numeric address; empty for this machine.
        port: what the addresses shall have as their port.
        family: `socket.AF_INET` or `AF_INET6` for those of one kind only.

    Raises:
        socket.gaierror: the host has no such address, or the resolver failed.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, family=family, type=socket.SOCK_STREAM)
    addresses = [
        Address(f"{name[0]}%{name[3]}" if len(name) == 4 and name[3] else str(name[0]), port)
        for *_, name in found
    ]
    return list(dict.fromkeys(addresses))


@overload
async def connect(host: str, port: int, *, ssl: None = None) -> TcpStream: ...
@overload
async def connect(
    host: str, port: int, *, ssl: ssl_module.SSLContext, server_hostname: str | None = None
) -> TlsStream: ...
async def connect(
    host: str,
    port: int,
    *,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
) -> TcpStream | TlsStream:
    """Connect to a host by TCP, or TLS over it.

    The host's addresses are tried in turn, IPv6 and IPv4 alternating, each next one when the one
    before has failed or not answered within a quarter of a second; the first that answers wins
    ("happy eyeballs", RFC 8305).

    Args:
        host: a name, or a numeric address.
        port: the port.
        ssl: with a context, TLS is begun before this returns.
        server_hostname: the name that the server's certificate must have, if it is not `host`.

    Returns:
        A `TcpStream`, or with `ssl` a `TlsStream`.

    Raises:
        OSError: the error of the first attempt, if all of them fail; `socket.gaierror` if there is
            no address; `ssl.SSLError` if the handshake fails.

    Cancellation:
        gives up all attempts.
    """
    if ssl is None and server_hostname is not None:
        raise ValueError("server_hostname is only meaningful with ssl")
    stream = await _connect_first(_interleaved(await resolve(host, port)))
    if ssl is None:
        return stream
    return await start_tls(stream, ssl, server_hostname=server_hostname or host)


def _interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Returns the families in turn, beginning with that of the first address."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    queues = list(families.values())
    longest = max(map(len, queues), default=0)
    return [queue[i] for i in range(longest) for queue in queues if i < len(queue)]


async def _connect_first(addresses: list[Address]) -> TcpStream:
    if len(addresses) == 1:
        return await TcpStream.connect(addresses[0])
    waiting = list(reversed(addresses))
    attempts: set[asyncio.Task[TcpStream]] = set()
    errors: list[BaseException] = []
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.ensure_future(_attempt(waiting.pop())))
            done, attempts = await asyncio.wait(
                attempts,
                timeout=_ATTEMPT_DELAY if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                error = attempt.exception()
                if error is None:
                    # Two may have succeeded at once.
                    for other in done - {attempt}:
                        if other.exception() is None:
                            other.result().close()
                    return attempt.result()
                errors.append(error)
        raise errors[0]
    finally:
        for attempt in attempts:
            attempt.cancel()
        errors.clear()


async def _attempt(address: Address) -> TcpStream:
    return await TcpStream.connect(address)
