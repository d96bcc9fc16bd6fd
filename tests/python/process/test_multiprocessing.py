"""multiprocessing and ProcessPoolExecutor, with workers started before and while a loop runs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.python.process.support import PATIENCE, silent

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("native")

PROGRAM = """
import asyncio, concurrent.futures, multiprocessing, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Of forking beside threads.
import blitzio

BACKEND, METHOD = sys.argv[1:]

def new_loop():
    return blitzio.new_event_loop(blitzio.Config(backend=BACKEND))

async def double(number):
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    return await loop.run_in_executor(None, lambda: number * 2)

def work(number):
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return blitzio.run(double(number), loop_factory=new_loop)
    return "a loop runs"

def send(connection, number):
    connection.send(work(number))
    connection.close()

async def main(early):
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    assert await loop.run_in_executor(early, work, 1) == 2
    with concurrent.futures.ProcessPoolExecutor(2, context) as late:
        found = await asyncio.gather(*[loop.run_in_executor(late, work, i) for i in range(4)])
        assert found == [0, 2, 4, 6], found
    receiver, sender = context.Pipe(False)
    process = context.Process(target=send, args=(sender, 21))
    process.start()
    sender.close()
    ready = loop.create_future()
    loop.add_reader(receiver, ready.set_result, None)
    await ready
    loop.remove_reader(receiver)
    assert receiver.recv() == 42
    await loop.run_in_executor(None, process.join)
    assert process.exitcode == 0
    receiver.close()
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == b""
    writer.close()
    server.close()

if __name__ == "__main__":
    context = multiprocessing.get_context(METHOD)
    with concurrent.futures.ProcessPoolExecutor(1, context) as early:
        early.submit(int).result()
        blitzio.run(main(early), loop_factory=new_loop)
    print("done")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_process_pools_and_processes_work_with_a_loop(
    backend: str, method: str, tmp_path: Path
) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(file), backend, method],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE * 3,
    )
    assert silent(done, "done\n")
