"""Numbers that no argument can be: ValueError, however large; but what copies a method of Python's
own raises what that raises."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import _native, fs, net
from blitzio.channel import Broadcast, Channel
from blitzio.sync import Barrier, Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Call = Callable[[Any, int], object]

HUGE = (2**70, -(2**70))


class Things:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "file"
        self.file = fs.blocking_open(self.path, "w+b")
        self.pythons = self.path.open("r+b")
        self.stream, self._peer = net.UnixStream.pair()
        self.udp = net.UdpSocket.bind("127.0.0.1:0")
        self.loop = blitzio.new_event_loop()
        self.socket = socket.socket()
        self.socket.setblocking(False)

    def close(self) -> None:
        for each in (self.pythons, self.stream, self._peer, self.udp, self.loop, self.socket):
            each.close()
        self.file.blocking_close()


@pytest.fixture
def things(tmp_path: Path) -> Iterator[Things]:
    things = Things(tmp_path)
    yield things
    things.close()


OUR_OWN: dict[str, Call] = {
    "Channel()": lambda _, n: Channel(n),
    "Broadcast()": lambda _, n: Broadcast(n),
    "Barrier()": lambda _, n: Barrier(n),
    "Semaphore()": lambda _, n: Semaphore(n),
    "Semaphore.acquire": lambda _, n: Semaphore(1).acquire(n),
    "Semaphore.release": lambda _, n: Semaphore(1).release(n),
    "Address()": lambda _, n: net.Address("127.0.0.1", n),
    "Address.with_port": lambda _, n: net.Address("127.0.0.1", 1).with_port(n),
    "read": lambda its, n: its.stream.read(n),
    "read_exact": lambda its, n: its.stream.read_exact(n),
    "read_until": lambda its, n: its.stream.read_until(b"x", n),
    "read_line": lambda its, n: its.stream.read_line(n),
    "read_to_end": lambda its, n: its.stream.read_to_end(n),
    "try_read": lambda its, n: its.stream.try_read(n),
    "try_peek": lambda its, n: its.stream.try_peek(n),
    "set_send_buffer_bytes": lambda its, n: its.stream.set_send_buffer_bytes(n),
    "set_option": lambda its, n: its.stream.set_option(socket.SOL_SOCKET, socket.SO_RCVBUF, n),
    "option": lambda its, n: its.stream.option(socket.SOL_SOCKET, n),
    "set_ttl": lambda its, n: its.udp.set_ttl(n),
    "join_multicast": lambda its, n: its.udp.join_multicast("224.0.0.1:0", n),
    "mkdir": lambda its, n: fs.mkdir(its.path, n),
    "read_at": lambda its, n: its.file.read_at(n, 0),
    "read_at, offset": lambda its, n: its.file.read_at(1, n),
    "write_at": lambda its, n: its.file.write_at(b"x", n),
    "set_len": lambda its, n: its.file.set_len(n),
    "Config": lambda _, n: blitzio.Config(blocking_threads_max=n).resolve(),
    "Runtime": lambda _, n: blitzio.Runtime(workers=n),
}

AS_PYTHON: dict[str, tuple[Call, Call]] = {
    "file.read": (lambda its, n: its.file.read(n), lambda its, n: its.pythons.read(n)),
    "file.readline": (lambda its, n: its.file.readline(n), lambda its, n: its.pythons.readline(n)),
    "file.truncate": (lambda its, n: its.file.truncate(n), lambda its, n: its.pythons.truncate(n)),
    "open": (
        lambda its, n: fs.open(its.path, buffering=n),
        lambda its, n: open(its.path, buffering=n),
    ),
    "backlog": (
        lambda _, n: net.TcpListener.bind("127.0.0.1:0", backlog=n),
        lambda its, n: its.socket.listen(n),
    ),
    "sock_recv": (
        lambda its, n: its.loop.sock_recv(its.socket, n).send(None),
        lambda its, n: its.socket.recv(n),
    ),
    "add_reader": (
        lambda its, n: its.loop.add_reader(n, print),
        lambda _, n: os.fstat(n),
    ),
}


@pytest.mark.parametrize("name", OUR_OWN)
def test_a_number_out_of_range_is_a_value_error(things: Things, name: str) -> None:
    for number in HUGE:
        with pytest.raises(ValueError, match=r"must be|takes"):
            OUR_OWN[name](things, number)


@pytest.mark.parametrize("name", AS_PYTHON)
def test_what_copies_pythons_own_raises_what_that_raises(things: Things, name: str) -> None:
    for number in HUGE:
        with pytest.raises(OverflowError):
            AS_PYTHON[name][1](things, number)
        with pytest.raises(OverflowError):
            AS_PYTHON[name][0](things, number)


def test_what_is_no_number_is_a_type_error() -> None:
    for wrong in ("1", 1.5, None):
        for make in (Channel, Broadcast, Barrier, Semaphore):
            with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
                make(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            net.Address("127.0.0.1", wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [-1, 0, 32_769, 2**63 - 1])
def test_the_number_of_a_pools_threads_has_bounds(count: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 32768"):
        _native.ThreadPool(count, 1.0, "pool")
