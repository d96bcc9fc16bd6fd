"""The rest of these tests run on the backend that a loop chooses by itself. Here the most important
of them do so again, in a process of their own, on the one that machines without it have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blitzio import _native

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

FILES = (
    "test_sync.py",
    "test_channel.py",
    "test_fs.py",
    "test_net_addresses.py",
    "test_net_datagrams.py",
    "test_net_listeners.py",
    "test_net_pool.py",
    "test_net_streams.py",
    "test_io.py",
    "test_process.py",
    "test_serve.py",
)


@pytest.mark.no_refleaks("runs tests in another process")
@pytest.mark.no_faults("runs tests in another process, which have faults of their own")
def test_the_second_choice_does_what_the_first_does(pytestconfig: pytest.Config) -> None:
    usable = [name for name, is_usable, _, _ in _native.detect() if is_usable]
    if len(usable) < 2:
        pytest.skip(f"there is only {usable[0]}")
    environment = {**os.environ, "BLITZIO_BACKEND": usable[1]}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            # Loops of others do not look at it.
            *("-p", "no:xdist", "-k", "not asyncio and not uvloop"),
            # The build that is tested here may be another than the one in the source tree.
            *("-o", "pythonpath=" + " ".join(map(str, pytestconfig.getini("pythonpath")))),
            *(os.fspath(HERE / name) for name in FILES),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
