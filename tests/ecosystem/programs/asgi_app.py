"""The ASGI application that gunicorn and Hypercorn serve from the command line.

Standard library only, but for the loop. What it was imported with is read from the file that
`ECOSYSTEM_EDITION` names, so that a test sees whether a reload has imported it again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Receive = Callable[[], Awaitable[dict[str, Any]]]

EDITION = Path(os.environ["ECOSYSTEM_EDITION"]).read_text()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    start = {"type": "http.response.start", "status": 200, "headers": []}
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    backend = getattr(asyncio.get_running_loop(), "backend", None)
    identity = {"pid": os.getpid(), "edition": EDITION, "loop": loop, "backend": backend}
    if scope["path"] == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    await send(start)
    body = json.dumps(identity).encode() + b"\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if scope["path"] == "/slow":
        # Until the one who asks sends the rest of its body: it decides how long this takes.
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.body", "body": b"done"})


async def lifespan(receive: Receive, send: Send) -> None:
    for event in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{event}"
        print(f"lifespan {event} of {EDITION}", flush=True)
        await send({"type": f"lifespan.{event}.complete"})
