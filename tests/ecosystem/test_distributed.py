"""Dask distributed: client, scheduler and workers on our loop, in one process and in several."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.ecosystem.processes import HERE, child_environment, program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ecosystem.conftest import ChildComparison


@pytest.mark.parametrize(("where", "processes"), [("threads", 1), ("processes", 3)])
def test_a_cluster(
    same_in_children: ChildComparison, where: str, processes: int, tmp_path: Path
) -> None:
    def scenario(backend: str) -> dict[str, Any]:
        environment = child_environment(backend, DASK_TEMPORARY_DIRECTORY=str(tmp_path))
        customized = [str(HERE / "programs" / "dask_loop"), environment["PYTHONPATH"]]
        environment["PYTHONPATH"] = os.pathsep.join(customized)
        command = [sys.executable, str(HERE / "programs" / "dask_work.py"), where]
        with program(command, env=environment, cwd=tmp_path) as running:
            code, output = running.finish()
        assert code == 0, output
        seen: dict[str, Any] = json.loads(output.splitlines()[-1])
        loops = [seen.pop("client"), seen.pop("scheduler"), *seen.pop("workers")]
        assert loops == [backend] * 4
        return seen

    assert same_in_children(scenario) == {
        "processes": processes,
        "total": sum(number**2 for number in range(100)),
        "error": "on purpose",
        "spawned": [number**2 + 1 for number in range(5)],
        "moved": 5_000_000,
        "fetched": 5_000_000,
    }
