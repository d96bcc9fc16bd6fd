"""Others' tests of event loops, on ours: CPython's (of each interpreter) and uvloop's.

`tests/conformance` runs them; here is what they need. CPython's come with the interpreter, uvloop's
with its source distribution, which pip brings into build/conformance once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from devtools import native
from devtools.process import BUILD, IN_CI, ROOT, Failed, NothingToRun, output, run
from devtools.stages import LOGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devtools.environments import Environment
    from devtools.interpreters import Interpreter

SUITES = ("cpython", "uvloop")
#: Whose tests are run. Newer ones may need a look at tests/conformance/excluded_uvloop.txt.
_UVLOOP = "0.23.0"
#: Continuous integration goes through the backends as it goes through the interpreters, old to new,
#: instead of running each with each.
_BACKENDS = ("epoll", None, "poll")


def rounds(interpreters: Sequence[Interpreter]) -> list[tuple[Interpreter, str | None]]:
    """Which interpreter runs CPython's tests on which backend (None: the best here)."""
    return [(one, _BACKENDS[i % len(_BACKENDS)]) for i, one in enumerate(interpreters)]


def suite(
    name: str,
    interpreter: Interpreter,
    *,
    backend: str | None = None,
    files: Sequence[str] = (),
    keyword: str | None = None,
) -> str:
    """Builds the extension and runs a suite. Returns how its tests came out.

    Raises Failed if one does not pass, NothingToRun if the tests cannot be had here.
    """
    environment = native.extension(interpreter)
    variables = {"PYTHONPATH": str(ROOT)}
    if name == "uvloop":
        variables["BLITZIO_UVLOOP_SOURCE"] = str(_uvloop_source(environment))
    elif output([environment.python, "-c", "import test.test_asyncio"]) is None:
        if IN_CI:
            raise Failed(f"CPython {interpreter.version} came without its tests")
        raise NothingToRun(f"CPython {interpreter.version} came without its tests")
    report = LOGS / f"conformance-{name}-{interpreter.tag}-{backend or 'best'}.json"
    words = ["--json", str(report), "--jobs", str(max(2, int(native.jobs())))]
    if backend is not None:
        words += ["--backend", backend]
    for file in files:
        words += ["--file", file]
    if keyword is not None:
        words += ["-k", keyword]
    run(
        [environment.python, "-m", "tests.conformance", name, *words],
        env=variables,
        what=f"{name}'s tests on CPython {interpreter.version}",
    )
    result = json.loads(report.read_text(encoding="utf-8"))
    totals = result["totals"]
    return (
        f"{totals['passed']} passed, {totals['untouched']} made no loop, "
        f"{totals['skipped']} skipped, {len(result['excluded'])} excluded"
    )


def _uvloop_source(environment: Environment) -> Path:
    """Returns the folder of uvloop's unpacked source distribution."""
    folder = BUILD / "conformance"
    source = folder / f"uvloop-{_UVLOOP}"
    if (source / "tests").is_dir():
        return source
    archive = folder / f"uvloop-{_UVLOOP}.tar.gz"
    if not archive.is_file():
        words = ["--no-deps", "--no-binary", "uvloop", "-d", str(folder), f"uvloop=={_UVLOOP}"]
        run(
            [environment.python, "-m", "pip", "download", "-q", *words],
            what="fetching uvloop's source distribution",
        )
    run(["tar", "-xf", archive, "-C", folder], what="unpacking uvloop's source distribution")
    return source
