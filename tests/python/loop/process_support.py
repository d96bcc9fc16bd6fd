"""What the tests of child processes share: a protocol that records, and looking at processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.python.loop.support import PATIENCE, soon

PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL


class ProcessRecorder(asyncio.SubprocessProtocol):
    """Records what the transport says; data of one pipe in a row counts once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.events: list[Any] = []
        self.data = {1: bytearray(), 2: bytearray()}
        self.transport: Any = None
        self.exited: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[Exception | None] = loop.create_future()
        self.changed = asyncio.Event()

    def add(self, event: Any) -> None:
        if not self.events or self.events[-1] != event:
            self.events.append(event)
        self.changed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.add("made")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        self.data[fd] += data
        self.add(("data", fd))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.add(("lost", fd, type(exc)))

    def process_exited(self) -> None:
        assert self.transport.get_returncode() is not None
        self.add("exited")
        self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.add("connection_lost")
        self.lost.set_result(exc)

    async def until(self, event: Any) -> None:
        """Waits until `event` was recorded."""

        async def wait() -> None:
            while event not in self.events:
                self.changed.clear()
                await self.changed.wait()

        await soon(wait())


async def start(*command: Any, **options: Any) -> tuple[Any, ProcessRecorder]:
    """A process of the running loop with a recorder; nothing is piped unless asked for."""
    for name in ("stdin", "stdout", "stderr"):
        options.setdefault(name, None)
    loop = asyncio.get_running_loop()
    if len(command) == 1 and " " in command[0]:
        return await loop.subprocess_shell(ProcessRecorder, command[0], **options)
    return await loop.subprocess_exec(ProcessRecorder, *command, **options)


async def output_of(*command: Any, **options: Any) -> bytes:
    """What a program that must succeed writes to its standard output."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, **options)
    output, _ = await soon(process.communicate())
    assert process.returncode == 0, process.returncode
    return output


def state_of(pid: int) -> str:
    """One letter: R, S, Z for a zombie …; "" if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for_state(pid: int, *states: str) -> None:
    """Looks until the process is in one of the states. Blocks the loop, on purpose."""
    deadline = time.monotonic() + PATIENCE
    while state_of(pid) not in states:
        assert time.monotonic() < deadline, (pid, state_of(pid))
        time.sleep(0.001)


def has_children() -> bool:
    """Whether this process has children, be they zombies."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def wait_for_no_children() -> None:
    deadline = time.monotonic() + PATIENCE
    while has_children():
        assert time.monotonic() < deadline, "a child was left behind"
        time.sleep(0.001)


def reaped_returncode(transport: Any) -> int:
    """What whoever reaps the child leaves in its Popen. Blocks the loop, on purpose.

    A thread that reaps can lose the GIL between taking the status from the kernel, which is when
    the child is gone, and leaving it there.
    """
    deadline = time.monotonic() + PATIENCE
    popen = transport.get_extra_info("subprocess")
    while popen.returncode is None:
        assert time.monotonic() < deadline, transport
        time.sleep(0.001)
    returncode: int = popen.returncode
    return returncode
