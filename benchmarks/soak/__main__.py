"""The soak: all kinds of work at once on one loop, with every byte accounted for.

`python -m soak --minutes 30 --backend io_uring --seed 7`, or through `./dev.py soak`. The seed is
printed; the same one gives the same work, in an order that the kernel chooses. `--loop asyncio`
runs it all on the standard library's loop: what fails there is a mistake of the soak.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from soak.certificate import client_context, server_context
from soak.ledger import Ledger, Verdict, Wrong
from soak.parts import PARTS
from soak.rests import Gate, sample, settled_sample
from soak.streams import client, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_ONCE_SECONDS = 180  # What one round may take on a busy machine; then it hangs.
_WRONG_MAX = 50
_RESTS = 60
_WORK_SECONDS_MIN = 1.0  # Between two rests.


class Soak:
    """One run on the running loop."""

    def __init__(self, seed: int, seconds: float, folder: Path, console: Console) -> None:
        self.ledger = Ledger()
        self.seed = seed
        self.folder = folder
        self.console = console
        self.gate = Gate()
        self.seconds = seconds
        self.started = self.deadline = 0.0  # When the work begins, and ends.
        self.absent: list[str] = []

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.deadline or len(self.ledger.wrong) >= _WRONG_MAX

    async def repeat(
        self,
        name: str,
        number: int,
        once: Callable[[Ledger, random.Random], Awaitable[None]],
        pause: float,
    ) -> None:
        rng = random.Random(f"{self.seed}-{name}-{number}")
        with self.gate.joined():
            while not self.is_over:
                await self.gate.passed()
                try:
                    await asyncio.wait_for(once(self.ledger, rng), _ONCE_SECONDS)
                except NotImplementedError:
                    self.absent.append(name)
                    return
                except asyncio.TimeoutError:
                    self.ledger.wrong.append(f"{name}: did not end in {_ONCE_SECONDS} s")
                except (Wrong, OSError, EOFError) as error:
                    self.ledger.wrong.append(f"{name}: {error!r}")
                await asyncio.sleep(pause * rng.random())

    async def run(self) -> list[Verdict]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.ledger.report(context))
        await loop.run_in_executor(None, int)  # The pool's own descriptors and threads are there.
        before = sample(0)
        path = str(self.folder / "socket")
        servers = [
            await serve(loop, False),
            await serve(loop, True),
            await serve(loop, False, ssl=server_context(self.folder)),
        ]
        tcp, streams, tls = (server.sockets[0].getsockname()[1] for server in servers)
        name: dict[str, Any] = {"ssl": client_context(), "server_hostname": "localhost"}
        connects: dict[str, Callable[[], Awaitable[Any]]] = {
            "tcp": lambda: asyncio.open_connection("127.0.0.1", tcp),
            "streams": lambda: asyncio.open_connection("127.0.0.1", streams),
            "tls": lambda: asyncio.open_connection("127.0.0.1", tls, **name),
        }
        try:
            servers.append(await serve(loop, False, path=path))
            connects["unix"] = lambda: asyncio.open_unix_connection(path)
        except NotImplementedError:
            self.absent.append("unix")
        peer = await self.start_peer({"tcp": tcp, "tls": tls})
        work = [
            self.repeat(kind, number, self.client(kind, connect), 0.01)
            for kind, connect in connects.items()
            for number in range(3)
        ]
        work += [
            self.repeat(part, number, once, pause)
            for part, once, count, pause in PARTS
            for number in range(count)
        ]
        # Not before: on a busy machine the servers and the peer take seconds to come.
        self.started = time.monotonic()
        self.deadline = self.started + self.seconds
        watching = asyncio.ensure_future(self.watch())
        resting = asyncio.ensure_future(self.rest(peer))
        await asyncio.gather(*work)
        await resting
        await self.end_peer(peer)
        await watching
        for server in servers:
            server.close()
            await server.wait_closed()
        return [*self.ledger.verdicts(), await self.nothing_left(before)]

    def client(
        self, kind: str, connect: Callable[[], Awaitable[Any]]
    ) -> Callable[[Ledger, random.Random], Awaitable[None]]:
        return lambda ledger, rng: client(kind, ledger, rng, connect)

    async def start_peer(self, settings: dict[str, Any]) -> Any:
        """A process of clients; without subprocesses on this loop, none."""
        pipe = asyncio.subprocess.PIPE
        try:
            peer = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "soak.peer"),
                stdin=pipe,
                stdout=pipe,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        except NotImplementedError:
            self.absent.append("clients in another process")
            return None
        assert peer.stdin is not None
        peer.stdin.write(json.dumps({"seed": self.seed, **settings}).encode() + b"\n")
        return peer

    async def end_peer(self, peer: Any) -> None:
        if peer is None:
            return
        out, _ = await asyncio.wait_for(peer.communicate(b""), _ONCE_SECONDS)
        if peer.returncode != 0:
            self.ledger.wrong.append(f"the process of clients ended with {peer.returncode}")
            return
        found = json.loads(out.splitlines()[-1])  # Before it: answers for which no rest waited.
        self.ledger.wrong += found["wrong"]
        for part, counts in found["counts"].items():
            self.ledger.add(part, **counts)

    async def rest(self, peer: Any) -> None:
        """Stops all work some sixty times, and takes the state of the process at rest."""
        every = max(_WORK_SECONDS_MIN, (self.deadline - self.started) / _RESTS)
        while time.monotonic() + every < self.deadline and not self.is_over:
            await asyncio.sleep(every)
            try:
                await asyncio.wait_for(self.rest_once(peer), _ONCE_SECONDS)
            except asyncio.TimeoutError:
                self.ledger.wrong.append(f"no rest in {_ONCE_SECONDS} s")

    async def rest_once(self, peer: Any) -> None:
        try:
            if peer is not None:
                peer.stdin.write(b"rest\n")
                await peer.stdout.readline()
            async with self.gate.closed():
                self.ledger.rests.append(await settled_sample(time.monotonic() - self.started))
        finally:
            if peer is not None:
                peer.stdin.write(b"go\n")

    async def watch(self) -> None:
        """Shows a line now and then."""
        every = 1.0 if self.console.is_terminal else 30.0
        while not self.is_over:
            await asyncio.sleep(min(every, max(0.0, self.deadline - time.monotonic())))
            self.show(time.monotonic())

    def show(self, now: float) -> None:
        last = sample(now - self.started)
        total = sum(counts["bytes"] for counts in self.ledger.counts.values())
        text = (
            f"{now - self.started:6.0f} of {self.deadline - self.started:.0f} s  "
            f"{total / 1e6:9.1f} MB  {last.rss_kib / 1024:5.0f} MiB  {last.fds} fds  "
            f"{last.tasks} tasks  {last.threads} threads  {len(self.ledger.wrong)} wrong"
        )
        self.console.print(text, end="\r" if self.console.is_terminal else "\n", highlight=False)

    async def nothing_left(self, before: Any) -> Verdict:
        """When all has ended, nothing of it is left."""
        after = await settled_sample(0)
        text = f"fds {before.fds} → {after.fds}, tasks {before.tasks} → {after.tasks}"
        ok = after.fds <= before.fds + 2 and after.tasks <= before.tasks
        return Verdict("nothing left at the end", ok, text)


def loop_factory(options: argparse.Namespace) -> Callable[[], asyncio.AbstractEventLoop]:
    if options.loop == "asyncio":
        return asyncio.SelectorEventLoop
    if options.loop == "uvloop":
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
        return factory
    import blitzio

    config = blitzio.Config(backend=options.backend)
    return lambda: blitzio.new_event_loop(config)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev.py soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="default: %(default)s")
    parser.add_argument("--backend", choices=("auto", "io_uring", "epoll", "poll"), default="auto")
    parser.add_argument("--loop", choices=("blitzio", "asyncio", "uvloop"), default="blitzio")
    parser.add_argument("--seed", type=int, help="default: a random one, which is printed")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    console = Console()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    console.print(f"soak of {options.loop} ({options.backend}), seed {seed}", highlight=False)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        loop = loop_factory(options)()
        asyncio.set_event_loop(loop)
        soak = Soak(seed, options.minutes * 60, Path(name), console)
        try:
            verdicts = loop.run_until_complete(soak.run())
        finally:
            with contextlib.suppress(RuntimeError):
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.run_until_complete(loop.shutdown_default_executor())
            asyncio.set_event_loop(None)
            loop.close()
    show_verdicts(console, soak, verdicts)
    good = all(verdict.ok for verdict in verdicts)
    console.print("good" if good else f"BAD (seed {seed})")
    return 0 if good else 1


def show_verdicts(console: Console, soak: Soak, verdicts: list[Verdict]) -> None:
    work = Table("part", "what was done", title="work")
    for part, counts in sorted(soak.ledger.counts.items()):
        work.add_row(part, ", ".join(f"{count:,} {what}" for what, count in counts.items()))
    for part in sorted(set(soak.absent)):
        work.add_row(part, "not there on this loop")
    console.print(work)
    table = Table("", "verdict", "", title="verdict")
    for verdict in verdicts:
        table.add_row(verdict.what, "good" if verdict.ok else "BAD", verdict.text)
    console.print(table)
    if soak.ledger.expected:
        console.print(f"reported as expected: {dict(soak.ledger.expected)}")


if __name__ == "__main__":
    sys.exit(main())
