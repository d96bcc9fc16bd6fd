"""`print_debug_info`: what it prints, and when it refuses."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import blitzio
from blitzio._loop import debug_info


def printed(loop: Any, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """By label: of the last section that has it."""
    capsys.readouterr()
    assert loop.print_debug_info() is None
    lines = capsys.readouterr().out.splitlines()
    return {line[2:22].strip(): line[22:].strip() for line in lines if line.startswith("  ")}


def test_it_prints_the_state_and_every_metric(
    loop: Any, backend: str, native: None, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {name for section in debug_info._METRICS.values() for name in section}
    assert names | {"transports"} == loop.metrics().keys()
    shown = printed(loop, capsys)
    assert shown["backend"] == backend
    assert shown["state"] == "stopped"
    assert shown["open"] == "0"
    labels = {label for section in debug_info._METRICS.values() for label in section.values()}
    assert labels <= shown.keys()


def test_it_counts_timers_tasks_and_transports_by_type(
    loop: Any, native: None, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> dict[str, str]:
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)
        packets, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        timer = loop.call_later(3600, int)
        shown = printed(loop, capsys)
        timer.cancel()
        transport.abort()
        packets.abort()
        server.close()
        return shown

    shown = loop.run_until_complete(main())
    assert shown["tasks"] == "1"
    assert shown["timers"] == "1"
    assert shown["state"].startswith("running in thread")
    assert int(shown["StreamTransport"]) >= 1
    assert shown["DatagramTransport"] == "1"
    assert int(shown["open"]) == int(shown["StreamTransport"]) + 1


def test_a_closed_loop_and_one_of_another_thread_refuse() -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as executor:
            other = executor.submit(loop.print_debug_info)
            with pytest.raises(RuntimeError, match="Non-thread-safe"):
                other.result()

    blitzio.run(main())
    loop = blitzio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.print_debug_info()
