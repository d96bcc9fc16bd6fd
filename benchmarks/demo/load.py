"""HTTP load: `wrk` where it is installed, else a generator of our own that checks every answer.

Our own runs as `python -m demo.load PORT CONNECTIONS SECONDS` in a process of its own, on plain
sockets and epoll, and prints its figures as JSON. It costs more than wrk, so servers look slower.
"""

from __future__ import annotations

import json
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Figures:
    """Of one burst of load. Latencies in milliseconds."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float


class LoadError(RuntimeError):
    """The server answered wrongly, or not at all."""


def generator_name() -> str:
    return "wrk" if shutil.which("wrk") else "the built-in generator"


def run_load(port: int, connections: int, seconds: float, cpu: int | None) -> Figures:
    """Bombards the server from another process, pinned to `cpu` if given.

    Raises:
        LoadError: an answer other than 200, or no connection.
    """
    pin = ["taskset", "-c", str(cpu)] if cpu is not None and shutil.which("taskset") else []
    wrk = shutil.which("wrk")
    if wrk is None:
        own = [sys.executable, "-m", "demo.load", str(port), str(connections), str(seconds)]
        return Figures(**json.loads(_run([*pin, *own], seconds)))
    whole = max(1, round(seconds))
    command = [wrk, "--latency", "-t1", f"-c{connections}", f"-d{whole}s"]
    return parse_wrk(_run([*pin, *command, f"http://127.0.0.1:{port}/"], whole))


def _run(command: list[str], seconds: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode != 0:
        raise LoadError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def parse_wrk(text: str) -> Figures:
    """Reads what `wrk --latency` prints."""
    trouble = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors:.*", text)
    if trouble:
        raise LoadError(f"the server answered badly: {trouble.group()}")

    def latency(percent: int) -> float:
        found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
        if found is None:
            raise LoadError(f"wrk printed no {percent}th percentile:\n{text}")
        return float(found[1]) * UNITS_MS[found[2]]

    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    count = re.search(r"(\d+) requests in", text)
    if rate is None or count is None:
        raise LoadError(f"wrk printed no rate:\n{text}")
    return Figures(int(count[1]), float(rate[1]), latency(50), latency(99))


class Connection:
    """One keep-alive connection with one request in flight."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sent_at = 0.0

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(REQUEST)

    def receive(self) -> bool:
        """True when the answer is complete."""
        data = self.socket.recv(65536)
        if not data:
            raise LoadError("the server closed a keep-alive connection")
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return False
        if not head.startswith(b"HTTP/1.1 200 "):
            raise LoadError(f"the server answered {head[:80]!r}")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if length is None:
            raise LoadError(f"an answer without content-length: {head!r}")
        if len(body) < int(length[1]):
            return False
        self.buffer = b""
        return True


def generate(port: int, connections: int, seconds: float) -> Figures:
    poller = select.epoll()
    clients: dict[int, Connection] = {}
    for _ in range(connections):
        client = Connection(port)
        clients[client.socket.fileno()] = client
        poller.register(client.socket.fileno(), select.EPOLLIN)
    latencies: list[float] = []
    start = time.perf_counter()
    for client in clients.values():
        client.send()
    while (now := time.perf_counter()) - start < seconds:
        for fd, _events in poller.poll(1.0):
            client = clients[fd]
            if client.receive():
                latencies.append(time.perf_counter() - client.sent_at)
                client.send()
    elapsed = now - start
    for client in clients.values():
        client.socket.close()
    if len(latencies) < 2:
        raise LoadError("the server answered nothing")
    cuts = statistics.quantiles(latencies, n=100)
    return Figures(len(latencies), len(latencies) / elapsed, cuts[49] * 1e3, cuts[98] * 1e3)


def main() -> int:
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    try:
        figures = generate(port, connections, seconds)
    except (LoadError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(figures.__dict__))
    return 0


if __name__ == "__main__":
    sys.exit(main())
