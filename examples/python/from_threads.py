"""From threads to tasks, one thing after the other: each `..._with_threads` does it as one does
without a runtime, and its neighbour does the same without holding a thread."""

import queue
import threading

import blitzio
from blitzio.channel import Channel, Closed, Full
from blitzio.sync import Mutex, Notify

WORKERS = 4


# ---- threading.Thread and Lock: spawn and sync.Mutex ---------------------------------------------


def count_with_threads() -> int:
    lock, count = threading.Lock(), 0

    def work() -> None:
        nonlocal count
        with lock:  # blocks the thread
            count += 1

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count


async def count_with_tasks() -> int:
    mutex, count = Mutex(), 0

    async def work() -> None:
        nonlocal count
        if not mutex.try_lock():  # the first tier: now, or not
            await mutex.lock()  # the second: others run meanwhile
        count += 1
        mutex.unlock()

    await blitzio.join_all(*(blitzio.spawn(work) for _ in range(WORKERS)))
    return count


# ---- threading.Condition: sync.Notify ------------------------------------------------------------


def notify_with_threads() -> bool:
    condition, is_ready = threading.Condition(), False

    def produce() -> None:
        nonlocal is_ready
        with condition:
            is_ready = True
            condition.notify()

    thread = threading.Thread(target=produce)
    thread.start()
    with condition:
        condition.wait_for(lambda: is_ready)
    thread.join()
    return is_ready


async def notify_with_tasks() -> bool:
    arrived = Notify()  # remembers a notification that came first
    producer = blitzio.spawn(arrived.notify_one)
    await arrived.wait()
    await producer
    return True


# ---- queue.Queue: channel.Channel ----------------------------------------------------------------


def queue_with_threads() -> int:
    numbers: queue.Queue[int] = queue.Queue(16)

    def produce() -> None:
        for number in range(1, 101):
            numbers.put(number)

    thread = threading.Thread(target=produce)
    thread.start()
    total = sum(numbers.get() for _ in range(100))
    thread.join()
    return total


async def queue_with_tasks() -> int:
    numbers: Channel[int] = Channel(16)

    async def produce() -> None:
        for number in range(1, 101):
            try:
                numbers.try_send(number)
            except Full:
                await numbers.send(number)  # waits for room
        numbers.close()

    producer = blitzio.spawn(produce)
    total = 0
    try:
        while True:
            total += await numbers.recv()
    except Closed:  # and drained
        await producer
    return total


# ---- what blocks ---------------------------------------------------------------------------------


async def block_in_a_thread_that_may() -> bool:
    # A driver of a database, say.
    return await blitzio.spawn_blocking(str.isdigit, "42")


async def main() -> None:
    print(count_with_threads(), await count_with_tasks())
    print(notify_with_threads(), await notify_with_tasks())
    print(queue_with_threads(), await queue_with_tasks())
    print(await block_in_a_thread_that_may())


blitzio.run(main())
