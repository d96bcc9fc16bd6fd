"""What the project promises about itself: names, versions, licence, places."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.tree import ROOT, read, tracked


def test_the_dev_script_starts_with_the_standard_library_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "dev.py", "--help"], capture_output=True, text=True
    )
    # -I leaves out the script's folder too, so give it back the way the shell does.
    if done.returncode != 0:
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import devtools.cli"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["dev.py", ".ci/run"])
def test_scripts_can_be_executed(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)


def test_every_changelog_has_a_place_for_what_comes_next() -> None:
    assert "## Unreleased" in read(Path("CHANGELOG.md"))


def test_the_licence_is_what_the_package_says() -> None:
    assert 'license = "Apache-2.0"' in read(Path("pyproject.toml"))
    assert "Apache License" in read(Path("LICENSE"))


def test_no_other_place_states_the_version() -> None:
    match = re.search(r"project\(blitzio VERSION ([0-9.]+)", read(Path("CMakeLists.txt")))
    assert match is not None
    stated = [
        str(path)
        for path in tracked()
        if path.suffix in (".py", ".cpp", ".hpp", ".toml")
        and re.search(rf"version\w*\s*=\s*[\"']{re.escape(match.group(1))}[\"']", read(path), re.I)
    ]
    assert not stated, f"take it from the extension or the package's metadata: {stated}"


def test_files_are_named_in_snake_case() -> None:
    wrong = [
        str(path)
        for path in tracked()
        if path.suffix in (".cpp", ".hpp", ".py") and not re.fullmatch(r"[a-z0-9_]+", path.stem)
    ]
    assert not wrong, wrong


def test_core_tests_stand_where_their_subject_stands() -> None:
    folders = {path.parts[2] for path in tracked() if path.parts[:2] == ("src", "blitzio")}
    wrong = [
        str(path)
        for path in tracked()
        if path.parts[:2] == ("tests", "core")
        and path.name.endswith("_test.cpp")
        and path.parts[2] not in folders
    ]
    assert not wrong, wrong


def test_the_version_is_that_of_the_build() -> None:
    header = read(Path("src/blitzio/base/version.hpp"))
    numbers = re.search(r'kVersion\{(\d+), (\d+), (\d+), "([\d.]+)"\}', header)
    project = re.search(r"project\(blitzio VERSION ([\d.]+)", read(Path("CMakeLists.txt")))
    assert numbers is not None
    assert project is not None
    assert ".".join(numbers.groups()[:3]) == numbers.group(4) == project.group(1)
