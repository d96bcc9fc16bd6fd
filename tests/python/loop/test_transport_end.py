"""The native stream transport: closing, aborting, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import threading
import weakref
from typing import Any

import pytest

from tests.python.loop.support import reset
from tests.python.loop.transport_support import (
    BIG,
    TIMEOUT,
    Buffered,
    Pair,
    Recorder,
    connected,
    receive_all,
    run,
    until,
)

pytestmark = pytest.mark.usefixtures("native_only")


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
    reset(peer)
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
    assert len(errors) == 6
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


@pytest.mark.no_faults("waits for the end in the thread that brings it", "late")
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
