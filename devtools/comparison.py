"""The comparisons of the C++ core with other runtimes: builds both sides and starts them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from devtools import native
from devtools.process import BUILD, ROOT, Failed, first_program, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def core(options: Sequence[str]) -> None:
    """Locks, channels and the scheduler against Tokio's."""
    _compare("native.core", options)


def net(options: Sequence[str]) -> None:
    """Echo servers: blitzio's drivers, Tokio, raw epoll, raw io_uring."""
    _compare("native.net", options)


def _compare(module: str, options: Sequence[str]) -> None:
    ours, tokio = native.build("release", "comparison"), _build_tokio()
    run(
        [sys.executable, "-m", module, "--ours", ours, "--tokio", tokio, *options],
        env={"PYTHONPATH": os.fspath(ROOT / "benchmarks")},
        what=module,
    )


def _build_tokio() -> Path:
    """Builds benchmarks/tokio with the versions of its Cargo.lock. Returns the binaries' folder."""
    cargo = first_program("cargo")
    if cargo is None:
        raise Failed("the comparison with Tokio needs cargo: https://rustup.rs")
    folder = BUILD / "tokio"
    run(
        [cargo, "build", "--release", "--locked", "--target-dir", folder],
        cwd=ROOT / "benchmarks/tokio",
        what="building benchmarks/tokio",
    )
    return folder / "release"
