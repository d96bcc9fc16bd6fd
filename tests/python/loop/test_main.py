"""python -m blitzio."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("blitzio._native", exc_type=ImportError)

import blitzio

PACKAGE = str(Path(blitzio.__file__).parent.parent)

PROGRAM = """\
import asyncio, os, sys

async def main():
    loop = asyncio.get_running_loop()
    print(__name__, type(loop).__module__, os.path.basename(sys.argv[0]), sys.argv[1:])
    print(os.path.samefile(sys.path[0] or os.curdir, EXPECTED))
    import neighbour
    raise SystemExit(neighbour.STATUS)

if __name__ == "__main__":
    asyncio.run(main())
"""


def python(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = PACKAGE
    environment["PYTHONWARNINGS"] = "error"
    return subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("STATUS = 7\n")
    (tmp_path / "program.py").write_text(PROGRAM.replace("EXPECTED", repr(str(tmp_path))))
    return tmp_path


def test_a_script_runs_on_our_loop(folder: Path) -> None:
    result = python("-m", "blitzio", str(folder / "program.py"), "one", "-m", "--two")
    assert result.stderr == ""
    assert result.stdout == ("__main__ blitzio program.py ['one', '-m', '--two']\nTrue\n")
    assert result.returncode == 7


def test_a_module_runs_on_our_loop(folder: Path) -> None:
    result = python("-m", "blitzio", "-m", "program", "one", cwd=folder)
    assert result.stderr == ""
    assert result.stdout == "__main__ blitzio program.py ['one']\nTrue\n"
    assert result.returncode == 7


def test_a_folder_with_a_main_runs(folder: Path) -> None:
    (folder / "program.py").rename(folder / "__main__.py")
    result = python("-m", "blitzio", str(folder), "one")
    assert result.stderr == ""
    assert result.returncode == 7
    assert "__main__ blitzio" in result.stdout


def test_a_program_that_fails_shows_its_traceback(tmp_path: Path) -> None:
    script = tmp_path / "failing.py"
    script.write_text("raise ValueError('mine')\n")
    result = python("-m", "blitzio", str(script))
    assert result.returncode == 1
    assert "ValueError: mine" in result.stderr
    assert f'File "{script}", line 1' in result.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nothing.py"], "can't open file 'nothing.py': no such file or directory"),
        (["-m"], "-m needs the name of a module"),
        (["-m", "no_such_module"], "No module named no_such_module"),
        (["--unknown"], "unknown option '--unknown'"),
        (["info", "more"], "info takes no arguments, not 'more'"),
        ([], "usage: python -m blitzio"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, arguments: list[str], text: str) -> None:
    result = python("-m", "blitzio", *arguments, cwd=tmp_path)
    assert result.returncode != 0
    assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_help() -> None:
    result = python("-m", "blitzio", "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: python -m blitzio SCRIPT")


def test_info_tells_versions_and_backends() -> None:
    result = python("-m", "blitzio", "info")
    assert result.stderr == ""
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["blitzio", blitzio.__version__]
    for word in ("python", "kernel", "compiler", "io_uring", "epoll", "poll"):
        assert any(line.strip().startswith(word) for line in lines), word
    assert "(chosen by auto)" in result.stdout
