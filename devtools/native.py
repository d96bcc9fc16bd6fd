"""Building and testing the C++ side: CMake presets, ctest, benchmarks, the extension.

Build folders are build/<preset> and, for the extension, build/<interpreter tag>. Compilers start
through ccache where it is installed, with settings that let two checkouts share its results.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from devtools import system
from devtools.environments import Environment
from devtools.interpreters import Interpreter, running
from devtools.process import (
    BUILD,
    ROOT,
    Failed,
    NothingToRun,
    first_program,
    locked,
    output,
    run,
    say,
)
from devtools.stages import LOGS

if TYPE_CHECKING:
    import contextlib

_MIN_CMAKE = (3, 25)
#: Presets built with Clang where it is installed: its sanitizers know newer kernels' address maps.
_CLANG_PRESETS = ("clang", "asan", "tsan")
#: Lets builds in several folders and checkouts share what ccache keeps, with precompiled headers
#: too.
COMPILER_CACHE = {
    "CCACHE_BASEDIR": str(ROOT),
    "CCACHE_NOHASHDIR": "1",
    "CCACHE_SLOPPINESS": "pch_defines,time_macros",
}
_SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1",
}
_SANITIZER_REPORT = re.compile(r"Sanitizer|runtime error:")
#: How many tests of a suite may get a second verdict, alone. More that fail are no accident.
SECOND_VERDICTS = 3


def jobs() -> str:
    """Returns how many compilers may run at once."""
    return str(os.environ.get("BLITZIO_JOBS") or len(os.sched_getaffinity(0)))


def cmake() -> str:
    """Returns a CMake that is new enough: the system's, or one from PyPI in the environment."""
    for path in (first_program("cmake"), str(Environment(running()).tool("cmake"))):
        if path and _cmake_version(path) >= _MIN_CMAKE:
            return path
    environment = Environment(running())
    environment.create()
    run([environment.python, "-m", "pip", "install", "-q", "cmake>=3.25"], what="pip install cmake")
    return str(environment.tool("cmake"))


def build(preset: str, *targets: str) -> Path:
    """Configures and builds `preset`. Returns its build folder."""
    clang = system.clang()
    if preset == "clang" and clang is None:
        raise Failed("no clang++ is installed")
    compiler = clang if clang and preset in _CLANG_PRESETS else system.gcc()
    folder = BUILD / preset
    defines = {"CMAKE_CXX_COMPILER": compiler, "CMAKE_C_COMPILER": _c_compiler(compiler)}
    with only_one_builds(folder):
        _configure(folder, ["--preset", preset], defines)
        _ninja(folder, *targets)
    return folder


def test(
    preset: str,
    pattern: str | None = None,
    environment: dict[str, str] | None = None,
    targets: tuple[str, ...] = (),
) -> str:
    """Builds `preset`, or these targets of it, and runs its tests, those whose name matches
    `pattern` (a regular expression), with these variables in their environment. Returns how many
    there were.

    As with pytest, a few that fail are run once more, alone, unless a sanitizer has spoken: what it
    has seen once is there. What the failed ones print is shown last."""
    folder = build(preset, *targets)
    command = [_ctest(), "--test-dir", str(folder), "--output-on-failure", "-j", jobs()]
    if pattern:
        command += ["-R", pattern]
    listing = output([*command, "-N"]) or ""
    match = re.search(r"Total Tests: (\d+)", listing)
    count = int(match.group(1)) if match else 0
    if count == 0:
        raise NothingToRun(f"no C++ test matches {pattern}" if pattern else "no C++ tests")
    report = LOGS / f"ctest-{preset}.xml"
    report.unlink(missing_ok=True)
    all_of_them = [*command, "--no-tests=error", "--output-junit", str(report)]
    variables = {**_SANITIZER_ENVIRONMENT, **(environment or {})}
    try:
        run(all_of_them, env=variables, what=f"ctest of {preset}")
    except Failed:
        failed = _failed(report)
        for name, text in failed.items():
            say(f"what {name} printed:\n{text}")
        sanitizer = any(_SANITIZER_REPORT.search(text) for text in failed.values())
        if sanitizer or not 0 < len(failed) <= SECOND_VERDICTS:
            raise
        say("what failed, once more, with nothing beside it:")
        again = [_ctest(), "--test-dir", str(folder), "--output-on-failure", "--rerun-failed"]
        run(again, env=variables, what=f"ctest of {preset}")
        return f"{count} tests, passed alone only: {', '.join(failed)}"
    return f"{count} tests"


def _failed(report: Path) -> dict[str, str]:
    """Returns the names of the tests that failed, as ctest reports them, and what they printed."""
    if not report.exists():
        return {}
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return {
        case.get("name", "").partition("  # ")[0]: case.findtext("system-out", "")
        for case in cases
        if case.find("failure") is not None
    }


def extension(interpreter: Interpreter) -> Environment:
    """Builds blitzio._native for `interpreter` into python/blitzio, where its ABI tag keeps it
    apart from those of other interpreters. Returns the environment to run it with."""
    return _extension(interpreter, interpreter.tag, {"BLITZIO_PYTHON_IN_PLACE": "ON"})


def extension_with_faults(interpreter: Interpreter) -> tuple[Environment, Path]:
    """Builds the extension with fault injection, and beside it links to the rest of the package.
    Returns the environment, and the folder to import that package from."""
    name = f"{interpreter.tag}-faults"
    folder = BUILD / name / "package"
    package = folder / "blitzio"
    package.mkdir(parents=True, exist_ok=True)
    for old in package.iterdir():
        if old.is_symlink():
            old.unlink()
    for source in sorted((ROOT / "python/blitzio").iterdir()):
        if source.suffix != ".so" and source.name != "__pycache__":
            (package / source.name).symlink_to(source)
    # The tests are not built with it, but from the same objects: see contract_with_faults().
    defines = {"BLITZIO_FAULTS": "ON", "BLITZIO_BUILD_TESTS": "ON"}
    defines["BLITZIO_PYTHON_OUTPUT"] = str(package)
    return _extension(interpreter, name, defines), folder


