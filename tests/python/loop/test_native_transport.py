"""The native stream transport and listener: the contract that asyncio documents, and its traps."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import logging
import os
import resource
import socket
import struct
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT = 10

# More than the kernel takes for a pair whose peer does not read.
BIG = 4 << 20


def run(loop: asyncio.AbstractEventLoop, coro: Any) -> Any:
    return loop.run_until_complete(asyncio.wait_for(coro, TIMEOUT))


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop turn until `condition()` is true."""
    async with asyncio.timeout(TIMEOUT) if hasattr(asyncio, "timeout") else _NoTimeout():
        while not condition():
            await asyncio.sleep(0)


class _NoTimeout:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


class Recorder(asyncio.Protocol):
    """Writes down what happens to it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.data = bytearray()
        self.transport: Any = None
        self.lost: asyncio.Future[BaseException | None] | None = None
        self.keep_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")
        self.transport = transport
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data += data

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.events.append(("lost", exc))
        assert self.lost is not None
        if not self.lost.done():
            self.lost.set_result(exc)


class Buffered(asyncio.BufferedProtocol):
    """Receives into a buffer of `size` bytes."""

    def __init__(self, size: int = 256) -> None:
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.hints: set[int] = set()
        self.lost: list[BaseException | None] = []

    def get_buffer(self, sizehint: int) -> bytearray:
        self.hints.add(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.append(exc)


def make_transport(
    loop: Any, sock: socket.socket, protocol: asyncio.BaseProtocol, **keywords: Any
) -> Any:
    options: dict[str, Any] = {"extra": None, "server": None, "waiter": None, **keywords}
    return _native.StreamTransport(loop, sock, protocol, **options)


@pytest.fixture
def native_only(native: None) -> None:
    """These tests construct the native type, so asyncio's own loop cannot run them."""


