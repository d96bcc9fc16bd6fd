"""What several ways to connect and to listen do with a socket of their own."""

from __future__ import annotations

import socket


def make_socket(family: int, kind: int, proto: int = 0) -> socket.socket:
    """A socket that does not block."""
    # One system call less than to say so afterwards. But what a program has put in the place of the
    # class, as PySocks does, may refuse flags.
    if socket.socket.__module__ == "socket":
        return socket.socket(family, kind | socket.SOCK_NONBLOCK, proto)
    sock = socket.socket(family, kind, proto)
    sock.setblocking(False)
    return sock


def set_reuse_port(sock: socket.socket) -> None:
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("reuse_port not supported by socket module")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        raise ValueError(
            "reuse_port not supported by socket module, SO_REUSEPORT defined but not implemented."
        ) from None
