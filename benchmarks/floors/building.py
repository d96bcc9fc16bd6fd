"""Compiles the modules of this folder that are written in C++."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LIBRARIES = {"bare_ring": ["-luring"], "bare_ring_server": ["-luring"]}


@contextlib.contextmanager
def built(names: Iterable[str]) -> Iterator[None]:
    """Compiles these modules for this interpreter. Meanwhile they can be imported, here and in a
    process that is given our path."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            _compile(name, Path(folder))
        sys.path.append(folder)
        try:
            yield
        finally:
            sys.path.remove(folder)


def is_buildable(name: str) -> bool:
    """Whether its libraries are here."""
    return name not in _LIBRARIES or _has_liburing()


def _compile(name: str, folder: Path) -> None:
    source = Path(__file__).with_name(f"{name}.cpp")
    target = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_path("include")
    command = ["c++", "-std=c++20", "-O3", "-shared", "-fPIC", f"-I{include}"]
    libraries = _LIBRARIES.get(name, [])
    subprocess.run([*command, str(source), "-o", str(target), *libraries], check=True)


def _has_liburing() -> bool:
    return subprocess.run(["pkg-config", "--exists", "liburing"], check=False).returncode == 0
