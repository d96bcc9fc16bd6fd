"""add_reader, add_writer and their opposites."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import socket
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import fill, raw_pair, socket_pair, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Loop = asyncio.AbstractEventLoop
    Compare = Callable[[Callable[[Loop], Any]], tuple[Any, ...]]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket_pair() as sockets:
        yield sockets


async def until(condition: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0)

    await soon(wait())


def test_a_reader_runs_once_per_turn_while_its_fd_is_readable(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair
    calls: list[bytes] = []

    def read_one_byte() -> None:
        calls.append(server.recv(1))

    async def main() -> None:
        add: Callable[..., Any] = loop.add_reader
        assert add(server, read_one_byte) is None
        await turns(5)
        assert calls == []
        client.send(b"abc")
        await until(lambda: len(calls) == 3)
        await turns(5)
        assert calls == [b"a", b"b", b"c"]
        client.send(b"d")
        await until(lambda: len(calls) == 4)
        assert loop.remove_reader(server) is True
        assert loop.remove_reader(server) is False
        client.send(b"e")
        await turns(10)
        assert len(calls) == 4

    loop.run_until_complete(main())


def test_a_writer_waits_until_there_is_room(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair
    ready = asyncio.Event()

    async def main() -> None:
        sent = fill(client)
        loop.add_writer(client.fileno(), ready.set)
        await turns(5)
        assert not ready.is_set()
        while sent:
            sent -= len(await loop.sock_recv(server, 1 << 20))
        await soon(ready.wait())
        assert loop.remove_writer(client.fileno()) is True
        assert loop.remove_writer(client.fileno()) is False

    loop.run_until_complete(main())


def test_reader_and_writer_of_one_fd_are_independent(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair
    calls: list[str] = []

    async def main() -> None:
        loop.add_writer(server, calls.append, "write")
        loop.add_reader(server, calls.append, "read")
        await until(lambda: calls.count("write") >= 3)
        assert "read" not in calls
        client.send(b"x")
        await until(lambda: "read" in calls)
        assert loop.remove_writer(server)
        await turns(3)
        calls.clear()
        await until(lambda: calls.count("read") >= 3)
        assert set(calls) == {"read"}
        assert loop.remove_reader(server)

    loop.run_until_complete(main())


def test_a_second_callback_replaces_the_first(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair
    calls: list[str] = []

    async def main() -> None:
        loop.add_reader(server, calls.append, "first")
        await turns(2)
        loop.add_reader(server, calls.append, "second")
        client.send(b"x")
        await until(lambda: len(calls) >= 3)
        assert set(calls) == {"second"}
        loop.remove_reader(server)
        # Also when the first is about to run in this very turn.
        calls.clear()
        loop.add_reader(server, calls.append, "third")
        await until(lambda: len(calls) >= 1)
        loop.add_reader(server, calls.append, "fourth")
        calls.clear()
        await until(lambda: len(calls) >= 3)
        assert set(calls) == {"fourth"}
        loop.remove_reader(server)

    loop.run_until_complete(main())


def test_a_reader_that_is_removed_before_it_runs_does_not_run(loop: Loop) -> None:
    calls: list[str] = []

    async def main() -> None:
        with socket_pair() as (a, b), socket_pair() as (c, d):

            def take(mine: socket.socket, other: socket.socket) -> None:
                calls.append("ran")
                loop.remove_reader(mine)
                loop.remove_reader(other)

            b.send(b"x")
            d.send(b"x")
            loop.add_reader(a, take, a, c)
            loop.add_reader(c, take, c, a)
            await until(lambda: bool(calls))
            await turns(5)
            assert calls == ["ran"]

    loop.run_until_complete(main())


def test_an_fd_number_that_is_used_again_gets_its_own_watch(loop: Loop) -> None:
    async def main() -> None:
        for _ in range(20):
            seen: list[int] = []
            mine, peer = raw_pair()
            number = mine.fileno()
            loop.add_reader(number, seen.append, 1)
            await turns(1)
            loop.remove_reader(number)
            mine.close()
            peer.close()
            again, other = raw_pair()
            assert again.fileno() == number
            loop.add_reader(number, seen.append, 2)
            other.send(b"x")
            await until(lambda seen=seen: bool(seen))  # type: ignore[misc]
            assert set(seen) == {2}
            loop.remove_reader(number)
            again.close()
            other.close()

    loop.run_until_complete(main())


def test_closing_a_watched_fd_ends_the_watch_in_silence(
    loop: Loop, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        mine, peer = raw_pair()
        loop.add_reader(mine, print)
        await turns(2)
        mine.close()
        peer.close()
        await turns(5)
        assert loop.remove_reader(mine) is True  # by the object: it has no fd any more
        await turns(5)

    loop.run_until_complete(main())
    assert reports == []


def test_pipes_are_watched_and_their_end_is_seen(loop: Loop) -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        read = asyncio.Event()
        loop.add_reader(reader, read.set)
        await turns(3)
        assert not read.is_set()
        os.close(writer)
        await soon(read.wait())
        assert loop.remove_reader(reader)
        os.close(reader)

        reader, writer = os.pipe()
        broken = asyncio.Event()
        os.set_blocking(writer, False)
        while True:
            try:
                os.write(writer, bytes(65536))
            except BlockingIOError:
                break
        loop.add_writer(writer, broken.set)
        await turns(3)
        assert not broken.is_set()
        os.close(reader)
        await soon(broken.wait())
        assert loop.remove_writer(writer)
        os.close(writer)

    loop.run_until_complete(main())


def test_an_exception_in_a_callback_goes_to_the_handler_and_the_watch_stays(
    loop: Loop, reports: list[dict[str, Any]], pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair

    def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        client.send(b"x")
        loop.add_reader(server, fail)
        await until(lambda: len(reports) >= 3)
        loop.remove_reader(server)

    loop.run_until_complete(main())
    assert all(isinstance(report["exception"], ZeroDivisionError) for report in reports)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_fatal_exception_in_a_callback_ends_the_run(
    loop: Loop, error: type[BaseException], pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair

    def fail() -> None:
        raise error

    client.send(b"x")
    loop.add_reader(server, fail)
    with pytest.raises(error):
        loop.run_forever()
    assert loop.remove_reader(server) is True


class Unfiled:
    def __init__(self, number: Any) -> None:
        self.number = number

    def __repr__(self) -> str:
        return "Unfiled"

    def fileno(self) -> Any:
        if isinstance(self.number, Exception):
            raise type(self.number)(*self.number.args)
        return self.number


@pytest.mark.parametrize("method", ["add_reader", "add_writer", "remove_reader", "remove_writer"])
@pytest.mark.parametrize(
    "fd",
    [-1, -5, "text", None, 1.5, Unfiled(-1), Unfiled("x"), Unfiled(None), Unfiled(ValueError("v"))],
    ids=repr,
)
def test_what_is_no_fd_is_refused_as_asyncio_refuses_it(
    same_as_asyncio: Compare, method: str, fd: Any
) -> None:
    arguments = (print,) if method.startswith("add") else ()
    assert same_as_asyncio(lambda loop: getattr(loop, method)(fd, *arguments))[0] == "raised"


def test_a_fileno_that_fails_otherwise_lets_its_exception_through(
    same_as_asyncio: Compare,
) -> None:
    fd = Unfiled(ZeroDivisionError("division"))
    assert same_as_asyncio(lambda loop: loop.add_reader(fd, print))[1] is ZeroDivisionError


@pytest.mark.parametrize("method", ["add_reader", "add_writer"])
def test_a_closed_fd_and_a_regular_file_are_refused_at_once(
    same_as_asyncio: Compare, method: str
) -> None:
    # A number that no new descriptor takes.
    with open(sys.executable, "rb") as file:
        descriptor = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 1000)
    try:
        refused = same_as_asyncio(lambda loop: getattr(loop, method)(descriptor, print))
        assert refused[1] is PermissionError
    finally:
        os.close(descriptor)
    assert same_as_asyncio(lambda loop: getattr(loop, method)(descriptor, print))[1] is OSError


def test_removing_what_was_never_added_is_false(same_as_asyncio: Compare) -> None:
    assert same_as_asyncio(lambda loop: loop.remove_reader(0)) == ("returned", False)
    assert same_as_asyncio(lambda loop: loop.remove_writer(0)) == ("returned", False)


def test_a_closed_loop_takes_no_watch_and_removes_none(new_loop: Callable[[], Loop]) -> None:
    loop = new_loop()
    loop.close()
    for add in (loop.add_reader, loop.add_writer):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            add(0, print)
    assert loop.remove_reader(0) is False
    assert loop.remove_writer(0) is False


def test_close_drops_the_callbacks(
    new_loop: Callable[[], Loop], pair: tuple[socket.socket, socket.socket]
) -> None:
    class Callback:
        def __call__(self) -> None:
            raise AssertionError

    loop = new_loop()
    callback = Callback()
    gone = weakref.ref(callback)
    loop.add_reader(pair[0], callback)
    loop.run_until_complete(asyncio.sleep(0))
    del callback
    loop.close()
    gc.collect()
    assert gone() is None


def test_a_watch_added_by_another_thread_before_the_run_works(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair
    client.send(b"x")
    thread = threading.Thread(target=loop.add_reader, args=(server, loop.stop))
    thread.start()
    thread.join()
    loop.run_forever()
    assert loop.remove_reader(server)


def test_a_transports_fd_is_refused(loop: Loop) -> None:
    async def main() -> None:
        mine, peer = raw_pair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=mine)
        fd = mine.fileno()
        for method in (loop.add_reader, loop.add_writer):
            with pytest.raises(RuntimeError, match=f"File descriptor {fd} is used by transport"):
                method(fd, print)
        for remove in (loop.remove_reader, loop.remove_writer):
            with pytest.raises(RuntimeError, match=f"File descriptor {fd} is used by transport"):
                remove(fd)
        with pytest.raises(RuntimeError, match=f"File descriptor {fd} is used by transport"):
            await loop.sock_recv(mine, 1)
        transport.abort()
        await turns()
        peer.close()

    loop.run_until_complete(main())


def test_many_fds_are_watched_at_once(loop: Loop) -> None:
    async def main() -> None:
        count = 300
        pairs = [socket.socketpair() for _ in range(count)]
        seen: set[int] = set()
        for number, (mine, _) in enumerate(pairs):
            loop.add_reader(mine, seen.add, number)
        await turns(2)
        for _, peer in pairs[::2]:
            peer.send(b"x")
        await until(lambda: len(seen) == count // 2)
        for _, peer in pairs[1::2]:
            peer.send(b"x")
        await until(lambda: len(seen) == count)
        for mine, peer in pairs:
            assert loop.remove_reader(mine)
            mine.close()
            peer.close()

    loop.run_until_complete(main())


def test_a_callback_may_watch_and_unwatch_its_own_fd(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair
    calls = 0

    def again() -> None:
        nonlocal calls
        calls += 1
        assert loop.remove_reader(server)
        if calls < 50:
            loop.add_reader(server, again)

    async def main() -> None:
        client.send(b"x")
        loop.add_reader(server, again)
        await until(lambda: calls == 50)
        await turns(5)
        assert calls == 50

    loop.run_until_complete(main())


def test_dropping_a_callback_may_watch_the_fd_anew(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair
    seen: list[str] = []

    class Watcher:
        def __call__(self) -> None:
            seen.append("old")

        def __del__(self) -> None:
            loop.add_reader(server, seen.append, "new")

    async def main() -> None:
        loop.add_reader(server, Watcher())
        await turns(2)
        assert loop.remove_reader(server) is True
        client.send(b"x")
        await until(lambda: "new" in seen)
        assert "old" not in seen
        assert loop.remove_reader(server) is True

    loop.run_until_complete(main())


def test_what_a_dropped_callback_watches_leaves_the_other_side(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair

    async def main() -> None:
        readable, writable = asyncio.Event(), asyncio.Event()

        class Watcher:
            def __call__(self) -> None:
                pytest.fail("removed")

            def __del__(self) -> None:
                loop.add_writer(server, writable.set)

        loop.add_reader(server, readable.set)
        loop.add_writer(server, Watcher())
        assert loop.remove_writer(server)
        client.send(b"x")
        await soon(readable.wait())
        await soon(writable.wait())
        assert loop.remove_reader(server)
        assert loop.remove_writer(server)

    loop.run_until_complete(main())
