"""Forking while other threads are in the middle of something: whatever they hold there, the child,
which does not have them, waits for none of it."""

from __future__ import annotations

import sys

import pytest

from tests.python.process.support import program, silent

#: What threads do until the end, and what a child does that is forked meanwhile.
BESIDE = {
    "imports": """
def beside(name):
    module = types.ModuleType(name)
    for number in range(20):
        sys.modules[f"{name}.{number}"] = module
    for number in range(20):
        del sys.modules[f"{name}.{number}"]
""",
    "loops": """
def beside(name):
    blitzio.new_event_loop().close()

def in_child():
    blitzio.new_event_loop().close()
""",
    "runtimes": """
def beside(name):
    blitzio.Runtime(workers=1).shutdown()
""",
    "tokens": """
token = blitzio.CancelToken()
token.child()

def beside(name):
    children = [token.child() for _ in range(10)]
    for child in children:
        child.cancel()

def in_child():
    child = token.child()
    token.cancel()
    assert child.cancel_requested
    assert child.blocking_wait(0)
""",
    "shutdowns": """
shutdown = blitzio.Shutdown([])

def beside(name):
    for _ in range(10):
        shutdown.start_work().release()

def in_child():
    shutdown.start_work().release()
""",
    "parallel maps": """
def beside(name):
    blitzio.parallel_map(range(50), int, chunk=1).blocking_join()
""",
}

BEGIN = """
import blitzio, os, sys, threading, time, types, warnings
warnings.simplefilter("ignore", DeprecationWarning)
in_child = lambda: None
"""

END = """
def work():
    while not is_over:
        beside(threading.current_thread().name)

is_over = False
sys.setswitchinterval(1e-5)  # With the GIL, threads are met in the middle of more.
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()

def end_of(child):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found != 0:
            return status
        time.sleep(0.0005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "it hung"

ends = set()
for _ in range(100):
    child = os.fork()
    if child == 0:
        in_child()
        os._exit(0)
    ends.add(end_of(child))
    if ends != {0}:
        break
is_over = True
for thread in threads:
    thread.join()
print(ends)
"""


@pytest.mark.parametrize("what", BESIDE)
def test_a_child_waits_for_nothing_that_another_thread_held(what: str) -> None:
    if what == "tokens" and not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("a child may wait for the lock of a dict that threads of the parent changed")
    assert silent(program(BEGIN + BESIDE[what] + END, options=()), "{0}\n")
