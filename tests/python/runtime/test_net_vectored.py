"""`read_vectored`, `write_vectored` and their `try_` and `blocking_` forms."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

import pytest

from blitzio.net import TcpListener, TcpStream, UnixStream

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Stream = TcpStream | UnixStream

LONG = 20.0

pytestmark = pytest.mark.no_faults("takes each message for one piece", "short", "again")


def contents(*buffers: bytearray | memoryview) -> list[bytes]:
    return [bytes(buffer) for buffer in buffers]


async def connected(kind: str) -> tuple[Stream, Stream]:
    if kind == "unix":
        return UnixStream.pair()
    async with TcpListener.bind("127.0.0.1:0") as listener:
        client = await TcpStream.connect(listener.local_address)
        return client, (await listener.accept())[0]


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_several_buffers_are_read_and_written(run: Run, kind: str) -> None:
    async def main() -> None:
        ours, theirs = await connected(kind)
        async with ours, theirs:
            head, body = bytearray(2), bytearray(6)
            reading = asyncio.ensure_future(theirs.read_vectored([head, body]))
            await asyncio.sleep(0)
            parts: list[Any] = [b"ab", b"", bytearray(b"c"), memoryview(b"xdef")[1:]]
            assert await ours.write_vectored(iter(parts)) == 6
            assert await reading == 6
            assert contents(head, body) == [b"ab", b"cdef\0\0"]
            ours.shutdown("write")
            assert await theirs.read_vectored([head]) == 0

    run(main())


def test_what_was_read_ahead_comes_first(run: Run) -> None:
    async def main() -> None:
        ours, theirs = UnixStream.pair()
        async with ours, theirs:
            await ours.write_all(b"line\nabcde")
            assert await theirs.read_line() == b"line\n"
            one, other = bytearray(2), memoryview(bytearray(2))
            assert theirs.try_read_vectored((one, other)) == 4
            assert contents(one, other) == [b"ab", b"cd"]
            assert await theirs.read_vectored([one, other]) == 1
            assert contents(one, other) == [b"eb", b"cd"]

    run(main())


def test_a_cancelled_call_takes_and_writes_nothing(run: Run) -> None:
    async def main() -> None:
        ours, theirs = UnixStream.pair()
        async with ours, theirs:
            buffer = bytearray(8)
            reading = asyncio.ensure_future(theirs.read_vectored([buffer]))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            buffer.clear()  # Nobody holds it any more.
            while ours.try_write(bytes(4096)):
                pass
            writing = asyncio.ensure_future(ours.write_vectored([b"never"]))
            await asyncio.sleep(0)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            ours.shutdown("write")
            assert not (await theirs.read_to_end()).strip(b"\0")

    run(main())


def test_now_or_not_at_all() -> None:
    ours, theirs = UnixStream.pair()
    assert theirs.try_read_vectored([bytearray(1)]) is None
    assert theirs.try_read_vectored([]) == 0
    assert ours.try_write_vectored([]) == 0
    assert ours.try_write_vectored([b"a", b"b"]) == 2
    both = bytearray(1), bytearray(3)
    assert theirs.try_read_vectored(both) == 2
    assert contents(*both) == [b"a", b"b\0\0"]
    while ours.try_write_vectored([bytes(4096)] * 4):
        pass
    ours.close()
    theirs.close()


def test_threads_have_it_too() -> None:
    ours, theirs = UnixStream.pair()
    with pytest.raises(TimeoutError):
        theirs.blocking_read_vectored([bytearray(1)], timeout=0)
    # More than a system call takes: some of it.
    assert ours.blocking_write_vectored([b"x"] * 2000, timeout=LONG) == 1024
    buffers = [bytearray(1) for _ in range(2000)]
    assert theirs.blocking_read_vectored(buffers, timeout=LONG) == 1024
    assert b"".join(buffers) == b"x" * 1024 + bytes(976)
    ours.close()
    theirs.close()


def test_bad_buffers_and_closed_streams() -> None:
    ours, theirs = UnixStream.pair()
    wrong: Any
    for wrong in (1, [1], ["text"], b"bytes", None):
        with pytest.raises(TypeError):
            ours.write_vectored(wrong)
        with pytest.raises(TypeError):
            ours.try_read_vectored(wrong)
    with pytest.raises(TypeError, match="a writable buffer was expected, got bytes"):
        ours.read_vectored([b"read-only"])
    with pytest.raises(TypeError, match="a writable buffer was expected, got memoryview"):
        ours.read_into(memoryview(b"read-only"))
    theirs.close()
    with pytest.raises(BrokenPipeError):
        ours.blocking_write_vectored([b"x"])
    ours.close()
    for call in (ours.try_read_vectored, ours.try_write_vectored, ours.blocking_read_vectored):
        with pytest.raises(OSError, match="descriptor") as caught:
            call([bytearray(1)])
        assert caught.value.errno == errno.EBADF
