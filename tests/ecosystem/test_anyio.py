"""AnyIO: streams of every kind, processes, threads, task groups and cancel scopes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
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
    from collections.abc import Awaitable, Callable
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


async def outcome_of(operation: Callable[[], Awaitable[Any]]) -> Any:
    """What it returns, or the classes of what it raises and of its causes."""
    try:
        return await operation()
    except Exception as exc:
        names = []
        cause: BaseException | None = exc
        while cause is not None:
            names.append(type(cause).__name__)
            cause = cause.__cause__
        return names


async def closed_under(
    waiting: Callable[[], Awaitable[Any]], close: Callable[[], Awaitable[Any]]
) -> Any:
    """What an operation that waits comes to when its stream is closed."""
    seen: list[Any] = []

    async def wait() -> None:
        seen.append(await outcome_of(waiting))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await close()
    return seen[0]


async def send_for_ever(stream: Any) -> None:
    while True:
        await stream.send(bytes(100_000))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_streams_over_closed_descriptors(
    same_on_asyncio: Comparison, kind: str, tmp_path: Path
) -> None:
    async def scenario() -> dict[str, Any]:
        path = tmp_path / "socket"
        seen: dict[str, Any] = {}

        async def pair() -> tuple[Any, Any]:
            path.unlink(missing_ok=True)
            listener: Any = (
                await anyio.create_unix_listener(path)
                if kind == "unix"
                else await anyio.create_tcp_listener(local_host=HOST, local_port=0)
            )
            if kind == "tcp":
                [listener] = listener.listeners
            async with listener:
                client: Any = (
                    await anyio.connect_unix(path)
                    if kind == "unix"
                    else await anyio.connect_tcp(
                        HOST, listener.extra(anyio.abc.SocketAttribute.local_port)
                    )
                )
                server = await listener.accept()
            seen["accept, closed"] = await outcome_of(listener.accept)
            return client, server

        with anyio.fail_after(PATIENCE):
            client, server = await pair()
            seen["receive under close"] = await closed_under(client.receive, client.aclose)
            seen["receive, closed"] = await outcome_of(client.receive)
            seen["send, closed"] = await outcome_of(partial(client.send, b"late"))
            seen["end, closed"] = await outcome_of(client.send_eof)
            seen["receive, peer closed"] = await outcome_of(server.receive)
            seen["send, peer closed"] = await outcome_of(partial(send_for_ever, server))
            await server.aclose()

            client, server = await pair()
            await client.send_eof()
            seen["send after the end"] = await outcome_of(partial(client.send, b"late"))
            seen["receive, peer ended"] = await outcome_of(server.receive)
            seen["receive under peer's close"] = await closed_under(client.receive, server.aclose)
            await client.aclose()

            if kind == "unix":  # AnyIO's TCP streams forget a sender that waits.
                client, server = await pair()
                blocked = partial(send_for_ever, client)
                seen["send under close"] = await closed_under(blocked, client.aclose)
                await server.aclose()
                client, server = await pair()
                blocked = partial(send_for_ever, server)
                seen["send under peer's close"] = await closed_under(blocked, client.aclose)
                await server.aclose()
        return seen

    seen = same_on_asyncio(scenario)
    for name, outcome in seen.items():
        if "close" in name and "peer" not in name and name != "end, closed":
            assert outcome[0] == "ClosedResourceError", name
    assert seen["send, peer closed"][0] == "BrokenResourceError"


@pytest.mark.parametrize("kind", ["udp", "unix datagrams"])
def test_datagrams_over_closed_descriptors(
    same_on_asyncio: Comparison, kind: str, tmp_path: Path
) -> None:
    async def scenario() -> dict[str, Any]:
        path = tmp_path / "socket"
        path.unlink(missing_ok=True)
        seen: dict[str, Any] = {}
        for connected in (False, True):
            with anyio.fail_after(PATIENCE):
                endpoint: Any
                item: Any
                if kind == "udp":
                    peer: Any = await anyio.create_udp_socket(local_host=HOST)
                    address = (HOST, peer.extra(anyio.abc.SocketAttribute.local_port))
                    endpoint = (
                        await anyio.create_connected_udp_socket(*address)
                        if connected
                        else await anyio.create_udp_socket(local_host=HOST)
                    )
                    item = b"late" if connected else (b"late", address)
                else:
                    path.unlink(missing_ok=True)
                    peer = await anyio.create_unix_datagram_socket(local_path=path)
                    endpoint = (
                        await anyio.create_connected_unix_datagram_socket(path)
                        if connected
                        else await anyio.create_unix_datagram_socket()
                    )
                    item = b"late" if connected else (b"late", str(path))
                prefix = "connected, " if connected else ""
                seen[prefix + "receive under close"] = await closed_under(
                    endpoint.receive, endpoint.aclose
                )
                seen[prefix + "receive, closed"] = await outcome_of(endpoint.receive)
                seen[prefix + "send, closed"] = await outcome_of(partial(endpoint.send, item))
                await peer.aclose()
        return seen

    seen = same_on_asyncio(scenario)
    assert {classes[0] for classes in seen.values()} == {"ClosedResourceError"}


def test_waiting_for_sockets_that_are_closed(same_on_asyncio: Comparison) -> None:
    """wait_readable() and its like, which anyio tells of a close by notify_closing()."""

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        with anyio.fail_after(PATIENCE):
            for wait in (anyio.wait_readable, anyio.wait_writable):
                ours, peer = socket.socketpair()
                with ours, peer:
                    ours.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while wait is anyio.wait_writable:
                            ours.send(bytes(100_000))

                    async def close(ours: socket.socket = ours) -> None:
                        anyio.notify_closing(ours)
                        ours.close()

                    seen.append(await closed_under(partial(wait, ours), close))
                    seen.append(await outcome_of(partial(wait, ours)))
                    peer.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while peer.recv(1 << 20):
                            pass
                    # Nothing of the loop's keeps the file: the peer sees its end.
                    seen.append(await outcome_of(partial(anyio.wait_readable, peer)))
                    seen.append(peer.recv(1))
        return seen

    seen = same_on_asyncio(scenario)
    assert seen[0] == ["ClosedResourceError"]
    assert seen[3] == b""


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
