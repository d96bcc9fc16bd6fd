"""Unix datagrams to a receiver without room, whose sender the kernel calls writable all the same:
waiting costs nothing, whoever filled the receiver's queue."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net
from tests.python.loop.datagram_support import endpoint
from tests.python.loop.support import turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    Way = Callable[[str], contextlib.AbstractAsyncContextManager[Awaitable[object]]]


@contextlib.contextmanager
def full_receiver(folder: Path) -> Iterator[tuple[socket.socket, str]]:
    """With datagrams of somebody else's."""
    path = str(folder / "receiver")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.setblocking(False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"other", path)
        yield receiver, path


@contextlib.asynccontextmanager
async def by_net(path: str) -> Any:
    async with net.UnixDatagram.bind() as sender:
        yield sender.send_to(b"mine", path)


@contextlib.asynccontextmanager
async def by_endpoint(path: str) -> Any:
    async with endpoint(family=socket.AF_UNIX) as (client, protocol):
        client.set_write_buffer_limits(high=0)
        client.sendto(b"mine", path)
        yield protocol.until(lambda: "resume" in protocol.events)


@contextlib.asynccontextmanager
async def by_sock_sendto(path: str) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        loop: Any = asyncio.get_running_loop()  # sock_sendto() came with Python 3.11.
        yield loop.sock_sendto(sender, b"mine", path)


WAYS = pytest.mark.parametrize("way", [by_net, by_endpoint, by_sock_sendto])


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def receive_all(receiver: socket.socket) -> list[bytes]:
    received = []
    with contextlib.suppress(BlockingIOError):
        while True:
            received.append(receiver.recv(16))
    return received


@WAYS
def test_who_waits_for_room_does_not_spin(loop: Any, tmp_path: Path, way: Way) -> None:
    async def main() -> None:
        with full_receiver(tmp_path) as (receiver, path):
            async with way(path) as sent:
                sending = asyncio.ensure_future(_await(sent))
                await turns(3)
                before = loop.metrics()["io_completed"]
                await turns(100)
                assert loop.metrics()["io_completed"] - before < 10
                assert not sending.done()
                received = receive_all(receiver)
                await sending
                received += receive_all(receiver)
        assert received[-1] == b"mine"
        assert set(received[:-1]) == {b"other"}

    loop.run_until_complete(main())


@WAYS
def test_a_cancelled_wait_sends_nothing_and_leaves_nothing_open(
    loop: Any, tmp_path: Path, way: Way
) -> None:
    async def main() -> None:
        with full_receiver(tmp_path) as (receiver, path):
            async with way(path) as sent:
                sending = asyncio.ensure_future(_await(sent))
                await turns(3)
                sending.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await sending
                if way is by_endpoint:
                    return  # What it has queued is sent in the end.
            await turns(3)
            assert set(receive_all(receiver)) == {b"other"}

    loop.run_until_complete(main())


@WAYS
def test_a_receiver_that_goes_is_told(loop: Any, tmp_path: Path, way: Way) -> None:
    async def main() -> None:
        with full_receiver(tmp_path) as (receiver, path):
            async with way(path) as sent:
                sending = asyncio.ensure_future(_await(sent))
                await turns(3)
                receiver.close()
                if way is by_endpoint:
                    await sending  # It went to error_received().
                else:
                    with pytest.raises(ConnectionRefusedError):
                        await sending

    loop.run_until_complete(main())


@contextlib.contextmanager
def no_free_descriptor() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("way", [by_net, by_sock_sendto])
def test_a_wait_that_cannot_be_had_is_an_error(loop: Any, tmp_path: Path, way: Way) -> None:
    async def main() -> None:
        with full_receiver(tmp_path) as (_, path):
            async with way(path) as sent:
                with pytest.raises(OSError, match="Too many open files") as failed:
                    with no_free_descriptor():
                        await sent
                assert failed.value.errno == errno.EMFILE

    loop.run_until_complete(main())


def test_an_endpoint_tells_of_a_wait_that_cannot_be_had(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with full_receiver(tmp_path) as (receiver, path):
            async with endpoint(family=socket.AF_UNIX) as (client, protocol):
                with no_free_descriptor():
                    client.sendto(b"lost", path)
                assert [getattr(error, "errno", None) for error in protocol.errors] == [
                    errno.EMFILE
                ]
                assert set(receive_all(receiver)) == {b"other"}
                client.sendto(b"mine", path)
            assert receive_all(receiver) == [b"mine"]

    loop.run_until_complete(main())


def test_a_thread_waits_for_room(tmp_path: Path) -> None:
    def wait(receiver: socket.socket, path: str) -> None:
        sender = net.UnixDatagram.bind()
        with pytest.raises(TimeoutError):
            sender.blocking_send_to(b"mine", path, timeout=0.01)
        assert receiver.recv(16) == b"other"
        assert sender.blocking_send_to(b"mine", path, timeout=60) == 4
        sender.close()

    with full_receiver(tmp_path) as (receiver, path):
        with ThreadPoolExecutor(1) as threads:
            threads.submit(wait, receiver, path).result()
        assert receive_all(receiver)[-1] == b"mine"
