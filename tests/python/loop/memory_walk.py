"""A program: `python -m tests.python.loop.memory_walk SCENARIO BACKEND`.

Does the same thing again and again, each time on a new loop, and each time a later one of the
interpreter's allocations fails, until it makes no more of them. Each time it must work, raise
MemoryError, or have the loop's exception handler, asyncio's log or sys.unraisablehook told. The
loop must still run afterwards, and no descriptor be left. Who is never told waits for ever, and
then faulthandler ends the program. Prints how often each came about.

Not walked: the start of a thread (PyThreadState_New() of 3.11 crashes) and of a process (Popen
leaks). Scenarios that need one begin the walk behind it.
"""

from __future__ import annotations

import _testcapi  # type: ignore[import-not-found]
import asyncio
import faulthandler
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import blitzio
from blitzio import channel, sync
from tests.python.loop.support import client_context, server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Scenario = Callable[["Things"], Coroutine[Any, Any, None]]

#: So many attempts in a row without a failed allocation, and the walk is over. Some failures stay
#: unseen: the interpreter gets on without a few things, and may have a free object at hand.
_CLEAN_MAX = 40
_PATIENCE = 10.0  # For one attempt, which takes milliseconds.
_PAYLOAD = bytes(range(256)) * 16


class Collect(asyncio.Protocol, asyncio.DatagramProtocol):
    """Gives what came when there is as much as is waited for, or says why it does not."""

    def __init__(self) -> None:
        self.size = len(_PAYLOAD)
        self.transport: Any = None
        self.data = bytearray()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        if len(self.data) >= self.size and not self.done.done():
            self.done.set_result(bytes(self.data))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.data_received(data)

    def error_received(self, exc: Exception) -> None:
        self.fail(exc)

    def fail(self, exc: BaseException | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("lost"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(exc)


class Things:
    """Made before an attempt, and closed after it: not all of CPython's own takes care to."""

    def __init__(self) -> None:
        self.ours, self.peer = socket.socketpair()
        self.datagrams = socket.socketpair(type=socket.SOCK_DGRAM)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.client = socket.socket()
        self.sockets = [self.ours, self.peer, *self.datagrams, self.listener, self.client]
        for sock in self.sockets:
            sock.setblocking(False)
        read_end, write_end = os.pipe()
        self.source, self.sink = open(read_end, "rb", 0), open(write_end, "wb", 0)
        self.protocols: list[Collect] = []
        #: Begins the walk, in scenarios that do so themselves.
        self.arm: Callable[[], None] = lambda: None

    def protocol(self) -> Collect:
        self.protocols.append(Collect())
        return self.protocols[-1]

    def close(self) -> None:
        for protocol in self.protocols:
            if protocol.transport is not None:
                protocol.transport.close()
        for sock in self.sockets:
            sock.close()
        self.source.close()
        self.sink.close()


def set_once(future: asyncio.Future[Any], value: Any = None) -> None:
    if not future.done():
        future.set_result(value)


def begins_itself(scenario: Scenario) -> Scenario:
    """A scenario that calls `arm()` when what is not walked is behind it."""
    _begin_themselves.add(scenario.__name__)
    return scenario


_begin_themselves: set[str] = set()


# ---- scenarios ---------------------------------------------------------------------------------


async def callbacks(_: Things) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(lambda *args: future.set_result(args), 1, 2, 3, 4, 5, 6)
    assert await future == (1, 2, 3, 4, 5, 6)
    future = loop.create_future()
    loop.call_soon_threadsafe(future.set_result, 1)
    assert await future == 1


async def timers(_: Things) -> None:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(5)]
    for future in futures:
        loop.call_later(0.0001, future.set_result, 1)
    loop.call_at(loop.time(), lambda: None).cancel()
    await asyncio.gather(*futures)
    await asyncio.sleep(0.0001)


async def tasks(_: Things) -> None:
    async def child(number: int) -> int:
        await asyncio.sleep(0)
        return number

    loop = asyncio.get_running_loop()
    made = [loop.create_task(child(i), name=f"child-{i}") for i in range(3)]
    assert await asyncio.gather(*made) == [0, 1, 2]


async def readers(things: Things) -> None:
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(things.ours, set_once, readable)
    try:
        things.peer.send(b"x")
        await readable
    finally:
        loop.remove_reader(things.ours)


async def socks(things: Things) -> None:
    loop = asyncio.get_running_loop()
    accepting = loop.create_task(loop.sock_accept(things.listener))
    try:
        await loop.sock_connect(things.client, things.listener.getsockname())
        server, _ = await accepting
        with server:
            await loop.sock_sendall(things.client, _PAYLOAD)
            received = bytearray()
            while len(received) < len(_PAYLOAD):
                received += await loop.sock_recv(server, 1000)
        assert received == _PAYLOAD
    finally:
        accepting.cancel()


async def streams(things: Things) -> None:
    loop = asyncio.get_running_loop()
    writing, _ = await loop.create_connection(things.protocol, sock=things.ours)
    _, reader = await loop.create_connection(things.protocol, sock=things.peer)
    writing.write(_PAYLOAD[:2000])
    writing.write(bytearray(_PAYLOAD[2000:]))
    assert await reader.done == _PAYLOAD


async def servers(things: Things) -> None:
    await _serve(things, {}, {})


async def tls_servers(things: Things) -> None:
    server, client = _contexts
    await _serve(things, {"ssl": server}, {"ssl": client, "server_hostname": "localhost"})


async def _serve(
    things: Things, server_options: dict[str, Any], client_options: dict[str, Any]
) -> None:
    loop = asyncio.get_running_loop()
    arrived = loop.create_future()

    def accepted() -> Collect:
        protocol = things.protocol()
        set_once(arrived, protocol)
        return protocol

    server = await loop.create_server(accepted, sock=things.listener, **server_options)
    try:
        await loop.sock_connect(things.client, things.listener.getsockname())
        transport, _ = await loop.create_connection(
            things.protocol, sock=things.client, **client_options
        )
        transport.write(_PAYLOAD)
        assert await (await arrived).done == _PAYLOAD
    finally:
        server.close()


async def datagrams(things: Things) -> None:
    loop = asyncio.get_running_loop()
    sending, _ = await loop.create_datagram_endpoint(things.protocol, sock=things.datagrams[0])
    _, receiver = await loop.create_datagram_endpoint(things.protocol, sock=things.datagrams[1])
    receiver.size = 6
    sending.sendto(b"abc")
    sending.sendto(bytearray(b"def"))
    assert await receiver.done == b"abcdef"


async def pipes(things: Things) -> None:
    loop = asyncio.get_running_loop()
    _, reader = await loop.connect_read_pipe(things.protocol, things.source)
    writing, _ = await loop.connect_write_pipe(things.protocol, things.sink)
    writing.write(_PAYLOAD)
    assert await reader.done == _PAYLOAD


async def tls(things: Things) -> None:
    loop = asyncio.get_running_loop()
    server, client = _contexts
    # Together: where the one has failed the other would wait for its handshake to time out.
    (transport, _), (_, reader) = await asyncio.gather(
        loop.create_connection(
            things.protocol, sock=things.ours, ssl=client, server_hostname="localhost"
        ),
        loop.connect_accepted_socket(things.protocol, things.peer, ssl=server),
    )
    transport.write(_PAYLOAD)
    assert await reader.done == _PAYLOAD


@begins_itself
async def signals(things: Things) -> None:
    loop = asyncio.get_running_loop()
    arrived = loop.create_future()
    valid = signal.valid_signals()
    # It makes a set of a thousand things.
    with mock.patch("signal.valid_signals", lambda: valid):
        things.arm()
        await _catch_signal(arrived)


async def _catch_signal(arrived: asyncio.Future[None]) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, set_once, arrived)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        await arrived
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


