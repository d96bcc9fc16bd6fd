"""The scenarios of tests/model: interleavings enumerated (docs/internals/model-checking.md)."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from devtools import native
from devtools.process import BUILD, ROOT, Failed, say

_TARGETS = ("model_tests",)


def test(pattern: str | None = None, *, deep: bool = False) -> str:
    """Runs the scenarios; with `deep`, within higher bounds. Returns how many there were."""
    environment = {"BLITZIO_MODEL_DEEP": "1"} if deep else {}
    return native.test("model", pattern, environment, _TARGETS)


def mutate(pattern: str | None = None) -> str:
    """Weakens each memory order that a scenario meets, one at a time, and lists those that none of
    the scenarios needed. Returns how many there were of each."""
    with tempfile.TemporaryDirectory(prefix="blitzio-mutations-") as folder:
        # A test fails whose seeded bug goes unnoticed; here they are not what is asked.
        with contextlib.suppress(Failed):
            native.test("model", pattern, {"BLITZIO_MODEL_MUTATE": folder}, _TARGETS)
        found: dict[str, str] = {}
        seen: set[str] = set()
        for path in sorted(Path(folder).iterdir()):
            for line in path.read_text(encoding="utf-8").splitlines():
                result, weakening, scenario, _message = line.split("\t", 3)
                seen.add(weakening)
                if result == "found":
                    found.setdefault(weakening, scenario)
    survivors = sorted(seen - found.keys())
    report = BUILD / "model-mutations.txt"
    lines = [f"found     {name}  ({found[name]})" for name in sorted(found)]
    lines += [f"survived  {name}" for name in survivors]
    report.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for name in survivors:
        say(f"survived: {name}")
    return f"{len(found)} weakened orders found, {len(survivors)} not: {report.relative_to(ROOT)}"
