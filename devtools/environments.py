"""Virtual environments in .venv/, one per interpreter, made again only when their inputs change.

The environment of the interpreter that runs the dev script holds everything (tests, checks,
documentation); the others hold what the tests need. The third-party software of tests/ecosystem
has an environment of its own beside the first. Requirements are the dependency groups of
pyproject.toml.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from typing import TYPE_CHECKING

from devtools.interpreters import Interpreter, running
from devtools.process import ROOT, Failed, locked, run, say

if TYPE_CHECKING:
    from pathlib import Path

_HOME = ROOT / ".venv"
#: Groups every interpreter gets; and the one of packages that some interpreters cannot have.
_TEST_GROUPS = ("build", "pytest", "test")
_OPTIONAL_GROUP = "test-optional"
_MAIN_GROUPS = (*_TEST_GROUPS, "lint", "docs", "release")
_ECOSYSTEM = "ecosystem"
#: What others compiled does not count its references, as a debug build is there to do.
_DEBUG_GROUPS = ("build", "pytest")


class Environment:
    """A virtual environment. `create()` brings it up to date."""

    def __init__(self, interpreter: Interpreter, *, ecosystem: bool = False) -> None:
        """With `ecosystem`, the one of the third-party software instead of the everyday one."""
        self.interpreter = interpreter
        self._ecosystem = ecosystem
        self.path = _HOME / (f"{interpreter.tag}-{_ECOSYSTEM}" if ecosystem else interpreter.tag)

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    def tool(self, name: str) -> Path:
        """Returns the path of an installed command."""
        return self.path / "bin" / name

    def create(self) -> None:
        """Makes the environment, or brings it up to date. Fast when nothing has changed."""
        _HOME.mkdir(exist_ok=True)
        with locked(_HOME / ".lock"):
            wanted = self._fingerprint()
            stamp = self.path / ".stamp"
            if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
                return
            say(f"environment {self.path.relative_to(ROOT)} for CPython {self.interpreter.version}")
            if not self.python.exists():
                shutil.rmtree(self.path, ignore_errors=True)
                run([self.interpreter.path, "-m", "venv", self.path], what="python -m venv")
            self._pip("--upgrade", "pip>=25.1")
            # Few build from source without the GIL; older releases with a wheel do.
            source = ["--only-binary", ":all:"] if self.interpreter.is_free_threaded else []
            groups = [word for group in self._groups() for word in ("--group", group)]
            self._pip(*source, *groups)
            if not self._ecosystem and not self.interpreter.is_debug:
                self._install_optional()
            stamp.write_text(wanted, encoding="utf-8")

    def has(self, package: str) -> bool:
        """Whether the distribution `package` is installed."""
        name = re.sub(r"[-_.]+", "_", package).lower()
        return any(self.path.glob(f"lib/python*/site-packages/{name}-*.dist-info"))

    def _groups(self) -> tuple[str, ...]:
        if self._ecosystem:
            return ("pytest", "test", _ECOSYSTEM)
        if self.interpreter.is_debug:
            return _DEBUG_GROUPS
        return _MAIN_GROUPS if self.interpreter == running() else _TEST_GROUPS

    def _pip(self, *words: str) -> None:
        run([self.python, "-m", "pip", "install", "-q", *words], what="pip install")

    def _install_optional(self) -> None:
        """Takes the wheels that there are; on most interpreters that is all of them."""
        requirements = group_requirements(_OPTIONAL_GROUP)
        try:
            self._pip("--only-binary", ":all:", *requirements)
            return
        except Failed:
            say(f"CPython {self.interpreter.version}: not all of {_OPTIONAL_GROUP}; one by one")
        for requirement in requirements:
            try:
                self._pip("--only-binary", ":all:", requirement)
            except Failed:
                say(f"CPython {self.interpreter.version}: no wheel of {requirement}, done without")

    def _fingerprint(self) -> str:
        text = "\n".join([_groups_text(), str(self.interpreter.path), *self._groups()])
        return hashlib.sha256(text.encode()).hexdigest()


def group_requirements(group: str) -> list[str]:
    """Returns the requirement strings of a dependency group that includes no other.

    Read without a TOML parser: the oldest supported Python has none.
    """
    match = re.search(
        rf"^{re.escape(group)} = \[(.*?)^\]", _groups_text(), re.MULTILINE | re.DOTALL
    )
    if match is None:
        raise Failed(f"pyproject.toml has no dependency group {group}")
    return re.findall(r'^\s*"([^"]+)",', match.group(1), re.MULTILINE)


def _groups_text() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    start = text.index("[dependency-groups]")
    end = text.find("\n[", start)
    return text[start : end if end >= 0 else len(text)]
