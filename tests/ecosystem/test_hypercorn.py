"""Hypercorn: HTTP/1.1, HTTP/2 and websockets within our loop, and as a program of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import httpx
import hypercorn.asyncio
import hypercorn.config
import pytest
import websockets.asyncio.client
import websockets.exceptions

from tests.ecosystem.processes import child_environment, program
from tests.python.frameworks.support import digest, listening_socket, payload
from tests.python.loop.support import CERTIFICATE, HOST, KEY, PATIENCE, client_context, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.ecosystem.conftest import ChildComparison, Comparison

    Receive = Callable[[], Awaitable[Any]]
    Send = Callable[[Any], Awaitable[None]]

LARGE = payload(1_000_000)


async def application(scope: Any, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{event}"
            await send({"type": f"lifespan.{event}.complete"})
    elif scope["type"] == "websocket":
        await echo_websocket(receive, send)
    elif scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for start in range(0, len(LARGE), 50_000):
            block = LARGE[start : start + 50_000]
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        body = bytearray()
        while (event := await receive())["type"] == "http.request":
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        answer = {
            "version": scope["http_version"],
            "path": scope["path"],
            "body": digest(bytes(body)),
        }
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def echo_websocket(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "leave":
            await send({"type": "websocket.close", "code": 4002})
        elif event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"].upper()})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"][::-1]})


@contextlib.asynccontextmanager
async def serving(folder: Path, *, encrypted: bool = False) -> AsyncIterator[str]:
    """Serves on the running loop; gives the host and port."""
    config = hypercorn.config.Config()
    config.errorlog = None
    if encrypted:
        (folder / "server.crt").write_text(CERTIFICATE)
        (folder / "server.key").write_text(KEY)
        config.certfile, config.keyfile = str(folder / "server.crt"), str(folder / "server.key")
    listener = listening_socket()
    host = f"{HOST}:{listener.getsockname()[1]}"
    # The server takes the descriptor over, and closes it.
    config.bind = [f"fd://{listener.detach()}"]
    stop = asyncio.Event()
    serve = hypercorn.asyncio.serve(application, config, shutdown_trigger=stop.wait, mode="asgi")
    serving = asyncio.ensure_future(serve)
    try:
        yield host
    finally:
        stop.set()
        await soon(serving)


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_requests(
    same_on_asyncio: Comparison, version: str, encrypted: bool, tmp_path: Path
) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        limits = httpx.Limits(max_connections=5)
        async with (
            serving(tmp_path, encrypted=encrypted) as host,
            httpx.AsyncClient(
                base_url=f"http{'s' if encrypted else ''}://{host}",
                verify=client_context(),
                http1=version == "HTTP/1.1",
                http2=version == "HTTP/2",
                limits=limits,
                timeout=PATIENCE,
                trust_env=False,
            ) as client,
        ):
            answers = await asyncio.gather(*(client.get(f"/number/{n}") for n in range(50)))
            seen.append({answer.http_version for answer in answers})
            seen.append([answer.json()["path"] for answer in answers])
            seen.append((await client.post("/", content=LARGE)).json()["body"])
            seen.append(digest((await client.get("/large")).content))
            async with client.stream("GET", "/large") as response:
                async for _ in response.aiter_bytes(10_000):
                    break  # Leaves most of it unread.
            seen.append((await client.get("/after")).json()["version"])
        return seen

    assert same_on_asyncio(scenario) == [
        {version},
        [f"/number/{n}" for n in range(50)],
        digest(LARGE),
        digest(LARGE),
        version.removeprefix("HTTP/"),
    ]


def test_a_websocket(same_on_asyncio: Comparison, tmp_path: Path) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with (
            serving(tmp_path) as host,
            websockets.asyncio.client.connect(
                f"ws://{host}/socket", max_size=None, proxy=None
            ) as socket,
        ):
            for n in range(100):
                await socket.send(f"message {n}")
                seen.append(await socket.recv())
            await socket.send(LARGE)
            answer = await socket.recv()
            assert isinstance(answer, bytes)
            seen.append(digest(answer))
            await socket.send("leave")
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                await soon(socket.recv())
            seen.append(socket.close_code)
        return seen

    expected = [*(f"MESSAGE {n}" for n in range(100)), digest(LARGE[::-1]), 4002]
    assert same_on_asyncio(scenario) == expected


def test_the_program_under_our_command_line(
    same_in_children: ChildComparison, tmp_path: Path
) -> None:
    def scenario(backend: str) -> list[Any]:
        (tmp_path / "edition").write_text("only")
        environment = child_environment(backend, ECOSYSTEM_EDITION=str(tmp_path / "edition"))
        before = [] if backend == "asyncio" else ["-m", "blitzio"]
        # Without workers it serves in its own process, where `python -m blitzio` chose the loop.
        words = ["-m", "hypercorn", "--workers", "0", "--bind", f"{HOST}:0", "asgi_app:app"]
        with program([sys.executable, *before, *words], env=environment, cwd=tmp_path) as running:
            found = running.wait_for(rf"Running on http://{HOST}:(\d+)")
            with httpx.Client(base_url=f"http://{HOST}:{found[0].group(1)}", trust_env=False) as c:
                identity = json.loads(c.get("/").text.splitlines()[0])
            code, output = running.stop(signal.SIGTERM)
            assert "Traceback" not in output, output
            assert (identity["loop"], identity["backend"]) == (
                ("asyncio", None) if backend == "asyncio" else ("blitzio", backend)
            )
            return [identity["edition"], code, "lifespan shutdown of only" in output]

    assert same_in_children(scenario) == ["only", 0, True]
