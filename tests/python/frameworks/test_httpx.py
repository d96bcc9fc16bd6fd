"""httpx's AsyncClient, and with it anyio, against a server on the same loop."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.frameworks.support import aiohttp_server, digest, payload
from tests.python.loop.support import client_context, server_context, soon, unused_port

pytest.importorskip("httpx", reason="httpx is not there for this interpreter")
pytest.importorskip("aiohttp", reason="aiohttp is not there for this interpreter")

import httpx
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DATA = payload(4_000_000)


async def describe(request: web.Request) -> web.Response:
    assert request.transport is not None
    port = request.transport.get_extra_info("peername")[1]
    body = await request.read()
    return web.json_response({"method": request.method, "port": port, "digest": digest(body)})


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for start in range(0, len(DATA), 300_000):
        await response.write(DATA[start : start + 300_000])
    return response


async def stuck(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def redirect(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/describe")


def application() -> web.Application:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/describe", describe)
    app.add_routes([web.get("/stream", stream), web.get("/stuck", stuck)])
    app.add_routes([web.get("/redirect", redirect)])
    return app


def run(loop: asyncio.AbstractEventLoop, scenario: Any, **options: Any) -> None:
    """Runs `scenario(client)`; the client's options are `options`."""

    async def main() -> None:
        # Handlers that wait for ever end with the server, at once.
        async with (
            aiohttp_server(application(), shutdown_timeout=0.01) as url,
            httpx.AsyncClient(base_url=url, timeout=30, **options) as client,
        ):
            await scenario(client)

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_methods_bodies_and_keep_alive(loop: asyncio.AbstractEventLoop) -> None:
    async def scenario(client: Any) -> None:
        ports = set()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            body = b"" if method == "GET" else payload(100_000)
            answer = (await client.request(method, "/describe", content=body)).json()
            assert answer["method"] == method
            assert answer["digest"] == digest(body)
            ports.add(answer["port"])
        assert len(ports) == 1

    run(loop, scenario)


def test_a_redirect_is_followed(loop: asyncio.AbstractEventLoop) -> None:
    async def scenario(client: Any) -> None:
        answer = await client.get("/redirect")
        assert answer.json()["method"] == "GET"
        assert len(answer.history) == 1

    run(loop, scenario, follow_redirects=True)


def test_streaming_both_ways(loop: asyncio.AbstractEventLoop) -> None:
    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(DATA), 65_000):
            yield DATA[start : start + 65_000]

    async def scenario(client: Any) -> None:
        answer = await client.post("/describe", content=blocks())
        assert answer.json()["digest"] == digest(DATA)
        hasher = hashlib.sha256()
        async with client.stream("GET", "/stream") as response:
            async for block in response.aiter_bytes():
                hasher.update(block)
        assert hasher.hexdigest() == digest(DATA)

    run(loop, scenario)


def test_many_requests_through_a_small_pool(loop: asyncio.AbstractEventLoop) -> None:
    async def scenario(client: Any) -> None:
        answers = await asyncio.gather(*(client.get("/describe") for _ in range(100)))
        assert len({answer.json()["port"] for answer in answers}) == 10

    run(loop, scenario, limits=httpx.Limits(max_connections=10, max_keepalive_connections=10))


def test_timeouts(loop: asyncio.AbstractEventLoop) -> None:
    async def scenario(client: Any) -> None:
        with pytest.raises(httpx.ReadTimeout):
            # For reading alone: on a busy machine connecting takes longer.
            await client.get("/stuck", timeout=httpx.Timeout(30, read=0.05))
        # The connection that timed out is not used again.
        assert (await client.get("/describe")).status_code == 200

    run(loop, scenario)


def test_cancelling_a_request(loop: asyncio.AbstractEventLoop) -> None:
    async def scenario(client: Any) -> None:
        asking = asyncio.ensure_future(client.get("/stuck"))
        assert (await client.get("/describe")).status_code == 200
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await client.get("/describe")).status_code == 200

    run(loop, scenario)


def test_a_refused_connection(loop: asyncio.AbstractEventLoop) -> None:
    async def scenario(client: Any) -> None:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{unused_port()}/")

    run(loop, scenario)


@pytest.mark.smoke
def test_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            aiohttp_server(application(), ssl_context=server_context(tmp_path)) as url,
            httpx.AsyncClient(base_url=url, verify=client_context(), timeout=30) as client,
        ):
            answer = await soon(client.get("/stream"))
            assert digest(answer.content) == digest(DATA)
            answer = await soon(client.post("/describe", content=DATA))
            assert answer.json()["digest"] == digest(DATA)

    loop.run_until_complete(main())
