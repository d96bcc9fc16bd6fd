"""A protocol that was paused hears of no resume_writing() once its transport is gone: neither when
what was buffered is dropped nor when it is sent after all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.datagram_support import Datagrams, blocked_pair
from tests.python.loop.datagram_support import fill as fill_datagrams
from tests.python.loop.pipe_support import PipeRecorder
from tests.python.loop.process_support import ProcessRecorder
from tests.python.loop.support import reset, soon, transport_and_peer, turns
from tests.python.loop.tls_support import tls_and_peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

KINDS = ("stream", "tls", "datagram", "pipe", "process")


class ProcessFlow(ProcessRecorder):
    def pause_writing(self) -> None:
        self.add("pause")

    def resume_writing(self) -> None:
        self.add("resume")


@contextlib.asynccontextmanager
async def paused(kind: str, folder: Path) -> AsyncIterator[tuple[Any, Any, Callable[[], None]]]:
    """(transport, protocol that was told to pause, what makes the kernel take everything)."""
    loop = asyncio.get_running_loop()
    if kind == "stream":
        async with transport_and_peer() as (transport, protocol, peer):
            fill(transport, protocol)
            yield transport, protocol, lambda: drain(peer)
    elif kind == "tls":
        async with tls_and_peer(folder) as (transport, protocol, hand):
            fill(transport, protocol)
            yield transport, protocol, lambda: drain(hand.sock)
    elif kind == "datagram":
        with blocked_pair(folder) as (ours, peer):
            endpoint: Any
            endpoint, datagrams = await loop.create_datagram_endpoint(Datagrams, sock=ours.dup())
            endpoint.set_write_buffer_limits(high=0)
            fill_datagrams(endpoint)
            yield endpoint, datagrams, lambda: drain(peer)
            await soon(datagrams.lost)
    elif kind == "pipe":
        read, write = os.pipe()
        with open(read, "rb", 0) as reader:
            pipe, recorder = await loop.connect_write_pipe(PipeRecorder, open(write, "wb", 0))
            fill(pipe, recorder)
            yield pipe, recorder, lambda: drain(reader)
            await soon(recorder.lost)
    else:
        child, flow = await loop.subprocess_exec(
            ProcessFlow, "sleep", "3600", stdin=subprocess.PIPE, stdout=None, stderr=None
        )
        stdin: Any = child.get_pipe_transport(0)
        fill(stdin, flow)
        yield stdin, flow, lambda: None
        child.close()
        await soon(flow.lost)


def fill(transport: Any, protocol: Any) -> None:
    while protocol.events[-1] != "pause":
        transport.write(bytes(1 << 20))


def drain(end: Any) -> None:
    # A connection that was aborted with something unread is reset.
    with contextlib.suppress(BlockingIOError, ConnectionResetError):
        if isinstance(end, socket.socket):
            while end.recv(1 << 20):
                pass
        else:
            os.set_blocking(end.fileno(), False)
            while end.read(1 << 20):
                pass


@pytest.mark.no_faults("a full kernel buffer is what it counts on", "short", "again")
@pytest.mark.parametrize("take", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_no_resume_after_abort(
    loop: asyncio.AbstractEventLoop, kind: str, take: bool, tmp_path: Path
) -> None:
    async def main() -> None:
        async with paused(kind, tmp_path) as (transport, protocol, make_room):
            assert protocol.events[-1] == "pause"
            if take:
                # The loop finds room and the end in the same turn.
                make_room()
            transport.abort()
            await turns()
            make_room()
            await turns()
        assert "resume" not in protocol.events

    loop.run_until_complete(main())


@pytest.mark.no_faults("a full kernel buffer is what it counts on", "short", "again")
@pytest.mark.parametrize("kind", ["stream", "tls", "pipe"])
def test_no_resume_after_the_peer_is_gone(
    loop: asyncio.AbstractEventLoop, kind: str, tmp_path: Path
) -> None:
    async def main() -> None:
        if kind == "pipe":
            read, write = os.pipe()
            pipe, recorder = await loop.connect_write_pipe(PipeRecorder, open(write, "wb", 0))
            fill(pipe, recorder)
            os.close(read)
            assert isinstance(await soon(recorder.lost), BrokenPipeError)
            events = recorder.events
        else:
            peers: Any = transport_and_peer() if kind == "stream" else tls_and_peer(tmp_path)
            async with peers as (transport, protocol, peer):
                fill(transport, protocol)
                sock = peer if kind == "stream" else peer.sock
                reset(sock)
                await soon(asyncio.wait([protocol.lost]))
                events = protocol.events
        assert events[-2:] == ["pause", "lost"]

    loop.run_until_complete(main())
