"""The `Server` that `create_server` gives: listening sockets and the connections they brought.

    serving ◀──start_serving── created ──close──▶ closed ──last connection lost──▶ waiters woken
       └───────────────────────────────close─────────▲

Connections are accepted natively (`Listener`: accept, protocol factory, transport). With TLS the
factory is `ListenMixin._accept_tls`.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from asyncio import trsock

from blitzio._loop import _compat
from blitzio._loop.tls import ssl_protocol_class
from blitzio._native import Listener, ServerBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl as ssl_module
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from blitzio._loop.listen import ListenMixin

    ProtocolFactory: TypeAlias = Callable[[], asyncio.BaseProtocol]


class Server(ServerBase, asyncio.AbstractServer):
    """Listening sockets and the connections they brought. Made by `create_server`."""

    # Transports of ours say which they are when they come and go, on every version.
    _tracks_clients = True

    def __init__(
        self,
        loop: ListenMixin,
        sockets: list[socket.socket],
        protocol_factory: ProtocolFactory,
        ssl_context: ssl_module.SSLContext | None,
        backlog: int,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None = None,
        on_close: Callable[[], object] | None = None,
    ) -> None:
        self._loop = loop
        self._sockets: list[socket.socket] | None = sockets  # None once closed.
        self._waiters: list[asyncio.Future[None]] | None = []  # None once closed and drained.
        self._protocol_factory = protocol_factory
        self._ssl_context = ssl_context
        self._backlog = backlog
        self._ssl_handshake_timeout = ssl_handshake_timeout
        self._ssl_shutdown_timeout = ssl_shutdown_timeout
        if ssl_context is not None:
            # Now: when its first client comes, the process may not be allowed to read files.
            ssl_protocol_class()
        self._on_close = on_close  # Called once the sockets are closed.
        self._listeners: list[Listener] = []
        # Those that are not counted natively, see ServerBase. Weak: an abandoned transport must
        # still be able to warn about itself. Their count is kept apart, since a transport that dies
        # detaches itself when the set has already lost it.
        self._clients: weakref.WeakSet[Any] = weakref.WeakSet()
        self._serving = False
        self._serving_forever_fut: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} sockets={self.sockets!r}>"

    @property
    def sockets(self) -> tuple[trsock.TransportSocket, ...]:
        """The listening sockets; none once the server is closed."""
        if self._sockets is None:
            return ()
        return tuple(trsock.TransportSocket(sock) for sock in self._sockets)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop  # type: ignore[return-value]

    def is_serving(self) -> bool:
        return self._serving

    def close(self) -> None:
        """Stops listening. Connections stay open; see close_clients() and abort_clients()."""
        sockets = self._sockets
        if sockets is None:
            return
        self._sockets = None
        self._is_closed = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for sock in sockets:
            sock.close()
        if self._on_close is not None:
            self._on_close()
        self._serving = False
        if self._serving_forever_fut is not None and not self._serving_forever_fut.done():
            self._serving_forever_fut.cancel()
            self._serving_forever_fut = None
        if self._active_count == 0:
            self._wakeup()

    def close_clients(self) -> None:
        """Closes every connection, after what is buffered has been sent."""
        for transport in self._all_clients():
            transport.close()

    def abort_clients(self) -> None:
        """Closes every connection at once."""
        for transport in self._all_clients():
            transport.abort()

    def _all_clients(self) -> list[Any]:
        return [*self._clients, *self._counted_clients(self._loop)]

    async def start_serving(self) -> None:
        """Begins to accept connections; does nothing if it already does."""
        self._start_serving()
        await asyncio.sleep(0)  # When it returns, the listeners stand.

    async def serve_forever(self) -> None:
        """Accepts connections until cancelled.

        Raises:
            RuntimeError: the server is closed, or another task serves forever.

        Cancellation: closes the server and waits for it.
        """
        if self._serving_forever_fut is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        self._start_serving()
        self._serving_forever_fut = self._loop.create_future()
        try:
            await self._serving_forever_fut
        except asyncio.CancelledError:
            try:
                self.close()
                await self.wait_closed()
            finally:
                raise
        finally:
            self._serving_forever_fut = None

    async def wait_closed(self) -> None:
        """Waits until the server is closed and its connections are gone (3.12 and newer).

        Up to 3.11 asyncio returns at once when the server is closed; so does this.
        """
        if self._sockets is not None or _compat.WAIT_CLOSED_WAITS:
            await self._wait_for_clients()

    async def _wait_for_clients(self) -> None:
        """Waits until the server is closed and its connections are gone, on every version."""
        if self._waiters is None:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()
        await self.wait_closed()

    # ---- for one address on several loops: see blitzio._balance ----

    def _divert(self, function: Callable[[], Callable[[socket.socket], object] | None]) -> None:
        """Has the listeners ask `function` who takes a connection; see `Listener.divert`."""
        for listener in self._listeners:
            listener.divert(function)

    def _adopt(self, sock: socket.socket) -> None:
        """Takes a connection that the server of another loop accepted. Closed: closes it."""
        if self._listeners:
            self._listeners[0].adopt(sock)
        else:
            sock.close()

    # ---- called by transports that are not counted natively: without an argument by asyncio's own
    # up to 3.12 ----

    def _attach(self, transport: Any = None) -> None:
        assert self._sockets is not None
        self._active_count += 1
        if transport is not None:
            self._clients.add(transport)

    def _detach(self, transport: Any = None) -> None:
        assert self._active_count > 0
        self._active_count -= 1
        if transport is not None:
            self._clients.discard(transport)
        if self._active_count == 0 and self._sockets is None:
            self._wakeup()

    def _wakeup(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _start_serving(self) -> None:
        if self._serving or self._sockets is None:
            return
        self._serving = True
        factory = self._protocol_factory
        if self._ssl_context is not None:
            factory = functools.partial(self._loop._accept_tls, self)
        for sock in self._sockets:
            sock.listen(self._backlog)
            listener = Listener(self._loop, sock, factory, self, self._backlog)
            self._listeners.append(listener)
            listener.start()
