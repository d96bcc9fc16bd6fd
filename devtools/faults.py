"""Python tests and the drivers' contract under injected faults: docs/design/fault-injection.md.

Each run is named by its seed, which is printed before the tests start and with every failure;
`./dev.py faults --seed N` meets the same faults again, as far as the kernel lets it.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from devtools import native, python_tests
from devtools.process import ROOT, say

if TYPE_CHECKING:
    from devtools.interpreters import Interpreter

#: What `./dev.py test` runs with, so that the same tree gives the same verdict.
FIXED_SEED = 1
RATE = 0.05
_LEFT_OUT = (
    "--ignore=tests/python/typing",  # Runs no loop.
    "--ignore=tests/python/scale",  # Tests how much is held, and counts on nothing being late.
)


def random_seed() -> int:
    """A seed that nobody has chosen."""
    return random.SystemRandom().randrange(2**32)


def contract(interpreter: Interpreter, seed: int = FIXED_SEED, *, rate: float = RATE) -> str:
    """What every driver promises, in C++, kept under faults."""
    faults = _faults(seed, rate)
    return f"{faults}: {native.contract_with_faults(interpreter, faults)}"


def suite(
    interpreter: Interpreter,
    seed: int = FIXED_SEED,
    *,
    rate: float = RATE,
    keyword: str | None = None,
) -> str:
    """Builds the extension with fault injection and runs the Python tests under faults."""
    environment, package = native.extension_with_faults(interpreter)
    faults = _faults(seed, rate)
    # A seed fixes the faults of a thread, not how far others are meanwhile: on a busy machine a
    # peer that is late meets more of them than its time limit allows for.
    result = python_tests.pytest(
        environment,
        # The path comes before the settings' own, which name the build without faults.
        ["tests/python", *_LEFT_OUT, "-o", f"pythonpath={package} ."],
        name=f"pytest-{interpreter.tag}-faults-{seed}",
        keyword=keyword,
        python_path=os.pathsep.join(map(str, (package, ROOT / "benchmarks"))),
        env={"BLITZIO_FAULTS": faults},
        what=f"pytest on CPython {interpreter.version} with {faults}",
    )
    return f"{faults}: {result}"


def _faults(seed: int, rate: float) -> str:
    faults = f"seed={seed},rate={rate}"
    say(f"BLITZIO_FAULTS={faults}")
    return faults
