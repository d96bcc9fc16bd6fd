"""Unix sockets of a simulated host: the part of `SimNetwork` that is of them. Connections are those
of TCP with both ends on one host; datagrams arrive at once, and none gets lost.

A socket is known by its abstract name, or by the node of its path, which outlives renaming and is
not that of a later one. The path stays when the socket is closed, as on a machine.

Threads: the simulation's.
"""

from __future__ import annotations

import errno
import socket
from operator import index
from typing import TYPE_CHECKING

from blitzio._io.sim_bound import Bound, SimListener, to_address
from blitzio._io.sim_stream import Flow, SimStream, os_error
from blitzio.time import sleep

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from typing_extensions import Buffer

    from blitzio._io.sim_tree import Node
    from blitzio._io.world import Host
    from blitzio._native import Address

    #: By what a Unix socket is known.
    _Key: TypeAlias = "Node | str"

_QUEUE_MAX = 256  # datagrams
_DATAGRAM_MAX = 200 * 1024  # bytes


def _to_local(address: Address | str) -> Address:
    where = to_address(address)
    if where.family != socket.AF_UNIX:
        raise ValueError(f"{address!r} is not the address of a Unix socket")
    return where


def _find(host: Host, where: Address) -> _Key:
    """Raises OSError if nothing is there, or no socket."""
    if where.host.startswith("\0"):
        return where.host
    node = host._fs.tree.find(where.host).existing
    if node.type != "socket":
        raise os_error(errno.ECONNREFUSED)
    return node


def _claim(host: Host, where: Address, taken: Mapping[_Key, object]) -> _Key:
    """Of a new socket. Raises OSError (EADDRINUSE) if somebody has it."""
    if not where.host.startswith("\0"):
        return host._fs.tree.make_socket(where.host)
    if where.host in taken:
        raise os_error(errno.EADDRINUSE)
    return where.host


class SimUnixDatagram(Bound):
    """Datagrams between processes of a host; made by `io.net.bind_unix`."""

    def __init__(self, host: Host, address: Address | None, key: _Key | None) -> None:
        super().__init__(host, address, host.unix_datagrams, key)
        self._arrived: list[tuple[bytes, Address | None]] = []

    async def recv_from(self) -> tuple[bytes, Address | None]:
        """Waits for a datagram. Gives it and its sender, None if that has no address."""
        while (received := self.try_recv_from()) is None:
            await self._bell.wait()
        return received

    def try_recv_from(self) -> tuple[bytes, Address | None] | None:
        """recv_from(), now; None if there is none."""
        self._check_open()
        if not self._arrived:
            return None
        received = self._arrived.pop(0)
        self._bell.ring()  # There is room again.
        return received

    async def send_to(self, data: Buffer, address: Address | str, /) -> int:
        """Sends a datagram, waiting for room at the receiver.

        Raises:
            OSError: FileNotFoundError, ConnectionRefusedError: nobody is there; EPROTOTYPE: a
                listener is; EMSGSIZE: it is too long; EBADF: it was closed meanwhile.
        """
        where, payload = _to_local(address), bytes(memoryview(data))
        if len(payload) > _DATAGRAM_MAX:
            raise os_error(errno.EMSGSIZE)
        while True:
            self._check_open()
            key = _find(self._host, where)
            target = self._host.unix_datagrams.get(key)
            if target is None:
                is_stream = key in self._host.unix_listeners
                raise os_error(errno.EPROTOTYPE if is_stream else errno.ECONNREFUSED)
            if len(target._arrived) < _QUEUE_MAX:
                break
            await target._bell.wait(self._bell)
        self._host.world.note("deliver", len(payload))
        target._arrived.append((payload, self._address))
        target._bell.ring()
        return len(payload)


class SimUnixNetwork:
    """What `io.net` of a simulated host has of Unix sockets."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def connect_unix(self, address: Address | str, /) -> SimStream:
        """Connects to a path or abstract name.

        Raises:
            OSError: FileNotFoundError, ConnectionRefusedError: nobody listens there; EAGAIN: too
                many wait to be accepted; EPROTOTYPE: datagrams are received there.
            ValueError: it is another address.
        """
        where = _to_local(address)
        await sleep(0)
        host = self._host
        key = _find(host, where)
        listener = host.unix_listeners.get(key)
        if listener is None:
            is_datagram = key in host.unix_datagrams
            raise os_error(errno.EPROTOTYPE if is_datagram else errno.ECONNREFUSED)
        if listener.is_full:
            raise os_error(errno.EAGAIN)
        there, back = Flow(host.world, host, host), Flow(host.world, host, host)
        host.world.connections.append((there, back))
        listener.add(SimStream(there, back, where, None))
        return SimStream(back, there, None, where)

    def listen_unix(self, address: Address | str, /, *, backlog: int = 1024) -> SimListener:
        """Listens at a path or abstract name. The path stays when the listener is closed.

        Raises:
            OSError: EADDRINUSE if the path exists; FileNotFoundError, NotADirectoryError.
            ValueError: it is another address.
        """
        where, taken, length = _to_local(address), self._host.unix_listeners, index(backlog)
        key = _claim(self._host, where, taken)
        listener = taken[key] = SimListener(self._host, where, taken, key, length)
        return listener

    def bind_unix(self, address: Address | str | None = None, /) -> SimUnixDatagram:
        """A socket for datagrams; without an address nobody can answer. Raises as listen_unix()."""
        if address is None:
            return SimUnixDatagram(self._host, None, None)
        where, taken = _to_local(address), self._host.unix_datagrams
        key = _claim(self._host, where, taken)
        datagrams = taken[key] = SimUnixDatagram(self._host, where, key)
        return datagrams
