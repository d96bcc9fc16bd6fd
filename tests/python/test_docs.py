"""The documentation says what is so: snippets run, and no method of the loop, and no metric, is
without its row."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import blitzio

ROOT = Path(__file__).parents[2]
COMPATIBILITY = (ROOT / "docs/reference/compatibility.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (as asyncio|differs) \| ?(.*?) ?\|$", re.MULTILINE)
PAGES = ("README", "docs/guide/from-asyncio", "docs/guide/from-uvloop", "docs/guide/runtime")
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = (ROOT / f"{page}.md").read_text(encoding="utf-8")
        name = page.rpartition("/")[2]
        found += [(f"{name}-{i}", code) for i, code in enumerate(SNIPPET.findall(text), 1)]
    return found


def methods() -> set[str]:
    return {
        name
        for name in dir(asyncio.AbstractEventLoop)
        if not name.startswith("_") and callable(getattr(asyncio.AbstractEventLoop, name))
    }


def test_every_method_of_the_loop_has_one_row() -> None:
    rows = [name for name, _, _ in ROW.findall(COMPATIBILITY)]
    assert len(rows) == len(set(rows))
    assert methods() <= set(rows), methods() - set(rows)
    # What an older Python lacks may be there, what none has may not.
    assert {name for name in rows if not hasattr(blitzio.Loop, name)} == set()


def test_every_method_is_ours() -> None:
    inherited = [
        name
        for name in sorted(methods())
        if getattr(blitzio.Loop, name) is getattr(asyncio.AbstractEventLoop, name)
    ]
    assert inherited == []


def test_a_difference_says_which() -> None:
    rows = ROW.findall(COMPATIBILITY)
    assert [name for name, state, text in rows if state == "differs" and not text] == []


def test_what_the_page_says_of_types_is_so() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        handle = loop.call_later(60, print)
        assert asyncio.Handle not in type(handle).__mro__
        assert {"cancel", "cancelled", "when", "_run"} <= set(dir(handle))
        handle.cancel()
        assert asyncio.BaseEventLoop not in type(loop).__mro__
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        assert isinstance(server, asyncio.AbstractServer)
        assert asyncio.base_events.Server not in type(server).__mro__
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert isinstance(writer.transport, asyncio.Transport)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    blitzio.run(main())


def test_each_metric_has_its_row() -> None:
    page = (ROOT / "docs/reference/runtime-python.md").read_text(encoding="utf-8")
    with blitzio.Runtime(workers=1) as runtime:
        metrics = runtime.metrics()
    worker = metrics["workers"][0]
    with contextlib.closing(blitzio.new_event_loop()) as loop:
        names = metrics.keys() | metrics["blocking"].keys() | worker.keys() | loop.metrics().keys()
    assert {name for name in names if f'`"{name}"`' not in page} == set()


@pytest.mark.parametrize(("name", "code"), snippets(), ids=[name for name, _ in snippets()])
def test_a_snippet_runs(name: str, code: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(blitzio.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {done.stderr}"
    assert done.stderr == ""
