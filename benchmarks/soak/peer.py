"""The soak's clients in a process of their own, on asyncio's loop: `python -m soak.peer`.

Standard input holds a line of JSON: the seed, the ports. "rest" has all clients end what they do,
answered by a line when they have; "go" has them go on. Ends when standard input does, and prints
its counts and what was wrong as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
from typing import Any

from soak.certificate import client_context
from soak.ledger import Ledger, Wrong
from soak.rests import Gate
from soak.streams import client


async def main(settings: dict[str, Any]) -> Ledger:
    ledger = Ledger()
    context = client_context()
    loop = asyncio.get_running_loop()
    stopping = threading.Event()
    going = asyncio.Event()
    gate = Gate()

    def listen() -> None:
        for line in sys.stdin:
            if line == "rest\n":
                asyncio.run_coroutine_threadsafe(rest(), loop)
            elif line == "go\n":
                loop.call_soon_threadsafe(going.set)
        stopping.set()
        loop.call_soon_threadsafe(going.set)

    async def rest() -> None:
        going.clear()
        async with gate.closed():
            print("resting", flush=True)
            await going.wait()

    threading.Thread(target=listen, daemon=True).start()

    async def work(kind: str, number: int) -> None:
        rng = random.Random(f"{settings['seed']}-peer-{kind}-{number}")
        port = settings[kind]
        options: dict[str, Any] = (
            {"ssl": context, "server_hostname": "localhost"} if kind == "tls" else {}
        )
        with gate.joined():
            while not stopping.is_set():
                await gate.passed()
                try:
                    await asyncio.wait_for(
                        client(
                            f"{kind} from a process",
                            ledger,
                            rng,
                            lambda: asyncio.open_connection("127.0.0.1", port, **options),
                        ),
                        120,
                    )
                except (Wrong, OSError, asyncio.TimeoutError) as error:
                    ledger.wrong.append(f"{kind} from a process: {error!r}")
                    await asyncio.sleep(0.1)
                await asyncio.sleep(0.01)

    await asyncio.gather(*(work(kind, number) for kind in ("tcp", "tls") for number in range(2)))
    return ledger


if __name__ == "__main__":
    found = asyncio.run(main(json.loads(sys.stdin.readline())))
    print(json.dumps({"counts": found.counts, "wrong": found.wrong}))
