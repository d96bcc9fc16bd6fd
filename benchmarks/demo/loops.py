"""The loops that the demo compares, by name."""

from __future__ import annotations

import asyncio
import importlib
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

    config = blitzio.Config(backend=name.removeprefix("blitzio-"))
    blitzio.new_event_loop(config).close()
    return lambda: blitzio.new_event_loop(config)
