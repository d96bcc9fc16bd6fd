"""What things say of themselves: locks and channels their state, and how many wait, as asyncio's
do; servers, pools and streams whether they are open, and with whom they talk."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import blitzio
from blitzio import channel, fs, net, sync
from tests.python.loop.support import client_context, server_context

if TYPE_CHECKING:
    from pathlib import Path

    from tests.python.runtime.conftest import Run


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def seen_while_waited_for(thing: Any, *waits: Any) -> str:
    """Its repr with tasks that wait; they are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await settle()
    text = repr(thing)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return text


def test_locks_tell_their_state_and_who_waits(run: Run) -> None:
    async def main() -> None:
        mutex = sync.Mutex()
        assert repr(mutex) == "<blitzio.sync.Mutex [unlocked, waiters:0]>"
        await mutex.lock()
        seen = await seen_while_waited_for(mutex, mutex.lock(), mutex.lock())
        assert seen == "<blitzio.sync.Mutex [locked, waiters:2]>"
        semaphore = sync.Semaphore(3)
        assert repr(semaphore) == "<blitzio.sync.Semaphore [unlocked, value:3, waiters:0]>"
        guard = semaphore.permit(3)
        assert repr(guard) == "<blitzio.sync.Guard [Semaphore.permit, not held, count:3]>"
        await guard
        assert repr(guard) == "<blitzio.sync.Guard [Semaphore.permit, held, count:3]>"
        seen = await seen_while_waited_for(semaphore, semaphore.acquire())
        assert seen == "<blitzio.sync.Semaphore [locked, value:0, waiters:1]>"
        semaphore.close()
        assert repr(semaphore) == "<blitzio.sync.Semaphore [closed, value:0, waiters:0]>"
        lock = sync.RwLock()
        assert repr(lock) == "<blitzio.sync.RwLock [unlocked, waiters:0]>"
        reading = lock.try_read()
        assert repr(reading) == "<blitzio.sync.Guard [RwLock.read, held, count:1]>"

        async def write() -> None:
            await lock.write()

        seen = await seen_while_waited_for(lock, write())
        assert seen == "<blitzio.sync.RwLock [locked, waiters:1]>"

    run(main())


def test_what_is_waited_for_tells_its_state(run: Run) -> None:
    async def main() -> None:
        event = sync.Event()
        seen = await seen_while_waited_for(event, event.wait(), event.wait())
        assert seen == "<blitzio.sync.Event [unset, waiters:2]>"
        event.set()
        assert repr(event) == "<blitzio.sync.Event [set, waiters:0]>"
        notify = sync.Notify()
        seen = await seen_while_waited_for(notify, notify.wait())
        assert seen == "<blitzio.sync.Notify [empty, waiters:1]>"
        notify.notify_one()
        assert repr(notify) == "<blitzio.sync.Notify [notified, waiters:0]>"
        barrier = sync.Barrier(3)
        seen = await seen_while_waited_for(barrier, barrier.wait(), barrier.wait())
        assert seen == "<blitzio.sync.Barrier [waiters:2/3]>"
        condition = sync.Condition()
        assert repr(condition) == "<blitzio.sync.Condition [unlocked, waiters:0]>"
        cell: sync.OnceCell[Any] = sync.OnceCell()
        assert repr(cell) == "<blitzio.sync.OnceCell [empty]>"
        assert await cell.get_or_init(lambda: repr(cell)) == (
            "<blitzio.sync.OnceCell [initialising]>"
        )
        assert repr(cell) == "<blitzio.sync.OnceCell [set]>"

    run(main())


