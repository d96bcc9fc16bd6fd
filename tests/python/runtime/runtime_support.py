"""What the tests of blitzio.Runtime spawn."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import blitzio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 30.0


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def until(is_so: Callable[[], object]) -> None:
    """Of what other threads are about to do."""
    patience = blitzio.Instant.now() + blitzio.Duration.from_secs(int(PATIENCE))
    while not is_so():
        assert blitzio.Instant.now() < patience
        threading.Event().wait(0.001)


@contextmanager
def interrupted(
    when: Callable[[], object], error: Callable[[], BaseException] = KeyboardInterrupt
) -> Iterator[None]:
    """Ctrl-C for what the block waits for, as soon as `when()`, or a signal whose handler raises
    `error()`. It is sent until it was heard: one that comes just before CPython begins to wait for
    a lock does not end the wait.
    """
    heard, main = threading.Event(), threading.get_ident()

    def interrupt(signal_number: int, frame: object) -> None:
        if not heard.is_set():
            heard.set()
            raise error()

    def send() -> None:
        until(when)
        while not heard.is_set():
            signal.pthread_kill(main, signal.SIGUSR1)
            heard.wait(0.01)

    before = signal.signal(signal.SIGUSR1, interrupt)
    # Started before the block: Thread.start() must not be what the signal interrupts.
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        heard.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)
