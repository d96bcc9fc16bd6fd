"""The `blocking_` forms of blitzio.net, and of a child's pipes: threads without a loop."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import net, process
from blitzio.net import Address, TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream
from blitzio.time import Duration
from tests.python.asleep import do_wait
from tests.python.runtime.runtime_support import interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import LoopFactory

LONG = 20.0


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """Runs functions in another thread."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def pair() -> Iterator[tuple[UnixStream, UnixStream]]:
    ours, theirs = UnixStream.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


class Sleeper:
    """A call in another thread that has begun to wait."""

    def __init__(self, executor: ThreadPoolExecutor, call: Any) -> None:
        begun: list[int] = []

        def run() -> Any:
            begun.append(threading.get_native_id())
            return call()

        self.future = executor.submit(run)
        while not begun or not (do_wait(*begun) or self.future.done()):
            time.sleep(0)


# ---- what they do --------------------------------------------------------------------------------


def test_threads_talk_over_tcp(thread: ThreadPoolExecutor) -> None:
    listener = TcpListener.bind("127.0.0.1:0")

    def serve() -> tuple[bytes, bool]:
        stream, peer = listener.blocking_accept(timeout=LONG)
        while data := stream.blocking_read(1000, timeout=LONG):
            stream.blocking_write_all(data, timeout=LONG)
        is_right = peer == stream.peer_address
        stream.close()
        return data, is_right

    serving = thread.submit(serve)
    stream = TcpStream.blocking_connect(listener.local_address, timeout=LONG)
    stream.blocking_write_all(b"one\ntwo|" + bytes(100_000))
    assert stream.blocking_read_line(timeout=LONG) == b"one\n"
    assert stream.blocking_read_until(b"|", limit=10, timeout=LONG) == b"two|"
    assert stream.blocking_peek(timeout=LONG).startswith(b"\0")
    assert stream.blocking_read_exact(99_000, timeout=LONG) == bytes(99_000)
    buffer = bytearray(1)
    assert stream.blocking_read_into(buffer, timeout=LONG) == 1
    stream.blocking_writable(timeout=LONG)
    stream.shutdown("write")
    assert stream.blocking_read_to_end(timeout=LONG) == bytes(999)
    assert serving.result(LONG) == (b"", True)
    stream.close()
    listener.close()


def test_unix_listeners_and_datagrams(tmp_path: Path, thread: ThreadPoolExecutor) -> None:
    path = tmp_path / "socket"
    listener = UnixListener.bind(str(path))
    accepting = Sleeper(thread, listener.blocking_accept)
    client = UnixStream.blocking_connect(str(path))
    server, _ = accepting.future.result(LONG)
    assert client.blocking_write(b"x") == 1
    server.blocking_readable()
    assert server.blocking_read() == b"x"
    for stream in (client, server, listener):
        stream.close()

    ours, theirs = net.UnixDatagram.pair()
    receiving = Sleeper(thread, ours.blocking_recv)
    assert theirs.blocking_send(b"whole") == 5
    assert receiving.future.result(LONG) == b"whole"
    ours.close()
    theirs.close()

    a, b = UdpSocket.bind("127.0.0.1:0"), UdpSocket.bind("127.0.0.1:0")
    receiving = Sleeper(thread, lambda: b.blocking_recv_from(timeout=LONG))
    assert a.blocking_send_to(b"to", b.local_address, timeout=LONG) == 2
    assert receiving.future.result(LONG) == (b"to", a.local_address)
    a.close()
    b.close()


def test_pipes_of_a_child() -> None:
    child = process.spawn("cat", stdin="pipe", stdout="pipe")
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.blocking_write_all(b"one\ntwo\n")
    assert child.stdout.blocking_read_line(timeout=LONG) == b"one\n"
    child.stdin.close()
    assert child.stdout.blocking_read_to_end(timeout=LONG) == b"two\n"
    assert child.blocking_wait().is_success
    child.close_pipes()


