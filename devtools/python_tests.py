"""The Python side of the test run: pytest per interpreter, the ecosystem, the installed package."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from devtools import native
from devtools.environments import Environment
from devtools.interpreters import DEBUG, Interpreter, build_debug, running
from devtools.process import ROOT, Failed, NothingToRun, run
from devtools.stages import LOGS

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where `import blitzio` and the benchmarks' modules are found.
PYTHON_PATH = {"PYTHONPATH": os.pathsep.join(str(ROOT / p) for p in ("python", "benchmarks"))}


def suite(interpreter: Interpreter, keyword: str | None = None, *, scale: bool = True) -> str:
    """Builds the extension for `interpreter` and runs tests/python on it, with or without the
    minutes of tests/python/scale."""
    environment = native.extension(interpreter)
    if not list((ROOT / "tests/python").glob("**/test_*.py")):
        raise NothingToRun("no tests in tests/python")
    _prove_import(environment)
    report = LOGS / f"pytest-{interpreter.tag}.xml"
    words = [f"--junitxml={report}", *selection(keyword)]
    if not scale:
        words.append("--ignore=tests/python/scale")
    if interpreter.is_free_threaded:
        # Others' servers and clients, with time limits of their own, on the slowest interpreter.
        left_out = ("frameworks", "test_examples.py")
        words += [f"--ignore=tests/python/{name}" for name in left_out]
    run(
        [environment.python, "-m", "pytest", "tests/python", *words],
        env=PYTHON_PATH,
        what=f"pytest on CPython {interpreter.version}",
    )
    return counts(report)


def ecosystem(keyword: str | None = None) -> str:
    """Runs tests/ecosystem: third-party software and real servers, on the main interpreter."""
    interpreter = running()
    native.extension(interpreter)
    environment = Environment(interpreter, ecosystem=True)
    environment.create()
    _prove_import(environment)
    report = LOGS / "pytest-ecosystem.xml"
    words = [f"--junitxml={report}", *(["-k", keyword] if keyword else [])]
    run(
        [environment.python, "-m", "pytest", "tests/ecosystem", *words],
        env=PYTHON_PATH,
        what="pytest tests/ecosystem",
    )
    return counts(report)


def refleaks(words: Sequence[str] = ()) -> str:
    """Builds the extension for a debug CPython and runs tests/python/refleaks there."""
    interpreter = Interpreter(DEBUG, build_debug())
    environment = native.extension(interpreter)
    _prove_import(environment)
    run(
        [environment.python, ROOT / "tests/python/refleaks/run.py", *words],
        env=PYTHON_PATH,
        what="tests/python/refleaks",
    )
    return f"CPython {interpreter.version}"


def selection(keyword: str | None) -> list[str]:
    """pytest's words for the tests whose name matches, in this process; or for all of them, shared
    out among processes. A file's tests stay together: they share fixtures, and are alike in what
    they ask of the machine."""
    return ["-k", keyword] if keyword else ["-n", native.jobs(), "--dist", "loadfile"]


def counts(report: Path) -> str:
    """Returns how many tests a JUnit report names, and how many of them were skipped."""
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    sums = [(int(s.get("tests", "0")), int(s.get("skipped", "0"))) for s in suites]
    return f"{sum(s[0] for s in sums)} tests, {sum(s[1] for s in sums)} skipped"


def cost() -> str:
    """What operations of the loop cost in system calls, against what they cost before."""
    command = [native.extension(running()).python, ROOT / "benchmarks/cost.py"]
    try:
        run([*command, "--can-trace"], env=PYTHON_PATH)
    except Failed as error:
        raise NothingToRun("no process may trace another here") from error
    run([*command, "--check"], env=PYTHON_PATH, what="benchmarks/cost.py")
    return "system calls per operation as before"


def installed() -> str:
    """`pip install .` into a throw-away environment, and the result used from elsewhere."""
    if not (ROOT / "python/blitzio/__init__.py").is_file():
        raise NothingToRun("no package in python/blitzio")
    interpreter = running()
    with tempfile.TemporaryDirectory(prefix="blitzio-install-") as name:
        work = Path(name)
        run([interpreter.path, "-m", "venv", work / "venv"], what="python -m venv")
        python = work / "venv/bin/python"
        run([python, "-m", "pip", "install", "-q", "--upgrade", "pip"], what="pip install pip")
        run(
            [python, "-m", "pip", "install", ROOT],
            cwd=work,
            env=native.COMPILER_CACHE,
            what="pip install .",
        )
        code = (
            "import pathlib, blitzio\n"
            "from blitzio import _native\n"
            "home = pathlib.Path(blitzio.__file__).parent\n"
            f"assert home.is_relative_to({str(work)!r}), home\n"
            "assert pathlib.Path(_native.__file__).parent == home, _native.__file__\n"
            "assert len(list(home.glob('*.so'))) == 1, 'extensions of other interpreters'\n"
            "for name in ('py.typed', '_native/__init__.pyi'):\n"
            "    assert (home / name).is_file(), name\n"
        )
        run([python, "-c", code], cwd=work, what="importing the installed package")
        run([python, "-m", "blitzio", "info"], cwd=work, what="python -m blitzio info")
    return f"CPython {interpreter.version}"


def _prove_import(environment: Environment) -> None:
    """Fails unless what the tests will import is what was just built in this tree."""
    code = (
        "import pathlib, blitzio._native as n; p = pathlib.Path(n.__file__); print('testing', p);"
        f"assert p.parent == pathlib.Path({str(ROOT / 'python/blitzio')!r}), p"
    )
    run([environment.python, "-c", code], env=PYTHON_PATH, what="importing blitzio._native")
