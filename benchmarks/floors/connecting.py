"""Floors of connections that live for one request: the workload's protocols and its task, on the
system calls of bare_connect.cpp and bare_end.cpp."""

from __future__ import annotations

import asyncio
import functools
import select
import time
from typing import TYPE_CHECKING, Any

from workloads.connections import OneShotServer
from workloads.transports import EchoClient

from floors.loop import make_loop

if TYPE_CHECKING:
    from collections.abc import Callable


def floors(bare_loop: Any, bare_end: Any, bare_connect: Any) -> dict[str, Callable[[int], float]]:
    """As those of floors.tasks."""
    return {"connect_close": functools.partial(connect_close, bare_loop, bare_end, bare_connect)}


def asked_floors(
    bare_loop: Any, bare_end: Any, bare_connect: Any
) -> dict[str, Callable[[int], float]]:
    """By a loop that asks epoll whether a connection was made, and whether something came."""

    def connect_close_asking(ops: int) -> float:
        with select.epoll() as epoll_set:
            return connect_close(bare_loop, bare_end, bare_connect, ops, epoll_set.fileno())

    return {"connect_close": connect_close_asking}


def connect_close(
    bare_loop: Any, bare_end: Any, bare_connect: Any, ops: int, epoll: int = -1
) -> float:
    loop = make_loop(bare_loop)
    listener = bare_connect.Listener(epoll)
    payload = b"x" * 128
    connected: asyncio.Future[EchoClient] = loop.create_future()

    def make_client() -> EchoClient:
        return EchoClient(payload, 1)

    async def ask() -> None:
        nonlocal connected
        for _ in range(ops):
            connected = loop.create_future()
            client = await connected
            client.start()
            await client.done
            client.transport.close()

    asyncio._set_running_loop(loop)
    try:
        task = loop.create_task(ask())
        started = time.perf_counter()
        for _ in range(ops):
            loop.run()  # Until the task waits for a connection.
            client_end = bare_end.End(listener.connect(), epoll)
            server_end = bare_end.End(listener.accept(), epoll)
            server, client = OneShotServer(), make_client()
            server.connection_made(server_end)
            client.connection_made(client_end)
            connected.set_result(client)
            loop.run()  # It has asked.
            server_end.deliver(server.data_received)
            server.connection_lost(None)
            client_end.deliver(client.data_received)
            loop.run()  # It has closed.
            client.connection_lost(None)
        seconds = time.perf_counter() - started
        task.result()
    finally:
        asyncio._set_running_loop(None)
    return seconds
