"""Copying from one stream to another, in threads and in tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import net
from blitzio.process import PipeReader, PipeWriter
from tests.python.loop.support import PATIENCE
from tests.python.runtime.net_support import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.python.runtime.conftest import Run

DATA = os.urandom(300_000)


@pytest.fixture
def streams() -> Iterator[tuple[net.UnixStream, ...]]:
    """client — a, b — server: a proxy between two connections."""
    client, a = net.UnixStream.pair()
    b, server = net.UnixStream.pair()
    yield client, a, b, server
    for stream in (client, a, b, server):
        stream.close()


def in_thread(function: Callable[..., object], *args: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


def test_everything_is_moved(streams: tuple[net.UnixStream, ...]) -> None:
    client, a, b, server = streams

    def send() -> None:
        client.blocking_write_all(DATA)
        client.shutdown("write")

    received = bytearray()

    def receive() -> None:
        received.extend(server.blocking_read_exact(len(DATA)))

    threads = [in_thread(send), in_thread(receive)]
    assert net.blocking_copy(a, b, buffer_bytes=1000, timeout=PATIENCE) == len(DATA)
    for thread in threads:
        thread.join()
    assert received == DATA
    assert not a.is_closed
    assert not b.is_closed


def test_both_ways_are_moved_at_once(streams: tuple[net.UnixStream, ...]) -> None:
    """Each side sends more than fits in between, and reads nothing before that has gone."""
    client, a, b, server = streams
    received: dict[str, bytes] = {}

    def talk(name: str, stream: net.UnixStream, data: bytes) -> None:
        stream.blocking_write_all(data)
        stream.shutdown("write")
        received[name] = stream.blocking_read_to_end()

    def read_first() -> None:
        received["server"] = server.blocking_read_to_end()
        server.blocking_write_all(DATA[:200_000])
        server.shutdown("write")

    threads = [in_thread(talk, "client", client, DATA), in_thread(read_first)]
    counts = net.blocking_copy_bidirectional(a, b, timeout=PATIENCE)
    for thread in threads:
        thread.join()
    assert counts == (len(DATA), 200_000)
    assert received == {"server": DATA, "client": DATA[:200_000]}


def test_time_ends_them_and_the_streams_stay(streams: tuple[net.UnixStream, ...]) -> None:
    client, a, b, server = streams
    with pytest.raises(TimeoutError):
        net.blocking_copy(a, b, timeout=0.001)
    with pytest.raises(TimeoutError):
        net.blocking_copy_bidirectional(a, b, timeout=0.001)
    client.blocking_write_all(b"later")
    assert a.blocking_read(timeout=PATIENCE) == b"later"
    server.blocking_write_all(b"later")
    assert b.blocking_read(timeout=PATIENCE) == b"later"


def test_errors_are_the_streams(streams: tuple[net.UnixStream, ...]) -> None:
    _, a, b, _ = streams
    a.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        net.blocking_copy(a, b, timeout=PATIENCE)
    with pytest.raises(OSError, match="Bad file descriptor"):
        net.blocking_copy_bidirectional(a, b, timeout=PATIENCE)
    with pytest.raises(ValueError, match="timeout must be"):
        net.blocking_copy(a, b, timeout=-1)


def test_pipes_are_copied_as_streams_are() -> None:
    one, two = os.pipe(), os.pipe()
    reader, writer = PipeReader.adopt(one[0]), PipeWriter.adopt(two[1])
    os.write(one[1], b"data")
    os.close(one[1])
    assert net.blocking_copy(reader, writer, timeout=PATIENCE) == 4
    assert os.read(two[0], 10) == b"data"
    reader.close()
    writer.close()
    os.close(two[0])


@pytest.mark.parametrize("copy", [net.blocking_copy, net.blocking_copy_bidirectional])
def test_they_are_for_threads_without_a_loop(
    copy: Callable[..., Any], streams: tuple[net.UnixStream, ...]
) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="would block the event loop"):
            copy(*streams[1:3])
        await asyncio.sleep(0)

    blitzio.run(main())


def test_copying_both_ways(run: Run) -> None:
    async def main() -> None:
        client, front = await connected()
        back, server = await connected()
        relaying = asyncio.ensure_future(net.copy_bidirectional(front, back))
        await client.write_all(b"request")
        client.shutdown("write")
        assert await server.read_to_end() == b"request"
        await server.write_all(b"a longer response")
        server.shutdown("write")
        assert await client.read_to_end() == b"a longer response"
        assert await relaying == (7, 17)
        for stream in (client, front, back, server):
            stream.close()

    run(main())


def test_the_threads_current_loop_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """On 3.10 copying forgot it, as asyncio.run() does."""
    listener = net.TcpListener.bind("127.0.0.1:0")
    port = listener.local_address.port

    def two(*_args: object) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        return [(*kind, ("127.0.0.2", port)), (*kind, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    loop = asyncio.SelectorEventLoop()
    asyncio.set_event_loop(loop)
    try:
        stream = net.blocking_connect("some.host", port, timeout=PATIENCE)
        server, _ = listener.blocking_accept(timeout=PATIENCE)
        stream.close()
        assert net.blocking_copy(server, server, timeout=PATIENCE) == 0
        assert asyncio.get_event_loop() is loop
        server.close()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        listener.close()


class Interrupted:
    """A stream in whose code Ctrl-C comes: `begins` is called in the task that reads."""

    def __init__(self, begins: Callable[[], object]) -> None:
        self.begins = begins
        self.outcomes: list[type[BaseException]] = []

    async def read(self, n: int = 1) -> bytes:
        try:
            self.begins()
            await asyncio.sleep(PATIENCE)
        except BaseException as error:
            self.outcomes.append(type(error))
            raise
        return b""

    async def write_all(self, data: bytes, /) -> None:
        raise AssertionError("nothing was read")

    def shutdown(self, how: str) -> None:
        raise AssertionError("nothing has ended")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner came in 3.11")
@pytest.mark.parametrize("copy", [net.blocking_copy, net.blocking_copy_bidirectional])
def test_ctrl_c_cancels(copy: Callable[..., Any]) -> None:
    """It interrupted whatever line the streams had come to."""
    a = Interrupted(lambda: signal.raise_signal(signal.SIGINT))
    b = Interrupted(lambda: None)
    with pytest.raises(KeyboardInterrupt):
        copy(a, b, timeout=PATIENCE)
    assert {*a.outcomes, *b.outcomes} == {asyncio.CancelledError}


def test_what_a_task_raises_that_was_left_behind_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """It was told when the task was forgotten, as of one that nobody had looked at."""
    tasks: list[asyncio.Task[None]] = []

    async def fail_at_the_end() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            raise ZeroDivisionError

    def begin() -> None:
        tasks.append(asyncio.ensure_future(fail_at_the_end()))

    stream = Interrupted(begin)
    with pytest.raises(TimeoutError):
        net.blocking_copy(stream, stream, timeout=0.01)
    tasks.clear()
    assert "run() shutdown" in caplog.text
    assert "never retrieved" not in caplog.text
