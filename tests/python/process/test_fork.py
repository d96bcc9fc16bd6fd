"""Forking: what a child may do with the parent's loop (nothing), and what the parent notices of it
(nothing)."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

import blitzio
from tests.python.asleep import do_wait
from tests.python.loop.support import Recorder, raw_pair, soon, turns
from tests.python.process.support import (
    child_ends_with_the_run,
    in_child,
    program,
    refusal,
    silent,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

pytestmark = [
    pytest.mark.usefixtures("native"),
    # Of threads in the process that forks; those of these tests hold no lock that the child needs.
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


async def nothing() -> None:
    pass


def every_use(loop: asyncio.AbstractEventLoop) -> str:
    """Calls what would touch the loop's core; what did not refuse, in words."""
    coroutine = nothing()
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    calls: list[Callable[[], object]] = [
        lambda: loop.call_soon(print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        lambda: loop.create_task(coroutine),
        lambda: loop.run_in_executor(None, print),
        lambda: loop.run_forever(),
        lambda: loop.run_until_complete(loop.create_future()),
        lambda: loop.add_reader(ours, print),
        lambda: loop.add_writer(ours, print),
        lambda: loop.sock_recv(ours, 1).send(None),
        lambda: loop.add_signal_handler(signal.SIGUSR1, print),
        lambda: loop.backend,  # type: ignore[attr-defined]
    ]
    left = "".join(refusal(call) for call in calls)
    coroutine.close()
    ours.close()
    peer.close()
    return left


def test_a_child_is_told_that_the_loop_is_the_parents(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(asyncio.sleep(0))

    def child() -> str:
        left = every_use(loop)
        loop.stop()
        loop.close()
        loop.close()
        return left + f"closed={loop.is_closed()} running={loop.is_running()}"

    assert in_child(child) == "closed=True running=False"
    assert loop.run_until_complete(asyncio.sleep(0, "parent")) == "parent"


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_a_child_of_a_callback_is_told_so_too_and_runs_a_loop_of_its_own(
    loop: asyncio.AbstractEventLoop, new_loop: LoopFactory
) -> None:
    async def greet() -> str:
        ours, peer = raw_pair()
        with ours, peer:
            own = asyncio.get_running_loop()
            await own.sock_sendall(ours, b"child")
            data = await own.sock_recv(peer, 100)
        return str(await own.run_in_executor(None, data.decode))

    def child() -> str:
        asyncio._set_running_loop(None)
        left = every_use(loop)
        own = new_loop()
        try:
            return left + own.run_until_complete(greet())
        finally:
            own.run_until_complete(own.shutdown_default_executor())
            own.close()

    async def main() -> str:
        return in_child(child)

    assert loop.run_until_complete(main()) == "child"
    assert loop.run_until_complete(greet()) == "child"


def test_what_has_long_been_watched_is_so_beside_a_child_that_closes_the_loop(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """A reader and a pipe that the kernel goes on watching from event to event."""
    told: list[bytes] = []
    received: list[bytes] = []

    class Collect(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            received.append(data)

    read_fd, write_fd = os.pipe()
    watched, writer = socket.socketpair()
    watched.setblocking(False)

    async def tell(count: int) -> None:
        for number in range(count, count + 4):
            writer.send(b"x")
            os.write(write_fd, b"x")
            while len(told) < number or len(received) < number:
                await turns()
        await turns()  # Until both are waited for again.

    pipe, _ = loop.run_until_complete(loop.connect_read_pipe(Collect, open(read_fd, "rb", 0)))
    loop.add_reader(watched, lambda: told.append(watched.recv(1)))
    loop.run_until_complete(tell(1))

    def child() -> str:
        loop.close()
        return "closed"

    assert in_child(child) == "closed"
    loop.run_until_complete(soon(tell(5)))
    loop.remove_reader(watched)
    pipe.close()
    os.close(write_fd)
    watched.close()
    writer.close()
    loop.run_until_complete(turns())


@pytest.mark.no_faults("takes each message for one piece", "short")
def test_what_a_child_drops_stays_with_the_parent(loop: asyncio.AbstractEventLoop) -> None:
    """Transports, servers, readers, sock_* waits and timers, all of them dropped in the child."""
    readable: list[bytes] = []

    async def main() -> None:
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        ours, peer = raw_pair()
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        watched, writer = socket.socketpair()
        watched.setblocking(False)
        loop.add_reader(watched, lambda: readable.append(watched.recv(100)))
        waited, sender = raw_pair()
        waiting = asyncio.ensure_future(loop.sock_recv(waited, 100))
        timer = loop.create_future()
        loop.call_later(0.01, timer.set_result, None)
        await turns()
        peer.sendall(b"for the parent")
        writer.sendall(b"all")
        sender.sendall(b"bytes")

        def child() -> str:
            nonlocal transport, waiting, server, timer
            left = "".join(
                refusal(call)
                for call in (
                    lambda: transport.write(b"no"),
                    transport.write_eof,
                    transport.pause_reading,
                    transport.close,
                    transport.abort,
                    server.close,
                )
            )
            loop.remove_reader(watched)
            transport = waiting = server = timer = None  # type: ignore[assignment]
            gc.collect()
            return left

        assert in_child(child) == ""
        assert await protocol.received(14) == b"for the parent"
        assert await soon(waiting) == b"bytes"
        await soon(timer)
        while not readable:
            await turns()
        assert readable == [b"all"]
        transport.write(b"answer")
        assert await loop.sock_recv(peer, 100) == b"answer"
        client = socket.create_connection(address)
        await turns()
        client.close()
        loop.remove_reader(watched)
        transport.close()
        await soon(protocol.lost)
        server.close()
        await turns()
        for sock in (peer, watched, writer, waited, sender):
            sock.close()

    loop.run_until_complete(soon(main()))


def test_a_fork_in_the_middle_of_an_arrival_leaves_the_rest_to_the_parent(
    loop: asyncio.AbstractEventLoop,
) -> None:
    class Forks(Recorder):
        status: int | None = None

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.status is None:
                child = os.fork()
                if child == 0:
                    return
                _, self.status = os.waitpid(child, 0)

    size = 3_000_000

    async def main() -> Forks:
        ours, peer = raw_pair()
        transport, protocol = await loop.create_connection(Forks, sock=ours)
        with peer:
            await soon(
                asyncio.gather(loop.sock_sendall(peer, bytes(size)), protocol.received(size))
            )
        transport.close()
        await soon(protocol.lost)
        return protocol

    with child_ends_with_the_run():
        protocol = loop.run_until_complete(main())
    assert protocol.status == 0
    assert len(protocol.data) == size


@pytest.mark.parametrize("forker", ["thread", "executor"])
def test_a_thread_beside_a_running_loop_may_fork(
    loop: asyncio.AbstractEventLoop, new_loop: LoopFactory, forker: str
) -> None:
    def child() -> str:
        left = every_use(loop)
        loop.close()
        gc.collect()
        own = new_loop()
        try:
            return left + str(own.run_until_complete(asyncio.sleep(0, "child")))
        finally:
            own.close()

    async def main() -> None:
        ours, peer = raw_pair()
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        busy = threading.Event()
        waiting = loop.run_in_executor(None, busy.wait)
        if forker == "executor":
            text = await loop.run_in_executor(None, in_child, child)
        else:
            texts: list[str] = []
            thread = threading.Thread(target=lambda: texts.append(in_child(child)))
            thread.start()
            while thread.is_alive():
                await asyncio.sleep(0.001)
            (text,) = texts
        assert text == "child"
        peer.sendall(b"still here")
        assert await protocol.received(10) == b"still here"
        busy.set()
        assert await waiting
        transport.close()
        await soon(protocol.lost)
        peer.close()

    loop.run_until_complete(soon(main()))


def test_a_signal_to_the_child_is_not_seen_by_the_parent(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []

    async def main() -> None:
        loop.add_signal_handler(signal.SIGUSR1, seen.append, "signal")

        def child() -> str:
            os.kill(os.getpid(), signal.SIGUSR1)
            return str(signal.set_wakeup_fd(-1))

        assert in_child(child) == "-1"
        await turns(40)
        assert seen == []
        os.kill(os.getpid(), signal.SIGUSR1)
        while not seen:
            await turns()

    loop.run_until_complete(soon(main()))


EXITS = """
import asyncio, blitzio, gc, os, socket, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
backend, how = sys.argv[1:]
loop = blitzio.new_event_loop(blitzio.Config(backend=backend))
loop.slow_callback_duration = 60
ours, peer = socket.socketpair()

class Protocol(asyncio.Protocol):
    def data_received(self, data):
        got.set_result(data)

async def main():
    global got
    got = loop.create_future()
    transport, _ = await loop.create_connection(Protocol, sock=ours)
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    job = loop.run_in_executor(None, threading.Event().wait, 0.05)
    loop.call_later(60, print)
    peer.send(b"mine")
    child = os.fork()
    if child == 0:
        os.close(2)  # The child's own complaints are not what is tested.
        if how == "exit":
            sys.exit(7)
        if how == "return":
            return
        if how == "raise":
            1 / 0
        if how == "forget":
            asyncio.set_event_loop(None)
            raise SystemExit(7)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0, status
    assert await got == b"mine"
    await job
    transport.close()
    server.close()
    await asyncio.sleep(0)
    await loop.shutdown_default_executor()

loop.run_until_complete(main())
loop.close()
peer.close()
print("parent")
"""


@pytest.mark.parametrize("how", ["exit", "return", "raise"])
def test_the_end_of_a_child_that_came_from_a_callback_is_its_own(backend: str, how: str) -> None:
    assert silent(program(EXITS, backend, how), "parent\n")


FORKS_IN_A_HOOK = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)

def fork(in_child=lambda: None):
    child = os.fork()
    if child == 0:
        in_child()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def use_pool():
    loop = blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))
    loop.run_until_complete(loop.run_in_executor(None, threading.get_ident))
    loop.close()

hooks = [lambda: fork(use_pool)]
# Before blitzio's own are registered, so it is called behind them: while the thread forks already.
os.register_at_fork(before=lambda: hooks and hooks.pop()())

import asyncio, blitzio, threading
loop = blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))
loop.slow_callback_duration = 60

