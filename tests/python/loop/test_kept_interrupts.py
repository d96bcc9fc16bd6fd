"""Where an error of Python code is nobody's, an interrupt that comes in that code is not dropped
with it: it ends the run, or is raised."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import client_context, soon

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("native")
needs_buffer_method = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="no __buffer__ in Python code"
)

INTERRUPTS = [KeyboardInterrupt, SystemExit]


class Callback:
    """Raises once what it is told to by being called, shown, or asked whose method it is."""

    def __init__(self, **errors: type[BaseException]) -> None:
        self.errors = errors

    def tell(self, of: str) -> None:
        if of in self.errors:
            raise self.errors.pop(of)

    def __call__(self) -> None:
        self.tell("call")

    def __repr__(self) -> str:
        self.tell("repr")
        return "<Callback>"

    def __getattr__(self, name: str) -> Any:
        if name == "__self__":
            self.tell("owner")
        raise AttributeError(name)


def run_once(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


@pytest.mark.parametrize("interrupt", INTERRUPTS)
def test_of_the_repr_of_a_callback_that_failed(
    loop: asyncio.AbstractEventLoop, interrupt: type[BaseException]
) -> None:
    loop.call_soon(Callback(call=ValueError, repr=interrupt))
    with pytest.raises(interrupt):
        run_once(loop)
    run_once(loop)


def test_an_error_of_that_repr_is_not_told(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    loop.call_soon(Callback(call=ValueError, repr=ZeroDivisionError))
    run_once(loop)
    assert [type(report["exception"]) for report in reports] == [ValueError]


@pytest.mark.parametrize("what", ["repr", "owner"])
@pytest.mark.parametrize("interrupt", INTERRUPTS)
def test_of_a_slow_callback_that_is_shown(
    loop: asyncio.AbstractEventLoop, interrupt: type[BaseException], what: str
) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    loop.call_soon(Callback(**{what: interrupt}))
    with pytest.raises(interrupt):
        run_once(loop)
    loop.set_debug(False)
    run_once(loop)


@pytest.mark.parametrize("interrupt", INTERRUPTS)
def test_of_the_repr_of_a_handle_that_is_cancelled(
    loop: asyncio.AbstractEventLoop, interrupt: type[BaseException]
) -> None:
    """In debug mode it is kept from then on."""
    loop.set_debug(True)
    handle = loop.call_later(3600, Callback(repr=interrupt))
    loop.call_soon(handle.cancel)
    with pytest.raises(interrupt):
        run_once(loop)
    assert handle.cancelled()
    loop.set_debug(False)
    run_once(loop)


class Lending(bytearray):
    lend: Callable[[], object]

    def __buffer__(self, flags: int) -> memoryview:
        self.lend()
        return memoryview(b"")


def interrupt_us() -> None:
    raise KeyboardInterrupt


@needs_buffer_method
def test_of_a_buffer_to_receive_into(loop: asyncio.AbstractEventLoop) -> None:
    buffer = Lending(10)
    buffer.lend = interrupt_us
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(b"data")
        task = loop.create_task(loop.sock_recv_into(ours, buffer))
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(task)


@needs_buffer_method
def test_of_a_buffer_of_get_buffer(loop: asyncio.AbstractEventLoop) -> None:
    class Protocol(asyncio.BufferedProtocol):
        def get_buffer(self, sizehint: int) -> Any:
            buffer = Lending(10)
            buffer.lend = interrupt_us
            return buffer

    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = loop.run_until_complete(loop.create_connection(Protocol, sock=ours))
        theirs.send(b"data")
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(soon(loop.create_future()))
        transport.abort()
        run_once(loop)


def test_of_a_foreign_transport_that_takes_an_alert(loop: asyncio.AbstractEventLoop) -> None:
    from blitzio._loop.tls_protocol import SSLProtocol

    class Transport(asyncio.Transport):
        is_broken = False

        def write(self, data: object) -> None:
            if self.is_broken:
                raise KeyboardInterrupt

        def abort(self) -> None:
            pass

    protocol = SSLProtocol(
        loop,  # type: ignore[arg-type]
        asyncio.Protocol(),
        client_context(),
        None,
        server_hostname="localhost",
    )
    transport = Transport()
    protocol.connection_made(transport)
    transport.is_broken = True
    with pytest.raises(KeyboardInterrupt):
        protocol.data_received(b"\x16\x03\x03\x00\x05no TLS")
    protocol._app_transport.abort()
    protocol.connection_lost(None)
