"""Sub-interpreters, with the GIL of the main one and with their own."""

from __future__ import annotations

import sys

import pytest

from tests.python.process.support import program, silent

pytestmark = pytest.mark.usefixtures("native")

INSIDE = """
import asyncio, blitzio, sys, threading

async def main():
    loop = asyncio.get_running_loop()
    answer = lambda reader, writer: (writer.write(b"hello"), writer.close())
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    data = await reader.read()
    writer.close()
    server.close()
    return await loop.run_in_executor(None, len, data)

loop = blitzio.new_event_loop(blitzio.Config(backend=BACKEND))
assert loop.run_until_complete(main()) == 5
loop.run_until_complete(loop.shutdown_default_executor())
loop.close()
# Left open for the end of the interpreter to find, with something in each queue.
blitzio.left = blitzio.new_event_loop(blitzio.Config(backend=BACKEND))
blitzio.left.call_soon(print)
blitzio.left.call_later(60, print)
"""

OUTSIDE = """
import os, sys, threading
BACKEND, KIND = sys.argv[1:]
try:
    import _interpreters
    create = lambda: _interpreters.create("isolated" if KIND == "own" else "legacy")
    def run(number, code):
        failed = _interpreters.exec(number, code)
        assert failed is None, failed
except ImportError:
    import _xxsubinterpreters as _interpreters
    create = lambda: _interpreters.create(isolated=KIND == "own")
    run = _interpreters.run_string

CODE = f"import sys; sys.path[:0] = {sys.path!r}; BACKEND = {BACKEND!r}\\n" + '''%s'''

def one():
    number = create()
    run(number, CODE)
    _interpreters.destroy(number)

for _ in range(2):
    one()
threads = [threading.Thread(target=one) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
import blitzio
async def main():
    return "main"
print(blitzio.run(main()), flush=True)
# 3.12 crashes at its end after a sub-interpreter that shared its GIL imported asyncio.
os._exit(0)
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="refused before 3.12")
@pytest.mark.parametrize("gil", ["own", "shared"])
def test_each_interpreter_has_loops_of_its_own(backend: str, gil: str) -> None:
    # Debug builds of CPython tell what was left open without being asked.
    options = ("-W", "ignore::ResourceWarning")
    assert silent(program(OUTSIDE % INSIDE, backend, gil, options=options), "main\n")


REFUSED = """
import sys, _xxsubinterpreters as interpreters
number = interpreters.create()
try:
    interpreters.run_string(number, f"import sys; sys.path[:0] = {sys.path!r}; import blitzio")
except interpreters.RunFailedError as exc:
    print(exc)
interpreters.destroy(number)
"""


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="supported from 3.12 on")
def test_old_versions_refuse_to_be_imported_in_a_sub_interpreter() -> None:
    done = program(REFUSED, options=())
    assert "ImportError: blitzio supports sub-interpreters from Python 3.12 on" in (
        done.stdout.replace("<class 'ImportError'>", "ImportError")
    )
    assert (done.returncode, done.stderr) == (0, "")
