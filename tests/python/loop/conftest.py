"""Fixtures of the loop tests."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.python.loop.support import socket_pair
from tests.python.loop.transport_support import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def native_only(native: None) -> None:
    """These tests construct the native type, so asyncio's own loop cannot run them."""


@pytest.fixture(params=["unix", "tcp"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours, non-blocking, and the peer's, blocking with a timeout."""
    if request.param == "unix":
        ours, peer = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ours.setblocking(False)
    peer.settimeout(TIMEOUT)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    yield ours, peer
    ours.close()
    peer.close()


@pytest.fixture
def tcp_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets, both non-blocking."""
    with socket_pair() as sockets:
        yield sockets