def test_channels_tell_what_is_in_them() -> None:
    queue: channel.Channel[Any] = channel.Channel(4)
    queue.try_send(queue)  # Values are not told: one may be the channel itself.
    assert repr(queue) == "<blitzio.channel.Channel [open, values:1/4]>"
    queue.close()
    assert repr(queue) == "<blitzio.channel.Channel [closed, values:1/4]>"
    assert queue.try_recv() is queue
    once: channel.Oneshot[int] = channel.Oneshot()
    assert repr(once) == "<blitzio.channel.Oneshot [empty]>"
    once.send(1)
    assert repr(once) == "<blitzio.channel.Oneshot [sent]>"
    closed: channel.Oneshot[int] = channel.Oneshot()
    closed.close()
    assert repr(closed) == "<blitzio.channel.Oneshot [closed]>"
    broadcast: channel.Broadcast[int] = channel.Broadcast(4)
    receiver = broadcast.subscribe()
    broadcast.send(1)
    assert repr(receiver) == "<blitzio.channel.BroadcastReceiver [values:1]>"
    assert repr(broadcast) == "<blitzio.channel.Broadcast [open, capacity:4]>"
    watch = channel.Watch(1)
    watched = watch.subscribe()
    assert repr(watched) == "<blitzio.channel.WatchReceiver [unchanged]>"
    watch.send(2)
    assert repr(watched) == "<blitzio.channel.WatchReceiver [changed]>"
    watch.close()
    assert repr(watch) == "<blitzio.channel.Watch [closed]>"


def test_a_pool_tells_how_much_of_it_is_lent(run: Run) -> None:
    made: list[net.UnixStream] = []

    async def connect() -> net.UnixStream:
        ours, theirs = net.UnixStream.pair()
        made.append(theirs)
        return ours

    async def main() -> None:
        pool = net.Pool(connect, connections_max=3)
        assert repr(pool) == "<Pool open lent=0/3 idle=0>"
        async with pool.acquire():
            async with pool.acquire():
                assert repr(pool) == "<Pool open lent=2/3 idle=0>"
            assert repr(pool) == "<Pool open lent=1/3 idle=1>"
            pool.close()
            assert repr(pool) == "<Pool closed lent=1/3 idle=0>"
        assert repr(pool) == "<Pool closed lent=0/3 idle=0>"
        for each in made:
            each.close()

    run(main())


def test_a_server_tells_where_it_serves() -> None:
    with blitzio.Server(asyncio.Protocol, "127.0.0.1", 0, workers=2) as server:
        where = f"127.0.0.1:{server.address[1]} workers=2"
        assert repr(server) == f"<Server {where} serving>"
    assert repr(server) == f"<Server {where} closed>"


def test_a_tls_stream_tells_with_whom_it_talks(run: Run, tmp_path: Path) -> None:
    server, client = server_context(tmp_path), client_context()

    async def main() -> None:
        near, far = net.UnixStream.pair()
        serving = asyncio.ensure_future(net.start_tls(far, server, server_side=True))
        async with await net.start_tls(near, client, server_hostname="localhost") as stream:
            other = await serving
            assert repr(stream) == (
                f"<TlsStream fd={stream.fileno()} local={stream.local_address} "
                f"peer={stream.peer_address} TLSv1.3>"
            )
            await other.write_all(b"x")
            assert await stream.read() == b"x"
            other.close()
        assert repr(stream) == "<TlsStream closed>"
        await other.wait_closed()

    run(main())


def test_a_watcher_tells_what_it_watches(tmp_path: Path) -> None:
    watcher = fs.watch(tmp_path, "file", recursive=True)
    assert repr(watcher) == f"<Watcher open {str(tmp_path)!r} 'file' recursive>"
    watcher.close()
    assert repr(watcher).startswith("<Watcher closed")
    with fs.blocking_watch(tmp_path) as watcher:
        assert repr(watcher) == f"<Watcher open {str(tmp_path)!r}>"


def test_any_thread_may_ask_meanwhile() -> None:
    mutex, event = sync.Mutex(), sync.Event()
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            assert repr(mutex).startswith("<blitzio.sync.Mutex [")
            assert repr(event).startswith("<blitzio.sync.Event [")

    def use() -> None:
        for _ in range(300):
            with mutex:
                event.set()
                event.clear()

    threads = [threading.Thread(target=use) for _ in range(2)]
    asking = threading.Thread(target=ask)
    for thread in (asking, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    is_over.set()
    asking.join()
