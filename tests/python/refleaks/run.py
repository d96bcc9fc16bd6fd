"""Runs each scenario until what it leaves behind must show, and fails if anything does.

After some rounds in which caches and free lists fill, a round must leave as many objects as it
found: references (debug builds of CPython count them all), allocated blocks, file descriptors,
threads. A number that grows in every one of the last rounds is a leak; one that goes up and down is
not.

    python tests/python/refleaks/run.py [--backend NAME]… [--only TEXT] [--rounds N]
"""

from __future__ import annotations

import argparse
import array
import gc
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blitzio
from blitzio import _native

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.python.refleaks.scenarios import Scenario

_WARM_UP = 4
_LOOKS = 60
_NAMES = ("references", "blocks", "descriptors", "threads")


def _count() -> array.array[int]:
    # Twice: finalisers of the first may leave something for the second.
    gc.collect()
    gc.collect()
    total: Callable[[], int] = getattr(sys, "gettotalrefcount", lambda: 0)
    threads, descriptors = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    return array.array("q", (total(), sys.getallocatedblocks(), descriptors, threads))


def _fill_free_lists(loop: Any) -> None:
    """The lists of dead objects that a full collection does not empty: of handles, and asyncio's of
    what awaits a future. Else each round leaves a few more there, for hundreds of rounds."""
    kept: list[object] = [loop.call_soon(int) for _ in range(600)]
    kept += [loop.call_later(0, int) for _ in range(600)]
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    future = loop.create_future()
    kept += [future.__await__() for _ in range(600)]
    kept.clear()


def _grown(scenario: Scenario, loop: Any, rounds: int) -> list[str]:
    """What grew in each of `rounds` rounds, in words."""
    # Not a list: the numbers in it would be counted themselves.
    counts = array.array("q", bytes(8 * len(_NAMES) * (rounds + 1)))
    for number in range(rounds + 1):
        counts[number * len(_NAMES) : (number + 1) * len(_NAMES)] = _count()
        if number < rounds:
            scenario(loop)
            # Whatever a scenario's last callbacks scheduled.
            loop.call_soon(loop.call_soon, loop.stop)
            loop.run_forever()
    found = []
    for place, name in enumerate(_NAMES):
        series = counts[place :: len(_NAMES)]
        steps = [after - before for before, after in zip(series, series[1:], strict=False)]
        if min(steps) > 0:
            found.append(f"{name} {steps}")
    return found


def leaks(scenario: Scenario, new_loop: Callable[[], Any], rounds: int) -> list[str]:
    """What grows with each round of `scenario`, however often it is looked at, in words."""
    loop = new_loop()
    _fill_free_lists(loop)
    _grown(scenario, loop, _WARM_UP)
    found: list[str] = []
    # CPython's caches go on filling for some hundred rounds, asyncio's own loop shows the same; a
    # leak never ends.
    for _ in range(_LOOKS):
        found = _grown(scenario, loop, rounds)
        if not found:
            break
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", action="append", default=[])
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    from tests.python.refleaks.scenarios import SCENARIOS

    usable = [name for name, is_usable, _, _ in _native.detect() if is_usable]
    failures = 0
    for backend in options.backend or usable:
        # Loops that a scenario makes by itself are of this backend, too.
        os.environ["BLITZIO_BACKEND"] = backend
        chosen = [each for each in SCENARIOS if options.only in each.__name__]
        for scenario in chosen:
            found = leaks(scenario, blitzio.new_event_loop, options.rounds)
            failures += bool(found)
            for each in found:
                print(f"LEAK {backend} {scenario.__name__}: {each}", flush=True)
        print(f"{backend}: {len(chosen)} scenarios", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
