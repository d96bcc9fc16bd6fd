"""The loops that the demo compares, by name."""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: zuvloop is for CPython 3.14 only.
LOOPS = ("asyncio", "uvloop", "rloop", "zuvloop", "blitzio-epoll", "blitzio-io_uring")
#: No loops, but the least that one can do for a request, on epoll and on a ring: the modules of
#: benchmarks/floors that wait and send.
FLOORS = {"floor": "bare_server", "floor-ring": "bare_ring_server"}


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Raises ImportError for a package that is not installed, RuntimeError for a backend that
    cannot run here."""
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    if name in ("uvloop", "rloop", "zuvloop"):
        factory: Callable[[], asyncio.AbstractEventLoop]
        factory = importlib.import_module(name).new_event_loop
        return factory
    import blitzio

    def make_loop() -> asyncio.AbstractEventLoop:
        # As a program with the default options has it made: it does without a Config.
        os.environ["BLITZIO_BACKEND"] = name.removeprefix("blitzio-")
        return blitzio.new_event_loop()

    make_loop().close()
    return make_loop
