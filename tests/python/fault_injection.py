"""The tests under injected faults, and tests that inject their own.

With the environment variable `BLITZIO_FAULTS` (src/blitzio/base/faults.hpp) and a build that has
them, each test, with the processes that it starts, runs under faults whose seed is made of that
seed and the test's name, so that a failure is met again by running that test alone. A test marked
`no_faults(reason)` runs without: it counts system calls or turns, which faults rightly add to. With
names behind the reason it runs without these faults only.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARIABLE = "BLITZIO_FAULTS"
#: More turns of the loop than the late completions of one operation take.
LATE_TURNS = 16


def is_built_in() -> bool:
    """Whether the extension under test can inject faults."""
    try:
        from blitzio import _native
    except ImportError:  # asyncio's own loop is tested, and nothing is built.
        return False
    return _native.build_info()["faults"] != "none"


def faults_of(name: str) -> str:
    """What the test of this name runs under: the environment's faults, with a seed of its own."""
    words = [word for word in os.environ.get(VARIABLE, "").split(",") if word]
    seed = next((int(word[5:]) for word in words if word.startswith("seed=")), 0)
    rest = [word for word in words if not word.startswith("seed=")]
    if not rest:
        return ""
    return ",".join([f"seed={zlib.crc32(name.encode(), seed & 0xFFFFFFFF)}", *rest])


@pytest.fixture(autouse=True)
def injected_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Injects what `BLITZIO_FAULTS` asks for while a test runs."""
    if not os.environ.get(VARIABLE) or not is_built_in():
        yield
        return
    from blitzio import _native

    given = os.environ[VARIABLE]
    text = faults_of(request.node.nodeid)
    for marker in request.node.iter_markers("no_faults"):
        _, *names = marker.args
        text = ",".join([text, *(f"{name}=0" for name in names)]) if names and text else ""
    _native._configure_faults(text)
    os.environ[VARIABLE] = text  # Its child processes meet the same ones.
    if text:
        request.node.add_report_section("setup", "faults", f"{VARIABLE}={given}")
    yield
    os.environ[VARIABLE] = given
    _native._configure_faults("")


@pytest.fixture
def faults() -> Iterator[Callable[[str], dict[str, int]]]:
    """Injects what the test says. Returns what was injected since the test began."""
    if not is_built_in():
        pytest.skip("this build has no fault injection; `./dev.py faults` makes one")
    from blitzio import _native

    before = _native._fault_counts()

    def configure(text: str) -> dict[str, int]:
        _native._configure_faults(text)
        return {name: count - before[name] for name, count in _native._fault_counts().items()}

    yield configure
    _native._configure_faults("")
