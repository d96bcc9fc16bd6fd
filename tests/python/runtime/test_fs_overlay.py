"""Files on an overlay, as the root of a container is one: what lies in a lower layer is copied
whole before it is renamed, linked or written to, which must not happen on the loop's thread."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = """
import asyncio
import blitzio
from blitzio import fs

async def is_done_at_once(operation):
    task = asyncio.ensure_future(operation)
    await asyncio.sleep(0)  # its first step, which is the only one if nothing waits
    at_once = task.done()
    await task
    return at_once

async def main():
    await fs.stat("small")  # the folder is known to be local from here on
    at_once = {}
    for name in ("large", "small"):
        data = b"more"
        await fs.stat(name)  # known to the kernel
        at_once[name] = [
            await is_done_at_once(fs.append(f"{name}-to-append", data)),
            await is_done_at_once(fs.hard_link(f"{name}-to-link", f"{name}-linked")),
            await is_done_at_once(fs.rename(f"{name}-to-rename", f"{name}-renamed")),
        ]
        assert await fs.read_file(f"{name}-to-append") == await fs.read_file(name) + data
        assert await fs.read_file(f"{name}-renamed") == await fs.read_file(name)
    assert at_once["large"] == [False, False, False], at_once

blitzio.run(main())
"""


def test_a_large_file_of_a_lower_layer_is_copied_in_a_thread(tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "all"):
        (tmp_path / name).mkdir()
    for name, size in (("small", 100), ("large", 16 << 20)):
        for suffix in ("", "-to-append", "-to-link", "-to-rename"):
            (tmp_path / "lower" / f"{name}{suffix}").write_bytes(b"x" * size)
    mount = "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work all"
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*alone, mount], cwd=tmp_path, capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no overlay can be mounted here")
    done = subprocess.run(
        [*alone, f'{mount}; cd all; exec "$0" -c "$1"', sys.executable, _SCRIPT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
