"""gunicorn with uvicorn's worker on our loop: its arbiter forks, reloads and replaces workers."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import psutil

from tests.ecosystem.processes import Program, child_environment, program
from tests.python.loop.support import HOST, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ecosystem.conftest import ChildComparison


@contextlib.contextmanager
def serving(backend: str, folder: Path, *words: str) -> Iterator[tuple[Program, int]]:
    edition = folder / "edition"
    edition.write_text("first")
    environment = child_environment(backend, ECOSYSTEM_EDITION=str(edition))
    command = [sys.executable, "-m", "gunicorn", "asgi_app:app", "-b", f"{HOST}:0", *words]
    options = ["-k", "gunicorn_worker.Worker", "--graceful-timeout", str(int(PATIENCE))]
    options += ["--worker-tmp-dir", str(folder), "--no-control-socket"]
    with program([*command, *options], env=environment, cwd=folder) as running:
        found = running.wait_for(rf"Listening at: http://{re.escape(HOST)}:(\d+)")
        running.wait_for("lifespan startup of first")
        yield running, int(found[0].group(1))


def get(port: int, path: str = "/") -> dict[str, Any]:
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path)
        identity, _, done = connection.getresponse().read().partition(b"\n")
    assert done == b"done"
    answer: dict[str, Any] = json.loads(identity)
    return answer


class SlowRequest:
    """A request that is being answered until `finish()` sends the last of its body."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
        self._connection.putrequest("POST", "/slow")
        self._connection.putheader("Content-Length", "2")
        self._connection.endheaders(b"a")
        self._response = self._connection.getresponse()
        self.identity: dict[str, Any] = json.loads(self._response.readline())

    def finish(self) -> bytes:
        with contextlib.closing(self._connection):
            self._connection.send(b"b")
            return self._response.read()


def check_loop(identity: dict[str, Any], backend: str) -> None:
    expected = ("asyncio", None) if backend == "asyncio" else ("blitzio", backend)
    assert (identity["loop"], identity["backend"]) == expected


def test_workers_serve_and_end_in_order(same_in_children: ChildComparison, tmp_path: Path) -> None:
    def scenario(backend: str) -> list[Any]:
        with serving(backend, tmp_path, "-w", "2") as (running, port):
            running.wait_for("lifespan startup", count=2)
            identities = [get(port) for _ in range(20)]
            for identity in identities:
                check_loop(identity, backend)
            slow = SlowRequest(port)
            running.process.send_signal(signal.SIGTERM)
            # The worker says so once it takes no more connections but waits for this one.
            running.wait_for("Waiting for connections to close")
            rest = slow.finish()
            code, output = running.finish()
            assert "Traceback" not in output, output
            return [rest, code, output.count("lifespan shutdown of first")]

    assert same_in_children(scenario) == [b"done", 0, 2]


def test_sighup_replaces_workers_and_lets_the_old_ones_finish(
    same_in_children: ChildComparison, tmp_path: Path
) -> None:
    def scenario(backend: str) -> list[Any]:
        with serving(backend, tmp_path, "-w", "1") as (running, port):
            old = SlowRequest(port)
            check_loop(old.identity, backend)
            (tmp_path / "edition").write_text("second")
            running.process.send_signal(signal.SIGHUP)
            running.wait_for("lifespan startup of second")
            running.wait_for("Waiting for connections to close")
            # The new worker answers while the old one is still at its last request.
            fresh = get(port)
            check_loop(fresh, backend)
            rest = old.finish()
            running.wait_for("lifespan shutdown of first")
            left = psutil.Process(running.process.pid).children()
            _, alive = psutil.wait_procs(
                [child for child in left if child.pid == old.identity["pid"]], PATIENCE
            )
            code, output = running.stop()
            assert "Traceback" not in output, output
            different = fresh["pid"] != old.identity["pid"]
            return [old.identity["edition"], fresh["edition"], different, rest, len(alive), code]

    assert same_in_children(scenario) == ["first", "second", True, b"done", 0, 0]


def test_a_worker_that_dies_is_replaced(same_in_children: ChildComparison, tmp_path: Path) -> None:
    def scenario(backend: str) -> list[Any]:
        with serving(backend, tmp_path, "-w", "1") as (running, port):
            before = get(port)
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                get(port, "/die")
            running.wait_for("lifespan startup", count=2)
            after = get(port)
            check_loop(after, backend)
            code, _ = running.stop()
            return [before["pid"] != after["pid"], code]

    assert same_in_children(scenario) == [True, 0]
