"""What the loop's exception handler is told when a protocol's method raises: asyncio's words."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import HOST, raw_pair, read_all, soon

if TYPE_CHECKING:
    from collections.abc import Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

BIG = 16 << 20

Failing = type[Any]


class Reports:
    """The exception handler of the running loop."""

    def __init__(self) -> None:
        self.first: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.all: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(self.add)

    def add(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.all.append(context)
        if not self.first.done():
            self.first.set_result(context)


async def stream(protocol: Failing, reports: Reports, method: str) -> None:
    mine, peer = raw_pair()
    transport, _ = await asyncio.get_running_loop().create_connection(protocol, sock=mine)
    if method in ("data_received", "get_buffer", "buffer_updated"):
        peer.send(b"data")
    elif method == "eof_received":
        peer.shutdown(socket.SHUT_WR)
    elif method == "connection_lost":
        transport.close()
    elif method.endswith("writing"):
        transport.write(bytes(BIG))
        await read_all(peer, BIG)
    await soon(reports.first)
    transport.abort()
    peer.close()


async def datagrams(protocol: Failing, reports: Reports, method: str) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(protocol, (HOST, 0))
    if method == "datagram_received":
        transport.sendto(b"data", transport.get_extra_info("sockname"))
    elif method == "connection_lost":
        transport.close()
    await soon(reports.first)
    transport.abort()


async def read_pipe(protocol: Failing, reports: Reports, method: str) -> None:
    read, write = os.pipe()
    with open(read, "rb", 0) as reader, open(write, "wb", 0) as writer:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(protocol, reader)
        if method == "data_received":
            writer.write(b"data")
        else:
            writer.close()
        await soon(reports.first)
        transport.close()
        await asyncio.sleep(0)


async def write_pipe(protocol: Failing, reports: Reports, method: str) -> None:
    read, write = os.pipe()
    with open(read, "rb", 0), open(write, "wb", 0) as writer:
        transport, _ = await asyncio.get_running_loop().connect_write_pipe(protocol, writer)
        if method == "pause_writing":
            transport.write(bytes(BIG))
        elif method == "connection_lost":
            transport.close()
        await soon(reports.first)
        if not transport.is_closing():
            transport.abort()
        await asyncio.sleep(0)


async def process(protocol: Failing, reports: Reports, method: str) -> None:
    transport, _ = await asyncio.get_running_loop().subprocess_exec(
        protocol, "echo", "x", stdin=None, stdout=subprocess.PIPE, stderr=None
    )
    await soon(reports.first)
    await soon(transport._wait())  # type: ignore[attr-defined]
    transport.close()


CASES: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    "stream": (
        stream,
        asyncio.Protocol,
        (
            "connection_made", "data_received", "eof_received", "pause_writing", "resume_writing",
            "connection_lost",
        ),
    ),
    "buffered": (
        stream,
        asyncio.BufferedProtocol,
        ("connection_made", "get_buffer", "buffer_updated", "eof_received", "connection_lost"),
    ),
    "datagrams": (
        datagrams,
        asyncio.DatagramProtocol,
        ("connection_made", "datagram_received", "connection_lost"),
    ),
    "read pipe": (
        read_pipe,
        asyncio.Protocol,
        ("connection_made", "data_received", "eof_received", "connection_lost"),
    ),
    "write pipe": (
        write_pipe,
        asyncio.Protocol,
        ("connection_made", "pause_writing", "connection_lost"),
    ),
    "process": (
        process,
        asyncio.SubprocessProtocol,
        (
            "connection_made", "pipe_data_received", "pipe_connection_lost", "process_exited",
            "connection_lost",
        ),
    ),
}  # fmt: skip
PARAMETERS = [(kind, method) for kind, (_, _, methods) in CASES.items() for method in methods]


def failing(base: Any, method: str) -> Failing:
    class Protocol(base):  # type: ignore[misc]
        def get_buffer(self, sizehint: int) -> bytearray:
            return bytearray(100)

        def buffer_updated(self, nbytes: int) -> None:
            pass

    def fail(self: object, *args: object) -> None:
        raise ValueError(f"in {method}")

    setattr(Protocol, method, fail)
    return Protocol


def without_classes(message: str) -> str:
    """The transports' classes have other names, and the longest reprs of arguments are cut."""
    message = re.sub(r"\b_?\w+(?=\._(read_ready|call_connection_lost)\()", "Transport", message)
    return re.sub(r"\(<.*>?\)", "(<transport>)", message)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(("kind", "method"), PARAMETERS)
def test_a_method_that_raises_is_reported_as_asyncio_words_it(
    kind: str, method: str, debug: bool, same_as_asyncio: Compare
) -> None:
    run, base, _ = CASES[kind]

    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        async def main() -> list[tuple[str, str]]:
            reports = Reports()
            await run(failing(base, method), reports, method)
            return [
                (without_classes(report["message"]), str(report["exception"]))
                for report in reports.all
            ]

        loop.slow_callback_duration = 1000
        loop.set_debug(debug)
        return loop.run_until_complete(main())

    outcome = same_as_asyncio(scenario)
    assert len(outcome[1]) == 1


@pytest.mark.parametrize("debug", [False, True])
def test_a_callback_that_raises_is_named_with_its_arguments_as_asyncio_does(
    debug: bool, same_as_asyncio: Compare
) -> None:
    """From 3.13 on the arguments are shown in debug mode alone."""

    def fail(*args: object) -> None:
        raise ValueError("in a callback")

    def scenario(loop: asyncio.AbstractEventLoop) -> list[str]:
        found: list[str] = []
        loop.set_exception_handler(lambda _, context: found.append(context["message"]))
        loop.set_debug(debug)
        handle = loop.call_soon(fail, 1, "text")
        found.append(repr(handle))
        loop.call_soon(loop.stop)
        loop.run_forever()
        return found

    assert len(same_as_asyncio(scenario)[1]) == 2
