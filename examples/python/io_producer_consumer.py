"""Producer and consumer with the Mutex and Condition of an Io.

They must overlap, so `concurrent`: an Io with one thread says that it cannot, instead of hanging.
"""

from collections import deque

from blitzio.io import ConcurrencyUnavailable, Deterministic, Evented, Io, Threaded


class Queue:
    def __init__(self, io: Io) -> None:
        self.mutex = io.mutex()
        self.changed = io.condition(self.mutex)
        self.items: deque[int] = deque()


async def produce(queue: Queue, count: int) -> None:
    for item in range(count):
        async with queue.mutex:
            queue.items.append(item)
            queue.changed.signal()


async def consume(queue: Queue, count: int) -> int:
    total = 0
    for _ in range(count):
        async with queue.mutex:
            while not queue.items:
                await queue.changed.wait()
            total += queue.items.popleft()
    return total


async def main(io: Io) -> int:
    queue = Queue(io)
    consumer = io.concurrent(consume, queue, 100)
    producer = io.concurrent(produce, queue, 100)
    await producer
    return await consumer


if __name__ == "__main__":
    with Threaded() as threaded:
        print("threads:", threaded.io().run(main, threaded.io()))
    with Evented(workers=2) as evented:
        print("workers:", evented.io().run(main, evented.io()))
    with Evented(workers=1) as alone:
        try:
            alone.io().run(main, alone.io())
        except ConcurrencyUnavailable as refusal:
            print("one worker:", refusal)
    # Every order that a seed chooses.
    for seed in range(20):
        with Deterministic(seed=seed) as world:
            assert world.run(main) == 4950
    print("simulation: 20 orders, one result")
