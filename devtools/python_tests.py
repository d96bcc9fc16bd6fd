"""The Python side of the test run: pytest per interpreter, the ecosystem, the installed package."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from devtools import native, wheel
from devtools.environments import Environment
from devtools.interpreters import DEBUG, Interpreter, build_debug, running
from devtools.process import IN_CI, ROOT, Failed, NothingToRun, first_program, output, run, say
from devtools.stages import LOGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Of the Python tests those that use blitzio in their own process; the others' leaks are lost with
#: the processes they start, or are counted by nobody, as those of others' compiled extensions.
_ASKED_FOR_LEAKS = tuple(f"tests/python/{name}" for name in ("loop", "runtime", "process"))
#: Of these a few that take half a minute.
FEW_ASKED_FOR_LEAKS = tuple(
    f"tests/python/{name}.py"
    for name in (
        "loop/test_callbacks",
        "loop/test_errors",
        "loop/test_handle_cycles",
        "runtime/test_bridge",
        "runtime/test_channel",
        "runtime/test_sync",
        "runtime/test_tasks",
    )
)
#: Where `import blitzio` and the benchmarks' modules are found.
PYTHON_PATH = {"PYTHONPATH": os.pathsep.join(str(ROOT / p) for p in ("python", "benchmarks"))}


def suite(
    interpreter: Interpreter,
    keyword: str | None = None,
    *,
    folder: str = "tests/python",
    scale: bool = True,
    release: bool = False,
) -> str:
    """Builds the extension for `interpreter` and runs the tests in `folder` on it, with or without
    the minutes of tests/python/scale. `release`: of the release wheel instead, which other options
    of the compiler made."""
    if not list((ROOT / folder).glob("**/test_*.py")):
        raise NothingToRun(f"no tests in {folder}")
    words = [folder]
    name = f"pytest-{interpreter.tag}"
    python_path = PYTHON_PATH["PYTHONPATH"]
    if release:
        environment, package = wheel.unpacked(interpreter)
        name += "-release"
        python_path = os.pathsep.join([str(package), *python_path.split(os.pathsep)[1:]])
        words += ["-o", "pythonpath=."]  # Without our python/, which pyproject.toml puts first.
    else:
        environment = native.extension(interpreter)
        package = ROOT / "python"
    _prove_import(environment, package, python_path)
    if not scale:
        words.append("--ignore=tests/python/scale")
    if interpreter.is_free_threaded:
        # Others' servers and clients, with time limits of their own, on the slowest interpreter.
        left_out = ("frameworks", "test_examples.py")
        words += [f"--ignore=tests/python/{name}" for name in left_out]
    return pytest(
        environment,
        words,
        name=name,
        keyword=keyword,
        python_path=python_path,
        what=f"pytest on CPython {interpreter.version}",
    )


def ecosystem(keyword: str | None = None) -> str:
    """Runs tests/ecosystem: third-party software and real servers, on the main interpreter."""
    interpreter = running()
    native.extension(interpreter)
    environment = Environment(interpreter, ecosystem=True)
    environment.create()
    _prove_import(environment)
    return pytest(
        environment,
        ["tests/ecosystem"],
        name="pytest-ecosystem",
        keyword=keyword,
        shared=False,
        what="pytest tests/ecosystem",
    )


def refleaks(words: Sequence[str] = ()) -> str:
    """Builds the extension for a debug CPython and runs the scenarios of tests/python/refleaks
    there; after the word `--suite` the tests themselves, each several times in one process."""
    interpreter = Interpreter(DEBUG, build_debug())
    environment = native.extension(interpreter)
    _prove_import(environment)
    if "--suite" in words:
        words = [word for word in words if word != "--suite"]
        has_paths = any((ROOT / word.partition("::")[0]).exists() for word in words)
        return pytest(
            environment,
            [
                "-p",
                "tests.python.refleaks.plugin",
                *words,
                *(() if has_paths else _ASKED_FOR_LEAKS),
            ],
            name=f"pytest-{interpreter.tag}-refleaks",
            shared="-k" not in words,
            python_path=os.pathsep.join([PYTHON_PATH["PYTHONPATH"], str(ROOT)]),
            what="the tests, again and again",
        )
    run(
        [environment.python, "-m", "tests.python.refleaks.run", *words],
        env=PYTHON_PATH,
        what="tests/python/refleaks",
    )
    return f"CPython {interpreter.version}"


def pytest(
    environment: Environment,
    words: Sequence[str],
    *,
    name: str,
    what: str,
    keyword: str | None = None,
    shared: bool = True,
    python_path: str = PYTHON_PATH["PYTHONPATH"],
    env: Mapping[str, str] | None = None,
) -> str:
    """Runs pytest with `words`; returns how many tests there were, in words.

    A few tests that fail are run once more, alone, as CPython's own runner does, and the second
    verdict counts: other programs' time limits pass when the machine is busy. The remark names
    them: they are to be looked into. A test that crashes, or many that fail, are no accident.

    `keyword` selects by name, in one process; otherwise as many as there are cores share the tests
    if `shared`. A file's tests stay together: they share fixtures, and are alike in what they ask
    of the machine. `name` is that of the report.
    """
    report = LOGS / f"{name}.xml"
    report.unlink(missing_ok=True)

    def run_pytest(*more: str | Path) -> str:
        run(
            [
                *(environment.python, "-m", "pytest", *words, f"--junitxml={report}", *more),
                # Of its own: other suites run at the same time.
                *("-o", f"cache_dir={LOGS / name}-cache"),
            ],
            env={"PYTHONPATH": python_path, **(env or {})},
            what=what,
        )
        return _counts(report)

    try:
        if keyword:
            return run_pytest("-k", keyword)
        # Without the last word pytest-xdist waits for ever when a process dies in a file's midst.
        share = ["-n", native.jobs(), "--dist", "loadfile", "--max-worker-restart=0"]
        return run_pytest(*(share if shared else []))
    except Failed:
        failed = _failed(report)
        if failed is None or not 0 < len(failed) <= native.SECOND_VERDICTS:
            raise
        remark = f"{_counts(report)}, passed alone only: {', '.join(failed)}"
        say("what failed, once more, with nothing beside it:")
        report = LOGS / f"{name}-again.xml"
        run_pytest("--last-failed", "--last-failed-no-failures=none")
        return remark


def _counts(report: Path) -> str:
    """Returns how many tests a JUnit report names, and how many of them were skipped."""
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    sums = [(int(s.get("tests", "0")), int(s.get("skipped", "0"))) for s in suites]
    return f"{sum(s[0] for s in sums)} tests, {sum(s[1] for s in sums)} skipped"


def _failed(report: Path) -> list[str] | None:
    """Returns the names of the tests that failed; None if one took its process along, or if a file
    of them, or a process that should share them, had none to run."""
    if not report.exists():
        return None
    names: dict[str, None] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        for verdict in (*case.iter("failure"), *case.iter("error")):
            message = verdict.get("message", "")
            if "crashed" in message or message == "collection failure":
                return None
            names[case.get("name", "")] = None
    return list(names)


def cost() -> str:
    """What operations of the loop cost in system calls, and connections and timers in memory,
    against what they cost before."""
    python = native.extension(running()).python
    scale = ROOT / "benchmarks/scale.py"
    run([python, scale, "--check"], env=PYTHON_PATH, what="benchmarks/scale.py")
    command = [python, ROOT / "benchmarks/cost.py"]
    try:
        run([*command, "--can-trace"], env=PYTHON_PATH)
    except Failed as error:
        raise NothingToRun("no process may trace another here") from error
    run([*command, "--check"], env=PYTHON_PATH, what="benchmarks/cost.py")
    return "system calls per operation, and memory, as before"


def instructions() -> str:
    """What operations of the loop cost in instructions, against what they cost before."""
    if first_program("valgrind") is None:
        if IN_CI:
            raise Failed("valgrind is not installed")
        raise NothingToRun("no valgrind")
    command = [native.extension(running()).python, ROOT / "benchmarks/instructions.py"]
    answer = output([*command, "--can-check"], env=PYTHON_PATH)
    if answer is None:
        raise Failed("benchmarks/instructions.py --can-check does not run")
    if answer.split()[-1] != "yes":
        raise NothingToRun("recorded with another CPython or compiler")
    run([*command, "--check"], env=PYTHON_PATH, what="benchmarks/instructions.py")
    return "instructions per operation as before"


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
            "for name in ('py.typed', '_native/__init__.pyi', 'include/blitzio_capi.h'):\n"
            "    assert (home / name).is_file(), name\n"
        )
        run([python, "-c", code], cwd=work, what="importing the installed package")
        run([python, "-m", "blitzio", "info"], cwd=work, what="python -m blitzio info")
    return f"CPython {interpreter.version}"


def _prove_import(
    environment: Environment,
    package: Path = ROOT / "python",
    python_path: str = PYTHON_PATH["PYTHONPATH"],
) -> None:
    """Fails unless what the tests will import is what was just built, in `package`."""
    code = (
        "import pathlib, blitzio._native as n; p = pathlib.Path(n.__file__); print('testing', p);"
        f"assert p.parent == pathlib.Path({str(package / 'blitzio')!r}), p"
    )
    run(
        [environment.python, "-c", code],
        env={"PYTHONPATH": python_path},
        what="importing blitzio._native",
    )