@begins_itself
async def jobs(things: Things) -> None:
    loop = asyncio.get_running_loop()
    # Threads enough: while one is about to fall asleep there is another.
    barrier = threading.Barrier(3)
    await asyncio.gather(*[loop.run_in_executor(None, barrier.wait) for _ in range(3)])
    things.arm()
    for number in range(3):
        assert await loop.run_in_executor(None, pow, 2, number) == 2**number
    try:
        await loop.run_in_executor(None, divmod, 1, 0)
    except ZeroDivisionError:
        return
    raise AssertionError("a job that fails did not")


class Listening(asyncio.SubprocessProtocol):
    """Gives what the child wrote when it has ended."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        set_once(self.ended, bytes(self.data))


@begins_itself
async def children(things: Things) -> None:
    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            things.arm()

    loop = asyncio.get_running_loop()
    with mock.patch("subprocess.Popen", Popen):
        transport, protocol = await loop.subprocess_exec(
            Listening, "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
        )
    try:
        stdin: Any = transport.get_pipe_transport(0)
        stdin.write(_PAYLOAD)
        stdin.close()
        assert await protocol.ended == _PAYLOAD
    finally:
        transport.close()


async def primitives(_: Things) -> None:
    mutex = sync.Mutex()
    await mutex.lock()
    waiting = asyncio.ensure_future(mutex.lock())
    await asyncio.sleep(0)
    mutex.unlock()
    await waiting
    mutex.unlock()
    values: channel.Channel[str] = channel.Channel(1)
    receiving = asyncio.ensure_future(values.recv())
    await asyncio.sleep(0)
    await values.send("value")
    assert await receiving == "value"


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        *(callbacks, timers, tasks, readers, socks, streams, servers, datagrams, pipes, tls),
        *(tls_servers, signals, jobs, children, primitives),
    )
}
_contexts: list[Any] = []


# ---- the walk ----------------------------------------------------------------------------------


class Attempt:
    """One run of a scenario with one allocation that fails, and what came of it."""

    def __init__(self, backend: str) -> None:
        self.told: list[str] = []
        self.is_running = False
        self.thread = threading.get_ident()
        self.things = Things()
        self.loop = blitzio.new_event_loop(blitzio.Config(backend=backend))
        self.loop.set_exception_handler(lambda _, context: self.tell(repr(context)))

    def tell(self, what: str) -> None:
        self.told.append(what)
        self.stop()  # Whoever still waits need not: somebody knows.

    def stop(self) -> None:
        _testcapi.remove_mem_hooks()
        if not self.is_running:
            return
        if threading.get_ident() == self.thread:
            self.loop.stop()
        else:
            self.loop.call_soon_threadsafe(self.loop.stop)

    def run(self, scenario: Scenario, number: int) -> str:
        """Returns "worked", "raised" or "told"."""
        loop = self.loop
        self.is_running = True
        # From inside the loop: beginning and ending a run is asyncio's, and not what this is about.
        if scenario.__name__ in _begin_themselves:
            self.things.arm = lambda: _testcapi.set_nomemory(number, number + 1)
        else:
            loop.call_soon(_testcapi.set_nomemory, number, number + 1)
        main = loop.create_task(scenario(self.things))
        main.add_done_callback(lambda _: self.stop())
        try:
            loop.run_forever()
        except MemoryError:
            outcome = "raised"
        else:
            outcome = "told" if self.told else "worked"
        finally:
            _testcapi.remove_mem_hooks()
            self.is_running = False
        if main.done() and not main.cancelled() and (error := main.exception()) is not None:
            # Not all of CPython says MemoryError ("can't allocate lock"), but it says something.
            if isinstance(error, AssertionError):
                raise error
            outcome = "raised"
        elif not main.done() and outcome == "worked":
            raise AssertionError("the loop stopped, and nobody knows why")
        self.end()
        return outcome

    def end(self) -> None:
        """The loop is as good as before."""
        loop = self.loop
        for _ in range(10):
            if not (left := asyncio.all_tasks(loop)):
                break
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
        # One whose step could not even begin is not stepped again; somebody was told.
        for task in asyncio.all_tasks(loop):
            assert self.told
            task.get_coro().close()
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self.things.close()
        loop.run_until_complete(asyncio.sleep(0.0001))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def walk(scenario: Scenario, backend: str) -> Counter[str]:
    attempts = [Attempt(backend)]

    def tell(record: logging.LogRecord) -> bool:
        attempts[-1].tell(record.getMessage())
        return False

    logging.getLogger("asyncio").addFilter(tell)
    sys.unraisablehook = lambda args: attempts[-1].tell(repr(args.exc_value))
    attempts[-1].run(scenario, 1 << 30)  # Imports, caches.
    gc.collect()
    before = open_fds()
    outcomes: Counter[str] = Counter()
    number = clean = 0
    while clean < _CLEAN_MAX:
        attempts[:] = [Attempt(backend)]
        faulthandler.dump_traceback_later(_PATIENCE, exit=True)
        outcome = attempts[-1].run(scenario, number)
        if "BLITZIO_WALK" in os.environ:  # For who looks for what went wrong.
            print(number, outcome, attempts[-1].told, file=sys.stderr)
        outcomes[outcome] += 1
        clean = clean + 1 if outcome == "worked" else 0
        number += 1
    faulthandler.cancel_dump_traceback_later()
    gc.collect()
    # Children whose loop ended first are reaped by a thread, which closes what it waited with.
    deadline = time.monotonic() + _PATIENCE
    while open_fds() != before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert open_fds() == before, (open_fds(), before)
    return outcomes


def main(name: str, backend: str) -> None:
    warnings.simplefilter("ignore")  # What nobody got, nobody could await or close.
    with tempfile.TemporaryDirectory() as folder:
        if name.startswith("tls"):
            _contexts[:] = server_context(Path(folder)), client_context()
        print(json.dumps(walk(SCENARIOS[name], backend)))


if __name__ == "__main__":
    faulthandler.enable()
    main(*sys.argv[1:])
