#!/usr/bin/env python3
"""TLS handshakes: how many a second, what an idle connection takes, and whether any of it stays.

Each loop has a process of its own with both ends in it. Handshakes are made one after the other,
each connection then closed by both; memory is looked at after a quarter of them and at the end, so
that what caches and allocators keep has been kept by then. Then `--idle` connections stay open.

    python benchmarks/handshakes.py --count 100000
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

from demo.arms import memory_kb, usable_loops
from demo.loops import loop_factory
from rich.console import Console
from rich.table import Table
from workloads.tls import contexts

Figures = dict[str, float]


class Peer(asyncio.Protocol):
    """Both ends: nothing but the connection counts."""

    def __init__(self) -> None:
        self.made = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.made.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)


def memory() -> int:
    gc.collect()
    return memory_kb(os.getpid(), "VmRSS") * 1024


async def run(count: int, idle: int) -> Figures:
    loop = asyncio.get_running_loop()
    server_context, client_context = contexts()
    accepted: list[Peer] = []

    def accept() -> Peer:
        accepted.append(Peer())
        return accepted[-1]

    server = await loop.create_server(accept, "127.0.0.1", 0, ssl=server_context)
    port = server.sockets[0].getsockname()[1]

    async def connect() -> Peer:
        _, peer = await loop.create_connection(
            Peer, "127.0.0.1", port, ssl=client_context, server_hostname="localhost"
        )
        return peer

    async def handshakes(times: int) -> None:
        for _ in range(times):
            peer = await connect()
            peer.transport.close()
            await peer.lost
            await accepted.pop().lost

    await handshakes(count // 4)
    before = memory()
    start = time.perf_counter()
    await handshakes(count - count // 4)
    seconds = time.perf_counter() - start
    figures = {
        "per_second": (count - count // 4) / seconds,
        "kept_bytes": (memory() - before) / (count - count // 4),
    }
    before = memory()
    peers = [await connect() for _ in range(idle)]
    figures["idle_bytes"] = (memory() - before) / idle
    for peer in [*peers, *accepted]:
        await peer.made
    for peer in [*peers, *accepted]:
        peer.transport.abort()
        await peer.lost
    server.close()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000, help="handshakes")
    parser.add_argument("--idle", type=int, default=500, help="connections that stay open")
    parser.add_argument("--loops", help="comma-separated (default: all that have TLS)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count < 4 or args.idle < 1:
        parser.error("at least four handshakes and one idle connection")
    if args.only:
        loop = loop_factory(args.only)()
        print(json.dumps(loop.run_until_complete(run(args.count, args.idle))))
        loop.close()
        return 0
    console = Console(width=None if sys.stdout.isatty() else 120)
    # rloop has no TLS.
    names = [name for name in usable_loops(console) if name != "rloop"]
    table = Table(
        title=f"TLS, both ends: {args.count:,} handshakes, {args.idle:,} idle connections"
    )
    table.add_column("loop", no_wrap=True)
    for title in ("handshakes/s", "bytes kept per handshake", "KiB per idle connection"):
        table.add_column(title, justify="right")
    results = {}
    for name in args.loops.split(",") if args.loops else names:
        done = subprocess.run(
            [
                *(sys.executable, __file__, "--only", name),
                *("--count", str(args.count), "--idle", str(args.idle)),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        figures: Figures = json.loads(done.stdout)
        results[name] = figures
        table.add_row(
            name,
            f"{figures['per_second']:,.0f}",
            f"{figures['kept_bytes']:.1f}",
            f"{figures['idle_bytes'] / 1024:.0f}",
            style="bold green" if name.startswith("blitzio") else None,
        )
    console.print(table)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
