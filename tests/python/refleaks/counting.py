"""What a process holds, and whether doing something again and again makes that more.

It holds references (debug builds of CPython count them all), allocated blocks, file descriptors and
threads. A look at them is some runs, with a count before the first and after each. A run may leave
more than it found, and the next one less: caches fill, lists of dead objects grow and are cut. So a
look that ends with less more than it had runs clears what was looked at: a leak adds one at least
in each run. What no look clears is a leak.
"""

from __future__ import annotations

import array
import gc
import linecache
import os
import re
import sys
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Growth = dict[str, list[int]]

NAMES = ("references", "blocks", "descriptors", "threads")
#: More than CPython and the loop keep of one kind of dead object.
_MORE_THAN_KEPT = 600

_total_references: Callable[[], int] = getattr(sys, "gettotalrefcount", lambda: 0)
_clear_types: Callable[[], None] = getattr(
    sys, "_clear_internal_caches", getattr(sys, "_clear_type_cache", lambda: None)
)
_clear_generics: list[Callable[[], None]] = getattr(typing, "_cleanups", [])


def _clear_caches() -> None:
    """Those of CPython that what was run may have put something into."""
    re.purge()
    linecache.clearcache()
    for clear in _clear_generics:
        clear()
    _clear_types()


def count() -> array.array[int]:
    """How many there are of each of NAMES, when garbage and caches are gone."""
    _clear_caches()
    # Twice: finalisers of the first may leave something for the second.
    gc.collect()
    gc.collect()
    threads, descriptors = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    return array.array("q", (_total_references(), sys.getallocatedblocks(), descriptors, threads))


def fill_free_lists(loop: Any) -> None:
    """The lists of dead objects that a full collection does not empty: of handles, and asyncio's of
    what awaits a future. Else each round leaves a few more there, for hundreds of rounds."""
    kept: list[object] = [loop.call_soon(int) for _ in range(_MORE_THAN_KEPT)]
    kept += [loop.call_later(0, int) for _ in range(_MORE_THAN_KEPT)]
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    future = loop.create_future()
    kept += [future.__await__() for _ in range(_MORE_THAN_KEPT)]
    kept.clear()


def growth(run: Callable[[], object], *, runs: int, looks: int) -> Growth:
    """What each run of the last look added to what has grown in each of `looks` looks at `runs`
    runs; empty, and then sooner, if every number was steady in one of them."""
    # Not lists: the numbers in them would be counted themselves.
    counts = array.array("q", bytes(8 * len(NAMES) * (runs + 1)))
    steady = 0
    for _ in range(looks):
        for number in range(runs + 1):
            counts[number * len(NAMES) : (number + 1) * len(NAMES)] = count()
            if number < runs:
                run()
        for place in range(len(NAMES)):
            if counts[place - len(NAMES)] - counts[place] < runs:
                steady |= 1 << place
        if steady == (1 << len(NAMES)) - 1:
            return {}
    grown: Growth = {}
    for place, name in enumerate(NAMES):
        if not steady & 1 << place:
            series = counts[place :: len(NAMES)]
            steps = zip(series, series[1:], strict=False)
            grown[name] = [after - before for before, after in steps]
    return grown
