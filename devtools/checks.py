"""What `./dev.py lint` looks at: formatting, style, types, stubs, clang-tidy, spelling."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from devtools import native, system
from devtools.environments import Environment
from devtools.interpreters import running
from devtools.process import (
    BUILD,
    IN_CI,
    ROOT,
    Failed,
    NothingToRun,
    first_program,
    output,
    run,
    say,
    tracked,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CPP = ("*.cpp", "*.hpp", "*.c", "*.h")
_PYTHON_ROOTS = ("dev.py", "devtools", "python", "tests", "benchmarks", "examples")
#: stubtest's known differences, each with its reason, one regular expression per line.
_STUBTEST_ALLOWED = ROOT / "tests/repo/stubtest_allowed.txt"


def style() -> str:
    """Formatting, ruff, spelling and the checks of tests/repo: seconds, not minutes."""
    environment = _environment()
    ruff, codespell = environment.tool("ruff"), environment.tool("codespell")
    _all_of(
        lambda: run([ruff, "check"], what="ruff check"),
        lambda: run([ruff, "format", "--check"], what="ruff format --check"),
        lambda: run([codespell, *_prose()], what="codespell"),
        lambda: run([environment.python, "-m", "pytest", "-q", "tests/repo"], what="tests/repo"),
        lambda: _clang_format("--dry-run", "-Werror", "--ferror-limit=1"),
    )
    return f"{len(tracked(*_CPP))} C++ and {len(tracked('*.py'))} Python files"


def fix() -> str:
    """Formats everything and applies ruff's safe fixes."""
    environment = _environment()
    _clang_format("-i")
    run([environment.tool("ruff"), "check", "--fix"], what="ruff check --fix")
    run([environment.tool("ruff"), "format"], what="ruff format")
    return "formatted"


def types() -> str:
    """Strict mypy over everything written in Python."""
    environment = _environment()
    roots = [name for name in _PYTHON_ROOTS if name.endswith(".py") or tracked(f"{name}/*.py")]
    # The ecosystem's libraries are where its tests run: their types are looked up there.
    libraries = Environment(running(), ecosystem=True)
    libraries.create()
    mypy = [str(environment.python), "-m", "mypy"]
    elsewhere = ["--python-executable", str(libraries.python)]
    _all_of(
        lambda: run([*mypy, "--exclude", "^tests/ecosystem/", *roots], what="mypy"),
        lambda: run(
            [*mypy, "--cache-dir", ".mypy_cache/ecosystem", *elsewhere, "tests/ecosystem"],
            what="mypy of tests/ecosystem",
        ),
    )
    return " ".join(roots)


def stubs() -> str:
    """stubtest: the stub says what the extension has, and the package what it exports."""
    if not (ROOT / "python/blitzio/_native/__init__.pyi").is_file():
        raise NothingToRun("no stub of _native")
    environment = native.extension(running())
    allowed = ["--allowlist", str(_STUBTEST_ALLOWED)] if _STUBTEST_ALLOWED.is_file() else []
    settings = ["--mypy-config-file", "pyproject.toml", *allowed]
    run(
        [environment.python, "-m", "mypy.stubtest", *settings, "blitzio"],
        env={"PYTHONPATH": str(ROOT / "python")},
        what="stubtest",
    )
    return "blitzio and its extension"


def tidy() -> str:
    """clang-tidy over the sources of src/. A file is looked at again only when it, a header or
    the settings have changed."""
    program, runner = system.clang_tool("clang-tidy"), system.clang_tool("run-clang-tidy")
    if program is None or runner is None or system.clang() is None:
        if IN_CI:
            raise Failed("clang-tidy is not installed")
        raise NothingToRun("clang-tidy is not installed")
    sources = [path for path in tracked("src/*.cpp") if _is_built_for_tidy(path)]
    if not sources:
        raise NothingToRun("no C++ sources")
    folder = _tidy_database()
    known = BUILD / "tidy-clean"
    known.mkdir(parents=True, exist_ok=True)
    keys = _tidy_keys(sources, program)
    pending = [path for path in sources if not (known / keys[path]).exists()]
    if pending:
        patterns = [f"^{re.escape(str(path))}$" for path in pending]
        settings = ["-quiet", "-j", native.jobs(), "-clang-tidy-binary", program]
        run([runner, *settings, "-p", folder, *patterns], what="clang-tidy")
        for path in pending:
            (known / keys[path]).touch()
    return f"{len(pending)} files, {len(sources) - len(pending)} unchanged since they were clean"


