"""Tasks that share: permits for a scarce thing, data behind locks, a value made once, a meeting."""

from collections import deque

import blitzio
from blitzio.channel import Watch
from blitzio.sync import Barrier, Condition, OnceCell, RwLock, Semaphore

TASKS = 8


class Shared:
    def __init__(self) -> None:
        self.connections = Semaphore(3)
        self.added = Condition()
        self.results: deque[int] = deque()  # protected by the condition's mutex
        self.factor: OnceCell[int] = OnceCell()
        self.settings_lock = RwLock()
        self.settings = {"step": 0}  # protected by that lock
        self.all = Barrier(TASKS)
        self.progress = Watch(0)


async def make_factor() -> int:
    print("the factor is made")
    await blitzio.yield_now()
    return 2


async def work(shared: Shared, number: int) -> bool:
    """Returns whether it was the last to finish."""
    factor = await shared.factor.get_or_init(make_factor)
    async with shared.settings_lock.read():
        step = shared.settings["step"]
    async with shared.connections:
        await blitzio.yield_now()
        async with shared.added:
            shared.results.append(number * factor + step)
            shared.added.signal()
    shared.progress.send_modify(lambda done: done + 1)
    return await shared.all.wait()


async def main() -> None:
    shared = Shared()
    async with shared.settings_lock.write():
        shared.settings["step"] = 1
    seen = shared.progress.subscribe()
    tasks = [blitzio.spawn(work, shared, number) for number in range(1, TASKS + 1)]
    total = 0
    for _ in range(TASKS):
        async with shared.added:
            await shared.added.wait_for(lambda: bool(shared.results))
            total += shared.results.popleft()
    print("sum", total)
    while seen.borrow() < TASKS:
        await seen.changed()
    print("leaders:", sum(await blitzio.join_all(tasks)))


if __name__ == "__main__":
    blitzio.run(main())
