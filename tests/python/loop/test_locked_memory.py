"""A loop where little memory may be locked: io_uring counts its buffers against that limit."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from tests.python.loop.support import PATIENCE

LIBC = ctypes.CDLL(None)

LINES_AND_BYTES = """
import asyncio, resource, socket, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
import blitzio

async def main():
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    ours, peer = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    for _ in range(30):
        process.stdin.write(b"line\\n")
        assert await process.stdout.readline() == b"line\\n"
        peer.send(b"bytes\\n")
        assert await reader.readline() == b"bytes\\n"
    writer.close()
    peer.close()
    process.stdin.close()
    assert await process.wait() == 0

loop = blitzio.new_event_loop()
print(loop.backend)
loop.run_until_complete(main())
"""


def without_locking_memory() -> None:
    """Gives up the capability that lifts the limit of locked memory, before a program starts."""
    cap_ipc_lock, capbset_drop = 14, 24
    LIBC.prctl(capbset_drop, cap_ipc_lock, 0, 0, 0)


@pytest.mark.parametrize("kib", [16, 48, 64, 80, 96, 128])
def test_little_memory_that_may_be_locked_costs_speed_alone(kib: int, backend: str) -> None:
    if backend != "io_uring":
        pytest.skip("others lock none")
    # Enough for a ring but not for its buffers, by the kernel; 64 KiB was the default for long.
    done = subprocess.run(
        [sys.executable, "-c", LINES_AND_BYTES, str(kib * 1024)],
        preexec_fn=without_locking_memory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Where not even a ring is to be had the loop is another one.
    assert done.stdout == "io_uring\n" or (done.stdout == "epoll\n" and kib <= 64)
