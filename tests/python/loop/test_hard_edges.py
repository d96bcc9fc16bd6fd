"""What a user hardly does and what must not crash then: exits, finalisers, odd sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

CHAIN_LENGTH = 200_000

DAEMON_LOOP = """
import threading, blitzio

loop = blitzio.new_event_loop(blitzio.Config(backend={backend!r}))
running = threading.Event()

def tick():
    running.set()
    loop.call_soon(tick)

loop.call_soon(tick)
threading.Thread(target=loop.run_forever, daemon=True).start()
running.wait()
garbage = [{{i: [i]}} for i in range(300_000)]  # So that the end takes its time.
"""


@pytest.mark.usefixtures("native")
def test_a_daemon_thread_may_run_a_loop_when_the_interpreter_exits(backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DAEMON_LOOP.format(backend=backend)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("scheduled_by", ["call_soon", "call_later"])
def test_closing_a_loop_frees_a_long_chain_of_handles(
    new_loop: LoopFactory, scheduled_by: str
) -> None:
    loop = new_loop()
    handle: Any = None
    for _ in range(CHAIN_LENGTH):
        if scheduled_by == "call_soon":
            handle = loop.call_soon(print, handle)
        else:
            handle = loop.call_later(1000, print, handle)
    del handle
    loop.close()


@pytest.mark.usefixtures("native")
def test_a_finaliser_that_runs_in_close_may_close_again(new_loop: LoopFactory) -> None:
    loop: Any = new_loop()
    finalised = []

    class Callback:
        def __call__(self) -> None:
            raise AssertionError("must not run")

        def __del__(self) -> None:
            loop._close()
            loop.close()
            finalised.append(loop.is_closed())

    reader, writer = os.pipe()
    try:
        loop.add_reader(reader, Callback())
        loop.call_soon(Callback())
        loop.call_later(1000, Callback())
        loop.close()
    finally:
        os.close(reader)
        os.close(writer)
    assert finalised == [True, True, True]


class OddSocket:
    """Has a socket's methods, but is none; send() keeps what it got and answers `answer`."""

    def __init__(self, sock: socket.socket, answer: int | None) -> None:
        self._sock = sock
        self._answer = answer
        self.kept: list[Any] = []

    def fileno(self) -> int:
        return self._sock.fileno()

    def gettimeout(self) -> float:
        return 0.0

    def send(self, data: Any) -> int:
        self.kept.append(data)
        return len(data) if self._answer is None else self._answer


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        yield one


def test_what_a_sockets_send_keeps_outlives_sock_sendall(
    loop: asyncio.AbstractEventLoop, sock: socket.socket
) -> None:
    odd: Any = OddSocket(sock, None)
    loop.run_until_complete(loop.sock_sendall(odd, bytes(range(256)) * 10_000))
    assert bytes(odd.kept[0]) == bytes(range(256)) * 10_000


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("answer", [-1, 11])
def test_an_impossible_answer_of_a_sockets_send_is_an_error(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, answer: int
) -> None:
    odd: Any = OddSocket(sock, answer)
    with pytest.raises(RuntimeError, match=f"returned {answer}"):
        loop.run_until_complete(loop.sock_sendall(odd, b"0123456789"))


@pytest.mark.usefixtures("native")
def test_a_socket_whose_fileno_closes_the_loop_gets_an_error(
    new_loop: LoopFactory, sock: socket.socket
) -> None:
    loop: Any = new_loop()

    class Closer(OddSocket):
        def fileno(self) -> int:
            loop.close()
            return super().fileno()

        def recv(self, size: int) -> bytes:
            raise BlockingIOError

    receiving = loop.sock_recv(Closer(sock, None), 1)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        receiving.send(None)


@pytest.mark.parametrize("serves", [False, True])
def test_an_abandoned_loop_with_open_connections_is_collected(
    new_loop: LoopFactory, serves: bool
) -> None:
    one, other = socket.socketpair()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(asyncio.Protocol, sock=one)
        if serves:
            await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)

    def abandon() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = new_loop()
        loop.run_until_complete(main())
        return weakref.ref(loop)

    with other, pytest.warns(ResourceWarning):
        abandoned = abandon()
        gc.collect()
        assert abandoned() is None


def test_an_abandoned_loop_with_an_outcome_that_nobody_fetched_is_collected(
    new_loop: LoopFactory, native: None
) -> None:
    def abandon() -> weakref.ref[Any]:
        loop: Any = new_loop()
        loop.run_in_executor(None, list)
        loop.run_in_executor(None, divmod, 1, 0)
        loop._shutdown_blocking_pool(True)  # Returns when the jobs have ended.
        return weakref.ref(loop)

    with pytest.warns(ResourceWarning):
        abandoned = abandon()
        gc.collect()
        assert abandoned() is None


def test_a_list_that_changes_while_it_is_written_does_no_harm(
    loop: asyncio.AbstractEventLoop,
) -> None:
    class Shrinking(bytearray):
        def __buffer__(self, flags: int) -> memoryview:
            pieces.clear()
            return memoryview(b"first")

    pieces: list[Any] = []

    async def main() -> None:
        one, other = socket.socketpair()
        with other:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
            pieces.extend([Shrinking(b"first"), *[bytes([i]) * 100 for i in range(100)]])
            transport.writelines(pieces)
            transport.abort()
            await asyncio.sleep(0)

    loop.run_until_complete(main())


@pytest.mark.usefixtures("native")
def test_a_descriptor_closed_behind_a_transport_and_reused_is_left_to_its_next_owner(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        one, peer = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        number = one.fileno()
        next_one, next_peer = socket.socketpair()
        with peer, next_peer:
            # The number changes hands, as after os.close() and socket().
            os.dup2(next_one.fileno(), number)
            next_one.close()
            one.detach()
            next_owner = socket.socket(fileno=number)
            next_owner.setblocking(False)
            with next_owner:
                transport.abort()
                receiving = loop.sock_recv(next_owner, 1)
                receiving.send(None)  # Waits from now on; connection_lost() is to come.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                receiving.close()

    loop.run_until_complete(main())


@pytest.mark.usefixtures("native")
def test_connection_lost_called_by_hand_ends_the_transport(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        one, peer = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        await asyncio.sleep(0)
        by_hand: Any = transport
        with peer:
            peer.send(b"late")
            by_hand._call_connection_lost(None)
            with pytest.raises(BrokenPipeError):
                peer.send(b"too late")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert transport.is_closing()

    loop.run_until_complete(main())
