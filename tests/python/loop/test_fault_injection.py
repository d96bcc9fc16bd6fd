"""What the loop does about single faults; ./dev.py faults runs every other test under all of them.

The first tests are about asking for faults, and run on any build.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.fault_injection import VARIABLE, is_built_in
from tests.python.loop.support import HOST, Recorder, soon, transport_and_peer, turns

if TYPE_CHECKING:
    from collections.abc import Callable

    Faults = Callable[[str], dict[str, int]]

pytestmark = pytest.mark.no_faults("configures the faults that it is about")

CODE = "import blitzio; blitzio.new_event_loop().close(); print('made')"


def make_a_loop(faults: str) -> subprocess.CompletedProcess[str]:
    import blitzio

    package = Path(blitzio.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(package), VARIABLE: faults}
    return subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False
    )


def test_a_build_without_faults_refuses_them() -> None:
    if is_built_in():
        pytest.skip("this build has them")
    done = make_a_loop("seed=1,rate=0.1")
    assert done.returncode == 1
    assert "RuntimeError: new_event_loop: BLITZIO_FAULTS is set, but this build has no" in (
        done.stderr
    )
    assert make_a_loop("").stdout == "made\n"


@pytest.mark.parametrize(
    "text", ["seed=x", "rate=2", "rate=-1", "rate=nan", "late", "late=", "late=1,", "sometimes=1"]
)
def test_what_cannot_be_read_is_refused(text: str, faults: Faults) -> None:
    done = make_a_loop(text)
    assert done.returncode == 1
    assert "ValueError: new_event_loop: BLITZIO_FAULTS must be pairs like" in done.stderr
    with pytest.raises(ValueError, match="BLITZIO_FAULTS must be pairs like"):
        faults(text)


def test_the_environment_chooses_the_faults(faults: Faults) -> None:
    assert make_a_loop("seed=18446744073709551615,rate=1e-3,memory=0.5").stdout == "made\n"


def test_the_same_seed_gives_the_same_faults(
    loop: asyncio.AbstractEventLoop, faults: Faults
) -> None:
    async def main() -> dict[str, int]:
        before = faults("seed=5,again=0.5,interrupt=0.5,short=0.5")
        async with transport_and_peer() as (transport, _, __):
            for _ in range(50):
                transport.write(bytes(100))
                await turns(1)
        return {name: count - before[name] for name, count in faults("").items()}

    first = loop.run_until_complete(main())
    assert first["interrupt"] > 0
    assert first["again"] > 0
    assert loop.run_until_complete(main()) == first


@pytest.mark.parametrize("busy", [False, True])
def test_a_receive_without_a_buffer_goes_on_however_busy_the_loop_is(
    loop: asyncio.AbstractEventLoop, backend: str, faults: Faults, busy: bool
) -> None:
    """A busy loop never waits, and a receive that had found no buffer stayed where it was until
    some other connection gave one back."""
    if backend != "io_uring":
        pytest.skip("only io_uring has buffers to run out of")

    async def main() -> None:
        faults("seed=1,buffers=0.9")
        async with transport_and_peer() as (_, protocol, peer):
            for size in range(1, 20):
                peer.send(b"x")
                if busy:
                    while len(protocol.data) < size:  # pytest's own timeout ends it.
                        await asyncio.sleep(0)
                else:
                    await protocol.received(size)

    loop.run_until_complete(main())
    assert faults("")["buffers"] > 0


@pytest.mark.parametrize("fault", ["late", "short", "reclaim", "single", "wake", "busy", "again"])
def test_a_stream_arrives_whole_under_one_fault(
    loop: asyncio.AbstractEventLoop, backend: str, faults: Faults, fault: str
) -> None:
    data = bytes(range(256)) * 2000

    async def main() -> None:
        # Not 1: a kernel that is always busy gets nowhere.
        faults(f"seed=3,{fault}=0.5")
        async with transport_and_peer() as (transport, protocol, peer):
            loop_ = asyncio.get_running_loop()
            transport.write(data)
            received = bytearray()
            while len(received) < len(data):
                received += await soon(loop_.sock_recv(peer, 65536))
            assert received == data
            await soon(loop_.sock_sendall(peer, data))
            assert await protocol.received(len(data)) == data
            for _ in range(20):  # Waits that block, and so may end early.
                await asyncio.sleep(0.001)
        injected = faults("")[fault]
        assert injected > 0 or (fault in ("reclaim", "single") and backend != "io_uring")

    loop.run_until_complete(main())


def test_a_late_completion_of_a_closed_connection_is_not_lost_nor_told_twice(
    loop: asyncio.AbstractEventLoop, faults: Faults
) -> None:
    async def main() -> None:
        faults("seed=4,late=1")
        for close in ("close", "abort"):
            async with transport_and_peer() as (transport, protocol, peer):
                peer.send(b"x")
                await turns(2)
                getattr(transport, close)()
                await soon(protocol.lost)
                assert protocol.events.count("lost") == 1
        assert faults("")["late"] > 0

    loop.run_until_complete(main())


def test_a_loop_is_closed_while_completions_are_late(
    new_loop: Callable[[], asyncio.AbstractEventLoop], faults: Faults
) -> None:
    faults("seed=4,late=1")
    loop = new_loop()

    async def main() -> Any:
        listener = socket.create_server((HOST, 0))
        listener.setblocking(False)
        task = loop.create_task(loop.sock_accept(listener))
        loop.add_reader(listener, lambda: None)
        client = socket.create_connection(listener.getsockname())
        await turns(2)
        return listener, client, task

    listener, client, task = loop.run_until_complete(main())
    loop.close()
    assert faults("")["late"] > 0
    client.close()
    listener.close()
    if task.done():
        task.result()[0].close()
    else:
        task._log_destroy_pending = False


def test_no_memory_for_receiving_ends_the_connection_with_that_error(
    loop: asyncio.AbstractEventLoop, reports: list[Any], faults: Faults
) -> None:
    async def main() -> None:
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        faults("seed=4,memory=1")
        with peer:
            _, protocol = await loop.create_connection(Recorder, sock=ours)
            lost = await soon(protocol.lost)
        assert faults("")["memory"] > 0
        assert isinstance(lost, OSError)
        assert lost.errno == errno.ENOMEM
        assert protocol.events[-1] == "lost"

    loop.run_until_complete(main())
    assert reports == []
