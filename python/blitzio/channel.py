"""Channels between tasks, threads and event loops.

Each may be used from any number of tasks, threads and loops (blitzio's and others) at the same
time. `try_x()` answers now, `await x()` waits in a task, `blocking_x(timeout=None)` in a thread,
for at most `timeout` seconds (`TimeoutError`). Cancelling a receive loses no value.

All errors of channels are `ChannelError`: `Closed`, `Full`, `Empty`, `Lagged`.

>>> import asyncio
>>> from blitzio.channel import Channel
>>> async def main() -> list[int]:
...     channel: Channel[int] = Channel(2)
...     async def produce() -> None:
...         for number in range(4):
...             await channel.send(number)
...         channel.close()
...     producer = asyncio.create_task(produce())
...     received = [number async for number in channel]
...     await producer
...     return received
>>> asyncio.run(main())
[0, 1, 2, 3]
"""

from __future__ import annotations

from blitzio._native import (
    Broadcast,
    BroadcastReceiver,
    Channel,
    ChannelError,
    Closed,
    Empty,
    Full,
    Lagged,
    Oneshot,
    Watch,
    WatchReceiver,
)

__all__ = [
    "Broadcast",
    "BroadcastReceiver",
    "Channel",
    "ChannelError",
    "Closed",
    "Empty",
    "Full",
    "Lagged",
    "Oneshot",
    "Watch",
    "WatchReceiver",
]
