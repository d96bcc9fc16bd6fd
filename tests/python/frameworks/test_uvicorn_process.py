"""uvicorn as a program: our loop on its command line, through a policy, and Ctrl-C."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from tests.python.frameworks.support import child_environment
from tests.python.loop.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("uvicorn") is None,
    reason="uvicorn is not there for this interpreter",
)

INSTALLED = """
import sys
import warnings
import blitzio
import uvicorn
warnings.simplefilter("ignore", DeprecationWarning)
blitzio.install()
uvicorn.run("cli_app:app", host="127.0.0.1", port=0, loop="none")
"""
RUN = """
import asyncio
import blitzio
import uvicorn
server = uvicorn.Server(uvicorn.Config("cli_app:app", host="127.0.0.1", port=0))
blitzio.run(server.serve())
"""


def command_line(loop: str) -> list[str]:
    return ["-m", "uvicorn", "cli_app:app", "--host", "127.0.0.1", "--port", "0", "--loop", loop]


class Program:
    """A child process that serves; its output is read line by line."""

    def __init__(self, process: subprocess.Popen[str], output: IO[str]) -> None:
        self.process = process
        self.output = output
        self.lines: list[str] = []

    def wait_for(self, pattern: str) -> re.Match[str]:
        for line in self.output:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no {pattern!r} in {''.join(self.lines)}")

    def finish(self) -> tuple[int, str]:
        """Its return code and all that it wrote."""
        self.lines += self.output
        return self.process.wait(PATIENCE), "".join(self.lines)


@contextlib.contextmanager
def serving(arguments: Sequence[str], backend: str) -> Iterator[tuple[Program, int]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=child_environment(backend),
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        program = Program(process, process.stdout)
        yield program, int(program.wait_for(r"running on http://127.0.0.1:(\d+)").group(1))
    finally:
        process.kill()
        process.communicate()


def get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def check_graceful_end(program: Program, port: int, backend: str, number: int) -> None:
    """A request in flight is answered in full after the signal, then everything ends in order."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", "/slow")
        response = connection.getresponse()
        assert response.read(len(backend)).decode() == backend
        os.kill(program.process.pid, number)
        assert response.read() == b" done"
    code, output = program.finish()
    # uvicorn ends by the signal it got, once it has cleaned up; Ctrl-C it keeps to itself.
    assert code in ((0, -number, 128 + number) if number == signal.SIGINT else (-number,)), output
    assert "lifespan startup" in output
    assert "lifespan shutdown" in output
    assert "Finished server process" in output
    assert "Traceback" not in output.replace("Traceback (most recent call last):\nKeyboard", "")
    assert "Warning" not in output


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_takes_our_loop(backend: str, number: signal.Signals) -> None:
    loop = "asyncio" if backend == "asyncio" else "blitzio:new_event_loop"
    with serving(command_line(loop), backend) as (program, port):
        assert get(port, "/") == f"{backend} done"
        check_graceful_end(program, port, backend, number)


@pytest.mark.parametrize("source", [INSTALLED, RUN], ids=["install", "run"])
def test_our_loop_in_a_program(native: None, backend: str, source: str) -> None:
    with serving(["-c", source], backend) as (program, port):
        assert get(port, "/") == f"{backend} done"
        check_graceful_end(program, port, backend, signal.SIGTERM)


def test_our_command_line_runs_uvicorn(native: None, backend: str) -> None:
    arguments = ["-m", "blitzio", *command_line("none")]
    with serving(arguments, backend) as (program, port):
        assert get(port, "/") == f"{backend} done"
        check_graceful_end(program, port, backend, signal.SIGINT)
