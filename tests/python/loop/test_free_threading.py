"""Many loops in many threads at once; on free-threaded builds really at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from blitzio.sync import Mutex
from tests.python.loop.support import HOST, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

THREADS = 8


def in_threads(new_loop: LoopFactory, main: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Runs `main(number)` on a loop of its own in each of several threads, begun together."""
    gate = threading.Barrier(THREADS)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            loop = new_loop()
            gate.wait(PATIENCE)
            try:
                loop.run_until_complete(asyncio.wait_for(main(number), PATIENCE))
                loop.run_until_complete(loop.shutdown_default_executor())
            finally:
                loop.close()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_importing_us_does_not_bring_the_lock_back(native: None, backend: str) -> None:
    is_enabled = getattr(sys, "_is_gil_enabled", None)
    if is_enabled is None or not hasattr(sys, "abiflags") or "t" not in sys.abiflags:
        pytest.skip("this build has the lock")
    assert not is_enabled()


def test_scheduling(new_loop: LoopFactory) -> None:
    async def main(number: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            done = loop.create_future()
            for step in range(100):
                loop.call_soon(int)
                loop.call_later(0.0001 * (step % 5), int)
            loop.call_later(0.001, done.set_result, number)
            assert await done == number
            tasks = [loop.create_task(asyncio.sleep(0, step)) for step in range(50)]
            assert await asyncio.gather(*tasks) == list(range(50))

    in_threads(new_loop, main)


@pytest.mark.no_faults("the loop ends before its server's connections do", "late")
def test_servers_and_clients(new_loop: LoopFactory) -> None:
    async def main(number: int) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1000):
                writer.write(data)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(echo, HOST, 0)
        address = server.sockets[0].getsockname()

        async def client() -> None:
            reader, writer = await asyncio.open_connection(*address)
            for _ in range(20):
                writer.write(bytes([number]) * 100)
                assert await reader.readexactly(100) == bytes([number]) * 100
            writer.close()
            await writer.wait_closed()

        await asyncio.gather(*[client() for _ in range(5)])
        server.close()
        await server.wait_closed()

    in_threads(new_loop, main)


def test_threads_and_names(new_loop: LoopFactory) -> None:
    async def main(number: int) -> None:
        loop = asyncio.get_running_loop()
        futures = [loop.run_in_executor(None, pow, step, 2) for step in range(50)]
        assert await asyncio.gather(*futures) == [step**2 for step in range(50)]
        assert await loop.getaddrinfo(HOST, number)
        assert await loop.getaddrinfo("localhost", number)

    in_threads(new_loop, main)


def test_loops_come_and_go(new_loop: LoopFactory) -> None:
    async def main(number: int) -> None:
        def inner() -> None:
            for _ in range(10):
                loop = new_loop()
                loop.run_until_complete(asyncio.sleep(0))
                loop.close()

        await asyncio.to_thread(inner)

    in_threads(new_loop, main)


def test_everybody_calls_everybody(new_loop: LoopFactory) -> None:
    loops: dict[int, asyncio.AbstractEventLoop] = {}
    counts = [0] * THREADS
    ready = threading.Barrier(THREADS)

    async def main(number: int) -> None:
        loop = asyncio.get_running_loop()
        loops[number] = loop
        await asyncio.to_thread(ready.wait, PATIENCE)
        finished = loop.create_future()

        def arrive() -> None:
            counts[number] += 1
            if counts[number] == THREADS * 50:
                finished.set_result(None)

        async def send() -> None:
            for _ in range(50):
                for other in range(THREADS):
                    loops[other].call_soon_threadsafe(arrivals[other])
                await asyncio.sleep(0)

        arrivals[number] = arrive
        await asyncio.to_thread(ready.wait, PATIENCE)
        await send()
        await finished
        # Nobody closes a loop that somebody may still call.
        await asyncio.to_thread(ready.wait, PATIENCE)

    arrivals: dict[int, Callable[[], None]] = {}
    in_threads(new_loop, main)
    assert counts == [THREADS * 50] * THREADS


