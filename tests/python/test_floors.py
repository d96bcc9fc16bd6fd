"""The floors of the benchmarks work: those of HTTP servers answer as asyncio's do, and each of the
others runs."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest
from demo.__main__ import FLOOR_OF, Sample, lead
from demo.applications import APPLICATIONS
from demo.arms import server
from demo.load import REQUEST, Figures
from demo.loops import FLOORS
from floors.__main__ import MODULES
from floors.building import built, is_buildable

from blitzio import _native

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="the floors' modules need a GIL"
)

CONNECTIONS = 10
#: A multiple of a workload's connections.
OPERATIONS = 100


@pytest.fixture(scope="module", autouse=True)
def _modules() -> Iterator[None]:
    with built(filter(is_buildable, {*MODULES, *FLOORS.values()})):
        yield


@pytest.fixture(params=FLOORS)
def floor(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if not is_buildable(FLOORS[name]):
        pytest.skip("liburing is not installed")
    if name == FLOOR_OF["blitzio-io_uring"] and not has_ring():
        pytest.skip("there is no io_uring here")
    return name


@pytest.fixture(params=APPLICATIONS)
def application(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    framework = APPLICATIONS[name].framework
    if framework != "raw" and importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    return name


def has_ring() -> bool:
    return any(name == "io_uring" and usable for name, usable, _, _ in _native.detect())


def test_a_floor_answers_as_asyncio_does(application: str, floor: str) -> None:
    (answer,) = answers_of(application, "asyncio")
    assert answer.endswith(APPLICATIONS[application].body)
    assert answers_of(application, floor) == {answer}


@pytest.mark.parametrize("application", ["aiohttp", "uvicorn", "raw"], indirect=True)
def test_clients_that_go_do_not_trouble_a_floor(
    application: str, floor: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with server(application, floor, None) as (pid, port):
        clients = [connect(port) for _ in range(CONNECTIONS)]
        for client in clients:
            ask(client)
        os.kill(pid, signal.SIGSTOP)  # So their ends come with their requests.
        for client in clients:
            client.sendall(REQUEST)
            client.close()
        os.kill(pid, signal.SIGCONT)
        with connect(port) as client:
            assert ask(client)
    assert capfd.readouterr().err == ""


def test_a_lead_is_the_median_of_the_rounds() -> None:
    uvloop, floor = ([sample(us) for us in times] for times in ([9.0, 16.0, 10.0], [3.0, 4.0, 5.0]))
    arms = {"uvloop": uvloop, "floor": floor}
    assert lead("floor", arms) == "3.00"  # Of 3, 4 and 2.
    assert lead("uvloop", arms) == "1.00"
    assert lead("floor-ring", arms) == lead("floor", {"floor": floor}) == "-"


@pytest.mark.parametrize("kind", ["floor", "asked", "ring"])
def test_every_other_floor_runs(kind: str) -> None:
    """In a process of its own, as the modules keep their descriptors."""
    if kind == "ring" and not (has_ring() and is_buildable("bare_ring")):
        pytest.skip("there is no io_uring here")
    program = f"""
from floors.__main__ import kinds_of_floors
for floor in kinds_of_floors()["{kind}"].values():
    print(floor({OPERATIONS}) > 0)
"""
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=path, stdout=-1, text=True)
    assert done.returncode == 0
    assert set(done.stdout.split()) == {"True"}


def sample(cpu_us: float) -> Sample:
    return Sample(Figures(1, 1.0, 1.0, 1.0), cpu_us, 1.0)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


@functools.cache
def answers_of(application: str, arm: str) -> set[bytes]:
    """Of several connections, each of which asks twice, at the same time."""
    with server(application, arm, None) as (_, port):
        clients = [connect(port) for _ in range(CONNECTIONS)]
        answers = set()
        for _ in range(2):
            for client in clients:
                client.sendall(REQUEST)
            answers |= {receive(client) for client in clients}
        for client in clients:
            client.close()
    return answers


def ask(client: socket.socket) -> bytes:
    client.sendall(REQUEST)
    return receive(client)


def receive(client: socket.socket) -> bytes:
    """One answer, without its date."""
    answer = b""
    while not (head := re.match(rb"(?is).*content-length: *(\d+).*?\r\n\r\n", answer)) or (
        len(answer) < head.end() + int(head[1])
    ):
        data = client.recv(65536)
        assert data
        answer += data
    return re.sub(rb"(?i)date: .*\r\n", b"", answer)