async def main():
    fork(use_pool)
    jobs = [loop.run_in_executor(None, threading.get_ident) for _ in range(20)]
    for _ in range(5):
        fork()
    await asyncio.gather(*jobs)

loop.run_until_complete(main())
loop.close()
assert not hooks
print("parent")
"""


def test_a_hook_may_fork_and_pools_go_on_in_each_process(backend: str) -> None:
    assert silent(program(FORKS_IN_A_HOOK, backend), "parent\n")


FORKS_AND_RAISES = """
import asyncio, blitzio, os, signal, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
sys.unraisablehook = lambda unraisable: None  # Those of hooks that a signal met.

class Met(Exception):
    pass

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

def meet(number, frame):
    # In hooks as well; but not where nobody would take it.
    while frame is not None and frame.f_code is not fork.__code__:
        frame = frame.f_back
    if frame is not None:
        raise Met

parent = os.getpid()
signal.signal(signal.SIGALRM, meet)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for _ in range(100):
    try:
        fork()
    except Met:
        if os.getpid() != parent:
            os._exit(0)
signal.setitimer(signal.ITIMER_REAL, 0)
loop = blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))
loop.run_until_complete(loop.run_in_executor(None, os.getpid))
loop.close()
print("parent")
"""


def test_a_signal_during_a_fork_does_not_keep_threads_from_starting(backend: str) -> None:
    assert program(FORKS_AND_RAISES, backend).stdout == "parent\n"


FORKS_BESIDE = """
import asyncio, blitzio, gc, os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
loop = blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))
loop.slow_callback_duration = 60
thread = threading.Thread(target=loop.run_forever)
thread.start()
async def main():
    loop.call_later(60, print)
    await loop.run_in_executor(None, gc.collect)