def together(*works: Callable[[], object], rounds: int = 200) -> None:
    """Does each of these in a thread of its own, again and again; ordinary errors do not matter."""
    gate = threading.Barrier(len(works))
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        gate.wait(PATIENCE)
        for _ in range(rounds):
            try:
                work()
            except SystemError as exc:
                failures.append(exc)
            except Exception:
                pass

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


def test_a_loop_that_nobody_runs_is_used_by_many(new_loop: LoopFactory, native: None) -> None:
    loop: Any = new_loop()
    ours, peer = socket.socketpair()
    ran: list[int] = []
    timers: list[Any] = []
    together(
        lambda: loop.call_soon(ran.append, 1),
        lambda: timers.append(loop.call_later(0, ran.append, 1)),
        lambda: timers.append(loop.call_later(1000, ran.append, 2)),
        lambda: timers.pop().cancel(),
        lambda: (loop.add_reader(ours, print), loop.metrics()),
        lambda: loop.remove_reader(ours),
        lambda: loop.set_task_factory(lambda *args, **options: asyncio.Task(*args, **options)),
        loop.get_task_factory,
        lambda: repr(timers[-1]),
    )
    loop.remove_reader(ours)
    loop.set_task_factory(None)
    loop.run_until_complete(asyncio.sleep(0.01))
    assert 200 <= ran.count(1) <= 400
    loop.close()
    ours.close()
    peer.close()


def test_a_transport_whose_loop_nobody_runs_is_used_by_many(new_loop: LoopFactory) -> None:
    loop: Any = new_loop()
    ours, peer = socket.socketpair()
    transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=ours))
    together(
        lambda: transport.write(b"x" * 100),
        lambda: transport.writelines([b"y", bytearray(b"z" * 100)]),
        transport.get_write_buffer_size,
        transport.pause_reading,
        transport.resume_reading,
        lambda: transport.set_protocol(asyncio.Protocol()),
        transport.get_protocol,
        lambda: (repr(transport), transport._protocol),
    )
    transport.abort()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    peer.close()


def test_handles_of_a_loop_that_nobody_runs_are_used_by_many(
    new_loop: LoopFactory, native: None
) -> None:
    class Callback:
        def __call__(self, *args: object) -> None:
            pass

    loop = new_loop()
    handles: list[Any] = [loop.call_later(100, Callback(), Callback()) for _ in range(2000)]

    def each(use: Callable[[Any], object]) -> Callable[[], object]:
        return lambda: [use(handle) for handle in handles]

    together(
        each(lambda handle: handle.cancel()),
        each(lambda handle: (repr(handle), handle._args)),
        each(lambda handle: (handle._callback, handle == handles[-1])),
        rounds=1,
    )
    assert all(handle.cancelled() for handle in handles)
    loop.close()


def test_a_handle_is_run_once_though_many_would(new_loop: LoopFactory, native: None) -> None:
    ran: list[int] = []
    loop = new_loop()
    handles: list[Any] = [loop.call_later(100, ran.append, i) for i in range(2000)]

    def run() -> None:
        for handle in handles:
            handle._run()

    together(run, run, run, rounds=1)
    assert sorted(ran) == list(range(2000))
    loop.close()