def test_names_are_resolved_and_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert net.blocking_resolve("127.0.0.1", 80) == [Address("127.0.0.1", 80)]
    assert net.blocking_resolve("::1", 80, family=socket.AF_INET6) == [Address("::1", 80)]
    with pytest.raises(socket.gaierror):
        net.blocking_resolve("::1", 80, family=socket.AF_INET, timeout=LONG)

    listener = TcpListener.bind("127.0.0.1:0")
    port = listener.local_address.port
    stream = net.blocking_connect("127.0.0.1", port, timeout=LONG)
    assert stream.peer_address == listener.local_address
    stream.close()

    def two(*_args: object) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        return [(*kind, ("127.0.0.2", port)), (*kind, ("127.0.0.1", port))]

    # Of several addresses the first that answers, and the stream outlives the loop that tried.
    monkeypatch.setattr(socket, "getaddrinfo", two)
    stream = net.blocking_connect("some.host", port, timeout=timedelta(seconds=LONG))
    assert stream.peer_address == listener.local_address
    listener.try_accept()
    server, _ = listener.blocking_accept(timeout=LONG)
    server.close()
    assert stream.blocking_read(timeout=LONG) == b""
    stream.close()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        net.blocking_connect("some.host", port, timeout=LONG)
    with pytest.raises(TimeoutError):
        net.blocking_connect("some.host", port, timeout=0)
    monkeypatch.setattr(socket, "getaddrinfo", None)  # Nothing is begun with a wrong timeout.
    for wrong in (-1, timedelta(seconds=-1)):
        with pytest.raises(ValueError, match="timeout must be None or seconds from 0 on"):
            net.blocking_connect("some.host", port, timeout=wrong)
        with pytest.raises(ValueError, match="timeout must be None or seconds from 0 on"):
            net.blocking_resolve("some.host", port, timeout=wrong)


# ---- beside tasks --------------------------------------------------------------------------------


def test_no_loop_has_to_run(any_loop: LoopFactory, pair: tuple[UnixStream, UnixStream]) -> None:
    """A wait of a task leaves the stream with its loop, which then stands still."""
    ours, theirs = pair
    loop = any_loop()

    async def begin() -> asyncio.Task[bytes]:
        reading = asyncio.ensure_future(ours.read())
        await asyncio.sleep(0)
        await theirs.write_all(b"1")
        assert await reading == b"1"
        return asyncio.ensure_future(ours.read())

    waiting = loop.run_until_complete(begin())
    theirs.blocking_write_all(b"2")
    assert ours.blocking_read(timeout=LONG) == b"2"
    theirs.blocking_write_all(b"3")
    assert loop.run_until_complete(asyncio.wait_for(waiting, LONG)) == b"3"
    loop.close()


def test_tasks_and_threads_accept_from_one_listener(any_loop: LoopFactory) -> None:
    listener = TcpListener.bind("127.0.0.1:0")
    got: list[str] = []

    def in_thread() -> None:
        for _ in range(10):
            stream, _ = listener.blocking_accept(timeout=LONG)
            stream.close()
            got.append("thread")

    async def main() -> None:
        async def in_task() -> None:
            for _ in range(10):
                stream, _ = await listener.accept()
                stream.close()
                got.append("task")

        loop = asyncio.get_running_loop()
        accepting = [asyncio.ensure_future(in_task()), loop.run_in_executor(None, in_thread)]
        for _ in range(20):
            stream = await TcpStream.connect(listener.local_address)
            assert await stream.read() == b""
            stream.close()
        await asyncio.gather(*accepting)
        await loop.shutdown_default_executor()

    loop = any_loop()
    loop.run_until_complete(asyncio.wait_for(main(), LONG))
    loop.close()
    assert sorted(got) == ["task"] * 10 + ["thread"] * 10
    listener.close()


def test_a_pool_serves_threads_and_tasks(thread: ThreadPoolExecutor) -> None:
    theirs: list[UnixStream] = []

    def connect() -> UnixStream:
        ours, other = UnixStream.pair()
        theirs.append(other)
        return ours

    async def connect_soon() -> UnixStream:
        return connect()

    with net.Pool(connect_soon, connections_max=1, blocking_connect=connect) as pool:

        def use() -> int:
            with pool.blocking_acquire(timeout=LONG) as stream:
                stream.blocking_write_all(b"x")
                return pool.lent_count

        async def lend() -> int:
            async with pool.acquire() as stream:
                await stream.write_all(b"x")
                waiting = Sleeper(thread, use)
            return await asyncio.wrap_future(waiting.future)

        assert use() == 1
        assert blitzio.run(lend()) == 1
        assert len(theirs) == 1
        with pool.blocking_acquire():
            with pytest.raises(TimeoutError), pool.blocking_acquire(timeout=0.01):
                pass
            waiting = Sleeper(thread, use)
            pool.close()
        with pytest.raises(RuntimeError, match="the pool is closed"):
            waiting.future.result(LONG)
        assert pool.idle_count == 0
    with (
        pytest.raises(RuntimeError, match="blocking_connect"),
        net.Pool(connect_soon).blocking_acquire(),
    ):
        pass
    theirs[0].close()


