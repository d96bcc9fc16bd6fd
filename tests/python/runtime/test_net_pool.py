"""`Pool`: connections that are lent again."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net
from blitzio.net import UnixStream
from tests.python.loop.support import client_context, server_context
from tests.python.runtime.net_support import settle

if TYPE_CHECKING:
    from pathlib import Path

    from tests.python.runtime.conftest import Run


def test_pool_closes_a_connection_whose_health_cannot_be_told(run: Run) -> None:
    made: list[UnixStream] = []

    async def connect() -> UnixStream:
        ours, theirs = UnixStream.pair()
        made.extend((ours, theirs))
        return ours

    def is_healthy(stream: UnixStream) -> bool:
        raise ZeroDivisionError

    async def main() -> None:
        with net.Pool(connect, is_healthy=is_healthy) as pool:
            async with pool.acquire():
                pass
            with pytest.raises(ZeroDivisionError):
                async with pool.acquire():
                    pass
            assert made[0].is_closed
            assert pool.lent_count == pool.idle_count == 0
        made[1].close()

    run(main())


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"connections_max": 0}, ValueError),
        ({"connections_max": None}, TypeError),
        ({"connections_max": 1.5}, TypeError),
        ({"idle_max": -1}, ValueError),
        ({"idle_max": 1.5}, TypeError),
        ({"idle_timeout": -1}, ValueError),
        ({"idle_timeout": None}, TypeError),
        # Whoever came first learned of these.
        ({"connect": "127.0.0.1:80"}, TypeError),
        ({"connect": None}, TypeError),
        ({"is_healthy": True}, TypeError),
        ({"is_healthy": 0}, TypeError),
        ({"blocking_connect": "127.0.0.1:80"}, TypeError),
    ],
)
def test_a_pool_refuses_wrong_arguments(option: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        net.Pool(**{"connect": UnixStream.pair, **option})


def test_pool_lends_again_and_serves_in_order(run: Run) -> None:
    made: list[UnixStream] = []

    async def connect() -> UnixStream:
        await asyncio.sleep(0)
        ours, theirs = UnixStream.pair()
        made.append(theirs)
        return ours

    async def main() -> None:
        made.clear()
        order: list[int] = []
        async with net.Pool(connect, connections_max=1) as pool:

            async def use(number: int) -> None:
                async with pool.acquire() as stream:
                    order.append(number)
                    await stream.write_all(b"x")
                    await asyncio.sleep(0)

            tasks = [asyncio.ensure_future(use(i)) for i in range(4)]
            await settle()
            tasks[2].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert order == [0, 1, 3]
            assert len(made) == 1
            assert (pool.lent_count, pool.idle_count) == (0, 1)
            made[0].close()  # no longer healthy
            await use(4)
            assert len(made) == 2
            with pytest.raises(KeyError):
                async with pool.acquire():
                    raise KeyError
            assert pool.idle_count == 0
            async with pool.acquire():
                waiting = asyncio.ensure_future(use(5))
                await settle()
                pool.close()
            with pytest.raises(RuntimeError, match="the pool is closed"):
                await waiting
        for stream in made:
            stream.close()

    run(main())
    with pytest.raises(ValueError, match="connections_max"):
        net.Pool(connect, connections_max=0)


async def heard(stream: Any) -> None:
    """Waits until a transport has what was sent to it. Other streams ask the kernel."""
    if isinstance(stream, net.TlsStream):
        reader: Any = stream._reader
        while not (stream._ahead or reader._buffer or reader.at_eof() or reader.exception()):
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["plain", "tls"])
@pytest.mark.parametrize(
    "what", ["nothing", "the rest", "unasked data", "the end", "a reset", "unseen data"]
)
def test_pool_lends_nothing_that_is_out_of_step(
    run: Run, tmp_path: Path, kind: str, what: str
) -> None:
    """A TlsStream with unread data was lent again, and the next one read it; one that the peer had
    reset was an AttributeError, over asyncio's transport of 3.10, which never becomes closing."""
    server, client = server_context(tmp_path), client_context()
    made: list[Any] = []
    peers: list[Any] = []
    bare: list[socket.socket] = []

    async def connect() -> Any:
        near, far = UnixStream.pair()
        if what == "unseen data":
            bare.append(socket.socket(fileno=os.dup(far.fileno())))
        if kind == "plain":
            peers.append(far)
            return near
        serving = asyncio.ensure_future(net.start_tls(far, server, server_side=True))
        stream = await net.start_tls(near, client, server_hostname="localhost")
        peers.append(await serving)
        made.append(stream)
        return stream

    async def main() -> bool:
        pool: net.Pool[Any] = net.Pool(connect)
        async with pool.acquire() as first:
            await peers[0].write_all(b"answer\n" + (b"rest" if what == "the rest" else b""))
            assert await first.read_line() == b"answer\n"
        if what == "unasked data":
            await peers[0].write_all(b"unasked")
        elif what == "the end":
            peers[0].close()
        elif what == "a reset":
            await first.write_all(b"unread")  # And gone, before the loop reads it.
            peers[0].close() if kind == "plain" else peers[0]._writer.transport.abort()
        elif what == "unseen data":
            bare[0].send(b"unasked")  # And no turn of the loop from here on.
        if what not in ("nothing", "unseen data"):
            await heard(first)
        async with pool.acquire() as second:
            is_same = second is first
        pool.close()
        for stream in peers:
            stream.close()
        if kind == "tls":
            closing = [stream.wait_closed() for stream in (*made, *peers)]
            await asyncio.gather(*closing, return_exceptions=True)
        return is_same

    try:
        assert run(main()) == (what == "nothing")
    finally:
        for sock in bare:
            sock.close()
