"""How much two workers do in the time of one: echoes, a served address, computing.

    ./dev.py bench parallel [--rounds N] [--json FILE]

A figure is the work that two get done over what one does in the same time: 2 is all that two
processors can give. Each worker runs the clients of its own servers, so that nothing else needs a
processor while it is measured. Arms alternate; the figures are medians. What two processes do,
which share nothing but the machine, is the most that two threads can. Meaningful on a CPython
without the GIL; with it workers take turns, and 1 is all there is.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import blitzio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    #: So many workers do that many times the work; returns seconds.
    _Arm = Callable[[int], float]

_PAIRS = 4
_ROUND_TRIPS = 10_000
_CONNECTIONS = 32
_TCP_ROUND_TRIPS = 500
_MESSAGE_BYTES = 1024
_ITEMS = 64
_CONFIG = blitzio.Config(strategy="thread_per_core", affinity="none")


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Client(Echo):
    """Sends a message as soon as the last one is back, so many times."""

    def __init__(self, done: asyncio.Future[None], round_trips: int) -> None:
        self.done = done
        self.left = round_trips
        # Of its own: what threads share, they take turns to count references of.
        self.message = bytes([1]) * _MESSAGE_BYTES
        self.missing = _MESSAGE_BYTES

    def begin(self) -> None:
        self.transport.write(self.message)

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing:
            return
        self.missing = _MESSAGE_BYTES
        self.left -= 1
        if self.left:
            self.transport.write(self.message)
        else:
            self.done.set_result(None)


# ---- echoes over socket pairs
# --------------------------------------------------------------------


async def echo_pair() -> None:
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    done: asyncio.Future[None] = loop.create_future()
    server, _ = await loop.create_connection(Echo, sock=there)
    transport, client = await loop.create_connection(lambda: Client(done, _ROUND_TRIPS), sock=here)
    client.begin()
    await done
    transport.close()
    server.close()
    await asyncio.sleep(0)


async def echo_pairs() -> None:
    await asyncio.gather(*[echo_pair() for _ in range(_PAIRS)])


def on_runtime(workers: int) -> float:
    with blitzio.Runtime(_CONFIG, workers=workers) as runtime:
        return timed_on(runtime, echo_pairs)


def timed_on(runtime: blitzio.Runtime, work: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """Seconds until each worker has done `work`."""
    start = time.perf_counter()
    # Spawned from outside they go to the workers in turn.
    handles = [runtime.spawn(work) for _ in range(runtime.config.workers)]
    for handle in handles:
        handle.blocking_join()
    return time.perf_counter() - start


def on_asyncio(threads: int) -> float:
    ready = threading.Barrier(threads + 1)

    def run() -> None:
        loop = asyncio.SelectorEventLoop()
        ready.wait()
        loop.run_until_complete(echo_pairs())
        ready.wait()
        loop.close()

    return timed_threads([threading.Thread(target=run) for _ in range(threads)], ready)


def timed_threads(running: list[threading.Thread], ready: threading.Barrier) -> float:
    for thread in running:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    ready.wait()
    seconds = time.perf_counter() - start
    for thread in running:
        thread.join()
    return seconds


# ---- one address on all workers
# ------------------------------------------------------------------


class Named(Echo):
    """Says first which worker has the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(threading.current_thread().name[-1:].encode())


def on_served_address(workers: int) -> float:
    """As many connections for each worker; those that it has got, it is the client of, too."""
    with blitzio.Server(Named, "127.0.0.1", 0, workers=workers, config=_CONFIG) as server:
        clients: dict[str, list[socket.socket]] = {}
        for _ in range(workers * _CONNECTIONS):
            client = socket.create_connection(server.address[:2])
            clients.setdefault(client.recv(1).decode(), []).append(client)

        async def use_connections() -> None:
            loop = asyncio.get_running_loop()
            here = []
            for sock in clients.get(threading.current_thread().name[-1:], ()):
                start = functools.partial(Client, loop.create_future(), _TCP_ROUND_TRIPS)
                here.append((await loop.create_connection(start, sock=sock))[1])
            for client in here:
                client.begin()
            for client in here:
                await client.done
                client.transport.close()

        return timed_on(server.runtime, use_connections)


# ---- computing
# -----------------------------------------------------------------------------------


def calculate(number: int) -> int:
    for i in range(20_000):
        number = (number * 31 + i) % 1_000_003
    return number


def calculate_all() -> None:
    for number in range(_ITEMS):
        calculate(number)


def mapped(workers: int) -> float:
    """Twice the work by parallel_map(), or once without it."""
    start = time.perf_counter()
    if workers == 1:
        calculate_all()
    else:
        blitzio.parallel_map(range(workers * _ITEMS), calculate).blocking_join()
    return time.perf_counter() - start


# ---- what processes do
# ---------------------------------------------------------------------------


def echo_alone() -> None:
    loop = blitzio.new_event_loop()
    loop.run_until_complete(echo_pairs())
    loop.close()


WORKS = {"echo": echo_alone, "compute": calculate_all}


def in_processes(work: str) -> _Arm:
    def arm(processes: int) -> float:
        command = [sys.executable, __file__, "--work", work]
        running = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
            for _ in range(processes)
        ]
        tell(running)  # They are there.
        seconds = tell(running)
        for process in running:
            process.communicate()
        return seconds

    return arm


def tell(running: list[subprocess.Popen[bytes]]) -> float:
    """Has each do its next step; returns how long they all took."""
    start = time.perf_counter()
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"\n")
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    return time.perf_counter() - start


def be_told(work: str) -> None:
    sys.stdin.readline()
    print(flush=True)
    sys.stdin.readline()
    WORKS[work]()
    print(flush=True)


# ---- asking
# --------------------------------------------------------------------------------------

QUESTIONS: dict[str, _Arm] = {
    "echo, blitzio.Runtime": on_runtime,
    "echo, asyncio in threads": on_asyncio,
    "echo, blitzio in processes": in_processes("echo"),
    "echo, blitzio.Server over TCP": on_served_address,
    "parallel_map": mapped,
    "computing in processes": in_processes("compute"),
}


def ratios(rounds: int, only: str) -> dict[str, float]:
    """For each question: work done in the same time, two over one."""
    chosen = {name: arm for name, arm in QUESTIONS.items() if only in name}
    for arm in chosen.values():
        arm(1), arm(2)
    found: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, arm in chosen.items():
            found[name].append(2 * arm(1) / arm(2))
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="questions whose name has this text")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", choices=list(WORKS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        be_told(options.work)
        return
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    found = ratios(options.rounds, options.only)
    print(f"CPython {sys.version.split()[0]}, {'with' if gil else 'without'} the GIL")
    for name, ratio in found.items():
        print(f"{name:30} {ratio:5.2f} times the work of one in the same time")
    if options.json is not None:
        options.json.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
