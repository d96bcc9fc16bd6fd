"""Tools that find blocking calls replace functions of `os`; the loop's own calls are not blamed.

Such a tool (blockbuster, say) excuses asyncio by the names of its files and functions. Sending a
file, serving a Unix socket and taking it away go through calls that it would blame on the program.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import Recorder, raw_pair, read_all, soon
from tests.python.loop.unix_support import close

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def detector(native: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was called through `os` while a loop was running, among what asyncio is excused for."""
    found: list[str] = []

    def watch(name: str) -> None:
        call = getattr(os, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            if asyncio._get_running_loop() is not None:
                found.append(name)
            return call(*args, **kwargs)

        monkeypatch.setattr(os, name, watched)

    for name in ("sendfile", "stat", "unlink"):
        watch(name)
    return found


def test_sending_a_file_is_not_blamed(
    loop: asyncio.AbstractEventLoop, detector: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")

    async def main() -> None:
        ours, peer = raw_pair()
        with ours, peer, open(tmp_path / "file", "rb") as file:
            ours.setblocking(False)
            peer.setblocking(False)
            assert await soon(loop.sock_sendfile(ours, file, fallback=False)) == 7
            assert await soon(read_all(peer, 7)) == b"content"

    loop.run_until_complete(main())
    assert detector == []


def test_serving_a_unix_socket_is_not_blamed(
    loop: asyncio.AbstractEventLoop, detector: list[str], tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")

    async def main() -> None:
        anyhow: Any = loop
        server = await anyhow.create_unix_server(Recorder, path, cleanup_socket=True)
        _, client = await loop.create_unix_connection(Recorder, path)
        await close(client)
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())
    assert not os.path.exists(path)
    assert detector == []
