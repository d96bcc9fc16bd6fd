"""`./dev.py wheel`: made of something else, or made already?"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devtools import system, wheel
from devtools.environments import Environment
from devtools.interpreters import Interpreter, running
from devtools.process import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

TREE = {
    "CMakeLists.txt": "project(blitzio)",
    "benchmarks/loops.py": "rounds = 7",
    "benchmarks/scale.py": "connections = 10_000",
    "benchmarks/workloads/net.py": "ops = 3_000",
    "python/blitzio/__init__.py": "",
    "src/blitzio/base/check.cpp": "int main() {}",
}


class Builder:
    """A tree to make wheels of, a pip that only notes what it was asked for, and an auditwheel that
    only gives the wheel its name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.versions = {
            "python": "3.11.2",
            "g++": "12.2.0",
            "pkg-config": "2.3",
            "auditwheel": "auditwheel 6.8.2",
        }
        for name, text in TREE.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def output(self, command: Sequence[str | Path]) -> str:
        return self.versions[Path(command[0]).name]

    def pip_wheel(
        self, environment: Environment, _folder: Path, target: Path, profile: str, _: Path
    ) -> Path:
        tag = environment.interpreter.tag
        self.asked.append(f"{tag} {profile}")
        made = target / f"blitzio-0.1.0-{tag.rstrip('t')}-{tag}-linux_x86_64.whl"
        target.mkdir(parents=True, exist_ok=True)
        made.write_text(profile, encoding="utf-8")
        return made

    def run(self, command: Sequence[str | Path], **_: object) -> None:
        match command:
            case [_, "repair", "-w", Path() as target, Path() as plain]:
                name = plain.name.replace("-linux_", "-manylinux_2_34_")
                (target / name).write_bytes(plain.read_bytes())

    def build(self, version: str = "3.11") -> tuple[Path, list[str]]:
        """Returns the wheel, and what was made for it."""
        self.asked.clear()
        made = wheel.build(Interpreter(version, Path("/usr/bin/python3")))
        return made, list(self.asked)


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    builder = Builder(tmp_path)
    monkeypatch.setattr(wheel, "ROOT", tmp_path)
    monkeypatch.setattr(wheel, "BUILD", tmp_path / "build")
    monkeypatch.setattr(wheel, "_SOURCES", tuple(wheel_folders()))
    monkeypatch.setattr(wheel, "_pip_wheel", builder.pip_wheel)
    monkeypatch.setattr(wheel, "unpack", lambda _, folder: folder)
    monkeypatch.setattr(wheel, "run", builder.run)
    monkeypatch.setattr(wheel, "output", builder.output)
    monkeypatch.setattr(system, "gcc", lambda: "g++")
    monkeypatch.setattr(Environment, "create", lambda _: None)
    return builder


def wheel_folders() -> list[str]:
    """Those of the real sources that TREE has something of."""
    return [
        each for each in wheel._SOURCES if any(n == each or n.startswith(f"{each}/") for n in TREE)
    ]


BOTH_TIMES = ["cp311 TRAIN", "cp311 USE"]


def test_an_unchanged_tree_gives_the_wheel_that_there_is(builder: Builder) -> None:
    first, made = builder.build()
    assert made == BOTH_TIMES
    assert builder.build() == (first, [])
    assert first.read_text(encoding="utf-8") == "USE"
    assert "manylinux" in first.name


@pytest.mark.parametrize("name", sorted(set(TREE) - {"benchmarks/scale.py"}))
def test_what_it_is_made_of_makes_it_anew(builder: Builder, name: str) -> None:
    builder.build()
    builder.write(name, TREE[name] + "\n")
    assert builder.build()[1] == BOTH_TIMES
    assert builder.build()[1] == []


def test_a_file_that_comes_goes_or_moves_makes_it_anew(builder: Builder) -> None:
    builder.build()
    builder.write("src/blitzio/base/new.cpp", "")
    assert builder.build()[1] == BOTH_TIMES
    (builder.root / "src/blitzio/base/new.cpp").rename(builder.root / "src/blitzio/base/other.cpp")
    assert builder.build()[1] == BOTH_TIMES
    (builder.root / "src/blitzio/base/other.cpp").unlink()
    assert builder.build()[1] == BOTH_TIMES


@pytest.mark.parametrize("program", ["python", "g++", "pkg-config", "auditwheel"])
def test_another_program_or_library_makes_it_anew(builder: Builder, program: str) -> None:
    builder.build()
    builder.versions[program] = "99.1"
    assert builder.build()[1] == BOTH_TIMES


@pytest.mark.parametrize("name", wheel._FLAGS)
def test_other_flags_make_it_anew_and_are_heeded(
    builder: Builder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    builder.build()
    cache = builder.root / "build/cp311-release/cmake/CMakeCache.txt"
    builder.write(str(cache), "CMAKE_CXX_FLAGS:STRING=")
    assert builder.build()[1] == []
    monkeypatch.setenv(name, "-DOTHER")
    assert builder.build()[1] == BOTH_TIMES
    assert not cache.exists(), "CMake would take the old flags from it"
    assert builder.build()[1] == []


@pytest.mark.parametrize(
    "name",
    [
        "benchmarks/scale.py",
        "python/blitzio/_native.cpython-311-x86_64-linux-gnu.so",
        "python/blitzio/__pycache__/__init__.cpython-311.pyc",
    ],
)
def test_what_has_no_part_in_it_leaves_it(builder: Builder, name: str) -> None:
    builder.build()
    builder.write(name, "something else")
    assert builder.build()[1] == []


def test_a_wheel_that_was_deleted_is_made_anew(builder: Builder) -> None:
    builder.build()[0].unlink()
    assert builder.build()[1] == BOTH_TIMES


def test_a_build_that_failed_is_not_taken_for_one(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.build()
    builder.write("CMakeLists.txt", "project(other)")

    def fail(*_: object, **__: object) -> None:
        raise Failed("the training")

    with monkeypatch.context() as patch:
        patch.setattr(wheel, "run", fail)
        with pytest.raises(Failed):
            builder.build()
    # Neither the tree that failed nor the one before it, of which half was overwritten.
    builder.write("CMakeLists.txt", TREE["CMakeLists.txt"])
    assert builder.build()[1] == BOTH_TIMES


def test_interpreters_have_wheels_of_their_own(builder: Builder) -> None:
    plain, _ = builder.build("3.13")
    free_threaded, made = builder.build("3.13t")
    assert made == ["cp313t TRAIN", "cp313t USE"]
    assert plain != free_threaded
    assert builder.build("3.13") == (plain, [])
    assert builder.build("3.13t") == (free_threaded, [])


def test_auditwheel_understands_what_it_is_told(tmp_path: Path) -> None:
    command = wheel.repair_command(Environment(running()), tmp_path / "none.whl", tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "cannot access" in done.stderr