# ---- how a wait ends -----------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0, 0.01, Duration.from_millis(10), timedelta(milliseconds=10)])
def test_a_timeout_loses_nothing(pair: tuple[UnixStream, UnixStream], timeout: Any) -> None:
    ours, theirs = pair
    theirs.blocking_write_all(b"half")
    with pytest.raises(TimeoutError, match=r"\.blocking_read_exact\(\) did not end within"):
        ours.blocking_read_exact(8, timeout=timeout)
    theirs.blocking_write_all(b"done")
    assert ours.blocking_read_exact(8, timeout=LONG) == b"halfdone"
    with suppress(BlockingIOError):  # Of the kernel's own: an injected one would end it early.
        while True:
            os.write(ours.fileno(), bytes(65_536))
    with pytest.raises(TimeoutError):
        ours.blocking_write_all(b"x", timeout=timeout)


def test_closing_from_another_thread_ends_the_wait(thread: ThreadPoolExecutor) -> None:
    ours, theirs = UnixStream.pair()
    listener = TcpListener.bind("127.0.0.1:0")
    address = listener.local_address
    datagrams = UdpSocket.bind("127.0.0.1:0")
    waiters: list[tuple[Any, Any]] = [
        (ours, ours.blocking_read_line),
        (listener, listener.blocking_accept),
        (datagrams, datagrams.blocking_recv),
    ]
    for waits, call in waiters:
        waiting = Sleeper(thread, call)
        waits.close()
        with pytest.raises(OSError) as raised:
            waiting.future.result(LONG)
        assert raised.value.errno == errno.EBADF
    with pytest.raises(ConnectionRefusedError):
        TcpStream.blocking_connect(address)
    theirs.close()


def test_a_listener_that_another_thread_waits_on_is_closed_at_once(any_loop: LoopFactory) -> None:
    """The kernel keeps a socket on which a loop waits until the loop has taken that back."""
    listener = TcpListener.bind("127.0.0.1:0")
    address = listener.local_address
    loop = any_loop()

    async def begin() -> asyncio.Task[Any]:
        waiting = asyncio.ensure_future(listener.accept())
        await asyncio.sleep(0)
        return waiting

    waiting = loop.run_until_complete(begin())

    def close_and_connect() -> None:
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            TcpStream.blocking_connect(address, timeout=LONG)
        TcpListener.bind(address, reuse_address=True).close()

    with ThreadPoolExecutor(1) as executor:
        executor.submit(close_and_connect).result(LONG)
    with pytest.raises(OSError, match="Bad file"):
        loop.run_until_complete(waiting)
    loop.close()


def test_ctrl_c_ends_the_wait(pair: tuple[UnixStream, UnixStream]) -> None:
    ours, theirs = pair
    main_thread, begins = threading.get_native_id(), threading.Event()
    with (
        pytest.raises(KeyboardInterrupt),
        interrupted(lambda: begins.is_set() and do_wait(main_thread)),
    ):
        begins.set()
        ours.blocking_read(timeout=LONG)
    theirs.blocking_write_all(b"still there")
    assert ours.blocking_read() == b"still there"


def test_where_a_loop_runs_they_are_refused(pair: tuple[UnixStream, UnixStream]) -> None:
    async def main() -> None:
        listener = TcpListener.bind("127.0.0.1:0")
        for call in (
            pair[0].blocking_read,
            listener.blocking_accept,
            lambda: pair[0].blocking_write_all(b"x"),
            lambda: TcpStream.blocking_connect(listener.local_address),
            lambda: net.blocking_resolve("127.0.0.1", 1),
            lambda: net.blocking_connect("127.0.0.1", 1),
        ):
            with pytest.raises(RuntimeError, match="would block the event loop"):
                call()
        listener.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blitzio.run(main())
        gc.collect()


