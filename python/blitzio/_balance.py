"""`Balance`: spreads the connections of one address over the loops that serve it.

Each loop has a listening socket of its own, and which of them gets a connection the kernel decides
by a hash of the ports: of many each gets its share, of eight one often gets five or six. So a loop
that accepts a connection while it has more of them than another passes it on to the one with the
fewest. Connections that come and go stay where they are: passing one on costs almost as much as
accepting it (docs/design/parallel-workers.md).

Threads: `join` that of the loop, one call at a time; the rest is internal.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from blitzio._loop import Loop
    from blitzio._loop.server import Server

#: One in so many connections more than another has is no reason to move any.
_SLACK = 16


class Balance:
    """The servers that share an address."""

    def __init__(self) -> None:
        self._members: tuple[_Member, ...] = ()

    def join(self, loop: Loop, server: Server) -> None:
        """From now on connections to `server`, which listens on `loop`, may go to others, and
        theirs to it."""
        member = _Member(loop, server)
        self._members = (*self._members, member)

        def choose() -> Callable[[socket.socket], None] | None:
            fewest = min(self._members, key=_Member.count)
            count = fewest.count()
            return None if member.count() <= count + count // _SLACK else fewest.receive

        server._divert(choose)


class _Member:
    def __init__(self, loop: Loop, server: Server) -> None:
        self._loop = loop
        self._server = server
        self._lock = threading.Lock()
        self._arriving = 0  # on their way from other loops

    def count(self) -> int:
        """Connections, near enough: read from any thread. A server that ended takes no more."""
        if not self._server.is_serving():
            return sys.maxsize
        return self._server._active_count + self._arriving

    def receive(self, sock: socket.socket) -> None:
        """Takes over `sock`. Any thread."""
        with self._lock:
            self._arriving += 1
        try:
            self._loop.call_soon_threadsafe(self._arrive, sock)
        except RuntimeError:  # The loop is closed.
            sock.close()

    def _arrive(self, sock: socket.socket) -> None:
        with self._lock:
            self._arriving -= 1
        self._server._adopt(sock)
