"""The release wheel: optimised across files, and for what the loop's benchmarks do.

GCC is told twice to build the same folder: first with counters, with which the workloads of
benchmarks/loops.py then run, and again with what those counted. docs/design/release-build.md says
what that is worth.
"""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING

from devtools import native, system
from devtools.environments import Environment
from devtools.process import BUILD, ROOT, run, say

if TYPE_CHECKING:
    from pathlib import Path

    from devtools.interpreters import Interpreter

#: Enough to tell hot from cold, on both drivers.
_TRAINING = ("--rounds", "1", "--scale", "0.1", "--loops", "blitzio-epoll,blitzio-io_uring")


def build(interpreter: Interpreter) -> Path:
    """Makes the wheel of `interpreter`. Returns its path, in build/wheels."""
    environment = Environment(interpreter)
    environment.create()
    folder = BUILD / f"{interpreter.tag}-release"
    profile = folder / "profile"
    with native.only_one_builds(folder):
        shutil.rmtree(profile, ignore_errors=True)
        training = folder / "training"
        package = unpack(_pip_wheel(environment, folder, training, "TRAIN", profile), training)
        say("training")
        run(
            [environment.python, ROOT / "benchmarks/loops.py", *_TRAINING],
            env={"PYTHONPATH": f"{package}:{ROOT / 'benchmarks'}"},
            what="benchmarks/loops.py, to train",
        )
        return _pip_wheel(environment, folder, BUILD / "wheels", "USE", profile)


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
        "cmake.define.BLITZIO_LTO": "ON",
        "cmake.define.BLITZIO_PROFILE": profile,
        "cmake.define.BLITZIO_PROFILE_DIR": str(profile_folder),
        "cmake.define.CMAKE_CXX_COMPILER": compiler,
    }
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.whl"):
        if f"-{environment.interpreter.tag}-" in old.name:
            old.unlink()
    words = [word for name, value in settings.items() for word in ("-C", f"{name}={value}")]
    run(
        [environment.python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", target, *words, ROOT],
        env=native.COMPILER_CACHE,
        what=f"the wheel ({profile})",
    )
    return next(
        each for each in target.glob("*.whl") if f"-{environment.interpreter.tag}-" in each.name
    )
