"""What the tests of Unix stream sockets share."""

from __future__ import annotations

import asyncio
import os

from tests.python.loop.support import Recorder, soon


class Accepting:
    """A protocol factory that keeps what it made."""

    def __init__(self) -> None:
        self.made: list[Recorder] = []
        self._grown = asyncio.Event()

    def __call__(self) -> Recorder:
        self.made.append(Recorder())
        self._grown.set()
        return self.made[-1]

    async def wait(self, count: int = 1) -> Recorder:
        async def wait() -> None:
            while len(self.made) < count:
                self._grown.clear()
                await self._grown.wait()

        await soon(wait())
        recorder = self.made[count - 1]
        await soon(recorder.made)
        return recorder


async def close(*recorders: Recorder) -> None:
    for recorder in recorders:
        assert recorder.transport is not None
        recorder.transport.close()
        await soon(asyncio.wait([recorder.lost]))


def abstract_name(tag: str) -> str:
    return f"\0blitzio-test-{os.getpid()}-{tag}"
