"""The FastAPI application that test_uvicorn.py serves.

A module of its own: FastAPI reads annotations when a route is made, so they must be real objects.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

BLOCK = bytes(range(256)) * 256


class Item(BaseModel):
    name: str
    price: float = 1.5


def make_app() -> tuple[FastAPI, dict[str, Any]]:
    """A new application, and what it notes while it runs."""
    notes: dict[str, Any] = {"lifespan": []}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        notes["lifespan"].append("started")
        notes["background"] = asyncio.Event()
        yield
        notes["lifespan"].append("stopped")

    app = FastAPI(lifespan=lifespan)

    @app.get("/loop")
    async def loop() -> dict[str, str]:
        running = asyncio.get_running_loop()
        return {"backend": getattr(running, "backend", "asyncio")}

    @app.get("/items/{item_id}")
    async def item(item_id: int, detail: bool = False) -> dict[str, Any]:
        if item_id == 404:
            raise HTTPException(404, "no such item")
        return {"id": item_id, "detail": detail}

    @app.post("/items", status_code=201)
    async def create(item: Item) -> Item:
        return item

    @app.get("/thread")
    def thread() -> dict[str, bool]:
        """Not async: FastAPI runs it in a thread of anyio's."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return {"in_a_thread": True}
        return {"in_a_thread": False}

    @app.post("/background")
    async def background(tasks: BackgroundTasks) -> dict[str, str]:
        async def work() -> None:
            # Async: what is not runs in a thread, and an Event belongs to the loop's.
            notes["background"].set()

        tasks.add_task(work)
        return {"state": "accepted"}

    @app.get("/stream/{count}")
    async def stream(count: int) -> StreamingResponse:
        async def blocks() -> AsyncIterator[bytes]:
            for number in range(count):
                yield BLOCK
                if number % 100 == 99:
                    await asyncio.sleep(0)  # A reader that has left is noticed between turns.

        return StreamingResponse(blocks())

    @app.post("/measure")
    async def measure(request: Request) -> dict[str, Any]:
        hasher = hashlib.sha256()
        size = 0
        async for block in request.stream():
            hasher.update(block)
            size += len(block)
        return {"size": size, "digest": hasher.hexdigest()}

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text.upper())
        notes["socket"] = "closed"

    return app, notes
