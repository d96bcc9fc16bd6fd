"""What figures must be published with: the machine and the versions."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def describe() -> dict[str, str]:
    """Returns processor, kernel and Tokio's version, by name."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} usable",
        "kernel": f"{platform.system()} {platform.release()}",
        "tokio": _locked_version("tokio"),
        "async-channel": _locked_version("async-channel"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    match = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    return match.group(1) if match else platform.machine()


def _locked_version(name: str) -> str:
    lock = (_ROOT / "benchmarks/tokio/Cargo.lock").read_text(encoding="utf-8")
    match = re.search(rf'name = "{name}"\nversion = "([^"]+)"', lock)
    return match.group(1) if match else "unknown"
