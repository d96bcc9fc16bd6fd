"""`SimStream`: one end of a simulated connection, with the functions of `blitzio.net.TcpStream`.

A direction of a connection, `Flow`:

    write ──▶ in flight ──(latency, order kept)──▶ arrived ──▶ read
                 │  a partition begins: held ──(it ends, latency)──▶ arrived
                 └─ at most so many bytes are in flight and arrived; then who writes waits

Threads: the simulation's.
"""

from __future__ import annotations

import asyncio
import errno
import os
from abc import ABC, abstractmethod
from operator import index
from typing import TYPE_CHECKING, Any, Literal

from blitzio._net.split import ReadHalf, WriteHalf, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Buffer, Self

    from blitzio._io.world import Host, World
    from blitzio._native import Address

_WINDOW_BYTES = 65_536


class Bell:
    """Wakes all who wait for a change; they look for themselves."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self, *others: Bell) -> None:
        """Until this one rings, or one of the others."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        bells = (self, *others)
        for bell in bells:
            bell._waiters.append(waiter)
        try:
            await waiter
        finally:
            for bell in bells:
                if waiter in bell._waiters:
                    bell._waiters.remove(waiter)

    def ring(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def _checked(n: int) -> int:
    if index(n) < 0:
        raise ValueError(f"n must be at least 0, got {n}")
    return n


def _writable(buffers: Iterable[Buffer]) -> list[memoryview]:
    views = []
    for buffer in buffers:
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise TypeError(f"a writable buffer was expected, got {type(buffer).__name__}")
        views.append(view)
    return views


def _scatter(data: bytes, views: list[memoryview]) -> int:
    at = 0
    for view in views:
        part = data[at : at + len(view)]
        view[: len(part)] = part
        at += len(part)
    return at


def _gathered(buffers: Iterable[Buffer]) -> bytes:
    return b"".join(memoryview(buffer).cast("B") for buffer in buffers)


class Flow:
    """What goes from one end of a connection to the other."""

    def __init__(self, world: World, source: Host, target: Host) -> None:
        self.world = world
        self.source = source
        self.target = target
        self.arrived = bytearray()
        self.has_ended = False  # as the reader sees it
        self.is_finished = False  # by the writer
        self.error = 0
        self.reader_is_gone = False
        self.bell = Bell()
        self._on_the_way = 0
        self._last_arrival = 0
        self._held: list[bytes | None] = []

    @property
    def room(self) -> int:
        return max(_WINDOW_BYTES - self._on_the_way - len(self.arrived), 0)

    def send(self, data: bytes | None) -> None:
        """`data` goes on its way; None: the end."""
        self._on_the_way += len(data or b"")
        if self.world.is_cut(self.source, self.target):
            self._held.append(data)
            return
        # Later than what went before: timers of the same moment have no order.
        self._last_arrival = max(self._last_arrival + 1, self.world.arrival_ns())
        self.world.at(self._last_arrival, lambda: self._arrive(data))

    def release(self) -> None:
        """A partition has ended."""
        held, self._held = self._held, []
        for data in held:
            self._on_the_way -= len(data or b"")
            self.send(data)

    def _arrive(self, data: bytes | None) -> None:
        if self.error:
            return
        if self._held or self.world.is_cut(self.source, self.target):
            self._held.append(data)
            return
        self._on_the_way -= len(data or b"")
        self.world.note("deliver", len(data or b""))
        if data is None:
            self.has_ended = True
        elif self.reader_is_gone:
            # As a machine does when nobody has the socket any more.
            self.fail(errno.ECONNRESET)
        else:
            self.arrived += data
        self.bell.ring()

    def take(self, count: int) -> bytes:
        data = bytes(self.arrived[:count])
        del self.arrived[:count]
        if data:
            self.bell.ring()  # There is room again.
        return data

    def fail(self, code: int) -> None:
        self.error = code
        self.arrived.clear()
        self.bell.ring()


class SimEnd(ABC):
    """What is open until it is closed; how that goes, each kind knows for itself."""

    _is_closed = False

    @abstractmethod
    def close(self) -> None:
        """Closes it; what waits ends with OSError (EBADF). Idempotent."""

    def _check_open(self) -> None:
        if self._is_closed:
            raise os_error(errno.EBADF)

    @property
    def is_closed(self) -> bool:
        """Whether close() was called."""
        return self._is_closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()


class SimStream(SimEnd):
    """One end of a connection; made by `io.net.connect` and `accept`."""

    def __init__(
        self, incoming: Flow, outgoing: Flow, local: Address | None, peer: Address | None
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._local = local
        self._peer = peer
        self._writing = asyncio.Lock()
        #: What was read ahead, by a read that needs more.
        self._ahead = bytearray()
        self._is_split = False

    # ---- reading -----------------------------------------------------------------------------

    async def read(self, n: int = 65536) -> bytes:
        """Reads what is there, at most n bytes, or waits for some; none at the end."""
        while True:
            data = self.try_read(n)
            if data is not None:
                return data
            await self._incoming.bell.wait()

    def try_read(self, n: int = 65536) -> bytes | None:
        """read(), now; None if nothing is there."""
        flow = self._incoming
        self._check_open()
        if _checked(n) == 0:
            return b""
        if not self._ahead and flow.arrived:
            self._ahead += flow.take(flow.world.some_of(len(flow.arrived)))
        if self._ahead:
            return self._take(min(n, len(self._ahead)))
        if flow.error:
            raise os_error(flow.error)
        return b"" if flow.has_ended else None

    async def peek(self, n: int = 65536) -> bytes:
        """read() that leaves the bytes there."""
        data = await self.read(n)
        self._ahead[:0] = data
        return data

    def try_peek(self, n: int = 65536) -> bytes | None:
        """peek(), now; None if nothing is there."""
        data = self.try_read(n)
        self._ahead[:0] = data or b""
        return data

    async def read_into(self, buffer: Buffer, /) -> int:
        """read() into a writable buffer. Gives how many bytes came."""
        return await self.read_vectored([buffer])

    async def read_vectored(self, buffers: Iterable[Buffer], /) -> int:
        """read() into several writable buffers, one after the other. Gives how many bytes came."""
        views = _writable(buffers)
        return _scatter(await self.read(sum(map(len, views))), views)

    def try_read_vectored(self, buffers: Iterable[Buffer], /) -> int | None:
        """read_vectored(), now; None if nothing is there."""
        views = _writable(buffers)
        data = self.try_read(sum(map(len, views)))
        return None if data is None else _scatter(data, views)

    async def readable(self) -> None:
        """Waits until reading would not wait."""
        flow = self._incoming
        while not (self._ahead or flow.arrived or flow.error or flow.has_ended):
            self._check_open()
            await flow.bell.wait()
        self._check_open()

    async def read_exact(self, n: int, /) -> bytes:
        """Reads exactly n bytes. Cancellation: loses no byte."""
        _checked(n)
        if not await self._gather(lambda: len(self._ahead) >= n):
            raise asyncio.IncompleteReadError(self._take(len(self._ahead)), n)
        return self._take(n)

    async def read_until(self, separator: Buffer, limit: int = 65536) -> bytes:
        """Reads up to and with the separator. Cancellation: loses no byte."""
        wanted = bytes(memoryview(separator))
        if not wanted:
            raise ValueError("the separator must have at least one byte")
        ahead = self._ahead
        has_more = await self._gather(lambda: wanted in ahead or len(ahead) > limit)
        at = ahead.find(wanted)
        if at >= 0 and at + len(wanted) <= limit:
            return self._take(at + len(wanted))
        if not has_more and at < 0:
            raise asyncio.IncompleteReadError(self._take(len(ahead)), None)
        raise asyncio.LimitOverrunError(f"no separator in the first {limit} bytes", len(ahead))

    async def read_line(self, limit: int = 65536) -> bytes:
        """Reads a line, with its end; at the end of the stream what is left."""
        try:
            return await self.read_until(b"\n", limit)
        except asyncio.IncompleteReadError as end:
            return end.partial

    async def read_to_end(self, limit: int | None = None) -> bytes:
        """Reads all that is to come. asyncio.LimitOverrunError: it is more than `limit` bytes; they
        stay. Cancellation: loses no byte."""
        ahead = self._ahead
        if await self._gather(lambda: limit is not None and len(ahead) > limit):
            raise asyncio.LimitOverrunError(f"more than {limit} bytes came", len(ahead))
        return self._take(len(ahead))

    def __aiter__(self) -> SimStream:
        return self

    async def __anext__(self) -> bytes:
        if line := await self.read_line():
            return line
        raise StopAsyncIteration

    async def _gather(self, is_enough: Callable[[], bool]) -> bool:
        """Reads ahead until it is enough. Returns False if the stream ended before."""
        flow = self._incoming
        while True:
            self._check_open()
            self._ahead += flow.take(len(flow.arrived))
            if is_enough():
                return True
            if flow.error:
                raise os_error(flow.error)
            if flow.has_ended:
                return False
            await flow.bell.wait()

    def _take(self, count: int) -> bytes:
        data = bytes(self._ahead[:count])
        del self._ahead[:count]
        return data

    # ---- writing -----------------------------------------------------------------------------

    async def write(self, data: Buffer, /) -> int:
        """Writes some of data, waiting for room. Gives how much."""
        async with self._writing:
            return await self._write_some(bytes(memoryview(data)))

    async def write_all(self, data: Buffer, /) -> None:
        """Writes all of data. Several writers take turns."""
        left = bytes(memoryview(data))
        async with self._writing:
            while left:
                left = left[await self._write_some(left) :]

    def try_write(self, data: Buffer, /) -> int:
        """write(), now; 0 if there is no room, or others wait."""
        payload = bytes(memoryview(data))
        return 0 if self._writing.locked() else self._write_now(payload)

    async def write_vectored(self, buffers: Iterable[Buffer], /) -> int:
        """write() from several buffers. Gives how many bytes of them were written."""
        return await self.write(_gathered(buffers))

    def try_write_vectored(self, buffers: Iterable[Buffer], /) -> int:
        """write_vectored(), now; 0 if there is no room, or others wait."""
        return self.try_write(_gathered(buffers))

    async def writable(self) -> None:
        """Waits until writing would not wait."""
        flow = self._outgoing
        while not (flow.room or flow.error or flow.is_finished):
            self._check_open()
            await flow.bell.wait()
        self._check_open()

    async def _write_some(self, data: bytes) -> int:
        while not (count := self._write_now(data)) and data:
            await self._outgoing.bell.wait()
        return count

    def _write_now(self, data: bytes) -> int:
        flow = self._outgoing
        self._check_open()
        if flow.error:
            raise os_error(flow.error)
        if flow.is_finished:
            raise os_error(errno.EPIPE)
        count = min(len(data), flow.room)
        if count > 0:
            count = flow.world.some_of(count)
            flow.send(data[:count])
        return count

    def shutdown(self, how: Literal["read", "write", "both"] = "both") -> None:
        """Ends one way, or both, while the stream stays open."""
        if how not in ("read", "write", "both"):
            raise ValueError(f"how must be 'read', 'write' or 'both', got {how!r}")
        self._check_open()
        if how != "write":
            self._incoming.has_ended = True
            self._incoming.bell.ring()
        if how != "read":
            self._finish()

    async def finish(self) -> None:
        """shutdown("write") to be awaited, as streams have it."""
        self.shutdown("write")

    def split(self) -> tuple[ReadHalf, WriteHalf]:
        """Two halves, for two tasks. The stream is theirs from then on."""
        if self._is_split:
            raise RuntimeError("the stream has been split already")
        self._is_split = True
        alike: Any = self  # to a stream of the machine
        return split(alike)

    def close(self) -> None:
        """Closes it now; what waits on it ends with OSError (EBADF)."""
        if self._is_closed:
            return
        self._is_closed = True
        self._incoming.reader_is_gone = True
        self._finish()
        self._incoming.bell.ring()
        self._outgoing.bell.ring()

    def _finish(self) -> None:
        if not self._outgoing.is_finished:
            self._outgoing.is_finished = True
            self._outgoing.send(None)

    @property
    def local_address(self) -> Any:
        """The Address of this end; None of a Unix socket without one."""
        return self._local

    @property
    def peer_address(self) -> Any:
        """The Address of the other end; None of a Unix socket without one."""
        return self._peer

    def __repr__(self) -> str:
        state = " closed" if self._is_closed else ""
        return f"<SimStream{state} local={self._local} peer={self._peer}>"
