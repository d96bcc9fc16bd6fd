"""A FastAPI application served by uvicorn on blitzio.

In production there is nothing to write: `uvicorn --loop blitzio:new_event_loop module:app`, or
`python -m blitzio -m uvicorn --loop none module:app`.
"""

import asyncio
import socket

import httpx
import uvicorn
from fastapi import FastAPI

import blitzio

app = FastAPI()


@app.get("/items/{item_id}")
async def item(item_id: int) -> dict[str, int | str]:
    return {"id": item_id, "loop": type(asyncio.get_running_loop()).__name__}


async def main() -> None:
    # A socket of our own, so that the port is known and free.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        host, port = listener.getsockname()
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
            print((await client.get("/items/7")).json())
        server.should_exit = True
        await serving


blitzio.run(main())
