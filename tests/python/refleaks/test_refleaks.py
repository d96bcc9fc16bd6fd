"""The scenarios on this interpreter: allocated blocks, descriptors and threads. `./dev.py refleaks`
counts references, too, which takes a debug build."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.refleaks import run

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 100


@pytest.mark.usefixtures("native")
def test_no_scenario_leaves_anything_behind(backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", run.__name__, "--backend", backend],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.fixture
def small_heap() -> Iterator[None]:
    """What the tests before left alive is not looked through by every collection."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("small_heap")
def test_what_is_left_behind_is_found() -> None:
    kept: list[Any] = []

    def leaves_objects(loop: asyncio.AbstractEventLoop) -> None:
        kept.extend(object() for _ in range(10))

    def leaves_files(loop: asyncio.AbstractEventLoop) -> None:
        kept.append(Path(__file__).open())

    for leaving, name in ((leaves_objects, "blocks"), (leaves_files, "descriptors")):
        found = run.leaks(leaving, asyncio.SelectorEventLoop, rounds=4)
        assert any(each.startswith(name) for each in found)
        for file in kept:
            getattr(file, "close", int)()
        kept.clear()
