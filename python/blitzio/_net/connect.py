"""Names to addresses, and connecting to the first address that answers."""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from operator import index
from typing import TYPE_CHECKING, Any, overload

from blitzio._native import Address, TcpStream, _wait_blocking, spawn_blocking
from blitzio._net.tls import TlsStream, address_of, start_tls
from blitzio._runtime.blocking import check_may_block, deadline_of, time_left
from blitzio._runtime.in_thread import run_within

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blitzio._duration import Seconds

#: Seconds between the beginnings of two attempts (RFC 8305 recommends it).
_ATTEMPT_DELAY = 0.25


async def resolve(host: str, port: int, *, family: int = socket.AF_UNSPEC) -> list[Address]:
    """Find the addresses of a host, in the order of preference, each once.

    A numeric host is answered at once, a name by the system's resolver in a thread.

    >>> import asyncio
    >>> [str(address) for address in asyncio.run(resolve("127.0.0.1", 80))]
    ['127.0.0.1:80']

    Args:
        host: a name, or a numeric address; empty for this machine.
        port: what the addresses shall have as their port.
        family: `socket.AF_INET` or `AF_INET6` for those of one kind only.

    Raises:
        socket.gaierror: the host has no such address, or the resolver failed.
        TypeError, ValueError: `host` or `port` can be none.
    """
    loop = asyncio.get_running_loop()
    port = checked_port(host, port)
    found = await loop.getaddrinfo(host or None, port, family=family, type=socket.SOCK_STREAM)
    return _addresses(found, port)


def blocking_resolve(
    host: str, port: int, *, family: int = socket.AF_UNSPEC, timeout: Seconds | None = None
) -> list[Address]:
    """`resolve` for threads.

    >>> blocking_resolve("127.0.0.1", 80)
    [Address.parse('127.0.0.1:80')]

    Args:
        host, port, family: as of `resolve`.
        timeout: seconds to wait, None for ever. The resolver's thread goes on for as long as it
            likes.

    Raises:
        TimeoutError: after `timeout`.
        ValueError: `timeout` is negative.
        socket.gaierror, TypeError, ValueError: as `resolve`.
        RuntimeError: an event loop runs in this thread.
    """
    check_may_block("blocking_resolve", "resolve()")
    return _resolve_for("blocking_resolve", host, port, family, timeout)


def _resolve_for(
    call: str, host: str, port: int, family: int, timeout: Seconds | None
) -> list[Address]:
    deadline_of(timeout)  # A wrong one is told before anything is begun.
    port = checked_port(host, port)
    answer = spawn_blocking(
        socket.getaddrinfo, host or None, port, family, socket.SOCK_STREAM, name="resolve"
    )
    return _addresses(_wait_blocking(answer.join(), call, timeout), port)


def checked_port(host: object, port: int) -> int:
    """The port. Refuses what getaddrinfo() takes for something else: a number for another port, a
    host for what stands in front of its NUL."""
    port = index(port)
    if not 0 <= port <= 65_535:
        raise ValueError(f"port must be from 0 to 65535, got {port}")
    if isinstance(host, (str, bytes)):  # Bytes are what the socket module takes, too.
        if (b"\0" if isinstance(host, bytes) else "\0") in host:  # type: ignore[operator]
            raise ValueError("host: embedded null character")
    elif host is not None:  # None is this machine, as the empty host is.
        raise TypeError(f"host must be a str, not {type(host).__name__}")
    return port


def _addresses(found: Sequence[tuple[Any, ...]], port: int) -> list[Address]:
    """Returns what getaddrinfo() found, each once."""
    return list(dict.fromkeys(address_of((name[0], port, *name[2:])) for *_, name in found))


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

    >>> import asyncio
    >>> from blitzio import net
    >>> async def main():
    ...     async with net.TcpListener.bind("127.0.0.1:0") as listener:
    ...         async with await net.connect("127.0.0.1", listener.local_address.port) as stream:
    ...             return stream.peer_address == listener.local_address
    >>> asyncio.run(main())
    True

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
        TypeError: `ssl` is no SSLContext; or as `resolve`.
        ValueError: `host` or `port` can be none; a `server_hostname` without `ssl`, or `ssl`
            without a name.

    Cancellation:
        gives up all attempts.
    """
    name = server_hostname or host
    if ssl is None:
        if server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
    elif not isinstance(ssl, ssl_module.SSLContext):
        raise TypeError("ssl argument must be an SSLContext or None")
    elif not name:
        raise ValueError("You must set server_hostname when using ssl without a host")
    stream = await _connect_first(_interleaved(await resolve(host, port)))
    if ssl is None:
        return stream
    return await start_tls(stream, ssl, server_hostname=name)


def blocking_connect(host: str, port: int, *, timeout: Seconds | None = None) -> TcpStream:
    """`connect` for threads; without TLS, which belongs to a loop (threads have `ssl`'s own).

    >>> from blitzio import net
    >>> listener = net.TcpListener.bind("127.0.0.1:0")
    >>> stream = blocking_connect("127.0.0.1", listener.local_address.port, timeout=10)
    >>> stream.peer_address == listener.local_address
    True

    Args:
        host: a name, or a numeric address.
        port: the port.
        timeout: seconds for all of it, None for ever.

    Raises:
        TimeoutError: after `timeout`.
        ValueError: `timeout` is negative.
        OSError, TypeError, ValueError: as `connect`.
        RuntimeError: an event loop runs in this thread.
    """
    check_may_block("blocking_connect", "connect()")
    deadline = deadline_of(timeout)
    addresses = _resolve_for("blocking_connect", host, port, socket.AF_UNSPEC, timeout)
    if len(addresses) == 1:
        left = None if deadline is None else time_left(deadline)
        return _wait_blocking(TcpStream.connect(addresses[0]), "blocking_connect", left, timeout)
    # Attempts that overlap: on a loop of their own, which the stream does not need afterwards.
    return run_within(
        "blocking_connect", timeout, deadline, lambda: _connect_first(_interleaved(addresses))
    )


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
            stream = _take_one(done, errors)
            if stream is not None:
                return stream
        raise errors[0]
    finally:
        # Not waited for: whoever cancels meanwhile would lose the stream that is to be returned.
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close_all_the_same)
        errors.clear()


def _take_one(done: set[asyncio.Task[TcpStream]], errors: list[BaseException]) -> TcpStream | None:
    """The stream of an attempt that succeeded, if one has. Empties `done`: what was raised goes
    into `errors` and is held by nothing else, or its own traceback would keep it."""
    stream: TcpStream | None = None
    while done:
        attempt = done.pop()
        error = attempt.exception()
        if error is not None:
            errors.append(error)
        elif stream is None:
            stream = attempt.result()
        else:
            attempt.result().close()  # Two have succeeded at once.
    return stream


def _close_all_the_same(attempt: asyncio.Task[TcpStream]) -> None:
    """Closes what an attempt brought that was given up."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _attempt(address: Address) -> TcpStream:
    return await TcpStream.connect(address)
