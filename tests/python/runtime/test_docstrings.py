"""The examples in the docstrings of the public modules are run."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = (
    "blitzio._compute",
    "blitzio._duration",
    "blitzio._fs.directory",
    "blitzio._fs.temporary",
    "blitzio._fs.watching",
    "blitzio._io.evented",
    "blitzio._io.handle",
    "blitzio._io.reader",
    "blitzio._io.threaded",
    "blitzio._io.world",
    "blitzio._io.writer",
    "blitzio._loop.debug_info",
    "blitzio._net.connect",
    "blitzio._net.split",
    "blitzio._process.child",
    "blitzio._process.command",
    "blitzio._process.status",
    "blitzio._serve",
    "blitzio._shutdown",
    "blitzio._sync.condition",
    "blitzio._sync.once_cell",
    "blitzio._task.cancel_token",
    "blitzio._task.group",
    "blitzio._task.joining",
    "blitzio._task.selecting",
    "blitzio.channel",
    "blitzio.fs",
    "blitzio.process",
    "blitzio.runtime",
    "blitzio.signal",
    "blitzio.sync",
    "blitzio.time",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_give_what_they_say(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
