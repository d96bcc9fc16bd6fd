"""A test that fails is run once more, alone, if it is one of few and nothing worse happened: no
sanitizer spoke of C++'s, and Python's did not crash and could all be collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devtools import native, python_tests
from devtools.process import Failed

if TYPE_CHECKING:
    from pathlib import Path

#: Fails the first time it is run.
_PASSES_THE_SECOND_TIME = "test -e {name} || ! echo {text} > {name} || ! cat {name}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(native, "build", lambda *_words: tmp_path)
    monkeypatch.setattr(native, "LOGS", tmp_path)
    return Run(tmp_path)


class Run:
    """Runs ctest with tests of these names and shell commands."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, **commands: str) -> str:
        lines = [
            f'add_test({name} "/bin/sh" "-c" "{command.format(name=name, text=name.upper())}")\n'
            for name, command in commands.items()
        ]
        (self._folder / "CTestTestfile.cmake").write_text("".join(lines), encoding="utf-8")
        return native.test("anything")


def test_all_pass(run: Run) -> None:
    assert run(one="true", two="true") == "2 tests"


def test_one_that_passes_alone_is_named(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(one="true", shy=_PASSES_THE_SECOND_TIME) == "2 tests, passed alone only: shy"
    assert "what shy printed:\nSHY\n" in capfd.readouterr().out


def test_one_that_fails_again_fails(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failed, match="ctest of anything"):
        run(one="true", broken="echo {text}; false")
    assert "what broken printed:\nBROKEN\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    "report", ["WARNING: ThreadSanitizer: data race", "a.hpp:1:1: runtime error: overflow"]
)
def test_what_a_sanitizer_reports_once_is_there(run: Run, report: str) -> None:
    with pytest.raises(Failed, match="ctest of anything"):
        run(one="true", racy=_PASSES_THE_SECOND_TIME.replace("{text}", f"'{report}'"))


def test_many_that_fail_are_no_accident(run: Run) -> None:
    number = native.SECOND_VERDICTS + 1
    with pytest.raises(Failed, match="ctest of anything"):
        run(**{f"shy_{i}": _PASSES_THE_SECOND_TIME for i in range(number)})


@pytest.mark.parametrize(
    ("verdict", "names"),
    [
        ("", []),
        ('<failure message="assert 1 == 2"/>', ["one"]),
        ('<error message="failed on setup"/>', ["one"]),
        ('<failure message="worker &apos;gw0&apos; crashed while running one"/>', None),
        ('<error message="collection failure"/>', None),
    ],
)
def test_what_is_run_again_of_pythons(
    tmp_path: Path, verdict: str, names: list[str] | None
) -> None:
    report = tmp_path / "report.xml"
    report.write_text(f'<testsuite><testcase name="one">{verdict}</testcase></testsuite>')
    assert python_tests._failed(report) == names
