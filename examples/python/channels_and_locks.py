"""Channels and locks between tasks and plain threads: the same objects on both sides."""

import threading

import blitzio
from blitzio.channel import Broadcast, Channel, Oneshot
from blitzio.sync import Mutex, OnceCell, Semaphore


async def main() -> None:
    work: Channel[int] = Channel(4)
    done: Channel[str] = Channel(4)
    total, lock = [0], Mutex()

    def worker() -> None:
        while (number := work.blocking_recv()) >= 0:
            with lock:
                total[0] += number
            done.blocking_send(f"{number} counted")

    thread = threading.Thread(target=worker)
    thread.start()
    for number in (1, 2, 3):
        await work.send(number)
        print(await done.recv())
    await work.send(-1)
    await blitzio.spawn_blocking(thread.join)
    async with lock:
        print("total", total[0])

    two_at_once = Semaphore(2)

    async def limited(name: str) -> str:
        async with two_at_once:
            await blitzio.sleep(0.001)
            return name

    print(await blitzio.join_all(limited("a"), limited("b"), limited("c")))

    answer: Oneshot[int] = Oneshot()
    blitzio.spawn(answer.send, 42)
    print("answer", await answer.recv())

    news: Broadcast[str] = Broadcast(8)
    readers = [news.subscribe() for _ in range(2)]
    news.send("told to everybody")
    print([await reader.recv() for reader in readers])

    settings: OnceCell[str] = OnceCell()
    print(await settings.get_or_init(lambda: limited("loaded once")))


blitzio.run(main())
