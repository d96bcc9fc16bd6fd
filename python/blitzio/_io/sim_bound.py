"""What holds an address of a simulated host until it is closed: `Bound`, and `SimListener`.

Threads: the simulation's.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from blitzio._io.sim_stream import Bell, SimEnd
from blitzio._native import Address

if TYPE_CHECKING:
    from blitzio._io.sim_stream import SimStream
    from blitzio._io.world import Host

#: What the system makes of a larger backlog, and of a negative one.
_BACKLOG_MAX = 4096


def to_address(where: Address | str) -> Address:
    return where if isinstance(where, Address) else Address.parse(where)


class Bound(SimEnd):
    """`registry` is where the host finds it, by `key`, while it is open."""

    def __init__(
        self, host: Host, address: Address | None, registry: dict[Any, Any], key: object
    ) -> None:
        self._host = host
        self._address = address
        self._registry = registry
        self._key = key
        self._bell = Bell()

    def close(self) -> None:
        """Gives the address up; what waits ends with OSError (EBADF). Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self._registry.pop(self._key, None)
            self._bell.ring()

    @property
    def local_address(self) -> Any:
        """The Address; None of a Unix socket without one."""
        return self._address

    def __repr__(self) -> str:
        state = " closed" if self._is_closed else ""
        return f"<{type(self).__name__}{state} local={self._address}>"


class SimListener(Bound):
    """Accepts connections; made by `io.net.listen` and `listen_unix`."""

    def __init__(
        self, host: Host, address: Address, registry: dict[Any, Any], key: object, backlog: int
    ) -> None:
        super().__init__(host, address, registry, key)
        self._backlog = backlog if 0 <= backlog < _BACKLOG_MAX else _BACKLOG_MAX
        self._waiting: list[SimStream] = []

    async def accept(self) -> tuple[SimStream, Any]:
        """Waits for a connection. Gives (stream, peer); of a Unix socket the peer is None."""
        while (accepted := self.try_accept()) is None:
            await self._bell.wait()
        return accepted

    def try_accept(self) -> tuple[SimStream, Any] | None:
        """accept(), now; None if there is none."""
        self._check_open()
        if not self._waiting:
            return None
        stream = self._waiting.pop(0)
        return stream, stream.peer_address

    def __aiter__(self) -> SimListener:
        return self

    async def __anext__(self) -> SimStream:
        return (await self.accept())[0]

    def close(self) -> None:
        """Ends listening; connections that were not accepted are reset."""
        super().close()
        for stream in self._waiting:
            stream._outgoing.fail(errno.ECONNRESET)
            stream._incoming.fail(errno.ECONNRESET)
        self._waiting.clear()

    @property
    def is_full(self) -> bool:
        """Whether as many wait to be accepted as may; one always may."""
        return len(self._waiting) > self._backlog

    def add(self, stream: SimStream) -> None:
        self._waiting.append(stream)
        self._bell.ring()
