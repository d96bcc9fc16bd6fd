"""aiohttp: its server and its client on one loop."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from typing import TYPE_CHECKING

import pytest

from tests.python.frameworks.support import aiohttp_server, digest, payload
from tests.python.loop.support import client_context, server_context, soon

pytest.importorskip("aiohttp", reason="aiohttp is not there for this interpreter")

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


async def greet(request: web.Request) -> web.Response:
    assert request.transport is not None
    port = request.transport.get_extra_info("peername")[1]
    return web.json_response({"name": request.match_info.get("name", "world"), "port": port})


async def measure(request: web.Request) -> web.Response:
    """Answers with the size and digest of what was uploaded."""
    hasher = hashlib.sha256()
    size = 0
    async for block in request.content.iter_chunked(65536):
        hasher.update(block)
        size += len(block)
    chunked = request.headers.get("Transfer-Encoding") == "chunked"
    return web.json_response({"size": size, "digest": hasher.hexdigest(), "chunked": chunked})


def application(*routes: web.RouteDef | web.StaticDef) -> web.Application:
    app = web.Application(client_max_size=1 << 30)
    app.add_routes([web.get("/hello/{name}", greet), web.post("/measure", measure), *routes])
    return app


@pytest.mark.smoke
def test_requests_of_one_session_share_a_connection(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ports = set()
        async with aiohttp_server(application()) as url, aiohttp.ClientSession(url) as session:
            for number in range(20):
                async with session.get(f"/hello/{number}") as response:
                    answer = await response.json()
                assert answer["name"] == str(number)
                ports.add(answer["port"])
        assert len(ports) == 1

    loop.run_until_complete(main())


def test_a_connection_closed_on_request_is_not_used_again(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ports = []
        async with aiohttp_server(application()) as url, aiohttp.ClientSession(url) as session:
            for _ in range(3):
                async with session.get("/hello/you", headers={"Connection": "close"}) as response:
                    ports.append((await response.json())["port"])
        assert len(set(ports)) == 3

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_a_chunked_upload_arrives_whole(loop: asyncio.AbstractEventLoop) -> None:
    data = payload(5_000_000)

    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 70_000):
            yield data[start : start + 70_000]
            await asyncio.sleep(0)

    async def main() -> None:
        async with aiohttp_server(application()) as url, aiohttp.ClientSession(url) as session:
            async with session.post("/measure", data=blocks()) as response:
                answer = await response.json()
        assert answer == {"size": len(data), "digest": digest(data), "chunked": True}

    loop.run_until_complete(main())


def test_a_multipart_form_is_uploaded(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    file = tmp_path / "upload.bin"
    file.write_bytes(payload(1_000_000))

    async def receive(request: web.Request) -> web.Response:
        form = await request.post()
        field = form["file"]
        assert isinstance(field, web.FileField)
        return web.json_response({"note": form["note"], "digest": digest(field.file.read())})

    async def main() -> None:
        app = application(web.post("/form", receive))
        async with aiohttp_server(app) as url, aiohttp.ClientSession(url) as session:
            with file.open("rb") as opened:
                form = aiohttp.FormData({"note": "hello"})
                form.add_field("file", opened, filename="upload.bin")
                async with session.post("/form", data=form) as response:
                    answer = await response.json()
        assert answer == {"note": "hello", "digest": digest(payload(1_000_000))}

    loop.run_until_complete(main())


def test_a_streamed_download_arrives_whole_at_a_slow_reader(
    loop: asyncio.AbstractEventLoop,
) -> None:
    data = payload(20_000_000)

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(data), 256 * 1024):
            await response.write(data[start : start + 256 * 1024])
        await response.write_eof()
        return response

    async def main() -> None:
        hasher = hashlib.sha256()
        app = application(web.get("/stream", stream))
        async with aiohttp_server(app) as url, aiohttp.ClientSession(url) as session:
            async with session.get("/stream") as response:
                assert response.headers["Transfer-Encoding"] == "chunked"
                async for block in response.content.iter_chunked(100_000):
                    hasher.update(block)
                    await asyncio.sleep(0)
        assert hasher.hexdigest() == digest(data)

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_a_websocket_echoes_and_closes_with_its_code(loop: asyncio.AbstractEventLoop) -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=1 << 26)
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data.upper())
            else:
                await socket.send_bytes(message.data)
        assert socket.close_code == 4000
        return socket

    async def main() -> None:
        app = application(web.get("/socket", echo))
        large = payload(2_000_000)
        async with (
            aiohttp_server(app) as url,
            aiohttp.ClientSession(url) as session,
            session.ws_connect("/socket", max_msg_size=1 << 26) as socket,
        ):
            for number in range(200):
                await socket.send_str(f"message {number}")
                assert await socket.receive_str() == f"MESSAGE {number}"
            await socket.send_bytes(large)
            assert await socket.receive_bytes() == large
            await socket.close(code=4000, message=b"enough")

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_static_files_whole_and_in_part(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    data = payload(3_000_000)
    (tmp_path / "large.bin").write_bytes(data)
    (tmp_path / "empty.txt").write_bytes(b"")

    async def main() -> None:
        app = application(web.static("/files", tmp_path))
        async with aiohttp_server(app) as url, aiohttp.ClientSession(url) as session:
            async with session.get("/files/large.bin") as response:
                assert await response.read() == data
                tag = response.headers["Etag"]
            async with session.get(
                "/files/large.bin", headers={"Range": "bytes=1000000-1999999"}
            ) as response:
                assert response.status == 206
                assert await response.read() == data[1_000_000:2_000_000]
            async with session.get("/files/large.bin", headers={"If-None-Match": tag}) as response:
                assert response.status == 304
            async with session.get("/files/empty.txt") as response:
                assert await response.read() == b""

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_tls(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    data = payload(3_000_000)

    async def main() -> None:
        async with (
            aiohttp_server(application(), ssl_context=server_context(tmp_path)) as url,
            aiohttp.ClientSession(
                url, connector=aiohttp.TCPConnector(ssl=client_context())
            ) as session,
        ):
            async with session.get("/hello/you") as response:
                assert (await response.json())["name"] == "you"
            async with session.post("/measure", data=io.BytesIO(data)) as response:
                assert (await response.json())["digest"] == digest(data)

    loop.run_until_complete(main())


def test_a_client_that_does_not_trust_the_server_is_told(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    async def main() -> None:
        async with (
            aiohttp_server(application(), ssl_context=server_context(tmp_path)) as url,
            aiohttp.ClientSession(url) as session,
        ):
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get("/hello/you")

    loop.run_until_complete(main())


@pytest.mark.smoke
def test_the_handler_learns_that_its_client_went_away(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        ended: asyncio.Future[type[BaseException]] = loop.create_future()

        async def endless(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await response.write(bytes(65536))
            except (ConnectionError, asyncio.CancelledError) as exc:
                ended.set_result(type(exc))
                raise

        app = application(web.get("/endless", endless))
        async with aiohttp_server(app) as url:
            async with aiohttp.ClientSession(url) as session:
                response = await session.get("/endless")
                assert len(await response.content.readexactly(1_000_000)) == 1_000_000
                response.close()
            assert issubclass(await soon(ended), (ConnectionError, asyncio.CancelledError))
            # The server is as good as new.
            async with (
                aiohttp.ClientSession(url) as session,
                session.get("/hello/you") as response,
            ):
                assert response.status == 200

    loop.run_until_complete(main())


def test_a_request_timeout_cancels_the_handler(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def stuck(_request: web.Request) -> web.Response:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
            raise AssertionError("unreachable")

        app = application(web.get("/stuck", stuck))
        async with (
            aiohttp_server(app, handler_cancellation=True) as url,
            aiohttp.ClientSession(url) as session,
        ):
            seconds = 0.05
            while not started.is_set():  # On a busy machine the request does not come that far.
                with pytest.raises(asyncio.TimeoutError):
                    await session.get("/stuck", timeout=aiohttp.ClientTimeout(total=seconds))
                seconds *= 2
            await soon(cancelled.wait())

    loop.run_until_complete(main())


def test_shutting_down_lets_a_running_request_end(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def slow(_request: web.Request) -> web.Response:
            started.set()
            await asyncio.sleep(0.1)
            return web.Response(text="done")

        async def ask(url: str) -> str:
            async with aiohttp.ClientSession(url) as session, session.get("/slow") as response:
                return await response.text()

        async with contextlib.AsyncExitStack() as stack:
            app = application(web.get("/slow", slow))
            url = await stack.enter_async_context(aiohttp_server(app))
            asking = asyncio.ensure_future(ask(url))
            await soon(started.wait())
        assert await soon(asking) == "done"

    loop.run_until_complete(main())


@pytest.mark.no_faults("beyond the backlog SYN cookies lose a small first piece", "short")
def test_a_thousand_requests_at_once(loop: asyncio.AbstractEventLoop) -> None:
    count = 1000

    async def main() -> None:
        arrived = 0
        all_here = asyncio.Event()

        async def meet(_request: web.Request) -> web.Response:
            """Answers when all requests are here: they really are served at once."""
            nonlocal arrived
            arrived += 1
            if arrived == count:
                all_here.set()
            await soon(all_here.wait())
            return web.Response(text="all here")

        app = application(web.get("/meet", meet))
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp_server(app) as url,
            aiohttp.ClientSession(url, connector=connector) as session,
        ):

            async def ask() -> str:
                async with session.get("/meet") as response:
                    return await response.text()

            answers = await asyncio.gather(*(ask() for _ in range(count)))
        assert answers == ["all here"] * count

    loop.run_until_complete(main())
