"""An aiohttp application and an aiohttp client, both on one blitzio loop."""

import asyncio

import aiohttp
from aiohttp import web

import blitzio


async def hello(request: web.Request) -> web.Response:
    loop = asyncio.get_running_loop()
    return web.json_response({"hello": request.match_info["name"], "loop": type(loop).__name__})


async def main() -> None:
    app = web.Application()
    app.add_routes([web.get("/{name}", hello)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]

    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        for name in ("you", "world"):
            async with session.get(f"/{name}") as response:
                print(await response.json())
    await runner.cleanup()


blitzio.run(main())