asyncio.run_coroutine_threadsafe(main(), loop).result()
child = os.fork()
if child == 0:
    del loop
    gc.collect()
    sys.exit(5)  # Through the finalization of the interpreter.
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
asyncio.run_coroutine_threadsafe(main(), loop).result()
loop.call_soon_threadsafe(loop.stop)
thread.join()
loop.close()
print("parent")
"""


def test_a_child_of_another_thread_finalises_its_interpreter(backend: str) -> None:
    assert silent(program(FORKS_BESIDE, backend), "parent\n")


IMPORTS_BESIDE = """
import blitzio, importlib.abc, os, signal, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
parent, begun, go_on = os.getpid(), threading.Event(), threading.Event()

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "blitzio._net.pool":
            begun.set()
            go_on.wait()

sys.meta_path.insert(0, Slow())
os.register_at_fork(before=go_on.set)  # Of hooks before a fork the last registered is called first.
thread = threading.Thread(target=lambda: blitzio.net)
thread.start()
begun.wait()

child = os.fork()
if child == 0:
    signal.alarm(20)
    blitzio.net.Pool
    child = os.fork()  # There is no thread that it would have to wait for.
if child != 0:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
if os.getpid() == parent:
    thread.join()
    print("parent")
"""


def test_what_another_thread_imports_is_there_in_the_child(native: None) -> None:
    assert silent(program(IMPORTS_BESIDE), "parent\n")


def test_a_child_does_not_keep_loops_of_the_parents_that_were_closed(new_loop: LoopFactory) -> None:
    closed = new_loop()
    closed.close()

    def child() -> str:
        try:
            closed.call_soon(print)
        except RuntimeError as exc:
            return str(exc)
        return "no error"

    assert in_child(child) == "Event loop is closed"


def test_spawn_blocking_has_threads_of_its_own_in_parent_and_child(new_loop: LoopFactory) -> None:
    def where_it_runs() -> str:
        async def call() -> int:
            return await blitzio.spawn_blocking(os.getpid)

        loop = new_loop()
        try:
            return {os.getpid(): "here"}.get(loop.run_until_complete(soon(call())), "elsewhere")
        finally:
            loop.close()

    assert where_it_runs() == "here"
    assert in_child(lambda: [where_it_runs(), in_child(where_it_runs)]) == "['here', 'here']"
    assert where_it_runs() == "here"


def test_a_grandchild_belongs_to_nobody_but_its_own_loop(new_loop: LoopFactory) -> None:
    def child() -> str:
        loop = new_loop()
        loop.run_until_complete(asyncio.sleep(0))
        try:
            return in_child(lambda: refusal(lambda: loop.call_soon(print)) or "refused")
        finally:
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    assert in_child(child) == "refused"


BLOCKS_BESIDE = """
import blitzio, os, signal, threading, time, warnings
from blitzio import channel, sync
warnings.simplefilter("ignore", DeprecationWarning)

