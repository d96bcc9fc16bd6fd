"""Fetches several pages at once, has a processor work on each, and writes files."""

import hashlib
import tempfile
from pathlib import Path

import blitzio
from blitzio import fs, net


async def serve(listener: net.TcpListener) -> None:
    """A server to fetch from: HTTP/1.0, one page for each connection."""

    async def answer(stream: net.TcpStream) -> None:
        async with stream:
            path = (await stream.read_line()).split()[1]
            while (await stream.read_line()).strip():
                pass  # headers
            await stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n" + 1_000 * path)

    async with blitzio.Group() as connections:
        async for stream in listener:
            connections.spawn(answer, stream)


async def fetch(port: int, path: str) -> bytes:
    async with await net.connect("localhost", port) as stream:
        await stream.write_all(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = await stream.read_to_end()
    return answer.partition(b"\r\n\r\n")[2]


def digest(page: bytes) -> bytes:
    """Calculates, so it runs where it holds up no task."""
    return hashlib.sha256(page).hexdigest().encode()


async def main(folder: Path) -> None:
    async with net.TcpListener.bind("127.0.0.1:0") as listener:
        server = blitzio.spawn(serve, listener)
        names = ("one", "two", "three")
        pages = {
            name: blitzio.spawn(fetch, listener.local_address.port, f"/{name}") for name in names
        }
        for name, page in pages.items():
            await fs.write_file(folder / name, await blitzio.compute(digest, await page))
        server.cancel()
        await blitzio.try_join_all(server)
    for entry in sorted(await fs.read_dir(folder), key=lambda entry: entry.name):
        print(entry.name, (await fs.read_text(entry.path))[:16], "…")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        blitzio.run(main(Path(name)))
