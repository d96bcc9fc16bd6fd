"""add_reader, add_writer and their opposites, called by a thread that does not run the loop.

asyncio's own loop lets any thread do so, and its sleep takes notice. There are programs that do, in
jobs of an executor.
"""

from __future__ import annotations

import asyncio
import sysconfig
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import PATIENCE, fill, raw_pair, socket_pair, soon, turns

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    Loop = asyncio.AbstractEventLoop
    Pair = tuple[socket.socket, socket.socket]

IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
needs_the_gil = pytest.mark.skipif(
    IS_FREE_THREADED, reason="nothing keeps a thread from what the loop's own is about to do"
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket_pair() as sockets:
        yield sockets


@pytest.fixture(params=[False, True], ids=["plain", "debug"])
def loop(request: pytest.FixtureRequest, loop: Loop) -> Loop:
    loop.set_debug(request.param)
    return loop


async def elsewhere(function: Callable[..., Any], *args: Any) -> Any:
    """Calls `function` in another thread. The loop is asleep meanwhile, or about to be."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


@needs_the_gil
def test_a_reader_and_a_writer_are_added(loop: Loop, pair: Pair) -> None:
    client, server = pair

    async def main() -> None:
        readable, writable = asyncio.Event(), asyncio.Event()
        await elsewhere(loop.add_reader, server, readable.set)
        sent = fill(client)
        await soon(readable.wait())
        await elsewhere(loop.add_writer, client.fileno(), writable.set)
        server.settimeout(PATIENCE)  # The kernel brings the rest when it sees fit.
        while sent:
            sent -= len(server.recv(65536))
        await soon(writable.wait())
        assert loop.remove_reader(server)
        assert loop.remove_writer(client)

    loop.run_until_complete(main())


@needs_the_gil
def test_a_removed_reader_is_called_no_more(loop: Loop, pair: Pair) -> None:
    client, server = pair
    calls: list[None] = []

    def remove() -> list[bool]:
        removed = [loop.remove_reader(server) for _ in range(2)]
        client.send(b"x")
        return removed

    async def main() -> None:
        loop.add_reader(server, calls.append, None)
        assert await elsewhere(remove) == [True, False]
        await turns(10)
        assert not calls
        assert not loop.remove_reader(server)

    loop.run_until_complete(main())


@needs_the_gil
def test_removing_one_side_leaves_the_other(loop: Loop, pair: Pair) -> None:
    client, server = pair

    async def main() -> None:
        fill(client)
        readable = asyncio.Event()
        loop.add_reader(client, readable.set)
        loop.add_writer(client, pytest.fail)
        assert await elsewhere(loop.remove_writer, client)
        server.send(b"x")
        await soon(readable.wait())
        assert await elsewhere(loop.remove_reader, client)

    loop.run_until_complete(main())


@needs_the_gil
@pytest.mark.parametrize("adds_here", [True, False], ids=["here", "there"])
def test_a_number_that_is_used_again_gets_its_own_watch(loop: Loop, adds_here: bool) -> None:
    def replace(old: socket.socket, ready: Callable[[], object]) -> Pair:
        number = old.fileno()
        assert loop.remove_reader(old)
        old.close()
        new, peer = raw_pair()
        assert number in (new.fileno(), peer.fileno())
        if peer.fileno() == number:
            new, peer = peer, new
        if not adds_here:
            loop.add_reader(number, ready)
        return new, peer

    async def main() -> None:
        old, old_peer = raw_pair()
        loop.add_reader(old, pytest.fail)
        ready = asyncio.Event()
        new, peer = await elsewhere(replace, old, ready.set)
        with old_peer, new, peer:
            # Nothing of the loop's holds the old one open.
            assert await soon(loop.sock_recv(old_peer, 1)) == b""
            if adds_here:
                loop.add_reader(new, ready.set)
            peer.send(b"x")
            await soon(ready.wait())
            assert loop.remove_reader(new)

    loop.run_until_complete(main())


@needs_the_gil
def test_a_second_callback_replaces_the_first(loop: Loop, pair: Pair) -> None:
    client, server = pair

    async def main() -> None:
        ready = asyncio.Event()
        loop.add_reader(server, pytest.fail)
        await elsewhere(loop.add_reader, server, ready.set)
        client.send(b"x")
        await soon(ready.wait())
        assert loop.remove_reader(server)

    loop.run_until_complete(main())


@needs_the_gil
@pytest.mark.parametrize("removes", ["reader", "writer", "both"])
def test_a_loop_closes_with_what_it_has_not_heard_of_yet(
    new_loop: Callable[[], Loop], removes: str
) -> None:
    loop = new_loop()
    ours, peer = raw_pair()
    with ours, peer:
        fill(ours)

        def change() -> None:
            for side in ("reader", "writer") if removes == "both" else (removes,):
                assert getattr(loop, f"remove_{side}")(ours)
            loop.add_reader(peer, print)

        def let_it_change() -> None:
            # In the last turn: the loop does not look again before it is closed.
            thread = threading.Thread(target=change)
            thread.start()
            thread.join()
            loop.stop()

        loop.add_reader(ours, pytest.fail)
        loop.add_writer(ours, pytest.fail)
        loop.call_later(0.001, let_it_change)
        loop.run_forever()
        loop.close()
        assert not loop.remove_reader(peer)
    # Nothing of the loop's holds them open.
    assert (ours.fileno(), peer.fileno()) == (-1, -1)


@needs_the_gil
def test_what_has_arrived_is_not_called_once_it_is_removed(loop: Loop, pair: Pair) -> None:
    called: list[socket.socket] = []

    def callback(own: socket.socket, other: socket.socket) -> None:
        called.append(own)
        thread = threading.Thread(target=loop.remove_reader, args=(other,))
        thread.start()
        thread.join()
        loop.remove_reader(own)

    async def main() -> None:
        for own, other in (pair, pair[::-1]):
            other.send(b"x")
            loop.add_reader(own, callback, own, other)
        while not called:
            await turns(1)
        await turns(10)

    loop.run_until_complete(soon(main()))
    assert len(called) == 1


@pytest.mark.skipif(not IS_FREE_THREADED, reason="with the interpreter lock any may")
@pytest.mark.usefixtures("native")
def test_without_the_gil_another_thread_is_refused(loop: Loop, pair: Pair) -> None:
    client, _ = pair

    async def main() -> None:
        for call in (
            lambda: loop.add_reader(client, print),
            lambda: loop.add_writer(client, print),
            lambda: loop.remove_reader(client),
            lambda: loop.remove_writer(client),
        ):
            with pytest.raises(RuntimeError, match="Non-thread-safe"):
                await elsewhere(call)

    loop.run_until_complete(main())