mutex, lock, permits = sync.Mutex(), sync.RwLock(), sync.Semaphore(0)
event, bell, barrier = sync.Event(), sync.Notify(), sync.Barrier(2)
full, empty, oneshot = channel.Channel(1), channel.Channel(1), channel.Oneshot()
broadcast, watch, token = channel.Broadcast(1), channel.Watch(0), blitzio.CancelToken()
assert mutex.try_lock()
held = lock.try_write()
full.try_send(0)

CALLS = (
    mutex.blocking_lock, lock.blocking_read, lock.blocking_write, permits.blocking_acquire,
    event.blocking_wait, bell.blocking_wait, barrier.blocking_wait,
    lambda: full.blocking_send(1), empty.blocking_recv, oneshot.blocking_recv,
    broadcast.subscribe().blocking_recv, watch.subscribe().blocking_changed, token.blocking_wait,
)
threads = [threading.Thread(target=call, daemon=True) for call in CALLS]
for thread in threads:
    thread.start()

while not do_wait(*(thread.native_id for thread in threads)):
    pass

def wake():
    mutex.unlock()
    held.release()
    permits.release()
    event.set()
    bell.notify_one()
    assert full.try_recv() == 0
    empty.try_send(1)
    oneshot.send(1)
    broadcast.send(1)
    watch.send(1)
    token.cancel()
    barrier.blocking_wait()

def fill(depth):
    # The stacks of the parent's threads are the child's, to give to its own.
    return sorted([depth], key=lambda depth: fill(depth - 1)) if depth else together.wait()

child = os.fork()
if child == 0:
    signal.alarm(30)
    together = threading.Barrier(len(CALLS))
    own = [threading.Thread(target=fill, args=(20,)) for _ in CALLS]
    for thread in own:
        thread.start()
    for thread in own:
        thread.join()
    wake()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
wake()
for thread in threads:
    thread.join()
print("parent")
"""


def test_a_child_wakes_who_blocks_in_threads_of_the_parent() -> None:
    assert silent(program(inspect.getsource(do_wait) + BLOCKS_BESIDE), "parent\n")
