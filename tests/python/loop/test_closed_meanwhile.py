"""What the loop asks Python code for in the middle of a call may close it, or end a connection.

A future asks its loop's get_debug() when it is made, so that any method which makes one may be
interrupted there.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import HOST, client_context, server_context, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

pytestmark = pytest.mark.usefixtures("native")


@contextlib.contextmanager
def when_a_future_is_made(loop: Any, do: Callable[[], object]) -> Iterator[None]:
    """Calls `do` once, when the loop is asked whether it is in debug mode."""

    def get_debug() -> bool:
        del loop.get_debug
        do()
        return False

    loop.get_debug = get_debug
    yield
    assert "get_debug" not in vars(loop)


@pytest.mark.parametrize("method", ["sock_recv", "sock_sendall", "sock_accept"])
def test_a_socket_operation_does_not_wait_on_a_loop_that_was_closed_meanwhile(
    new_loop: LoopFactory, method: str
) -> None:
    loop: Any = new_loop()
    ours, peer = socket.socketpair()
    with ours, peer, socket.create_server((HOST, 0)) as listener:
        ours.setblocking(False)
        listener.setblocking(False)
        operation = {
            "sock_recv": lambda: loop.sock_recv(ours, 10),
            "sock_sendall": lambda: loop.sock_sendall(ours, bytes(10_000_000)),
            "sock_accept": lambda: loop.sock_accept(listener),
        }[method]()
        with (
            when_a_future_is_made(loop, loop.close),
            pytest.raises(RuntimeError, match="Event loop is closed"),
        ):
            operation.send(None)
    assert loop.is_closed()


def test_no_job_is_given_to_a_loop_that_was_closed_meanwhile(new_loop: LoopFactory) -> None:
    loop = new_loop()
    with (
        when_a_future_is_made(loop, loop.close),
        pytest.raises(RuntimeError, match="Event loop is closed"),
    ):
        loop.run_in_executor(None, print)


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_sendfile_does_not_wait_on_a_loop_that_was_closed_meanwhile(new_loop: LoopFactory) -> None:
    loop = new_loop()
    ours, peer = socket.socketpair()
    with peer:
        transport: Any
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=ours))
        transport._make_empty_waiter()
        with (
            when_a_future_is_made(loop, loop.close),
            pytest.raises(RuntimeError, match="Event loop is closed"),
        ):
            transport._make_writable_waiter()


def test_sendfile_does_not_wait_for_a_transport_that_was_aborted_meanwhile(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        with peer:
            transport: Any
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            transport._make_empty_waiter()
            with when_a_future_is_made(loop, transport.abort), pytest.raises(ConnectionError):
                transport._make_writable_waiter()
            await turns()

    loop.run_until_complete(main())


def test_a_listener_is_not_started_on_a_loop_that_its_old_context_closes(
    new_loop: LoopFactory,
) -> None:
    loop = new_loop()

    class Closing:
        def __del__(self) -> None:
            loop.close()

    server = loop.run_until_complete(loop.create_server(asyncio.Protocol, HOST, 0))
    listener: Any = server._listeners[0]  # type: ignore[attr-defined]
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")

    def start() -> None:
        variable.set(Closing())
        listener.start()

    listener.pause()
    contextvars.copy_context().run(start)
    listener.pause()
    listener.start()
    assert loop.is_closed()
    server.close()


def test_a_callback_of_the_tls_context_may_abort_while_much_is_written(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    """What is encrypted stays until that has ended. So much of it goes back to the system at once
    when it is freed."""

    async def main() -> None:
        server = await loop.create_server(asyncio.Protocol, HOST, 0, ssl=server_context(tmp_path))
        context = client_context()
        writing: list[asyncio.Transport] = []
        aborted: list[bool] = []

        def told(*_: object) -> None:
            if writing:
                writing.pop().abort()
                aborted.append(True)

        context._msg_callback = told  # type: ignore[attr-defined]
        transport, _ = await loop.create_connection(
            asyncio.Protocol,
            *server.sockets[0].getsockname(),
            ssl=context,
            server_hostname="localhost",
        )
        writing.append(transport)
        transport.writelines([bytes(20_000_000)] * 2)
        assert aborted
        await turns()
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())