@pytest.fixture(params=["unix", "tcp"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours, non-blocking, and the peer's, blocking with a timeout."""
    if request.param == "unix":
        ours, peer = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ours.setblocking(False)
    peer.settimeout(TIMEOUT)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    yield ours, peer
    ours.close()
    peer.close()


pytestmark = pytest.mark.usefixtures("native_only")
Pair = tuple[socket.socket, socket.socket]


def connected(loop: Any, pair: Pair, protocol: Any = None, **keywords: Any) -> tuple[Any, Any]:
    """A transport over our end whose connection_made() has run."""
    protocol = Recorder() if protocol is None else protocol

    async def make() -> Any:
        waiter = loop.create_future()
        transport = make_transport(loop, pair[0], protocol, waiter=waiter, **keywords)
        await waiter
        return transport

    return run(loop, make()), protocol


def receive_all(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


# ---- construction -------------------------------------------------------------------------------


def test_is_an_asyncio_transport_with_a_dict_and_weak_references(loop: Any, pair: Pair) -> None:
    transport, _ = connected(loop, pair)
    assert isinstance(transport, asyncio.Transport)
    patched: Any = transport
    patched.anything = 1
    assert transport.__dict__ == {"anything": 1}
    assert weakref.ref(transport)() is transport
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_order_is_connection_made_then_reading_then_the_waiter(loop: Any, pair: Pair) -> None:
    order: list[str] = []

    class Ordered(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            order.append("made")

        def data_received(self, data: bytes) -> None:
            order.append("data")

    pair[1].send(b"already there")

    async def main() -> None:
        waiter = loop.create_future()
        waiter.add_done_callback(lambda _: order.append("waiter"))
        transport = make_transport(loop, pair[0], Ordered(), waiter=waiter)
        loop.call_soon(order.append, "after")
        assert order == []
        await waiter
        await until(lambda: "data" in order)
        transport.abort()
        await asyncio.sleep(0)

    run(loop, main())
    # Everything was scheduled by the constructor, before what came after it.
    assert order == ["made", "after", "waiter", "data"]


def test_a_cancelled_waiter_is_left_alone(loop: Any, pair: Pair, reports: list[Any]) -> None:
    async def main() -> None:
        waiter = loop.create_future()
        transport = make_transport(loop, pair[0], Recorder(), waiter=waiter)
        waiter.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        transport.close()
        await asyncio.sleep(0)

    run(loop, main())
    assert reports == []


def test_connection_made_can_be_left_to_the_caller(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair, call_connection_made=False)
    assert protocol.events == []
    transport.abort()
    protocol.lost = loop.create_future()
    run(loop, protocol.lost)


def test_bad_arguments_leave_the_socket_open(loop: Any, pair: Pair) -> None:
    with pytest.raises(TypeError):
        make_transport(object(), pair[0], Recorder())
    with pytest.raises(TypeError):
        make_transport(loop, pair[0], Recorder(), extra=[])

    class BadServer:
        def _attach(self, *_: Any) -> None:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        make_transport(loop, pair[0], Recorder(), server=BadServer())
    assert pair[0].fileno() >= 0
    # The driver let go of the descriptor, too.
    transport, _ = connected(loop, pair)
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_an_uninitialised_transport_raises_instead_of_crashing(loop: Any) -> None:
    transport = _native.StreamTransport.__new__(_native.StreamTransport)
    for call in (
        lambda: transport.write(b"x"),
        transport.close,
        transport.abort,
        transport.pause_reading,
        transport.get_write_buffer_size,
    ):
        with pytest.raises(RuntimeError, match="not initialised"):
            call()
    assert transport.get_extra_info("socket", 1) == 1
    assert transport.is_closing() is False
    assert "StreamTransport" in repr(transport)


def test_a_transport_cannot_be_initialised_twice(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    with pytest.raises(RuntimeError, match="already"):
        transport.__init__(loop, pair[0], protocol, extra=None, server=None, waiter=None)
    transport.abort()
    run(loop, protocol.lost)


def test_subclasses_keep_the_native_behaviour(loop: Any, pair: Pair) -> None:
    class Mine(_native.StreamTransport):
        def hello(self) -> str:
            return "hello"

    async def main() -> None:
        protocol = Recorder()
        transport = Mine(loop, pair[0], protocol, extra=None, server=None, waiter=None)
        await asyncio.sleep(0)
        assert transport.hello() == "hello"
        transport.write(b"x")
        transport.close()
        assert protocol.lost is not None
        await protocol.lost

    run(loop, main())
    assert receive_all(pair[1]) == b"x"


def test_the_server_is_told_of_both_ends_once(loop: Any, pair: Pair) -> None:
    calls: list[tuple[str, tuple[Any, ...]]] = []

    class Server:
        def _attach(self, *args: Any) -> None:
            calls.append(("attach", args))

        def _detach(self, *args: Any) -> None:
            calls.append(("detach", args))

    transport, protocol = connected(loop, pair, server=Server())
    transport.close()
    transport.abort()
    run(loop, protocol.lost)
    run(loop, asyncio.sleep(0))
    import sys

    expected = (transport,) if sys.version_info >= (3, 13) else ()
    assert calls == [("attach", expected), ("detach", expected)]


def test_add_reader_refuses_a_descriptor_that_a_transport_uses(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    with pytest.raises(RuntimeError, match="is used by transport"):
        loop.add_reader(pair[0].fileno(), print)
    transport.close()
    run(loop, protocol.lost)


# ---- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000, 20_000, 300_000, 3_000_000])
@pytest.mark.parametrize("buffered", [False, True])
def test_bytes_arrive_complete_and_in_order(
    loop: Any, pair: Pair, size: int, buffered: bool
) -> None:
    """Crosses from small arrivals to large ones and, over and over, back."""
    protocol: Any = Buffered(70_000) if buffered else Recorder()
    transport, _ = connected(loop, pair, protocol)
    blocks = [os.urandom(size)] + [os.urandom(100 + i) for i in range(40)] + [os.urandom(size)]

    def send_all() -> None:
        for block in blocks:
            pair[1].sendall(block)

    sender = threading.Thread(target=send_all)
    sender.start()
    expected = b"".join(blocks)
    run(loop, until(lambda: len(protocol.data) >= len(expected)))
    sender.join()
    assert protocol.data == expected
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_pause_reading_keeps_what_had_arrived_and_delivers_it_in_order(
    loop: Any, pair: Pair
) -> None:
    class PausesAtOnce(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    protocol = PausesAtOnce()
    transport, _ = connected(loop, pair, protocol)
    expected = bytearray()

    async def main() -> None:
        for i in range(200):
            block = os.urandom(1 + i * 37 % 3000)
            expected.extend(block)
            pair[1].sendall(block)
            if i % 3 == 0:
                await asyncio.sleep(0)
            if i % 7 == 0 and not transport.is_reading():
                transport.resume_reading()
        while len(protocol.data) < len(expected):
            transport.resume_reading()
            await asyncio.sleep(0)

    run(loop, main())
    assert protocol.data == expected
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_a_paused_transport_delivers_nothing_and_fills_the_kernels_buffer(
    loop: Any, pair: Pair
) -> None:
    transport, protocol = connected(loop, pair)
    transport.pause_reading()
    assert not transport.is_reading()
    transport.pause_reading()
    run(loop, asyncio.sleep(0))
    pair[1].setblocking(False)
    sent = 0

    async def fill() -> None:
        nonlocal sent
        for _ in range(50):
            try:
                while True:
                    sent += pair[1].send(bytes(65536))
            except BlockingIOError:
                await asyncio.sleep(0.001)

    run(loop, fill())
    # The kernel refuses more: nobody reads on our side. Buffers of loopback are a few MiB.
    assert sent < 32 * 1024 * 1024
    assert protocol.data == b""
    transport.resume_reading()
    transport.resume_reading()
    assert transport.is_reading()
    run(loop, until(lambda: len(protocol.data) == sent))
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_end_of_file_while_paused_comes_after_the_data_on_resume(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    run(loop, asyncio.sleep(0))
    transport.pause_reading()
    pair[1].sendall(b"last words")
    pair[1].shutdown(socket.SHUT_WR)
    run(loop, asyncio.sleep(0.01))
    assert protocol.events == ["made"]
    transport.resume_reading()
    run(loop, protocol.lost)
    assert protocol.data == b"last words"
    assert protocol.events == ["made", "eof", ("lost", None)]


def test_pausing_in_connection_made_holds_everything_back(loop: Any, pair: Pair) -> None:
    class Shy(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()

    pair[1].sendall(b"hello")
    transport, protocol = connected(loop, pair, Shy())
    run(loop, asyncio.sleep(0.01))
    assert protocol.data == b""
    transport.resume_reading()
    run(loop, until(lambda: protocol.data == b"hello"))
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_no_data_after_close_and_none_after_abort(loop: Any, pair: Pair) -> None:
    for end in ("close", "abort"):
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        transport, protocol = connected(loop, (ours, peer))
        run(loop, asyncio.sleep(0))
        peer.sendall(b"too late")
        getattr(transport, end)()
        assert not transport.is_reading()
        run(loop, protocol.lost)
        assert protocol.data == b""
        peer.close()


def test_a_true_eof_received_keeps_the_connection_half_open(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    protocol.keep_open = True
    pair[1].shutdown(socket.SHUT_WR)
    run(loop, until(lambda: "eof" in protocol.events))
    assert not transport.is_closing()
    transport.write(b"still talking")
    transport.close()
    run(loop, protocol.lost)
    assert receive_all(pair[1]) == b"still talking"


def test_a_reset_becomes_connection_lost_without_a_report(
    loop: Any, reports: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    transport, protocol = connected(loop, (ours, peer))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    exc = run(loop, protocol.lost)
    assert isinstance(exc, ConnectionResetError)
    assert exc.errno == errno.ECONNRESET
    assert reports == []
    assert caplog.records == []
    assert transport.is_closing()


def test_a_patched_data_received_is_seen(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    seen: list[bytes] = []
    protocol.data_received = seen.append
    pair[1].sendall(b"x")
    run(loop, until(lambda: seen))
    assert seen == [b"x"]
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_switching_protocols_keeps_the_order_of_bytes(loop: Any, pair: Pair) -> None:
    """What start_tls does: the new protocol is of the other kind, with data under way."""
    transport, first = connected(loop, pair)
    run(loop, asyncio.sleep(0))
    pair[1].sendall(b"a" * 1000)
    run(loop, until(lambda: len(first.data) == 1000))
    transport.pause_reading()
    pair[1].sendall(b"b" * 100_000)
    run(loop, asyncio.sleep(0.005))
    second = Buffered(64)
    transport.set_protocol(second)
    assert transport.get_protocol() is second
    transport.resume_reading()
    run(loop, until(lambda: len(second.data) == 100_000))
    assert first.data == b"a" * 1000
    assert second.hints == {-1}
    third = Recorder()
    transport.set_protocol(third)
    third.lost = loop.create_future()
    pair[1].sendall(b"c")
    run(loop, until(lambda: third.data == b"c"))
    transport.close()
    run(loop, third.lost)


def test_a_buffered_protocol_may_pause_in_the_middle_of_an_arrival(loop: Any, pair: Pair) -> None:
    class Pausing(Buffered):
        transport: Any = None

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.transport.pause_reading()

    protocol = Pausing(10)
    transport, _ = connected(loop, pair, protocol)
    expected = os.urandom(95)
    pair[1].sendall(expected)

    async def main() -> None:
        while len(protocol.data) < 95:
            before = len(protocol.data)
            transport.resume_reading()
            while len(protocol.data) == before:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(protocol.data) <= before + 10

    run(loop, main())
    assert protocol.data == expected
    transport.abort()
    run(loop, asyncio.sleep(0))


def test_protocol_callbacks_run_in_the_context_of_the_constructor(loop: Any, pair: Pair) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[tuple[str, str]] = []

    class Looks(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            seen.append(("made", variable.get()))

        def data_received(self, data: bytes) -> None:
            seen.append(("data", variable.get()))

        def connection_lost(self, exc: BaseException | None) -> None:
            seen.append(("lost", variable.get()))
            super().connection_lost(exc)

    async def main() -> None:
        variable.set("inside")
        protocol = Looks()
        transport = make_transport(loop, pair[0], protocol)
        variable.set("later")
        await asyncio.sleep(0)
        pair[1].sendall(b"x")
        await until(lambda: len(seen) == 2)
        transport.close()
        assert protocol.lost is not None
        await protocol.lost
        assert variable.get() == "later"

    run(loop, main())
    assert seen == [("made", "inside"), ("data", "inside"), ("lost", "inside")]


# ---- errors of the protocol ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("data_received", "Fatal error: protocol.data_received() call failed."),
        ("eof_received", "Fatal error: protocol.eof_received() call failed."),
    ],
)
def test_an_exception_of_the_protocol_is_reported_and_ends_the_connection(
    loop: Any, pair: Pair, reports: list[Any], method: str, message: str
) -> None:
    error = RuntimeError("mine")

    def fail(*_: Any) -> None:
        raise error

    transport, protocol = connected(loop, pair)
    setattr(protocol, method, fail)
    pair[1].sendall(b"x")
    pair[1].shutdown(socket.SHUT_WR)
    assert run(loop, protocol.lost) is error
    assert len(reports) == 1
    assert reports[0]["message"] == message
    assert reports[0]["exception"] is error
    assert reports[0]["transport"] is transport
    assert reports[0]["protocol"] is protocol


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("get_buffer", "Fatal error: protocol.get_buffer() call failed."),
        ("buffer_updated", "Fatal error: protocol.buffer_updated() call failed."),
    ],
)
def test_an_exception_of_a_buffered_protocol_is_reported(
    loop: Any, pair: Pair, reports: list[Any], method: str, message: str
) -> None:
    error = RuntimeError("mine")

    def fail(*_: Any) -> None:
        raise error

    protocol = Buffered()
    connected(loop, pair, protocol)
    setattr(protocol, method, fail)
    pair[1].sendall(b"x")
    run(loop, until(lambda: protocol.lost))
    assert protocol.lost == [error]
    assert [report["message"] for report in reports] == [message]


def test_an_empty_buffer_is_an_error(loop: Any, pair: Pair, reports: list[Any]) -> None:
    protocol = Buffered(0)
    connected(loop, pair, protocol)
    pair[1].sendall(b"x")
    run(loop, until(lambda: protocol.lost))
    assert str(protocol.lost[0]) == "get_buffer() returned an empty buffer"
    assert reports[0]["message"] == "Fatal error: protocol.get_buffer() call failed."


def test_an_os_error_of_the_protocol_is_not_reported(
    loop: Any, pair: Pair, reports: list[Any]
) -> None:
    error = OSError("mine")

    def fail(_: bytes) -> None:
        raise error

    _, protocol = connected(loop, pair)
    protocol.data_received = fail
    pair[1].sendall(b"x")
    assert run(loop, protocol.lost) is error
    assert reports == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_fatal_exceptions_end_the_run_and_leave_the_connection(
    loop: Any, pair: Pair, reports: list[Any], error: type[BaseException]
) -> None:
    def fail(_: bytes) -> None:
        raise error

    transport, protocol = connected(loop, pair)
    protocol.data_received = fail
    pair[1].sendall(b"x")
    with pytest.raises(error):
        loop.run_forever()
    assert reports == []
    del protocol.data_received
    pair[1].sendall(b"y")
    run(loop, until(lambda: protocol.data == b"y"))
    transport.abort()
    run(loop, protocol.lost)


def test_an_exception_in_connection_lost_still_closes_everything(
    loop: Any, pair: Pair, reports: list[Any]
) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("mine")

    transport, protocol = connected(loop, pair)
    protocol.connection_lost = fail
    transport.close()
    run(loop, until(lambda: reports))
    assert str(reports[0]["exception"]) == "mine"
    assert pair[0].fileno() == -1
    assert receive_all(pair[1]) == b""


# ---- writing ------------------------------------------------------------------------------------


def test_writes_of_one_turn_arrive_in_order_whatever_their_type(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    mutable = bytearray(b"2")

    async def main() -> None:
        transport.write(b"1")
        transport.write(mutable)
        mutable[0] = ord("X")
        transport.write(memoryview(b"345")[::1])
        transport.write(b"")
        transport.writelines([b"6", bytearray(b"7"), memoryview(b"8")])
        transport.writelines([])
        transport.write(b"9" * 100_000)
        transport.write(memoryview(b"a" * 200_000))
        transport.close()

    reader = threading.Thread(target=lambda: received.append(receive_all(pair[1])))
    received: list[bytes] = []
    reader.start()
    run(loop, main())
    run(loop, protocol.lost)
    reader.join()
    assert received == [b"12345678" + b"9" * 100_000 + b"a" * 200_000]


def test_writes_of_one_turn_leave_in_one_packet(loop: Any) -> None:
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    peer.setblocking(False)
    transport, protocol = connected(loop, (ours, peer))

    async def main() -> None:
        for _ in range(20):
            transport.write(b"piece")
        # Not sent yet: the flush comes before the loop waits.
        with pytest.raises(BlockingIOError):
            peer.recv(1)

    run(loop, main())
    assert peer.recv(1000) == b"piece" * 20
    transport.close()
    run(loop, protocol.lost)
    peer.close()


def test_get_write_buffer_size_counts_only_what_the_kernel_refused(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)

    async def main() -> None:
        transport.write(b"small")
        assert transport.get_write_buffer_size() == 0
        assert pair[1].recv(100) == b"small"
        transport.write(bytes(BIG))
        left = transport.get_write_buffer_size()
        assert 0 < left < BIG
        transport.write(b"more")
        assert transport.get_write_buffer_size() == left + 4
        transport.abort()
        assert transport.get_write_buffer_size() == 0

    run(loop, main())
    run(loop, protocol.lost)


def test_writing_while_the_loop_does_not_run_sends_at_once(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    transport.write(b"now")
    assert pair[1].recv(100) == b"now"
    transport.close()
    run(loop, protocol.lost)


def test_a_write_before_stop_is_sent(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)

    def last() -> None:
        transport.write(b"bye")
        loop.stop()

    loop.call_soon(last)
    loop.run_forever()
    assert pair[1].recv(100) == b"bye"
    transport.close()
    run(loop, protocol.lost)


def test_flow_control_pauses_above_high_and_resumes_at_low(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    assert transport.get_write_buffer_limits() == (16384, 65536)
    total = BIG

    async def main() -> None:
        transport.write(bytes(1000))
        assert protocol.events == ["made"]
        transport.write(bytes(total))
        assert protocol.events == ["made", "pause"]
        assert transport._protocol_paused
        transport.write(b"x")
        assert protocol.events == ["made", "pause"]

    run(loop, main())
    received = 0
    reader = threading.Thread(target=lambda: [None for _ in iter(read_some, None)])

    def read_some() -> bool | None:
        nonlocal received
        received += len(pair[1].recv(1 << 20))
        return True if received < total + 1001 else None

    reader.start()
    run(loop, until(lambda: "resume" in protocol.events))
    run(loop, until(lambda: transport.get_write_buffer_size() == 0))
    reader.join()
    assert protocol.events == ["made", "pause", "resume"]
    transport.close()
    run(loop, protocol.lost)


def test_resume_writing_is_not_called_on_a_closed_transport(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)

    async def main() -> None:
        transport.write(bytes(BIG))
        assert protocol.events == ["made", "pause"]
        transport.abort()
        await protocol.lost

    run(loop, main())
    assert protocol.events == ["made", "pause", ("lost", None)]


def test_a_high_water_mark_of_zero_pauses_for_any_remainder(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)

    async def main() -> None:
        transport.set_write_buffer_limits(high=0)
        transport.write(b"fits")
        assert protocol.events == ["made"]
        while not transport.get_write_buffer_size():
            transport.write(bytes(65536))
        assert protocol.events == ["made", "pause"]
        transport.abort()
        await protocol.lost

    run(loop, main())


def test_water_marks_follow_asyncio(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    transport.set_write_buffer_limits(low=100)
    assert transport.get_write_buffer_limits() == (100, 400)
    transport.set_write_buffer_limits(high=100)
    assert transport.get_write_buffer_limits() == (25, 100)
    transport.set_write_buffer_limits(high=7, low=3)
    assert transport.get_write_buffer_limits() == (3, 7)
    with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\) must be >= 0"):
        transport.set_write_buffer_limits(high=1, low=2)
    with pytest.raises(ValueError, match=r"high \(0\) must be >= low \(-1\) must be >= 0"):
        transport.set_write_buffer_limits(high=0, low=-1)
    with pytest.raises(ValueError, match=r"high \(-1\) must be >= low \(-1\) must be >= 0"):
        transport.set_write_buffer_limits(high=-1)
    transport.set_write_buffer_limits()
    assert transport.get_write_buffer_limits() == (16384, 65536)
    transport.close()
    run(loop, protocol.lost)


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
def test_an_exception_of_flow_control_is_reported_and_the_connection_lives(
    loop: Any, pair: Pair, reports: list[Any], method: str
) -> None:
    error = RuntimeError("mine")

    def fail() -> None:
        raise error

    transport, protocol = connected(loop, pair)
    setattr(protocol, method, fail)
    transport.write(bytes(BIG))
    reader = threading.Thread(target=lambda: received.append(receive_all(pair[1])))
    received: list[bytes] = []
    reader.start()
    run(loop, until(lambda: transport.get_write_buffer_size() == 0))
    assert [report["message"] for report in reports] == [f"protocol.{method}() failed"]
    assert reports[0]["exception"] is error
    assert not transport.is_closing()
    transport.close()
    run(loop, protocol.lost)
    reader.join()
    assert len(received[0]) == BIG


def test_close_sends_everything_first(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    size = BIG
    transport.write(bytes(size))
    transport.close()
    transport.write(b"as asyncio: still queued")
    assert transport.is_closing()
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(receive_all(pair[1])))
    reader.start()
    assert run(loop, protocol.lost) is None
    reader.join()
    assert len(received[0]) == size + len(b"as asyncio: still queued")
    assert [event for event in protocol.events if isinstance(event, tuple)] == [("lost", None)]


def test_write_eof_follows_what_is_buffered(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    assert transport.can_write_eof()
    size = BIG
    received: list[bytes] = []

    async def main() -> None:
        transport.write(bytes(size))
        transport.write_eof()
        transport.write_eof()
        with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof\(\)"):
            transport.write(b"x")
        with pytest.raises(RuntimeError, match=r"after write_eof\(\)"):
            transport.writelines([b"x"])

    run(loop, main())
    reader = threading.Thread(target=lambda: received.append(receive_all(pair[1])))
    reader.start()
    run(loop, until(lambda: not reader.is_alive()))
    assert len(received[0]) == size
    # The other half is open still.
    pair[1].sendall(b"answer")
    run(loop, until(lambda: protocol.data == b"answer"))
    transport.close()
    run(loop, protocol.lost)


def test_write_eof_without_pending_data_shuts_down_at_once(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    transport.write(b"x")
    transport.write_eof()
    assert receive_all(pair[1]) == b"x"
    transport.close()
    transport.write_eof()
    run(loop, protocol.lost)


def test_abort_drops_what_is_buffered(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)

    async def main() -> None:
        transport.write(bytes(BIG))
        transport.abort()
        transport.abort()
        transport.close()

    run(loop, main())
    assert run(loop, protocol.lost) is None
    try:
        assert len(receive_all(pair[1])) < BIG
    except ConnectionResetError:
        pass


@pytest.mark.parametrize("bad", ["text", 1, None, [b"x"], object()])
def test_write_refuses_what_is_no_buffer_in_asyncios_words(
    loop: Any, pair: Pair, bad: object
) -> None:
    transport, protocol = connected(loop, pair)
    with pytest.raises(TypeError) as caught:
        transport.write(bad)
    expected = f"data argument must be a bytes-like object, not {type(bad).__name__!r}"
    assert str(caught.value) == expected
    with pytest.raises(TypeError):
        transport.writelines([b"good", bad])
    transport.close()
    run(loop, protocol.lost)
    assert receive_all(pair[1]) == b""


def test_writes_after_the_connection_is_lost_warn_from_the_sixth_on(
    loop: Any, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    transport, protocol = connected(loop, pair)
    transport.abort()
    run(loop, protocol.lost)
    for _ in range(4):
        transport.write(b"x")
    assert caplog.records == []
    transport.write(b"")
    for _ in range(2):
        transport.write(b"x")
    messages = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert messages == ["socket.send() raised exception."] * 2


def test_writing_to_a_dead_peer_ends_in_connection_lost(
    loop: Any, pair: Pair, reports: list[Any]
) -> None:
    transport, protocol = connected(loop, pair)
    protocol.keep_open = True
    pair[1].close()

    async def main() -> BaseException | None:
        assert protocol.lost is not None
        while not protocol.lost.done():
            transport.write(b"x")
            await asyncio.sleep(0)
        lost: BaseException | None = await protocol.lost
        return lost

    exc = run(loop, main())
    assert isinstance(exc, (BrokenPipeError, ConnectionResetError))
    assert reports == []


def test_writing_in_data_received_and_closing_there_delivers(loop: Any, pair: Pair) -> None:
    class EchoAndClose(Recorder):
        def data_received(self, data: bytes) -> None:
            self.transport.write(b"<")
            self.transport.write(data)
            self.transport.write(b">")
            self.transport.close()

    _, protocol = connected(loop, pair, EchoAndClose())
    pair[1].sendall(b"hi")
    run(loop, protocol.lost)
    assert receive_all(pair[1]) == b"<hi>"


def test_replacing_write_on_the_instance_works(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    written: list[bytes] = []
    transport.write = written.append
    transport.write(b"x")
    assert written == [b"x"]
    del transport.write
    transport.close()
    run(loop, protocol.lost)


def test_more_pieces_than_one_sendmsg_takes(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)

    async def main() -> None:
        transport.writelines([str(i % 10).encode() for i in range(5000)])
        for i in range(5000):
            transport.write(str(i % 10).encode())
        transport.close()

    run(loop, main())
    run(loop, protocol.lost)
    assert receive_all(pair[1]) == b"0123456789" * 1000


# ---- the end ------------------------------------------------------------------------------------


def test_close_comes_before_what_is_scheduled_after_it(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    run(loop, asyncio.sleep(0))

    async def main() -> None:
        transport.close()
        assert len(protocol.events) == 1
        done = loop.create_future()
        loop.call_soon(done.set_result, None)
        await done
        assert protocol.events == ["made", ("lost", None)]
        assert pair[0].fileno() == -1
        assert transport.get_protocol() is None

    run(loop, main())


def test_closing_in_data_received_releases_the_descriptor(loop: Any) -> None:
    """The receive is still in flight when connection_lost() has returned."""

    class Closes(Recorder):
        def data_received(self, data: bytes) -> None:
            self.transport.abort()

    run(loop, asyncio.sleep(0))  # The first run opens descriptors of the loop's own.
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        peer.settimeout(TIMEOUT)
        _, protocol = connected(loop, (ours, peer), Closes())
        peer.sendall(b"x")
        run(loop, protocol.lost)
        assert ours.fileno() == -1
        run(loop, asyncio.sleep(0))
        assert peer.recv(1) == b""
        peer.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert loop.metrics()["transports"] == 0


def test_extra_info(loop: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    local, remote = ours.getsockname(), ours.getpeername()
    transport, protocol = connected(loop, (ours, peer), extra={"mine": 1})
    info = transport.get_extra_info
    assert info("mine") == 1
    assert info("sockname") == local
    assert info("peername") == remote
    assert isinstance(info("socket"), asyncio.trsock.TransportSocket)
    assert info("socket") is info("socket")
    assert info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert info("nothing") is None
    assert info("nothing", 5) == 5
    assert info("nothing", default=6) == 6
    assert info(name="mine", default=6) == 1
    transport.close()
    run(loop, protocol.lost)
    assert info("peername") == remote
    peer.close()


def test_peername_survives_a_peer_that_is_gone(loop: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    remote = ours.getpeername()
    transport, protocol = connected(loop, (ours, peer))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    run(loop, protocol.lost)
    assert transport.get_extra_info("peername") == remote


def test_a_given_peername_is_kept(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair, extra={"peername": "somebody"})
    assert transport.get_extra_info("peername") == "somebody"
    transport.close()
    run(loop, protocol.lost)


def test_repr_tells_the_state(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    fd = pair[0].fileno()
    run(loop, asyncio.sleep(0))
    assert repr(transport) == (f"<StreamTransport fd={fd} read=polling write=<idle, bufsize=0>>")
    transport.pause_reading()
    assert "read=idle" in repr(transport)
    transport.write(bytes(BIG))
    assert "write=<polling, bufsize=" in repr(transport)
    transport.abort()
    assert repr(transport).startswith(f"<StreamTransport closing fd={fd} ")
    run(loop, protocol.lost)
    run(loop, asyncio.sleep(0))
    assert repr(transport) == f"<StreamTransport closed fd={fd}>"


def test_an_abandoned_transport_warns_and_closes(loop: Any, pair: Pair) -> None:
    class Holder(asyncio.Protocol):
        """Refers to nothing, so that only the transport's own references count."""

    transport, _ = connected(loop, pair, Holder())
    transport.pause_reading()
    run(loop, asyncio.sleep(0))
    run(loop, asyncio.sleep(0))
    with pytest.warns(ResourceWarning, match="unclosed transport <StreamTransport"):
        del transport
        gc.collect()
    assert pair[0].fileno() == -1
    assert receive_all(pair[1]) == b""


def test_a_transport_that_reads_keeps_itself_alive(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair, Buffered())
    run(loop, asyncio.sleep(0))
    reference = weakref.ref(transport)
    del transport
    gc.collect()
    assert reference() is not None
    pair[1].sendall(b"x")
    run(loop, until(lambda: protocol.data == b"x"))
    pair[1].close()
    run(loop, until(lambda: protocol.lost))
    run(loop, asyncio.sleep(0))
    gc.collect()
    assert reference() is None


def test_closing_the_loop_calls_nobody_and_frees_everything(new_loop: Any) -> None:
    loop: Any = new_loop()
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    protocol = Buffered()
    transport, _ = connected(loop, (ours, peer), protocol)
    run(loop, asyncio.sleep(0))
    transport.write(bytes(BIG))  # Two operations are in flight.
    peer.sendall(b"never read")
    loop.close()
    assert protocol.lost == []
    assert protocol.data == b""
    reference = weakref.ref(transport)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        transport.abort()
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del transport
        gc.collect()
    assert reference() is None
    assert ours.fileno() == -1
    peer.close()


def test_a_foreign_thread_gets_an_error_while_the_loop_runs(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    errors: list[str] = []

    def intrude() -> None:
        for call in (
            lambda: transport.write(b"x"),
            lambda: transport.writelines([b"x"]),
            transport.write_eof,
            transport.close,
            transport.abort,
            transport.pause_reading,
            transport.resume_reading,
            transport.get_write_buffer_size,
        ):
            try:
                call()
            except RuntimeError as exc:
                errors.append(str(exc))

    async def main() -> None:
        thread = threading.Thread(target=intrude)
        thread.start()
        await until(lambda: not thread.is_alive())

    run(loop, main())
    assert len(errors) == 8
    assert not transport.is_closing()
    transport.close()
    run(loop, protocol.lost)
    assert receive_all(pair[1]) == b""


def test_debug_mode_logs_as_asyncio_does(
    loop: Any, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    transport, protocol = connected(loop, pair)
    with caplog.at_level(logging.DEBUG, "asyncio"):
        transport.pause_reading()
        transport.resume_reading()
        pair[1].close()
        run(loop, protocol.lost)
    text = caplog.text
    assert "pauses reading" in text
    assert "resumes reading" in text
    assert "received EOF" in text


def test_the_empty_waiter_of_sendfile(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    assert transport._start_tls_compatible
    assert transport._sendfile_compatible is not None

    async def main() -> None:
        waiter = transport._make_empty_waiter()
        assert waiter.done()
        with pytest.raises(RuntimeError, match="Empty waiter is already set"):
            transport._make_empty_waiter()
        with pytest.raises(RuntimeError, match="sendfile is in progress"):
            transport.write(b"x")
        transport._reset_empty_waiter()
        transport.write(bytes(BIG))
        waiter = transport._make_empty_waiter()
        assert not waiter.done()
        reader = threading.Thread(target=lambda: receive_all(pair[1]))
        reader.start()
        await waiter
        transport._reset_empty_waiter()
        transport.close()
        assert protocol.lost is not None
        await protocol.lost
        reader.join()

    run(loop, main())


def test_force_close_hands_the_exception_on(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    error = ConnectionAbortedError("mine")
    transport._force_close(error)
    assert run(loop, protocol.lost) is error


def test_fatal_error_reports_and_aborts(loop: Any, pair: Pair, reports: list[Any]) -> None:
    transport, protocol = connected(loop, pair)
    error = ValueError("mine")
    transport._fatal_error(error, "Something happened")
    assert run(loop, protocol.lost) is error
    assert reports[0]["message"] == "Something happened"


# ---- the listener -------------------------------------------------------------------------------


def start_server(loop: Any, factory: Any, **keywords: Any) -> tuple[Any, tuple[str, int]]:
    server = run(loop, loop.create_server(factory, "127.0.0.1", 0, **keywords))
    return server, server.sockets[0].getsockname()


def test_accepted_transports_tell_addresses_and_have_no_delay(loop: Any) -> None:
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    server, address = start_server(loop, factory)
    with socket.create_connection(address) as peer:
        run(loop, until(lambda: made and made[0].transport))
        transport = made[0].transport
        assert transport.get_extra_info("peername") == peer.getsockname()
        assert transport.get_extra_info("sockname") == address
        sock = transport.get_extra_info("socket")
        assert sock.family == socket.AF_INET
        assert sock.fileno() == transport._sock_fd
        assert sock.gettimeout() == 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert not os.get_inheritable(sock.fileno())
    assert made[0].lost is not None
    run(loop, made[0].lost)
    server.close()
    run(loop, server.wait_closed())


def test_each_connection_has_a_context_of_its_own(loop: Any) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []

    class Looks(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            seen.append(variable.get())

    def factory() -> Looks:
        variable.set(variable.get() + 1)
        return Looks()

    server, address = start_server(loop, factory)
    peers = [socket.create_connection(address) for _ in range(3)]
    run(loop, until(lambda: len(seen) == 3))
    assert seen == [1, 1, 1]
    for peer in peers:
        peer.close()
    server.close()
    run(loop, until(lambda: loop.metrics()["transports"] == 0))


def test_a_failing_protocol_factory_is_reported_and_the_connection_closed(
    loop: Any, reports: list[Any]
) -> None:
    def factory() -> asyncio.Protocol:
        raise RuntimeError("no protocol")

    server, address = start_server(loop, factory)
    with socket.create_connection(address, timeout=TIMEOUT) as peer:
        run(loop, until(lambda: reports))
        assert peer.recv(1) == b""
    assert reports[0]["message"] == "Error on transport creation for incoming connection"
    assert str(reports[0]["exception"]) == "no protocol"
    server.close()
    run(loop, server.wait_closed())


def test_running_out_of_descriptors_is_reported_and_retried(
    loop: Any, reports: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    call_later = type(loop).call_later

    def record(self: Any, delay: float, callback: Any, *args: Any, **keywords: Any) -> Any:
        delays.append(delay)
        return call_later(self, 0, callback, *args, **keywords)

    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    server, address = start_server(loop, factory)
    run(loop, asyncio.sleep(0))
    peer = socket.socket()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    fillers: list[int] = []

    def report(_: Any, context: dict[str, Any]) -> None:
        reports.append(context)
        # Room again, before the retry.
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    loop.set_exception_handler(report)
    monkeypatch.setattr(type(loop), "call_later", record, raising=False)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
        while True:
            try:
                fillers.append(os.dup(peer.fileno()))
            except OSError:
                break
        peer.connect(address)
        run(loop, until(lambda: made and made[0].transport))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        monkeypatch.undo()
        for fd in fillers:
            os.close(fd)
    assert reports[0]["message"] == "socket.accept() out of system resource"
    assert reports[0]["exception"].errno == errno.EMFILE
    assert isinstance(reports[0]["socket"], asyncio.trsock.TransportSocket)
    assert 1.0 in delays
    peer.close()
    assert made[0].lost is not None
    run(loop, made[0].lost)
    server.close()
    run(loop, server.wait_closed())


def test_what_is_accepted_after_close_is_closed(loop: Any) -> None:
    """The connection is in the kernel's queue, perhaps in the ring, when the server closes."""
    for _ in range(20):
        made: list[Recorder] = []

        def factory(made: list[Recorder] = made) -> Recorder:
            made.append(Recorder())
            return made[-1]

        server, address = start_server(loop, factory)
        run(loop, asyncio.sleep(0))
        peer = socket.create_connection(address, timeout=TIMEOUT)
        server.close()
        run(loop, asyncio.sleep(0.001))
        assert made == []
        try:
            assert peer.recv(1) == b""
        except ConnectionResetError:
            pass
        peer.close()


def test_a_closed_server_frees_its_port(loop: Any) -> None:
    server, address = start_server(loop, Recorder)
    server.close()
    run(loop, server.wait_closed())
    run(loop, asyncio.sleep(0))
    again = run(loop, loop.create_server(Recorder, *address))
    again.close()
    run(loop, again.wait_closed())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_paused_listener_leaves_connections_in_the_queue(loop: Any) -> None:
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    listener = _native.Listener(loop, sock, factory, None, 10, None)
    assert repr(listener) == f"<Listener idle fd={sock.fileno()}>"
    listener.start()
    listener.start()
    run(loop, asyncio.sleep(0))
    listener.pause()
    run(loop, asyncio.sleep(0.005))
    peer = socket.create_connection(sock.getsockname())
    run(loop, asyncio.sleep(0.01))
    assert made == []
    listener.start()
    run(loop, until(lambda: made and made[0].transport))
    listener.close()
    listener.close()
    assert sock.fileno() == -1
    with pytest.raises(RuntimeError, match="closed"):
        listener.start()
    peer.close()
    assert made[0].lost is not None
    run(loop, made[0].lost)


def test_on_accept_gets_the_socket_instead(loop: Any) -> None:
    accepted: list[socket.socket] = []
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    listener = _native.Listener(loop, sock, Recorder, None, 10, accepted.append)
    listener.start()
    peer = socket.create_connection(sock.getsockname())
    run(loop, until(lambda: accepted))
    assert accepted[0].getpeername() == peer.getsockname()
    assert accepted[0].gettimeout() == 0
    assert type(accepted[0]) is socket.socket
    listener.close()
    accepted[0].close()
    peer.close()
    run(loop, asyncio.sleep(0))


def test_many_connections_leave_nothing_behind(loop: Any) -> None:
    class Echo(Recorder):
        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    server, address = start_server(loop, Echo, backlog=500)

    async def visit() -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        for _ in range(5):
            await asyncio.gather(*[visit() for _ in range(100)])
        await until(lambda: loop.metrics()["transports"] == 0)

    before = len(os.listdir("/proc/self/fd"))
    run(loop, main())
    run(loop, asyncio.sleep(0))
    assert len(os.listdir("/proc/self/fd")) == before
    server.close()
    run(loop, server.wait_closed())


def test_a_loop_closed_with_a_listening_server_closes_the_listener(new_loop: Any) -> None:
    loop = new_loop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        server, address = start_server(loop, Recorder)
        server.close()
        loop.close()
        del server
        gc.collect()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
