"""uvicorn on our loop: FastAPI applications over h11 and httptools."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.frameworks.support import digest, payload, uvicorn_server
from tests.python.loop.support import CERTIFICATE, KEY, client_context, soon

pytest.importorskip("uvicorn", reason="uvicorn is not there for this interpreter")
pytest.importorskip("fastapi", reason="fastapi is not there for this interpreter")
pytest.importorskip("httpx", reason="httpx is not there for this interpreter")

import httpx

from tests.python.frameworks.fastapi_app import BLOCK, make_app

if TYPE_CHECKING:
    from pathlib import Path

    from tests.python.conftest import LoopFactory


@pytest.fixture(params=["h11", "httptools"])
def http(request: pytest.FixtureRequest) -> str:
    """uvicorn's HTTP implementation."""
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not there for this interpreter")
    return name


def run(loop: asyncio.AbstractEventLoop, http: str, scenario: Any, **options: Any) -> Any:
    """Runs `scenario(client, notes)` against the application; the notes."""
    app, notes = make_app()

    async def main() -> None:
        async with uvicorn_server(app, http=http, lifespan="on", **options) as url:
            verify = client_context() if url.startswith("https") else True
            async with httpx.AsyncClient(base_url=url, verify=verify, timeout=30) as client:
                await scenario(client, notes)

    loop.run_until_complete(main())
    return notes


@pytest.mark.smoke
def test_json_paths_queries_and_errors(
    loop: asyncio.AbstractEventLoop, http: str, backend: str
) -> None:
    async def scenario(client: Any, _notes: Any) -> None:
        assert (await client.get("/loop")).json() == {"backend": backend}
        assert (await client.get("/items/7?detail=1")).json() == {"id": 7, "detail": True}
        answer = await client.post("/items", json={"name": "bolt"})
        assert answer.status_code == 201
        assert answer.json() == {"name": "bolt", "price": 1.5}
        assert (await client.post("/items", json={"price": 2})).status_code == 422
        assert (await client.get("/items/404")).json() == {"detail": "no such item"}
        assert (await client.get("/items/x")).status_code == 422

    run(loop, http, scenario)


@pytest.mark.smoke
def test_the_lifespan_begins_and_ends(loop: asyncio.AbstractEventLoop, http: str) -> None:
    async def scenario(_client: Any, notes: Any) -> None:
        await soon(_client.get("/loop"))
        assert notes["lifespan"] == ["started"]

    assert run(loop, http, scenario)["lifespan"] == ["started", "stopped"]


def test_a_background_task_runs_after_the_answer(
    loop: asyncio.AbstractEventLoop, http: str
) -> None:
    async def scenario(client: Any, notes: Any) -> None:
        assert (await client.post("/background")).json() == {"state": "accepted"}
        await soon(notes["background"].wait())

    run(loop, http, scenario)


def test_a_function_that_is_not_async_runs_in_a_thread(
    loop: asyncio.AbstractEventLoop, http: str
) -> None:
    async def scenario(client: Any, _notes: Any) -> None:
        answers = await asyncio.gather(*(client.get("/thread") for _ in range(20)))
        assert [answer.json() for answer in answers] == [{"in_a_thread": True}] * 20

    run(loop, http, scenario)


@pytest.mark.smoke
def test_a_streaming_response_arrives_whole(loop: asyncio.AbstractEventLoop, http: str) -> None:
    async def scenario(client: Any, _notes: Any) -> None:
        hasher = hashlib.sha256()
        async with client.stream("GET", "/stream/100") as response:
            assert response.headers["transfer-encoding"] == "chunked"
            async for block in response.aiter_bytes():
                hasher.update(block)
        assert hasher.hexdigest() == digest(BLOCK * 100)

    run(loop, http, scenario)


def test_a_large_upload_arrives_whole(loop: asyncio.AbstractEventLoop, http: str) -> None:
    data = payload(5_000_000)

    async def scenario(client: Any, _notes: Any) -> None:
        answer = await client.post("/measure", content=data)
        assert answer.json() == {"size": len(data), "digest": digest(data)}

    run(loop, http, scenario)


def test_a_client_that_leaves_a_stream_disturbs_nobody(
    loop: asyncio.AbstractEventLoop, http: str
) -> None:
    async def scenario(client: Any, _notes: Any) -> None:
        async with client.stream("GET", "/stream/1000000") as response:
            async for _ in response.aiter_bytes():
                break
        assert (await client.get("/items/1")).status_code == 200

    run(loop, http, scenario)


def test_many_requests_over_many_connections(loop: asyncio.AbstractEventLoop, http: str) -> None:
    async def scenario(client: Any, _notes: Any) -> None:
        answers = await asyncio.gather(*(client.get(f"/items/{n}") for n in range(100)))
        ids = [answer.json().get("id") for answer in answers]
        assert ids == list(range(100))

    run(loop, http, scenario)


def test_pipelined_requests_are_answered_in_order(
    loop: asyncio.AbstractEventLoop, http: str
) -> None:
    app, _ = make_app()

    async def main() -> None:
        async with uvicorn_server(app, http=http, lifespan="on") as url:
            host, port = url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            for number in range(50):
                writer.write(f"GET /items/{number} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            for number in range(50):
                await soon(reader.readuntil(b"\r\n\r\n"))
                body = await soon(reader.readuntil(b"}"))
                assert body == b'{"id":%d,"detail":false}' % number
            writer.close()
            await writer.wait_closed()

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_tls(loop: asyncio.AbstractEventLoop, http: str, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    certificate.write_text(CERTIFICATE + KEY)

    async def scenario(client: Any, _notes: Any) -> None:
        assert (await client.get("/items/3")).json()["id"] == 3
        answer = await client.get("/stream/40")
        assert digest(answer.content) == digest(BLOCK * 40)

    run(loop, http, scenario, ssl_certfile=certificate)


@pytest.mark.smoke
def test_websockets(loop: asyncio.AbstractEventLoop) -> None:
    pytest.importorskip("websockets", reason="websockets is not there for this interpreter")
    from websockets.asyncio.client import connect

    app, notes = make_app()

    async def main() -> None:
        async with uvicorn_server(app, ws="websockets-sansio", lifespan="on") as url:
            async with connect(url.replace("http", "ws") + "/socket") as socket:
                for number in range(200):
                    await socket.send(f"message {number}")
                    assert await soon(socket.recv()) == f"MESSAGE {number}"
                await socket.send("x" * 500_000)
                assert await soon(socket.recv()) == "X" * 500_000
        assert notes["socket"] == "closed"

    loop.run_until_complete(main())


def test_a_server_under_a_runner(new_loop: LoopFactory, backend: str) -> None:
    """As `blitzio.run(server.serve())`: the whole life of the loop is the server's."""
    app, _ = make_app()

    async def main() -> Any:
        async with uvicorn_server(app) as url, httpx.AsyncClient(base_url=url) as client:
            return (await client.get("/loop")).json()

    if backend == "asyncio":
        assert asyncio.run(main()) == {"backend": backend}
    else:
        import blitzio

        assert blitzio.run(main(), loop_factory=new_loop) == {"backend": backend}
