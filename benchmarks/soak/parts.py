"""What a soak does besides streams: each part does its thing once, and checks it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import struct
import threading
import zlib
from typing import TYPE_CHECKING, Any

from soak.ledger import Ledger, Wrong

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    Part = Callable[[Ledger, random.Random], Awaitable[None]]

_HEADER = struct.Struct("!II")


async def timers(ledger: Ledger, rng: random.Random) -> None:
    """Timers fire once, not before their time, and never after a cancel."""
    loop = asyncio.get_running_loop()
    due: asyncio.Future[None] = loop.create_future()
    fired: list[int] = []
    count = rng.randint(1, 200)
    last = 0.0
    cancelled = set()
    handles = {}
    for number in range(count):
        when = loop.time() + rng.random() / 10
        last = max(last, when)

        def fire(number: int = number, when: float = when) -> None:
            if loop.time() < when - loop_resolution():
                fired.append(-1)
            fired.append(number)

        handles[number] = loop.call_at(when, fire)
    for number in rng.sample(range(count), count // 3):
        handles[number].cancel()
        cancelled.add(number)
    loop.call_at(last + 0.002, due.set_result, None)
    await due
    if sorted(fired) != sorted(set(range(count)) - cancelled):
        raise Wrong(f"timers: {len(fired)} fired of {count}, {len(cancelled)} of them cancelled")
    ledger.add("timers", fired=len(fired), cancelled=len(cancelled))


def loop_resolution() -> float:
    """How early a loop may be: asyncio allows the clock's resolution, libuv a millisecond."""
    return 0.0011


async def cancellations(ledger: Ledger, rng: random.Random) -> None:
    """A receive that is cancelled takes nothing with it: what comes later is received whole."""
    loop = asyncio.get_running_loop()
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.setblocking(False)
        peer.setblocking(False)
        taken = bytearray()
        sent = rng.randbytes(rng.randint(1, 2000))
        task = asyncio.ensure_future(loop.sock_recv(ours, 4096))
        for _ in range(rng.randint(0, 3)):
            await asyncio.sleep(0)
        # On other loops a receive that is cancelled when its data has come loses it.
        keeps = type(loop).__module__.startswith("blitzio")
        first = rng.randint(0, len(sent)) if keeps else 0
        peer.send(sent[:first]) if first else None
        for _ in range(rng.randint(0, 2)):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            taken += await task
        if first < len(sent):
            peer.send(sent[first:])
        while len(taken) < len(sent):
            taken += await asyncio.wait_for(loop.sock_recv(ours, 4096), 30)
        if taken != sent:
            raise Wrong("cancellations: a cancelled receive changed what came after it")
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(loop.create_future(), rng.random() / 100)
    ledger.add("cancellations", receives=1, bytes=len(sent))


async def jobs(ledger: Ledger, rng: random.Random) -> None:
    """Jobs give their result once; calls from threads arrive in order."""
    loop = asyncio.get_running_loop()
    data = [rng.randbytes(rng.randint(1, 50_000)) for _ in range(rng.randint(1, 8))]
    digests = await asyncio.gather(
        *(loop.run_in_executor(None, hashlib.sha256, block) for block in data)
    )
    if [d.digest() for d in digests] != [hashlib.sha256(block).digest() for block in data]:
        raise Wrong("jobs: a job gave the result of another")
    came: list[int] = []
    done: asyncio.Future[None] = loop.create_future()

    def call() -> None:
        for number in range(100):
            loop.call_soon_threadsafe(came.append, number)
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=call)
    thread.start()
    await done
    thread.join()
    if came != list(range(100)):
        raise Wrong("jobs: calls from a thread were lost or changed places")
    ledger.add("jobs", jobs=len(data), calls=100)


class _Answers(asyncio.DatagramProtocol):
    def __init__(self, answers: bool) -> None:
        self.answers = answers
        self.received: list[bytes] = []
        self.lost = asyncio.get_running_loop().create_future()
        self.grown = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.answers:
            self.transport.sendto(data, addr)
        else:
            self.received.append(data)
            self.grown.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def datagrams(ledger: Ledger, rng: random.Random) -> None:
    """Datagrams come whole, unchanged and once. A full socket buffer may drop some: counted."""
    loop = asyncio.get_running_loop()
    server, answering = await loop.create_datagram_endpoint(
        lambda: _Answers(True), local_addr=("127.0.0.1", 0)
    )
    client, asking = await loop.create_datagram_endpoint(
        lambda: _Answers(False), remote_addr=server.get_extra_info("sockname")
    )
    sent = []
    for number in range(rng.randint(1, 40)):
        body = rng.randbytes(rng.randint(0, 1400))
        sent.append(_HEADER.pack(number, zlib.crc32(body)) + body)
        client.sendto(sent[-1])
        if rng.random() < 0.3:
            await asyncio.sleep(0)
    with contextlib.suppress(asyncio.TimeoutError):
        while len(asking.received) < len(sent):
            asking.grown.clear()
            await asyncio.wait_for(asking.grown.wait(), 2)
    for transport, protocol in ((client, asking), (server, answering)):
        transport.close()
        await protocol.lost
    if len(set(asking.received)) != len(asking.received) or not set(asking.received) <= set(sent):
        raise Wrong("datagrams: one came twice, or one that nobody sent")
    ledger.add("datagrams", packets=len(sent), dropped=len(sent) - len(asking.received))


class _Collect(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def pipes(ledger: Ledger, rng: random.Random) -> None:
    """What goes into a pipe comes out of it."""
    loop = asyncio.get_running_loop()
    read_end, write_end = os.pipe()
    reading, collected = await loop.connect_read_pipe(_Collect, os.fdopen(read_end, "rb", 0))
    writing, _ = await loop.connect_write_pipe(_Collect, os.fdopen(write_end, "wb", 0))
    sent = bytearray()
    for _ in range(rng.randint(1, 10)):
        block = rng.randbytes(rng.randint(1, 100_000))
        writing.write(block)
        sent += block
        if rng.random() < 0.5:
            reading.pause_reading()
            await asyncio.sleep(0)
            reading.resume_reading()
    writing.close()
    await asyncio.wait_for(collected.lost, 60)
    if collected.data != sent:
        raise Wrong(f"pipes: {len(collected.data)} of {len(sent)} bytes came out, or others")
    ledger.add("pipes", pipes=1, bytes=len(sent))


async def processes(ledger: Ledger, rng: random.Random) -> None:
    """A child gives back what it is given; one that is killed says so."""
    pipe = asyncio.subprocess.PIPE
    data = rng.randbytes(rng.randint(1, 200_000))
    child = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
    if rng.random() < 0.2:
        child.kill()
        with contextlib.suppress(ConnectionError):
            await child.communicate(data)
        if await child.wait() != -9:
            raise Wrong(f"processes: a killed child ended with {child.returncode}")
        ledger.add("processes", killed=1)
    else:
        out, _ = await asyncio.wait_for(child.communicate(data), 60)
        if out != data or child.returncode != 0:
            raise Wrong(f"processes: {len(out)} of {len(data)} bytes, exit {child.returncode}")
        ledger.add("processes", ended=1, bytes=len(data))


#: Name, what it does, how many of it at once, and the pause after each, seconds.
PARTS: list[tuple[str, Part, int, float]] = [
    ("timers", timers, 2, 0.0),
    ("cancellations", cancellations, 2, 0.0),
    ("jobs", jobs, 1, 0.02),
    ("datagrams", datagrams, 2, 0.0),
    ("pipes", pipes, 2, 0.01),
    ("processes", processes, 1, 0.1),
]
