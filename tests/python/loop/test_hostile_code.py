"""Python code that does its worst in the middle of a call: ends what is being worked on, or fails.

Errors come out as errors, and nobody who waits is forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
import threading
import traceback
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import _native
from blitzio._native import fs
from blitzio.sync import Mutex
from tests.python.loop.support import soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

pytestmark = pytest.mark.usefixtures("native")
#: Classes can be asked for their bytes from this version on.
needs_buffer_method = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="no __buffer__ in Python code"
)


class Asking:
    """Runs a function when it is asked whether it is true."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask

    def __bool__(self) -> bool:
        self._ask()
        return False


class Lending(bytearray):
    """Runs a function when its bytes are asked for."""

    lend: Callable[[], object]

    def __buffer__(self, flags: int) -> memoryview:
        self.lend()
        return memoryview(b"lent" * 10_000)


# ---- finalisers called by hand -------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_a_stream_whose_finaliser_was_called_is_lost(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        with peer:
            by_hand: Any = transport
            transport.write(b"gathered")
            by_hand.__del__()
            transport.write(b"more")
            assert transport.is_closing()
            assert ours.fileno() == -1
            await turns()
            peer.setblocking(False)
            assert peer.recv(100) == b""

    loop.run_until_complete(main())


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_a_datagram_endpoint_whose_finaliser_was_called_is_lost(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        by_hand: Any = transport
        by_hand.__del__()
        transport.sendto(b"lost", ("localhost", 9))
        transport.sendto(bytearray(b"lost"), ("127.0.0.1", 9))
        assert transport.is_closing()
        await turns()

    loop.run_until_complete(main())


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_pipes_whose_finalisers_were_called_are_lost(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        reader, _ = await loop.connect_read_pipe(asyncio.Protocol, open(reading, "rb", 0))
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, open(writing, "wb", 0))
        for transport in (writer, reader):
            by_hand: Any = transport
            by_hand.__del__()
            assert transport.is_closing()
        # The numbers are somebody else's now, and the transports leave them alone.
        again = os.pipe()
        writer.write(b"not for these")
        await turns()
        os.set_blocking(again[0], False)
        with pytest.raises(BlockingIOError):
            os.read(again[0], 100)
        for fd in again:
            os.close(fd)

    loop.run_until_complete(main())


# ---- buffers -------------------------------------------------------------------------------------


@needs_buffer_method
def test_a_buffer_that_aborts_the_stream_is_not_sent(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        with peer:
            data = Lending(b"some")
            data.lend = transport.abort
            transport.write(data)
            await turns()
            assert peer.recv(100) == b""

    loop.run_until_complete(main())


@needs_buffer_method
def test_a_buffer_that_ends_the_endpoint_is_not_sent(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair(type=socket.SOCK_DGRAM)
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=ours)
        by_hand: Any = transport
        with peer:
            data = Lending(b"some")
            data.lend = lambda: by_hand._call_connection_lost(None)
            transport.sendto(data)
            await turns()
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.recv(100)

    loop.run_until_complete(main())


@needs_buffer_method
def test_a_buffer_that_sends_another_datagram_does_not_change_the_address(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        one, two = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        with one, two:
            for sock in (one, two):
                sock.bind(("127.0.0.1", 0))
                sock.settimeout(10)
            data = Lending(b"some")
            data.lend = lambda: transport.sendto(b"other", two.getsockname())
            transport.sendto(data, one.getsockname())
            assert two.recv(100) == b"other"
            assert one.recv(100_000) == b"lent" * 10_000
        transport.abort()
        await turns()

    loop.run_until_complete(main())


# ---- watched descriptors -------------------------------------------------------------------------


def test_a_file_that_is_dropped_may_remove_the_watch_that_takes_its_place(
    loop: asyncio.AbstractEventLoop,
) -> None:
    ours, peer = socket.socketpair()

    number = ours.fileno()
    removed: list[bool] = []

    class File:
        def fileno(self) -> int:
            return number

        def __del__(self) -> None:
            removed.append(loop.remove_reader(number))

    with ours, peer:
        for _ in range(10):
            loop.add_reader(File(), print)
        loop.remove_reader(ours)
        loop.run_until_complete(turns())
    # That of a file whose watch was taken away already finds none.
    assert len(removed) == 10
    assert True in removed


def test_finding_out_where_a_watch_was_made_may_close_the_loop(
    new_loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = new_loop()
    loop.set_debug(True)
    extract = traceback.StackSummary.extract

    def extract_and_close(*args: Any, **options: Any) -> traceback.StackSummary:
        monkeypatch.undo()
        loop.close()
        return extract(*args, **options)

    monkeypatch.setattr(traceback.StackSummary, "extract", extract_and_close)
    ours, peer = socket.socketpair()
    with ours, peer, pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.add_reader(ours, print)
    assert loop.is_closed()


def test_a_callback_that_is_dropped_may_close_the_loop(new_loop: LoopFactory) -> None:
    loop = new_loop()
    ours, peer = socket.socketpair()

    class Callback:
        def __call__(self) -> None:
            pass

        def __del__(self) -> None:
            loop.close()

    with ours, peer:
        loop.add_writer(ours, Callback())
        loop.add_reader(ours, Callback())
        assert loop.remove_reader(ours)
        assert loop.is_closed()
        assert not loop.remove_writer(ours)


def test_a_background_reader_can_be_replaced(loop: Any) -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        heard: list[str] = []
        loop._add_background_reader(ours, heard.append, "first")
        loop._add_background_reader(ours, heard.append, "second")
        peer.send(b"x")
        while not heard:
            loop.run_until_complete(asyncio.sleep(0))
        loop.remove_reader(ours)
        assert set(heard) == {"second"}


# ---- collections ---------------------------------------------------------------------------------


class Cycle:
    """Runs a function when it is collected."""

    def __init__(self, collected: Callable[[], object]) -> None:
        self._myself = self
        self._collected = collected

    def __del__(self) -> None:
        self._collected()


@contextlib.contextmanager
def collecting_at_once(collected: Callable[[], object]) -> Iterator[None]:
    """Has the next object that is made collect garbage, and that call the function."""
    threshold = gc.get_threshold()
    gc.collect()
    gc.disable()
    Cycle(collected)
    kept = [[] for _ in range(1000)]  # type: ignore[var-annotated]
    gc.set_threshold(1)
    gc.enable()
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        del kept


def test_counting_may_close_the_loop(new_loop: LoopFactory) -> None:
    loop: Any = new_loop()
    metrics = loop.metrics
    with contextlib.suppress(RuntimeError), collecting_at_once(loop.close):
        metrics()
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        metrics()


@pytest.mark.parametrize("name", ["add_done_callback", "remove_done_callback"])
@pytest.mark.parametrize("callbacks", [1, 3])
def test_keeping_callbacks_may_end_the_waiter(
    loop: asyncio.AbstractEventLoop, name: str, callbacks: int
) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        waiting: Any = mutex.lock()
        waiting.send(None)
        for _ in range(callbacks):
            waiting.add_done_callback(lambda _: None)
        method = getattr(waiting, name)
        with contextlib.suppress(asyncio.InvalidStateError), collecting_at_once(waiting.close):
            method(print)
        waiting.close()
        with pytest.raises(asyncio.InvalidStateError):
            waiting.add_done_callback(print)
        assert waiting.remove_done_callback(print) == 0
        mutex.unlock()

    loop.run_until_complete(main())


# ---- what is made, and made again ----------------------------------------------------------------


def test_a_loop_cannot_be_initialised_by_its_own_argument() -> None:
    loop: Any = _native.LoopBase.__new__(_native.LoopBase)
    with pytest.raises(RuntimeError, match="initialised already"):
        loop.__init__(sqpoll=Asking(loop.__init__))
    loop._close()


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_a_socket_may_end_the_transport_that_is_made_of_it(loop: asyncio.AbstractEventLoop) -> None:
    transport: Any = _native.StreamTransport.__new__(_native.StreamTransport)

    class Ending(socket.socket):
        def getsockname(self) -> str:
            transport.__del__()
            return ""

    ours, peer = socket.socketpair()
    with peer, Ending(fileno=ours.detach()) as ending:
        with pytest.raises(RuntimeError, match="ended while it was made"):
            transport.__init__(loop, ending, asyncio.Protocol())
    loop.run_until_complete(turns())


def test_an_argument_is_not_asked_after_another_has_failed() -> None:
    def ask() -> None:
        raise AssertionError("nobody may ask")

    with pytest.raises(TypeError, match="not iterable"):
        fs.watch(5, Asking(ask))  # type: ignore[arg-type]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="servers count another way")
def test_a_server_whose_count_was_changed_still_ends(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        server: Any = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(
            asyncio.Protocol, *server.sockets[0].getsockname()
        )
        while not server._counted_clients(loop):
            await asyncio.sleep(0)
        server._active_count = 0
        transport.abort()
        while server._counted_clients(loop):
            await asyncio.sleep(0)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


# ---- waiters -------------------------------------------------------------------------------------


class Failing:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("no comparison")

    def __hash__(self) -> int:
        return 0


def test_a_comparison_that_fails_leaves_the_waiter_in_its_place(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        waiting: Any = mutex.lock()
        task = asyncio.ensure_future(waiting)
        heard: list[str] = []
        await asyncio.sleep(0)
        waiting.add_done_callback(lambda _: heard.append("callback"))
        with pytest.raises(ZeroDivisionError):
            waiting.remove_done_callback(Failing())
        mutex.unlock()
        await soon(task)
        await turns()
        assert heard == ["callback"]

    loop.run_until_complete(main())


def test_a_comparison_may_wake_the_waiter(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        waiting: Any = mutex.lock()
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)

        class Waking:
            def __eq__(self, other: object) -> bool:
                if mutex.locked():
                    mutex.unlock()
                return False

            def __hash__(self) -> int:
                return 0

        assert waiting.remove_done_callback(Waking()) == 0
        await soon(task)

    loop.run_until_complete(main())


def test_callbacks_are_removed_wherever_they_stand(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        mutex = Mutex()
        await mutex.lock()
        waiting: Any = mutex.lock()
        waiting.send(None)
        heard: list[str] = []

        def first(_: object) -> None:
            heard.append("first")

        def second(_: object) -> None:
            heard.append("second")

        for callback in (first, second, first, second, first):
            waiting.add_done_callback(callback)
        assert waiting.remove_done_callback(first) == 3
        assert waiting.remove_done_callback(first) == 0
        mutex.unlock()
        await turns()
        assert heard == ["second", "second"]
        waiting.close()

    loop.run_until_complete(main())


class OddTask:
    """What a task factory of the user's may give: done at once, or ended more than once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coro: Any, when: str) -> None:
        coro.close()
        self._loop = loop
        self._when = when

    def set_name(self, name: str) -> None:
        pass

    def done(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def result(self) -> str:
        return "the result"

    def add_done_callback(self, callback: Callable[[Any], object], **_: Any) -> None:
        if self._when == "later, twice":
            self._loop.call_soon(callback, self)
            self._loop.call_soon(callback, self)
        elif self._when == "in another thread":
            thread = threading.Thread(target=callback, args=(self,))
            thread.start()
            thread.join()
        else:
            callback(self)
            raise ZeroDivisionError("after the call")


@pytest.mark.parametrize("when", ["later, twice", "in another thread", "before it fails"])
def test_a_task_may_say_at_any_time_that_it_is_done(
    new_loop: LoopFactory, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    async def work() -> None:
        raise AssertionError("nobody runs it")

    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(str(args.exc_value)))
    tasks: list[weakref.ref[OddTask]] = []

    def make(loop: asyncio.AbstractEventLoop, coro: Any, **_: Any) -> OddTask:
        task = OddTask(loop, coro, when)
        tasks.append(weakref.ref(task))
        return task

    loop = new_loop()
    loop.set_task_factory(make)  # type: ignore[arg-type]
    handles: list[Any] = []
    loop.call_soon(lambda: handles.append(blitzio.spawn(work)))

    def stop_when_finished() -> None:
        if handles and handles[0].is_finished():
            loop.stop()
        else:
            loop.call_soon(stop_when_finished)

    loop.call_soon(stop_when_finished)
    loop.run_forever()
    loop.close()
    assert handles[0].is_finished()
    assert handles[0].try_join() == "the result"
    handles.clear()
    gc.collect()
    assert [task() for task in tasks] == [None]
    assert told == (["after the call"] if when == "before it fails" else [])


def test_what_a_job_returns_is_dropped_by_a_thread_that_may() -> None:
    dropped: list[str] = []

    class Result:
        def __del__(self) -> None:
            dropped.append("dropped")

    pool = _native.ThreadPool(1, 1.0, "pool")
    for _ in range(20):
        pool.submit(Result)
    pool.shutdown()
    assert dropped == ["dropped"] * 20
