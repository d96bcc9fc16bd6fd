"""The loop's methods on plain sockets, and numeric name look-ups."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from workloads import Bench, workload

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Connected, and non-blocking as the loop wants them."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        yield near, far


@workload("sock_echo", "sock_recv and sock_sendall", "round trip", 3_000)
async def sock_echo(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    payload = b"x" * 1024
    with socket_pair() as (near, far):

        async def serve() -> None:
            while data := await loop.sock_recv(far, 65536):
                await loop.sock_sendall(far, data)

        server = loop.create_task(serve())
        with bench.timed():
            for _ in range(bench.ops):
                await loop.sock_sendall(near, payload)
                await loop.sock_recv(near, 65536)
        near.shutdown(socket.SHUT_WR)
        await server


@workload("reader", "add_reader, a callback that stays", "callback", 6_000)
async def reader(bench: Bench) -> None:
    """As libraries do that bring sockets of their own; the callback receives and sends."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = bench.ops
    with socket_pair() as (near, far):

        def on_readable() -> None:
            nonlocal left
            near.recv(64)
            left -= 1
            if left == 0:
                done.set_result(None)
            else:
                far.send(b"x")

        loop.add_reader(near.fileno(), on_readable)
        with bench.timed():
            far.send(b"x")
            await done
        loop.remove_reader(near.fileno())


@workload("getaddrinfo", "numeric getaddrinfo", "look-up", 300)
async def getaddrinfo(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    with bench.timed():
        for _ in range(bench.ops):
            await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