def test_handles_that_run_are_looked_at_by_many(new_loop: LoopFactory, native: None) -> None:
    ran = 0

    class Result:
        def __del__(self) -> None:  # Dropped before the callback is, by code that takes its time.
            sum(range(100))

    class Callback:
        def __call__(self, *args: object) -> Result:
            nonlocal ran
            ran += 1
            return Result()

    loop = new_loop()
    latest: list[Any] = [loop.call_soon(int)]
    left = 300

    def turn() -> None:
        nonlocal left
        for _ in range(20):
            latest[0] = loop.call_soon(Callback(), Callback())
        left -= 1
        loop.call_soon(turn if left else loop.stop)

    def look() -> None:
        while left:
            handle = latest[0]
            assert "Handle" in repr(handle)
            assert handle._args is None or len(handle._args) <= 1
            callback = handle._callback
            assert callback in (None, int, turn) or isinstance(callback, Callback)
            with contextlib.suppress(RuntimeError):  # Where another thread may not.
                handle._run()

    loop.call_soon(turn)
    together(loop.run_forever, look, look, rounds=1)
    assert ran == 300 * 20
    loop.close()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_socket_calls_of_a_loop_that_nobody_runs_are_dropped_by_many(
    new_loop: LoopFactory, native: None
) -> None:
    loop = new_loop()
    begun: list[int] = []

    def work() -> None:
        ours, peer = socket.socketpair()
        with ours, peer:
            ours.setblocking(False)
            for _ in range(100):
                waiting: Any = loop.sock_recv(ours, 1)
                waiting.send(None)
                begun.append(1)
                del waiting

    together(work, work, work, rounds=2)
    assert len(begun) == 600
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no __buffer__ in Python code")
@pytest.mark.skipif(
    "t" not in getattr(sys, "abiflags", ""), reason="with the lock there is nothing to wait for"
)
def test_a_run_waits_for_a_call_of_another_thread(new_loop: LoopFactory, native: None) -> None:
    loop: Any = new_loop()
    ours, peer = socket.socketpair()
    transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=ours))
    begun, ran = threading.Event(), threading.Event()
    ran_within: list[bool] = []

    class Lending(bytearray):
        def __buffer__(self, flags: int) -> memoryview:
            begun.set()
            # It gives the loop's lock up, but the run does not begin.
            ran_within.append(ran.wait(0.1))
            return memoryview(b"lent")

    writer = threading.Thread(target=transport.write, args=(Lending(b"some"),))
    writer.start()
    assert begun.wait(PATIENCE)
    loop.call_soon(ran.set)
    loop.run_until_complete(asyncio.sleep(0))
    writer.join()
    assert ran.is_set()
    assert ran_within == [False]
    loop.run_until_complete(asyncio.sleep(0))
    peer.settimeout(PATIENCE)
    assert peer.recv(100) == b"lent"

    # The caller's own call keeps nobody out.
    class Running(bytearray):
        def __buffer__(self, flags: int) -> memoryview:
            loop.run_until_complete(asyncio.sleep(0))
            return memoryview(b"more")

    transport.write(Running(b"some"))
    loop.run_until_complete(asyncio.sleep(0))
    assert peer.recv(100) == b"more"
    transport.abort()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    peer.close()


def test_many_would_run_and_close_one_loop(new_loop: LoopFactory) -> None:
    loop: Any = new_loop()

    def run() -> None:
        loop.call_soon_threadsafe(loop.stop)
        loop.run_forever()

    # One's run may end by the stop() that the other has called for its own.
    done = threading.Event()

    def stop_again() -> None:
        while not done.wait(0.001):
            loop.call_soon_threadsafe(loop.stop)

    stopper = threading.Thread(target=stop_again)
    stopper.start()
    try:
        together(run, run, lambda: loop.call_soon(int), loop.is_running, rounds=50)
    finally:
        done.set()
        stopper.join()
    # The last rounds find it closed.
    together(run, loop.close, lambda: loop.call_soon_threadsafe(int), loop.close, rounds=20)
    loop.close()


@pytest.mark.usefixtures("native")
def test_an_awaitable_in_the_hands_of_many(new_loop: LoopFactory) -> None:
    loop = new_loop()
    mutex = Mutex()
    waiting: list[Any] = []

    async def main() -> None:
        await mutex.lock()
        hammering = loop.run_in_executor(
            None,
            together,
            lambda: waiting[-1].close(),
            lambda: waiting[-1].cancel(),
            lambda: waiting[-1].add_done_callback(int),
            lambda: waiting[-1].remove_done_callback(int),
            lambda: repr(waiting[-1]),
        )
        while not hammering.done():
            waiting[:] = [mutex.lock()]
            with contextlib.suppress(RuntimeError):
                waiting[0].send(None)
            await asyncio.sleep(0)
            waiting[0].close()
        mutex.unlock()

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert not mutex.locked()
