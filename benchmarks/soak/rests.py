"""Rests: moments at which nothing is under way, so that what is still there has been kept.

Memory breathes by tens of MiB while large messages come and go. At a rest every connection, child
and job has ended, the collector has run and the allocator has given back what is free: what then
grows from rest to rest is a leak, and descriptors and tasks are the same to the last one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_LIBC = ctypes.CDLL(None)
_SETTLED_LOOKS = 5
_LOOK_SECONDS = 0.02
_LOOKS_MAX = 250


@dataclass(frozen=True, slots=True)
class Sample:
    seconds: float
    rss_kib: int
    blocks: int  # Python objects, about: what CPython's own allocator has handed out.
    fds: int
    tasks: int
    threads: int


def sample(seconds: float) -> Sample:
    """The state of this process, from inside its running loop."""
    return Sample(
        seconds,
        int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KIB,
        sys.getallocatedblocks(),
        len(os.listdir("/proc/self/fd")),
        len(asyncio.all_tasks()),
        threading.active_count(),
    )


async def settled_sample(seconds: float) -> Sample:
    """The state once descriptors and tasks have stopped changing, and what is free is given back.

    The other end of a connection ends some turns after the one that was waited for.
    """
    same = 0
    before = (0, 0)
    for _ in range(_LOOKS_MAX):
        await asyncio.sleep(_LOOK_SECONDS)
        now = (len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()))
        same = same + 1 if now == before else 0
        if same == _SETTLED_LOOKS:
            break
        before = now
    gc.collect()
    with contextlib.suppress(AttributeError):  # Only the GNU C library has it.
        _LIBC.malloc_trim(0)
    return sample(seconds)


class Gate:
    """Where those who work wait while it is closed.

    open ── closed() ──► closed ── all who joined wait or have left ──► at rest
     ▲                                                                    │
     └────────────────────────────── end of closed() ─────────────────────┘
    """

    def __init__(self) -> None:
        self._working = 0
        self._open = asyncio.Event()
        self._open.set()
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """One who works from here to the end, and passes the gate between two rounds."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    async def passed(self) -> None:
        """Waits while the gate is closed."""
        if self._open.is_set():
            return
        self._end()
        try:
            while not self._open.is_set():  # It may have been closed again before this one's turn.
                await self._open.wait()
        finally:
            self._begin()

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Lets nobody through, and begins when nobody works."""
        self._open.clear()
        try:
            while self._working != 0:  # One may have joined before this one's turn.
                await self._at_rest.wait()
            yield
        finally:
            self._open.set()

    def _begin(self) -> None:
        self._working += 1
        self._at_rest.clear()

    def _end(self) -> None:
        self._working -= 1
        if self._working == 0:
            self._at_rest.set()
