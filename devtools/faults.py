"""Python tests and the drivers' contract under injected faults: docs/design/fault-injection.md.

Each run is named by its seed, which is printed before the tests start and with every failure;
`./dev.py faults --seed N` meets the same faults again, as far as the kernel lets it.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from devtools import native
from devtools.process import ROOT, Failed, run, say
from devtools.python_tests import counts, selection
from devtools.stages import LOGS

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    def tests(words: Sequence[str], suffix: str = "") -> str:
        report = LOGS / f"pytest-{interpreter.tag}-faults-{seed}{suffix}.xml"
        run(
            [
                environment.python,
                *("-m", "pytest", "tests/python", *_LEFT_OUT, f"--junitxml={report}", *words),
                # Before the settings' own, which name the build without faults.
                *("-o", f"pythonpath={package} ."),
                # Of its own: other suites run at the same time.
                *("-o", f"cache_dir={LOGS / 'pytest-faults-cache'}"),
            ],
            env={
                "PYTHONPATH": os.pathsep.join(map(str, (package, ROOT / "benchmarks"))),
                "BLITZIO_FAULTS": faults,
            },
            what=f"pytest on CPython {interpreter.version} with {faults}",
        )
        return f"{faults}: {counts(report)}"

    try:
        return tests(selection(keyword))
    except Failed:
        # A seed fixes the faults of a thread, not how far others are meanwhile: on a busy machine a
        # peer that is late meets more of them than its time limit allows for. The second verdict
        # counts; one that is wrong stays so.
        say("what failed, once more, with nothing beside it:")
        again = tests(["--last-failed", "--last-failed-no-failures=none"], "-again")
        return f"{again} passed alone only"


def _faults(seed: int, rate: float) -> str:
    faults = f"seed={seed},rate={rate}"
    say(f"BLITZIO_FAULTS={faults}")
    return faults
