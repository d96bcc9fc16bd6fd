"""How much two workers do in the time of one: echoes on each worker's loop, and computing.

    python benchmarks/parallel.py [--rounds N] [--json FILE]

Each worker runs a client and a server of its own over a socket pair; the figure is what two workers
get done together over what one does alone, for blitzio's runtime and for asyncio's own loop in
threads. Arms alternate; the figures are medians. Meaningful on a CPython without the GIL; with it
the second worker can only take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import blitzio

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUND_TRIPS = 20_000
_MESSAGE = bytes(1024)
_ITEMS = 64


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Client(Echo):
    """Sends a message as soon as the last one is back, so many times."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done
        self.left = _ROUND_TRIPS
        self.missing = len(_MESSAGE)

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing:
            return
        self.missing = len(_MESSAGE)
        self.left -= 1
        if self.left:
            self.transport.write(_MESSAGE)
        else:
            self.done.set_result(None)


async def echo_pair() -> None:
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    done: asyncio.Future[None] = loop.create_future()
    server, _ = await loop.create_connection(Echo, sock=there)
    client, _ = await loop.create_connection(lambda: Client(done), sock=here)
    client.write(_MESSAGE)
    await done
    client.close()
    server.close()
    await asyncio.sleep(0)


def on_runtime(workers: int) -> float:
    with blitzio.Runtime(workers=workers, strategy="thread_per_core", affinity="none") as runtime:
        start = time.perf_counter()
        # Spawned from outside they go to the workers in turn.
        handles = [runtime.spawn(echo_pair) for _ in range(workers)]
        for handle in handles:
            handle.blocking_join()
        return time.perf_counter() - start


def on_asyncio(threads: int) -> float:
    def run() -> None:
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(echo_pair())
        loop.close()

    running = [threading.Thread(target=run) for _ in range(threads)]
    start = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return time.perf_counter() - start


def calculate(number: int) -> int:
    for i in range(20_000):
        number = (number * 31 + i) % 1_000_003
    return number


def compute_alone(_: int) -> float:
    start = time.perf_counter()
    for number in range(_ITEMS):
        calculate(number)
    return time.perf_counter() - start


def compute_parallel(_: int) -> float:
    start = time.perf_counter()
    blitzio.parallel_map(range(_ITEMS), calculate).blocking_join()
    return time.perf_counter() - start


def ratios(rounds: int) -> dict[str, float]:
    """For each question: work done in the same time, two over one."""
    questions: dict[str, tuple[Callable[[int], float], Callable[[int], float], int]] = {
        "echo, blitzio.Runtime": (on_runtime, on_runtime, 2),
        "echo, asyncio in threads": (on_asyncio, on_asyncio, 2),
        "parallel_map": (compute_alone, compute_parallel, 1),
    }
    found = {}
    for name, (one, two, factor) in questions.items():
        one(1), two(2)
        pairs = [(one(1), two(2)) for _ in range(rounds)]
        found[name] = factor * statistics.median(alone / both for alone, both in pairs)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    found = ratios(options.rounds)
    print(f"CPython {sys.version.split()[0]}, {'with' if gil else 'without'} the GIL")
    for name, ratio in found.items():
        print(f"{name:28} {ratio:5.2f} times the work of one in the same time")
    if options.json is not None:
        options.json.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