@pytest.mark.parametrize("end", ["close", "detach"])
def test_of_a_closed_stream_nothing_is_read_that_was_read_ahead(
    pair: tuple[UnixStream, UnixStream], end: str
) -> None:
    stream, peer = pair
    peer.blocking_write_all(b"one\ntwo\n")
    assert stream.blocking_read_line(timeout=LONG) == b"one\n"
    stream.close() if end == "close" else os.close(stream.detach())
    calls: list[Callable[[], Any]] = [
        stream.blocking_read,
        stream.blocking_peek,
        stream.blocking_read_line,
        stream.blocking_read_to_end,
        stream.try_read,
        lambda: stream.blocking_read_exact(2),
        lambda: stream.blocking_read_into(bytearray(2)),
        lambda: stream.blocking_read_vectored([bytearray(2)]),
        lambda: stream.try_read_vectored([bytearray(2)]),
    ]
    for call in calls:
        with pytest.raises(OSError) as closed:
            call()
        assert closed.value.errno == errno.EBADF


def test_a_reader_goes_on_where_another_thread_has_made_the_buffer_longer() -> None:
    """Waiting runs the foreign loop's add_reader(), and the bytes that came meanwhile were received
    to where the buffer had been."""
    ours, theirs = UnixStream.pair()
    watched = 0

    def meanwhile() -> None:
        with ThreadPoolExecutor(2) as threads:
            other = Sleeper(threads, lambda: ours.blocking_readable(timeout=LONG))
            longer = threads.submit(ours.blocking_read_exact, 50_000, timeout=0)
            with pytest.raises(TimeoutError):
                longer.result()
            threads.submit(theirs.blocking_write_all, b"x" * 10, timeout=LONG).result()
            other.future.result()

    loop: Any = asyncio.SelectorEventLoop()
    watch = loop.add_reader

    def add_reader(*args: Any) -> None:
        nonlocal watched
        watched += 1
        if watched == 2:  # The first is the driver's, before anything is tried.
            meanwhile()
        watch(*args)

    async def main() -> bytes:
        return await asyncio.wait_for(ours.read_exact(10), LONG)

    loop.add_reader = add_reader
    try:
        assert loop.run_until_complete(main()) == b"x" * 10
        assert watched >= 2
    finally:
        loop.close()
    ours.close()
    theirs.close()


def test_arguments_are_checked(pair: tuple[UnixStream, UnixStream]) -> None:
    stream: Any = pair[0]
    with pytest.raises(ValueError, match="timeout must be"):
        stream.blocking_read(timeout=-1)
    with pytest.raises(TypeError):
        stream.blocking_read(timeout="soon")
    with pytest.raises(TypeError, match="unexpected keyword argument 'm'"):
        stream.blocking_read(m=1, timeout=0)
    with pytest.raises(TypeError, match="takes 1 positional arguments but 0 were given"):
        stream.blocking_read_exact(timeout=0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'n'"):
        stream.blocking_read_exact(n=1)
    with pytest.raises(ValueError, match="n must be at least 0"):
        stream.blocking_read_exact(-1)
    with pytest.raises(ValueError, match="at least one byte"):
        stream.blocking_read_until(separator=b"", timeout=0, limit=1)
    pair[1].blocking_write_all(b"a|b|")
    assert stream.blocking_read_until(limit=2, timeout=LONG, separator=b"|") == b"a|"
    assert stream.blocking_read_until(b"|", timeout=LONG) == b"b|"
    stream.blocking_writable(LONG)
    with pytest.raises(TypeError):
        stream.blocking_writable(LONG, LONG)


def test_a_forked_child_waits_for_itself() -> None:
    """It shares the eventfd on which its parent's thread slept, and must not ring that."""
    ours, theirs = UnixStream.pair()
    with pytest.raises(TimeoutError):
        ours.blocking_read(timeout=0.001)  # The thread has its eventfd now.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork() beside threads
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            closer = threading.Timer(0.01, ours.close)
            closer.start()
            try:
                ours.blocking_read(timeout=LONG)
            except OSError as error:
                status = 0 if error.errno == errno.EBADF else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    ours.close()
    theirs.close()
