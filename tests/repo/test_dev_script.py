"""The words of ./dev.py: whose option is whose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devtools import cli

if TYPE_CHECKING:
    import argparse


@pytest.mark.parametrize(
    ("words", "what", "release", "python", "rest"),
    [
        ("bench", "all", False, [], []),
        ("bench loops echo_1k --rounds 3", "loops", False, [], ["echo_1k", "--rounds", "3"]),
        ("bench loops --release", "loops", True, [], []),
        ("bench --release loops --rounds 3", "loops", True, [], ["--rounds", "3"]),
        ("bench loops --rounds 3 --release", "loops", True, [], ["--rounds", "3"]),
        ("bench http --quick --python 3.14", "http", False, ["3.14"], ["--quick"]),
        ("bench core sched --workers 1", "core", False, [], ["sched", "--workers", "1"]),
    ],
)
def test_bench_hands_on_the_options_of_the_benchmark(
    words: str,
    what: str,
    release: bool,
    python: list[str],
    rest: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[argparse.Namespace] = []

    def take(options: argparse.Namespace) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(cli, "_bench", take)
    assert cli.main(words.split()) == 0
    (options,) = seen
    assert (options.what, options.release) == (what, release)
    assert (options.python, options.rest) == (python, rest)
