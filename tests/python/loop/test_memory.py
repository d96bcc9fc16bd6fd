"""Memory that runs out: whatever fails, nothing crashes, hangs or is lost without a word."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("_testcapi")
from tests.python.loop.memory_walk import SCENARIOS

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="others crash by themselves, on asyncio's own loop, too"
)
@pytest.mark.usefixtures("native")
@pytest.mark.no_faults("counts allocations")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_allocation_may_fail(scenario: str, backend: str) -> None:
    # A process of its own: what fails may be anybody's allocation.
    walk = subprocess.run(
        [sys.executable, "-m", "tests.python.loop.memory_walk", scenario, backend],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert walk.returncode == 0, walk.stderr
    outcomes = json.loads(walk.stdout)
    assert outcomes["raised"] + outcomes.get("told", 0) > 5
