"""Forking while other threads are in the middle of something: whatever they hold there, the child,
which does not have them, waits for none of it."""

from __future__ import annotations

import sys
import threading

import pytest

import blitzio
from blitzio._loop import forking
from tests.python.process.support import in_child, program, silent

# Of threads in the process that forks: that is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

#: What threads do until the end, and what a child does that is forked meanwhile.
BESIDE = {
    "imports": """
def beside(name):
    module = types.ModuleType(name)
    for number in range(20):
        sys.modules[f"{name}.{number}"] = module
    for number in range(20):
        del sys.modules[f"{name}.{number}"]

def in_child():
    import blitzio, types  # Not of what is not imported yet: without the GIL that may wait.
    blitzio.new_event_loop().close()

in_child()
""",
    "loops": """
def beside(name):
    blitzio.new_event_loop().close()

def in_child():
    blitzio.new_event_loop().close()
""",
    "runtimes": """
def beside(name):
    blitzio.Runtime(workers=1, stack_bytes=1 << 20).shutdown()

def in_child():
    assert threading.stack_size() == 0
    with blitzio.Runtime(workers=1, stack_bytes=1 << 20) as runtime:
        assert runtime.block_on(blitzio.get_runtime) is runtime
    assert threading.stack_size() == 0
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

def in_child():
    assert blitzio.parallel_map(range(50), int, chunk=1).blocking_join() == list(range(50))
""",
    "blocking threads": """
def beside(name):
    blitzio.spawn_blocking(int).blocking_join()

def in_child():
    assert blitzio.spawn_blocking(int).blocking_join() == 0
""",
    "pools": """
class Connection:
    is_closed = False

    def close(self):
        pass

pool = blitzio.net.Pool(Connection, connections_max=10, blocking_connect=Connection)

def beside(name):
    with pool.blocking_acquire():
        pass

def in_child():
    beside(None)
""",
    "threaded": """
from blitzio.io import Threaded

threaded = Threaded()

def beside(name):
    threaded.io().concurrent(int).blocking_await()

def in_child():
    assert Threaded().io().concurrent(int).blocking_await() == 0
    threaded.busy_count
    try:
        threaded.io().concurrent(int)
    except RuntimeError as error:
        assert "parent" in str(error)
    else:
        raise AssertionError("a thread that is not here took it")
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

beside("")  # What is imported for it is not begun while a fork's hooks run.
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


def test_a_child_sets_the_stack_size_that_another_thread_had_changed_back() -> None:
    source = """
import blitzio, os, signal, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)

def make():
    blitzio.Runtime(workers=1, stack_bytes=1 << 20).shutdown()

def start(thread):
    if threading.current_thread() is maker:
        reached.set()
        forked.wait()
    real_start(thread)

real_start, threading.Thread.start = threading.Thread.start, start
reached, forked = threading.Event(), threading.Event()
maker = threading.Thread(target=make)
maker.start()
reached.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    assert threading.stack_size() == 0
    make()
    assert threading.stack_size() == 0
    os._exit(0)
_, status = os.waitpid(child, 0)
assert threading.stack_size() == 1 << 20
forked.set()
maker.join()
print(status, threading.stack_size())
"""
    assert silent(program(source), "0 0\n")


def test_a_grandchild_waits_for_nothing_that_a_thread_of_the_child_held() -> None:
    shutdown = blitzio.Shutdown([])

    def use() -> int:
        with shutdown.start_work():
            return shutdown.pending_count

    def child() -> str:
        held, forked = threading.Event(), threading.Event()

        def hold() -> None:
            with shutdown._lock:
                held.set()
                forked.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        try:
            return in_child(use)
        finally:
            forked.set()
            thread.join()

    assert in_child(child) == "1"


def test_what_ends_in_a_child_leaves_the_dict_of_the_parent_alone() -> None:
    """Whose lock, without the GIL, may have been given to a thread that is not there."""
    kept = [blitzio.Shutdown([])]
    number, remembered = id(kept[0]._lock), forking._remembered

    def child() -> bool:
        kept.clear()
        return number in remembered

    assert in_child(child) == "True"
    assert number in remembered
    kept.clear()
    assert number not in remembered


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_child_is_made_ready_whatever_part_of_that_raises(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Kept:
        def __init__(self, name: str) -> None:
            self.name = name
            forking.remember(self)

        def _after_fork(self) -> None:
            told.append(self.name)
            if self.name != "last":
                raise error(self.name)

    parts = [Kept("first"), Kept("second"), Kept("last")]
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: told.append(repr(raised.exc_value)))
    assert in_child(lambda: told) == str(["first", "second", "last", repr(error("first"))])
    del parts


def test_a_fork_waits_for_a_module_that_another_thread_still_looks_for() -> None:
    source = """
import blitzio, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "blitzio.runtime":
            reached.set()
            forking.wait()
            time.sleep(0.1)  # Until the fork has come as far as it comes.

reached, forking = threading.Event(), threading.Event()
sys.meta_path.insert(0, Finder())
os.register_at_fork(before=forking.set)
thread = threading.Thread(target=lambda: blitzio.Runtime)
thread.start()
reached.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    blitzio.Runtime
    os._exit(0)
thread.join()
print(os.waitpid(child, 0)[1])
"""
    assert silent(program(source), "0\n")
