"""The soak's clients in a process of their own, on asyncio's loop: `python -m soak.peer`.

Standard input holds a line of JSON: the seed, the ports, the certificate. Ends when standard input
does, and prints its counts and what was wrong as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
import threading
from typing import Any

from soak.ledger import Ledger, Wrong
from soak.streams import client


async def main(settings: dict[str, Any]) -> Ledger:
    ledger = Ledger()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(settings["certificate"])
    stopping = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stopping.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()

    async def work(kind: str, number: int) -> None:
        rng = random.Random(f"{settings['seed']}-peer-{kind}-{number}")
        port = settings[kind]
        options: dict[str, Any] = (
            {"ssl": context, "server_hostname": "localhost"} if kind == "tls" else {}
        )
        while not stopping.is_set():
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
