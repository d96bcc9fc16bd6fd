"""The floors of the benchmarks work: each of them runs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from floors.__main__ import MODULES
from floors.building import built, is_buildable

from blitzio import _native

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A multiple of a workload's connections.
OPERATIONS = 100


@pytest.fixture(scope="module", autouse=True)
def _modules() -> Iterator[None]:
    with built(filter(is_buildable, MODULES)):
        yield


def has_ring() -> bool:
    return any(name == "io_uring" and usable for name, usable, _, _ in _native.detect())


@pytest.mark.parametrize("kind", ["floor", "asked", "ring"])
def test_every_floor_runs(kind: str) -> None:
    """In a process of its own: the modules need a GIL, and keep their descriptors."""
    if kind == "ring" and not (has_ring() and is_buildable("bare_ring")):
        pytest.skip("there is no io_uring here")
    program = f"""
from floors.__main__ import kinds_of_floors
for floor in kinds_of_floors()["{kind}"].values():
    print(floor({OPERATIONS}) > 0)
"""
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=path, stdout=-1, text=True)
    assert done.returncode == 0
    assert set(done.stdout.split()) == {"True"}
