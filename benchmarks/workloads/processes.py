"""Child processes: starting one and waiting for its end, and talking to one through pipes."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from typing import Any

from workloads import Bench, workload


@workload("spawn", "spawn and wait for a process", "process", 40)
async def spawn(bench: Bench) -> None:
    with bench.timed():
        for _ in range(bench.ops):
            process = await asyncio.create_subprocess_exec("true")
            await process.wait()


@workload("spawn_output", "read a process's output", "process", 40)
async def spawn_output(bench: Bench) -> None:
    with bench.timed():
        for _ in range(bench.ops):
            process = await asyncio.create_subprocess_exec("echo", "x", stdout=PIPE)
            await process.communicate()


class PingPong(asyncio.SubprocessProtocol):
    """Sends the next line when the last one has come back."""

    def __init__(self, line: bytes, count: int) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.line = line
        self.left = count
        self.missing = 0
        self.stdin: Any = None

    def start(self, transport: asyncio.SubprocessTransport) -> None:
        self.stdin = transport.get_pipe_transport(0)
        self.send()

    def send(self) -> None:
        self.missing = len(self.line)
        self.stdin.write(self.line)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing:
            return
        self.left -= 1
        if self.left:
            self.send()
        else:
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


@workload("child_pipe", "pipe ping-pong with a child", "round trip", 2_000)
async def child_pipe(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: PingPong(b"x" * 63 + b"\n", bench.ops), "cat", stderr=None
    )
    with bench.timed():
        protocol.start(transport)
        await protocol.done
    transport.close()
    await protocol.lost


@workload("child_streams", "line ping-pong with a child's streams", "round trip", 1_000)
async def child_streams(bench: Bench) -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    line = b"x" * 63 + b"\n"
    with bench.timed():
        for _ in range(bench.ops):
            process.stdin.write(line)
            await process.stdout.readline()
    process.stdin.close()
    await process.wait()
