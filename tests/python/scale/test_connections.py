"""Ten thousand connections open at once; a hundred thousand one after the other."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.python.loop.support import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN_AT_ONCE = 10_000
ROUNDS = 3
CLIENTS = Path(__file__).parent / "clients.py"

OPENED_AND_CLOSED = 100_000
AT_A_TIME = 100
# Several addresses to connect to: closed connections keep their pair of ports for a minute.
ADDRESSES = [f"127.0.0.{number}" for number in range(1, 17)]
# Two transports each: a leak of a hundred bytes per transport would be 20 MB.
MEMORY_MAX = 12 << 20


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Raises this process's limit of open files as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < OPEN_AT_ONCE + 200:
        pytest.skip(f"this machine allows only {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Echo(asyncio.Protocol):
    open_now = 0
    most_open = 0
    lost_with: Counter[str] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        Echo.open_now += 1
        Echo.most_open = max(Echo.most_open, Echo.open_now)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        Echo.open_now -= 1
        Echo.lost_with[repr(exc)] += 1


@pytest.fixture(autouse=True)
def echo_counts() -> None:
    Echo.open_now = Echo.most_open = 0
    Echo.lost_with = Counter()


def test_ten_thousand_connections_echo_at_once(
    loop: asyncio.AbstractEventLoop, many_descriptors: None
) -> None:
    async def main() -> None:
        server = await loop.create_server(Echo, HOST, 0, backlog=4096)
        port = server.sockets[0].getsockname()[1]
        clients = subprocess.Popen(
            [sys.executable, CLIENTS, *map(str, (port, OPEN_AT_ONCE, ROUNDS))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output, _ = await loop.run_in_executor(None, clients.communicate)
        assert clients.returncode == 0, output
        assert Echo.most_open == OPEN_AT_ONCE
        # The last ends of connections may still be on their way through the loop.
        while Echo.open_now:
            await asyncio.sleep(0)
        assert Echo.lost_with == {"None": OPEN_AT_ONCE}
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


class Visitor(asyncio.Protocol):
    """Says one thing, and leaves when it hears it again."""

    def __init__(self, gone: asyncio.Future[None]) -> None:
        self.gone = gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"hello")

    def data_received(self, data: bytes) -> None:
        assert data == b"hello"
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        assert exc is None
        self.gone.set_result(None)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def objects_by_type() -> Counter[str]:
    gc.collect()
    return Counter(f"{type(thing).__module__}.{type(thing).__name__}" for thing in gc.get_objects())


async def visit(addresses: list[tuple[str, int]], count: int) -> None:
    """Opens and closes `count` connections, some at a time."""
    loop = asyncio.get_running_loop()

    async def visitor(start: int) -> None:
        for number in range(start, count, AT_A_TIME):
            gone: asyncio.Future[None] = loop.create_future()
            host, port = addresses[number // AT_A_TIME % len(addresses)]
            await loop.create_connection(functools.partial(Visitor, gone), host, port)
            await gone

    await asyncio.gather(*(visitor(start) for start in range(AT_A_TIME)))
    while Echo.open_now:
        await asyncio.sleep(0)


def test_a_hundred_thousand_connections_leave_nothing(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        server = await loop.create_server(Echo, ADDRESSES, 0, backlog=1024)
        addresses = [sock.getsockname() for sock in server.sockets]
        await visit(addresses, OPENED_AND_CLOSED // 20)

        descriptors = set(os.listdir("/proc/self/fd"))
        memory = resident_bytes()
        # In two halves: what connections leave behind grows in both, a cache of the interpreter
        # that fills up (as those of abstract base classes do) in one.
        counts = [objects_by_type()]
        for _ in range(2):
            await visit(addresses, OPENED_AND_CLOSED // 2)
            counts.append(objects_by_type())
        new_objects = (counts[1] - counts[0]) & (counts[2] - counts[1])
        grown = resident_bytes() - memory

        assert set(os.listdir("/proc/self/fd")) == descriptors
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert {name: n for name, n in new_objects.items() if n > AT_A_TIME // 2} == {}
        assert grown < MEMORY_MAX
        assert Echo.lost_with == {"None": OPENED_AND_CLOSED + OPENED_AND_CLOSED // 20}
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
