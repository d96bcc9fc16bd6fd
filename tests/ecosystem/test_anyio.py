"""AnyIO: streams of every kind, processes, threads, task groups and cancel scopes."""

from __future__ import annotations

import asyncio
import ssl
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import anyio.from_thread
import anyio.to_thread
import pytest
from anyio.streams.tls import TLSListener, TLSStream

from tests.python.frameworks.support import digest, payload
from tests.python.loop.support import HOST, PATIENCE, client_context

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ecosystem.conftest import Comparison

LARGE = payload(2_000_000)


async def upper(stream: anyio.abc.ByteStream) -> None:
    async with stream:
        async for block in stream:
            await stream.send(block.upper())


async def converse(stream: anyio.abc.ByteStream) -> list[Any]:
    """Sends and receives at once, then ends its side."""
    received = bytearray()

    async def send() -> None:
        for start in range(0, len(LARGE), 100_000):
            await stream.send(LARGE[start : start + 100_000])

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        while len(received) < len(LARGE):
            received += await stream.receive()
    await stream.aclose()
    seen: list[Any] = [digest(bytes(received))]
    for operation in (stream.receive, partial(stream.send, b"late")):
        # TLS tells of its own end in its own words.
        with pytest.raises((anyio.ClosedResourceError, ssl.SSLError)) as error:
            await operation()
        seen.append(type(error.value).__name__)
    return seen


@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
def test_streams(
    same_on_asyncio: Comparison, kind: str, tls_server: ssl.SSLContext, tmp_path: Path
) -> None:
    async def scenario() -> list[Any]:
        path = tmp_path / "socket"
        path.unlink(missing_ok=True)
        listener: Any = (
            await anyio.create_unix_listener(path)
            if kind == "unix"
            else await anyio.create_tcp_listener(local_host=HOST, local_port=0)
        )
        served = TLSListener(listener, tls_server) if kind == "tls" else listener
        stream: anyio.abc.ByteStream
        with anyio.fail_after(PATIENCE):
            async with served, anyio.create_task_group() as group:
                group.start_soon(served.serve, upper)
                if kind == "unix":
                    stream = await anyio.connect_unix(path)
                else:
                    port = listener.extra(anyio.abc.SocketAttribute.local_port)
                    stream = await anyio.connect_tcp(HOST, port)
                if kind == "tls":
                    stream = await TLSStream.wrap(
                        stream, hostname="localhost", ssl_context=client_context()
                    )
                seen = await converse(stream)
                group.cancel_scope.cancel()
        return seen

    seen = same_on_asyncio(scenario)
    assert seen[0] == digest(LARGE.upper())
    if kind != "tls":
        assert seen[1:] == ["ClosedResourceError"] * 2


def test_datagrams(same_on_asyncio: Comparison) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        with anyio.fail_after(PATIENCE):
            async with (
                await anyio.create_udp_socket(local_host=HOST) as server,
                await anyio.create_connected_udp_socket(
                    HOST, server.extra(anyio.abc.SocketAttribute.local_port)
                ) as client,
            ):
                for number in range(20):
                    await client.send(f"datagram {number}".encode())
                    data, sender = await server.receive()
                    await server.sendto(data.upper(), *sender)
                    seen.append(await client.receive())
        with pytest.raises(anyio.ClosedResourceError):
            await client.receive()
        return seen

    assert same_on_asyncio(scenario) == [f"DATAGRAM {n}".encode() for n in range(20)]


def test_processes(same_on_asyncio: Comparison) -> None:
    code = "import sys; data = sys.stdin.read(); print(data.upper(), end=''); sys.exit(3)"

    async def scenario() -> list[Any]:
        with anyio.fail_after(PATIENCE):
            done = await anyio.run_process(
                [sys.executable, "-c", code], input=b"some words", check=False
            )
            seen: list[Any] = [done.returncode, done.stdout]
            with anyio.move_on_after(0.05) as scope:
                # Leaving the scope ends the process.
                await anyio.run_process([sys.executable, "-c", "import time; time.sleep(3600)"])
            seen.append(scope.cancelled_caught)
        return seen

    assert same_on_asyncio(scenario)[:2] == [3, b"SOME WORDS"]


def test_threads_both_ways(same_on_asyncio: Comparison) -> None:
    async def scenario() -> list[Any]:
        loop = asyncio.get_running_loop()

        async def double(number: int) -> int:
            assert asyncio.get_running_loop() is loop
            await anyio.sleep(0)
            return 2 * number

        def work(number: int) -> int:
            return anyio.from_thread.run(double, number) + anyio.from_thread.run_sync(abs, -1)

        results: dict[int, int] = {}

        async def one(number: int) -> None:
            results[number] = await anyio.to_thread.run_sync(work, number)

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(one, number)
        with pytest.raises(ZeroDivisionError):
            await anyio.to_thread.run_sync(divmod, 1, 0)
        return [results[number] for number in range(100)]

    assert same_on_asyncio(scenario) == [2 * number + 1 for number in range(100)]


def test_task_groups_and_cancel_scopes(same_on_asyncio: Comparison) -> None:
    """Code as one writes it for Trio: nurseries, shields, memory channels."""

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        send, receive = anyio.create_memory_object_stream[int](3)

        async def produce() -> None:
            async with send:
                for number in range(10):
                    await send.send(number)

        async with anyio.create_task_group() as group, receive:
            group.start_soon(produce)
            seen.append([number async for number in receive])

        async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
            task_status.started("ready")
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.001)
                    seen.append("cleaned up")

        async with anyio.create_task_group() as group:
            seen.append(await group.start(serve))
            group.cancel_scope.cancel()
        with anyio.move_on_after(10) as outer:
            with anyio.move_on_after(0.001) as inner:
                await anyio.sleep_forever()
            seen.append((inner.cancelled_caught, outer.cancelled_caught))
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.001):
                await anyio.sleep_forever()

        async def fail() -> None:
            raise ZeroDivisionError

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(fail)
                await anyio.sleep_forever()
        except BaseException as error:
            seen.append([type(each).__name__ for each in getattr(error, "exceptions", ())])
        return seen

    assert same_on_asyncio(scenario) == [
        list(range(10)),
        "ready",
        "cleaned up",
        (True, False),
        ["ZeroDivisionError"],
    ]
