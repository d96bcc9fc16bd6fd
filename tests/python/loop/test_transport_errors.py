"""The native stream transport: what the protocol's own failures lead to."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.python.loop.transport_support import Buffered, Pair, connected, receive_all, run, until

pytestmark = pytest.mark.usefixtures("native_only")


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
