"""Every example runs as it stands, without a warning, and ends by itself."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.python.fault_injection import VARIABLE

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples/python").glob("*.py"))
# What may have no wheel for an interpreter; nothing else may be missing.
OPTIONAL_PACKAGES = {"aiohttp", "fastapi", "httpx", "trustme", "uvicorn"}


def imported_packages(source: str) -> set[str]:
    packages: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add((node.module or "").split(".")[0])
    return packages


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example: Path, backend: str) -> None:
    if backend == "asyncio":
        pytest.skip("the examples are about blitzio")
    for package in sorted(imported_packages(example.read_text()) & OPTIONAL_PACKAGES):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not there for this interpreter")
    import blitzio

    environment = dict(os.environ)
    environment["PYTHONPATH"] = str(Path(blitzio.__file__).parent.parent)
    environment["BLITZIO_BACKEND"] = backend
    run = subprocess.run(
        [sys.executable, "-W", "error", example],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    if os.environ.get(VARIABLE) and "asyncio.exceptions.CancelledError" in run.stderr:
        # Delayed, a server's connection outlives the program: asyncio's streams, up to 3.11, report
        # the handler that the end of the loop cancels.
        assert "StreamReaderProtocol.connection_made" in run.stderr
    else:
        assert run.stderr == ""
    assert run.stdout
