"""Synchronisation between tasks, threads and event loops.

Each primitive may be used from any number of tasks, threads and loops (blitzio's and others) at the
same time. A name has up to three forms: `try_x()` answers now, `await x()` waits in a task, and
`blocking_x(timeout=None)` waits in a thread, for at most `timeout` seconds (`TimeoutError`). In a
thread with a running event loop the blocking forms raise `RuntimeError`.

Cancelling a wait loses nothing: what had been granted already goes to the next in line.

>>> import asyncio
>>> from blitzio.sync import Mutex
>>> async def main() -> list[int]:
...     mutex, order = Mutex(), []
...     async def work(number: int) -> None:
...         async with mutex:
...             order.append(number)
...     await asyncio.gather(work(1), work(2), work(3))
...     return order
>>> asyncio.run(main())
[1, 2, 3]
"""

from __future__ import annotations

from blitzio._native import Barrier, Event, Guard, Mutex, Notify, RwLock, Semaphore
from blitzio._sync.condition import Condition
from blitzio._sync.once_cell import OnceCell

__all__ = [
    "Barrier",
    "Condition",
    "Event",
    "Guard",
    "Mutex",
    "Notify",
    "OnceCell",
    "RwLock",
    "Semaphore",
]
