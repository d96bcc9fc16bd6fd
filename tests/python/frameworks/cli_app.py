"""The application that test_uvicorn.py serves from the command line; standard library only."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{event}"
            print(f"lifespan {event}", flush=True)
            await send({"type": f"lifespan.{event}.complete"})
        return
    loop = asyncio.get_running_loop()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    # Two pieces: whoever has the first one knows that its request is being served.
    backend = getattr(loop, "backend", "asyncio").encode()
    await send({"type": "http.response.body", "body": backend, "more_body": True})
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    await send({"type": "http.response.body", "body": b" done"})
