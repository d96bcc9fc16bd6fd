"""Runs each scenario until what it leaves behind must show, and fails if anything does.

After some rounds in which caches and free lists fill, rounds must leave as many objects as they
found: see counting.py.

    python -m tests.python.refleaks.run [--backend NAME]… [--only TEXT] [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import blitzio
from blitzio import _native
from tests.python.refleaks import counting

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.python.refleaks.scenarios import Scenario

_WARM_UP = 4
# CPython's caches go on filling for some hundred rounds, asyncio's own loop shows the same; a leak
# never ends.
_LOOKS = 60


def leaks(scenario: Scenario, new_loop: Callable[[], Any], rounds: int) -> list[str]:
    """What grows with each round of `scenario`, however often it is looked at, in words."""
    loop = new_loop()

    def one_round() -> None:
        scenario(loop)
        # Whatever a scenario's last callbacks scheduled.
        loop.call_soon(loop.call_soon, loop.stop)
        loop.run_forever()

    counting.fill_free_lists(loop)
    for _ in range(_WARM_UP):
        one_round()
    found = counting.growth(one_round, runs=rounds, looks=_LOOKS)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    return [f"{name} {steps}" for name, steps in found.items()]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", action="append", default=[])
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
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
