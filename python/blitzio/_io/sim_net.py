"""`SimNetwork`: the network of one simulated host, with the names of `io.net`.

Threads: the simulation's.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from blitzio._io.sim_bound import Bound, SimListener, to_address
from blitzio._io.sim_stream import Flow, SimStream, os_error
from blitzio._io.sim_unix import SimUnixNetwork
from blitzio._native import Address
from blitzio._net.connect import checked_port
from blitzio.time import sleep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from blitzio._io.world import Host

_FIRST_PORT = 49_152
#: Seconds between two attempts to connect, and after which it is given up, as Linux does.
_RETRY = 1.0
_GIVE_UP = 120.0


def _to_internet(address: Address | str) -> Address:
    where = to_address(address)
    if where.is_local:
        raise ValueError(f"{address!r} is the address of a Unix socket")
    return where


class SimUdpSocket(Bound):
    """Datagrams; made by `io.net.bind_udp`."""

    def __init__(self, host: Host, address: Address) -> None:
        super().__init__(host, address, host.sockets, address.port)
        self._local = address
        self._arrived: list[tuple[bytes, Address]] = []

    async def recv_from(self) -> tuple[bytes, Address]:
        """Waits for a datagram."""
        while (received := self.try_recv_from()) is None:
            await self._bell.wait()
        return received

    def try_recv_from(self) -> tuple[bytes, Address] | None:
        """recv_from(), now; None if there is none."""
        self._check_open()
        return self._arrived.pop(0) if self._arrived else None

    async def send_to(self, data: Buffer, address: Address | str, /) -> int:
        """Sends a datagram, which may be lost. OSError (EINVAL): to a Unix socket."""
        self._check_open()
        payload, where = bytes(memoryview(data)), to_address(address)
        if where.is_local:
            raise os_error(errno.EINVAL)
        self._host.world.send_datagram(self._host, self._local, payload, where)
        return len(payload)

    def add(self, data: bytes, source: Address) -> None:
        self._arrived.append((data, source))
        self._bell.ring()


class SimNetwork(SimUnixNetwork):
    """`io.net` of a simulated host."""

    async def connect(self, where: Address | str, port: int | None = None, /) -> SimStream:
        """Connects to an address, or to the first of a host's that answers.

        Raises:
            ConnectionRefusedError: nobody listens there.
            TimeoutError: nothing passes, or there is no such host (OSError ETIMEDOUT).
            socket.gaierror: no such name.
            ValueError: it is the address of a Unix socket.
        """
        if port is None:
            return await self._connect(_to_internet(where))
        failure: OSError | None = None
        for address in await self.resolve(str(where), port):
            try:
                return await self._connect(address)
            except OSError as error:
                failure = failure or error
        raise failure or os_error(errno.EHOSTUNREACH)

    def listen(
        self, address: Address | str, /, *, backlog: int = 1024, **options: object
    ) -> SimListener:
        """Listens at an address of this host; port 0 takes a free one.

        Raises:
            OSError: EADDRINUSE, EADDRNOTAVAIL.
            ValueError: it is the address of a Unix socket.
        """
        where = self._own(address, self._host.listeners)
        taken = self._host.listeners
        listener = taken[where.port] = SimListener(self._host, where, taken, where.port, backlog)
        return listener

    def bind_udp(self, address: Address | str, /, **options: object) -> SimUdpSocket:
        """A socket for datagrams. Raises as listen()."""
        where = self._own(address, self._host.sockets)
        udp = SimUdpSocket(self._host, where)
        self._host.sockets[where.port] = udp
        return udp

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The addresses that the world has for a name, or of a number.

        Raises:
            socket.gaierror: it has none.
            TypeError, ValueError: `host` or `port` can be none.
        """
        port = checked_port(host, port)
        await sleep(0)
        if not host:  # This machine, as of the real one.
            return [self._host.address.with_port(port)]
        try:
            return [Address(host, port)]
        except ValueError:
            pass
        names = self._host.world.names
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [address.with_port(port) for address in names[host]]

    def _own(self, address: Address | str, taken: Mapping[int, object]) -> Address:
        where = _to_internet(address)
        if not where.is_unspecified and where.host != self._host.address.host:
            raise os_error(errno.EADDRNOTAVAIL)
        port = where.port
        if port == 0:
            port = next(p for p in range(_FIRST_PORT, 65536) if p not in taken)
        elif port in taken:
            raise os_error(errno.EADDRINUSE)
        return self._host.address.with_port(port)

    async def _connect(self, address: Address) -> SimStream:
        world, source = self._host.world, self._host
        began = world.now()
        await world.transit()
        while (target := world.find_host(address)) is None or world.is_cut(source, target):
            if (world.now() - began).as_secs_f64() >= _GIVE_UP:
                raise os_error(errno.ETIMEDOUT)
            await sleep(_RETRY)
        listener = target.listeners.get(address.port)
        if listener is None:
            await world.transit()
            raise os_error(errno.ECONNREFUSED)
        there, back = Flow(world, source, target), Flow(world, target, source)
        world.connections.append((there, back))
        local = source.address.with_port(source.take_port())
        listener.add(SimStream(there, back, address, local))
        ours = SimStream(back, there, local, address)
        try:
            await world.transit()
        except BaseException:
            ours.close()
            raise
        return ours
