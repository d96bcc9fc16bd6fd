"""Many echo clients in a process of their own: `python clients.py PORT CONNECTIONS ROUNDS`.

Plain blocking sockets: only the server's loop is under test. All connections are open before the
first byte is sent, and each round sends on all of them before it reads from any.
"""

from __future__ import annotations

import resource
import socket
import sys


def message(connection: int, round_number: int) -> bytes:
    """64 bytes that no other connection sends and no other round."""
    return f"connection {connection} round {round_number}".encode().ljust(64, b".")


def receive(sock: socket.socket, size: int) -> bytes:
    data = sock.recv(size)
    while 0 < len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def main() -> None:
    port, count, rounds = map(int, sys.argv[1:4])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    socks = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(count)]
    for round_number in range(rounds):
        for number, sock in enumerate(socks):
            sock.sendall(message(number, round_number))
        for number, sock in enumerate(socks):
            expected = message(number, round_number)
            answer = receive(sock, len(expected))
            if answer != expected:
                sys.exit(f"connection {number} got {answer!r} in round {round_number}")
    for sock in socks:
        sock.shutdown(socket.SHUT_WR)
    for number, sock in enumerate(socks):
        if sock.recv(1):
            sys.exit(f"connection {number} got more than it sent")
        sock.close()


if __name__ == "__main__":
    main()