def contract_with_faults(interpreter: Interpreter, faults: str) -> str:
    """Runs the suite that every driver passes under `faults`, built beside the extension of
    extension_with_faults(). Returns how many programs that were."""
    extension_with_faults(interpreter)
    folder = BUILD / f"{interpreter.tag}-faults"
    sources = sorted((ROOT / "tests/core/driver").glob("contract_*_test.cpp"))
    programs = [f"core_driver_{source.stem}" for source in sources]
    with only_one_builds(folder):
        _ninja(folder, *programs)
    for program in programs:
        run([folder / program, "--gtest_brief=1"], env={"BLITZIO_FAULTS": faults}, what=program)
    return f"{len(programs)} programs"


def _extension(interpreter: Interpreter, name: str, defines: dict[str, str]) -> Environment:
    environment = Environment(interpreter)
    environment.create()
    if not list((ROOT / "src/python").glob("**/*.cpp")):
        raise NothingToRun("no extension sources in src/python")
    compiler = system.gcc()
    pybind11 = output([environment.python, "-m", "pybind11", "--cmakedir"])
    if pybind11 is None:
        raise Failed(f"no pybind11 in {environment.path}")
    folder = BUILD / name
    with only_one_builds(folder):
        _configure(
            folder,
            ["-G", "Ninja"],
            {
                "CMAKE_CXX_COMPILER": compiler,
                "CMAKE_C_COMPILER": _c_compiler(compiler),
                "CMAKE_BUILD_TYPE": "Release",
                "BLITZIO_BUILD_PYTHON": "ON",
                "BLITZIO_PRECOMPILE": "ON",
                "BLITZIO_WERROR": "ON",
                **defines,
                "Python_EXECUTABLE": str(environment.python),
                "pybind11_DIR": pybind11.strip(),
            },
        )
        _ninja(folder, "_native")
    return environment


def bench() -> str:
    """Builds and runs the Google Benchmark programs of benchmarks/core."""
    if not list((ROOT / "benchmarks/core").glob("*_bench.cpp")):
        raise NothingToRun("no programs in benchmarks/core")
    folder = build("release")
    programs = sorted(p for p in folder.glob("core_*_bench") if p.is_file())
    for program in programs:
        say(f"\n== {program.name}")
        run([program, "--benchmark_counters_tabular=true"])
    return f"{len(programs)} programs"


def example_sources() -> list[Path]:
    """The C++ programs that examples() runs."""
    return sorted((ROOT / "examples/cpp").glob("*.cpp"))


def examples(preset: str = "gcc") -> int:
    """Builds `preset` and runs its C++ examples. Returns how many there are."""
    sources = example_sources()
    folder = build(preset) if sources else BUILD
    for source in sources:
        run(["timeout", "60", folder / f"cpp_{source.stem}"], what=f"example {source.name}")
    return len(sources)


def package(preset: str = "gcc") -> str:
    """Builds and installs the core, then builds and runs a small project outside this tree that
    finds it as a CMake package and includes every installed header."""
    installed = build(preset)
    with tempfile.TemporaryDirectory(prefix="blitzio-package-") as name:
        prefix, folder = Path(name) / "prefix", Path(name) / "build"
        run([cmake(), "--install", installed, "--prefix", prefix, "--component", "core"])
        defines = {
            "CMAKE_PREFIX_PATH": str(prefix),
            "CMAKE_CXX_COMPILER": system.gcc(),
            "CMAKE_BUILD_TYPE": "Release",
        }
        _configure(folder, ["-G", "Ninja"], defines, source=ROOT / "tests/package")
        _ninja(folder)
        run([folder / "consumer"])
        count = len(list(prefix.glob("include/**/*.hpp")))
    return f"{count} public headers"


def only_one_builds(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Several stages may want the same build at the same time: one makes it for all."""
    return locked(folder.with_name(folder.name + ".lock"))


def _configure(
    folder: Path, words: list[str], defines: dict[str, str], *, source: Path = ROOT
) -> None:
    stamp = folder / ".configured"
    command = [cmake(), "-S", str(source), "-B", str(folder), *words]
    command += [f"-D{name}={value}" for name, value in defines.items()]
    presets = (ROOT / "CMakePresets.json").read_text(encoding="utf-8")
    wanted = "\n".join([*command, presets])
    # Ninja runs CMake again by itself when a CMake file or the set of sources changes.
    if (folder / "build.ninja").is_file() and stamp.is_file():
        if stamp.read_text(encoding="utf-8") == wanted:
            return
        command.insert(1, "--fresh")
    run(command, what=f"configuring {folder.name}")
    stamp.write_text(wanted, encoding="utf-8")


def _ninja(folder: Path, *targets: str) -> None:
    command = [cmake(), "--build", str(folder), "-j", jobs()]
    if targets:
        command += ["--target", *targets]
    run(command, env={**COMPILER_CACHE, "CLICOLOR_FORCE": "0"}, what=f"building {folder.name}")


def _ctest() -> str:
    return str(Path(cmake()).with_name("ctest"))


def _c_compiler(compiler: str) -> str:
    return compiler.replace("clang++", "clang").replace("g++", "gcc")


def _cmake_version(path: str) -> tuple[int, ...]:
    match = re.search(r"version (\d+)\.(\d+)", output([path, "--version"]) or "")
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)
