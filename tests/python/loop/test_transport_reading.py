"""The native stream transport: arrivals, pausing, the end of the stream."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import os
import socket
import threading
from typing import Any

import pytest

from tests.python.loop.support import reset
from tests.python.loop.transport_support import (
    Buffered,
    Pair,
    Recorder,
    connected,
    make_transport,
    receive_all,
    run,
    until,
)

pytestmark = pytest.mark.usefixtures("native_only")


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


def test_a_stream_that_begins_large_is_received_in_large_pieces(loop: Any, pair: Pair) -> None:
    """Rather than in pieces of the driver's buffers, which keep TCP's window small."""
    pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    pair[1].sendall(b"x" * 60_000)
    sizes: list[int] = []

    class Sizes(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            sizes.append(len(data))

    transport, protocol = connected(loop, pair, Sizes())
    run(loop, until(lambda: len(protocol.data) == 60_000))
    assert max(sizes) > 16 * 1024
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
    pair[1].setblocking(False)

    async def send(block: bytes) -> None:
        while block:
            try:
                block = block[pair[1].send(block) :]
            except BlockingIOError:  # The kernel is full: reading must go on first.
                transport.resume_reading()
                await asyncio.sleep(0)

    async def main() -> None:
        for i in range(200):
            block = os.urandom(1 + i * 37 % 3000)
            expected.extend(block)
            await send(block)
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


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
def test_a_pause_of_any_length_loses_neither_data_nor_the_end(
    loop: Any, pair: Pair, turns: int, is_busy: bool
) -> None:
    """Large pieces, of which more are there, come, or end, while reading is paused."""
    expected = os.urandom(3 * 1024 * 1024)
    pauses: asyncio.Queue[None] = asyncio.Queue()

    class Pauses(Recorder):
        def data_received(self, data: bytes) -> None:
            assert self.transport.is_reading()
            super().data_received(data)
            self.transport.pause_reading()
            pauses.put_nowait(None)

    transport, protocol = connected(loop, pair, Pauses())
    pair[1].setblocking(False)

    async def resume() -> None:
        while True:
            await pauses.get()
            for _ in range(turns):
                # A loop with nothing to do waits; one that is busy only looks.
                await asyncio.sleep(0 if is_busy else 1e-5)
            transport.resume_reading()

    async def main() -> None:
        resuming = asyncio.ensure_future(resume())
        sent = 0
        while sent < len(expected):
            try:
                sent += pair[1].send(expected[sent : sent + 100_000])
            except BlockingIOError:
                await asyncio.sleep(0)
        pair[1].shutdown(socket.SHUT_WR)
        await protocol.lost
        resuming.cancel()

    run(loop, main())
    assert protocol.data == expected


def test_a_buffer_is_asked_for_only_when_something_has_come(loop: Any, pair: Pair) -> None:
    class Counting(Buffered):
        asked = 0

        def get_buffer(self, sizehint: int) -> Any:
            self.asked += 1
            return super().get_buffer(sizehint)

    transport, protocol = connected(loop, pair, Counting())

    async def flip() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
            transport.pause_reading()
            transport.resume_reading()

    run(loop, flip())
    assert protocol.asked == 0
    pair[1].sendall(b"x")
    run(loop, until(lambda: protocol.data == b"x"))
    transport.abort()
    run(loop, asyncio.sleep(0))


@pytest.mark.no_faults("counts on whole reads")
def test_pauses_within_a_callback_leave_large_reads_as_they_were(loop: Any) -> None:
    """Who alone has more to read may take more than its share in a turn, after them as before."""
    turn = 0

    class Counting(Recorder):
        flips = True
        largest = 0
        in_turn = (0, 0)

        def data_received(self, data: bytes) -> None:
            before = self.in_turn[1] if self.in_turn[0] == turn else 0
            self.in_turn = (turn, before + len(data))
            self.largest = max(self.largest, self.in_turn[1])
            super().data_received(data)
            if self.flips:
                self.transport.pause_reading()
                self.transport.resume_reading()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        peer = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    peer.setblocking(False)
    ours.setblocking(False)
    transport, protocol = connected(loop, (ours, peer), Counting())

    async def fill_and_read() -> None:
        nonlocal turn
        sent = len(protocol.data)
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                sent += peer.send(bytes(65536))
        while len(protocol.data) < sent:
            turn += 1
            await asyncio.sleep(0)

    run(loop, fill_and_read())
    protocol.flips, protocol.largest = False, 0
    # What is read beyond the share has a millisecond, which a busy machine may take.
    for _ in range(50):
        run(loop, fill_and_read())
        if protocol.largest > 512 * 1024:
            break
    assert protocol.largest > 512 * 1024
    transport.abort()
    run(loop, asyncio.sleep(0))
    peer.close()


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
    reset(peer)
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
