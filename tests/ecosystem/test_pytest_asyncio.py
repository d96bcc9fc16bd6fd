"""pytest-asyncio: pytest in a child process, whose tests get our loop in the ways there are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from tests.ecosystem.processes import child_environment, program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ecosystem.conftest import ChildComparison

FACTORIES = """
import asyncio
import os


def pytest_asyncio_loop_factories(config, item):
    if os.environ["ECOSYSTEM_LOOP"] == "asyncio":
        return {"loop": asyncio.SelectorEventLoop}
    import blitzio
    return {"loop": blitzio.new_event_loop}
"""
POLICY = """
import asyncio
import os

import pytest


@pytest.fixture(scope="session")
def event_loop_policy():
    if os.environ["ECOSYSTEM_LOOP"] == "asyncio":
        return asyncio.DefaultEventLoopPolicy()
    import blitzio
    return blitzio.EventLoopPolicy()
"""
TESTS = """
import asyncio
import os

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio


def loop_name(loop):
    return getattr(loop, "backend", "asyncio")


@pytest_asyncio.fixture
async def server():
    async def upper(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(upper, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[:2]
    server.close()
    await server.wait_closed()


async def test_the_loop_is_the_one_asked_for():
    wanted = os.environ.get("BLITZIO_BACKEND", "asyncio")
    assert loop_name(asyncio.get_running_loop()) == wanted


@pytest.mark.parametrize("number", range(20))
async def test_an_async_fixture(server, number):
    reader, writer = await asyncio.open_connection(*server)
    writer.write(f"hello {number}\\n".encode())
    assert await reader.readline() == f"HELLO {number}\\n".encode()
    writer.close()
    await writer.wait_closed()


async def test_that_fails():
    await asyncio.sleep(0)
    assert await asyncio.to_thread(sum, [1, 2]) == 4


@pytest.mark.asyncio(loop_scope="class")
class TestOneLoopForAll:
    loop = None

    async def test_first(self):
        type(self).loop = asyncio.get_running_loop()

    async def test_second(self):
        assert asyncio.get_running_loop() is self.loop


async def test_a_task_left_behind():
    asyncio.ensure_future(asyncio.sleep(3600))


async def test_a_timeout_is_an_error_here_too():
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
"""


@pytest.mark.parametrize("conftest", [FACTORIES, POLICY], ids=["factories", "policy"])
def test_a_run_gives_the_same_report(
    same_in_children: ChildComparison, conftest: str, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_given.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = strict\nasyncio_default_fixture_loop_scope = function\n"
    )
    report = tmp_path / "report.xml"

    def scenario(backend: str) -> list[Any]:
        words = ["-m", "pytest", "-q", f"--junitxml={report}", "-W", "error"]
        # The fixture is on its way out, with policies; it is what there is before loop factories.
        words += ["-W", "default:Overriding:pytest.PytestDeprecationWarning"]
        environment = child_environment(backend)
        with program([sys.executable, *words], env=environment, cwd=tmp_path) as running:
            code, output = running.finish()
        assert "ResourceWarning" not in output, output
        cases = ElementTree.parse(report).getroot().iter("testcase")
        results = [(case.get("name"), [child.tag for child in case]) for case in cases]
        return [code, *results]

    code, *results = same_in_children(scenario)
    assert code == 1
    assert len(results) == 26
    failed = [name.partition("[")[0] for name, tags in results if tags]
    assert failed == ["test_that_fails"]
