"""The native stream transport: gathering, flow control, half-close."""

from __future__ import annotations

import array
import asyncio
import socket
import sys
import threading
from typing import Any

import pytest

from tests.python.loop.support import turns
from tests.python.loop.transport_support import (
    BIG,
    Pair,
    Recorder,
    connected,
    receive_all,
    run,
    until,
)

pytestmark = pytest.mark.usefixtures("native_only")


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


@pytest.mark.no_faults("what is written leaves at once, in one piece", "short", "again")
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


@pytest.mark.no_faults("what is written leaves at once, in one piece", "short", "again")
def test_writing_while_the_loop_does_not_run_sends_at_once(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)
    transport.write(b"now")
    assert pair[1].recv(100) == b"now"
    transport.close()
    run(loop, protocol.lost)


@pytest.mark.no_faults("what is written leaves at once, in one piece", "short", "again")
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


def test_a_paused_protocol_resumes_before_the_end_of_a_closing_transport(
    loop: Any, pair: Pair
) -> None:
    transport, protocol = connected(loop, pair)

    async def main() -> None:
        transport.write(bytes(BIG))
        transport.close()
        await turns()
        assert protocol.events == ["made", "pause"]
        received = loop.run_in_executor(None, receive_all, pair[1])
        await protocol.lost
        assert len(await received) == BIG

    run(loop, main())
    assert protocol.events == ["made", "pause", "resume", ("lost", None)]


def test_resume_writing_is_not_called_on_a_closed_transport(loop: Any, pair: Pair) -> None:
    transport, protocol = connected(loop, pair)

    async def main() -> None:
        transport.write(bytes(BIG))
        assert protocol.events == ["made", "pause"]
        transport.abort()
        await protocol.lost

    run(loop, main())
    assert protocol.events == ["made", "pause", ("lost", None)]


@pytest.mark.no_faults("a full kernel buffer is what it counts on", "short", "again")
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


@pytest.mark.no_faults("what is written leaves at once, in one piece", "short", "again")
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


@pytest.mark.parametrize("bad", ["text", 1, None, [b"x"], object(), array.array("B", b"x")])
def test_write_refuses_what_is_no_buffer_in_asyncios_words(
    loop: Any, pair: Pair, bad: object
) -> None:
    transport, protocol = connected(loop, pair)
    with pytest.raises(TypeError) as caught:
        transport.write(bad)
    kinds = "bytes-like" if sys.version_info < (3, 14) else "bytes, bytearray, or memoryview"
    expected = f"data argument must be a {kinds} object, not {type(bad).__name__!r}"
    assert str(caught.value) == expected
    if not isinstance(bad, array.array):
        with pytest.raises(TypeError):
            transport.writelines([b"good", bad])
    transport.close()
    run(loop, protocol.lost)
    assert receive_all(pair[1]) == b""


def test_writelines_writes_nothing_of_a_list_with_a_buffer_that_it_cannot_take(
    loop: Any, pair: Pair
) -> None:
    """What stood before it once lay in the queue until something else was written."""
    with_gaps = memoryview(b"012345")[::2]
    released = memoryview(b"gone")
    released.release()
    transport, protocol = connected(loop, pair)
    with pytest.raises(BufferError):
        transport.writelines([b"good", bytearray(b"good"), with_gaps])
    with pytest.raises(ValueError, match="released"):
        transport.writelines([b"good", released])
    transport.write(b"later")
    transport.close()
    run(loop, protocol.lost)
    assert receive_all(pair[1]) == b"later"


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


@pytest.mark.no_faults("takes each message for one piece", "short")
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