def docs() -> str:
    """Builds the documentation and the pages of the C++ interface; a warning is an error."""
    environment = _environment()
    target = BUILD / "docs"
    settings = ["-W", "--keep-going", "-q", "-b", "html", "-d", str(BUILD / "doctrees")]
    run(
        [environment.tool("sphinx-build"), *settings, "docs", target],
        env={"PYTHONPATH": str(ROOT / "python")},
        what="sphinx-build",
    )
    doxygen = first_program("doxygen")
    if doxygen is not None:
        run([doxygen, "docs/Doxyfile"], what="doxygen")
    elif IN_CI:
        raise Failed("doxygen is not installed")
    else:
        say("note: doxygen is not installed; the pages of the C++ interface are left out")
    return f"{target.relative_to(ROOT)}/index.html"


def _all_of(*steps: Callable[[], None]) -> None:
    """Runs all the steps, and fails at the end if one has failed: one round shows everything."""
    failures = []
    for step in steps:
        try:
            step()
        except Failed as failure:
            say(f"FAILED: {failure}")
            failures.append(str(failure))
    if failures:
        raise Failed("; ".join(failures))


def _environment() -> Environment:
    environment = Environment(running())
    environment.create()
    return environment


def _clang_format(*words: str) -> None:
    program = system.clang_tool("clang-format")
    files = tracked(*_CPP)
    if program is None:
        if IN_CI:
            raise Failed("clang-format is not installed")
        say("note: clang-format is not installed; C++ formatting is not looked at")
    elif files:
        run([program, *words, *files], what="clang-format")


def _prose() -> list[Path]:
    """Everything people read, sources included."""
    return tracked("*.md", "*.py", "*.pyi", "*.toml", "*.txt", "*.cmake", "*.yaml", *_CPP)


def _is_built_for_tidy(path: Path) -> bool:
    return (
        "io_uring" not in path.parts or output(["pkg-config", "--exists", "liburing"]) is not None
    )


def _tidy_database() -> Path:
    """Returns a folder with a compile database of the core and, if it can be, the extension."""
    folder = BUILD / "tidy"
    compiler = system.clang()
    assert compiler is not None
    environment = _environment()
    pybind11 = output([environment.python, "-m", "pybind11", "--cmakedir"]) or ""
    has_extension = bool(tracked("src/python/*.cpp"))
    defines = [
        f"-DCMAKE_CXX_COMPILER={compiler}",
        "-DCMAKE_BUILD_TYPE=Debug",
        f"-DBLITZIO_BUILD_PYTHON={'ON' if has_extension else 'OFF'}",
        f"-DPython_EXECUTABLE={environment.python}",
        f"-Dpybind11_DIR={pybind11.strip()}",
    ]
    run(
        [native.cmake(), "-S", ROOT, "-B", folder, "-G", "Ninja", *defines],
        what="configuring for clang-tidy",
    )
    return folder


def _tidy_keys(sources: list[Path], program: str) -> dict[Path, str]:
    """A name for each source's state: its text, all headers' text, the settings, the tool."""
    common = hashlib.sha256((output([program, "--version"]) or "").encode())
    for path in [ROOT / ".clang-tidy", ROOT / "CMakeLists.txt", *tracked("src/*.hpp")]:
        common.update(path.read_bytes())
    keys = {}
    for path in sources:
        key = common.copy()
        key.update(os.fsencode(path) + b"\0" + path.read_bytes())
        keys[path] = key.hexdigest()
    return keys
