"""What `import blitzio` brings, and what of the extension is made when it is first asked for."""

from __future__ import annotations

import sys

import pytest

from tests.python.process.support import program, silent

#: A server and its client, on the loop alone.
SERVE = """
import asyncio, sys
before = set(sys.modules)
import blitzio
from blitzio import _native

async def main():
    def answer(reader, writer):
        writer.write(b"hello")
        writer.close()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == b"hello"
    writer.close()
    server.close()
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, len, b"four") == 4
    loop.add_signal_handler(10, print)
    loop.remove_signal_handler(10)

blitzio.run(main())
"""


def test_a_server_on_the_loop_brings_nothing_else() -> None:
    """Each of these costs every process memory, which most of them never use."""
    done = program(
        SERVE
        + """
ours = {
    *("_config", "_duration", "_signals", "_native.fs", "_loop.child", "_loop.process_transport"),
    *("_loop.tls_protocol", "fs", "net", "process", "runtime", "sync", "task", "time"),
}
brought = {name.removeprefix("blitzio.") for name in set(sys.modules) - before}
# From Python 3.14 on asyncio does without typing.
print(sorted(brought & {*ours, "copy", "dataclasses", "inspect", "pickle", "re", "typing"}))
for name in ("AsyncFd", "Mutex", "TcpStream", "build_info", "fs", "spawn", "_C_API"):
    assert name not in vars(_native), name
""",
        # Development mode imports more.
        options=(),
    )
    assert silent(done, "[]\n")


def test_what_was_not_made_is_listed_and_found() -> None:
    done = program("""
from blitzio import _native
assert not hasattr(_native, "__path__") and not hasattr(_native, "__nothing__")
assert "Mutex" not in vars(_native)
assert {"LoopBase", "Mutex", "AsyncFd", "fs", "spawn", "_C_API", "build_info"} <= set(dir(_native))
assert _native.Mutex is vars(_native)["Mutex"]
import blitzio._native.fs
assert blitzio._native.fs is _native.fs
""")
    assert silent(done)


def test_a_wrong_name_is_an_attribute_error() -> None:
    done = program("""
from blitzio import _native
for _ in range(2):
    try:
        _native.nothing
    except AttributeError as exc:
        print(exc)
try:
    from blitzio._native import nothing
except ImportError as exc:
    print(type(exc).__name__)
try:
    _native.__getattr__(1)
except TypeError as exc:
    print(exc)
del _native.Mutex  # As tests do: it does not come back by itself.
print(hasattr(_native, "Mutex"))
""")
    assert silent(
        done,
        "module 'blitzio._native' has no attribute 'nothing'\n" * 2
        + "ImportError\nattribute name must be string, not 'int'\nFalse\n",
    )


def test_a_module_that_was_not_executed_or_failed_to_be_has_nothing_to_give() -> None:
    done = program("""
import asyncio, importlib.util
from blitzio._native import __spec__ as spec

def ask(module):
    for use in (lambda: module.Mutex, lambda: module._C_API, lambda: dir(module)):
        try:
            use()
        except AttributeError as exc:
            print(exc)
    module._forget_maker()

ask(importlib.util.module_from_spec(spec))
native = importlib.util.module_from_spec(spec)
future = asyncio.Future
del asyncio.Future
try:
    spec.loader.exec_module(native)
except AttributeError:
    asyncio.Future = future
ask(native)
""")
    assert silent(done, "module 'blitzio._native' is not initialised\n" * 6)


@pytest.mark.parametrize(
    "name",
    [
        *("asyncio.Future", "asyncio.Task", "asyncio.Transport", "asyncio.DatagramTransport"),
        *("asyncio.BufferedProtocol", "asyncio.CancelledError", "asyncio.InvalidStateError"),
        "socket.socket",
    ],
)
def test_a_class_that_was_replaced_by_something_else_is_an_import_error(name: str) -> None:
    done = program(
        """
import asyncio, importlib.util, socket, sys
from blitzio._native import __spec__ as spec
where, _, name = sys.argv[1].partition(".")
setattr(sys.modules[where], name, None)
native = importlib.util.module_from_spec(spec)
try:
    spec.loader.exec_module(native)
except ImportError as exc:
    print(exc)
""",
        name,
    )
    assert silent(done, f"{name} is no class, but None\n")


@pytest.mark.parametrize(
    "statement",
    [
        "import blitzio.fs as module; found = module.File",
        "from blitzio import AsyncFd as found",
        "from blitzio._native import Guard as found",
        "import pickle; found = pickle.loads(b'cblitzio._native\\nMutex\\n.')",
        "import blitzio.channel; found = blitzio.channel.Closed",
    ],
)
def test_each_way_to_a_name_finds_it(statement: str) -> None:
    assert silent(program(f"{statement}\nassert isinstance(found, type)"))


def test_threads_that_ask_at_once_get_the_same() -> None:
    done = program("""
import sys, threading
sys.setswitchinterval(1e-6)
from blitzio import _native

NAMES = ("AsyncFd", "Awaitable", "Closed", "Mutex", "Semaphore", "TcpStream", "fs", "spawn")
barrier = threading.Barrier(8)
found = []

def ask(turn):
    barrier.wait()
    names = NAMES[turn:] + NAMES[:turn]
    mine = {name: getattr(_native, name) for name in names}
    found.append([id(mine[name]) for name in NAMES])
    _native.Semaphore(1).blocking_acquire()

threads = [threading.Thread(target=ask, args=(turn,)) for turn in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(found) == 8 and all(one == found[0] for one in found), found
""")
    assert silent(done)


def test_a_finalizer_that_asks_while_it_is_made_does_not_wait_for_itself() -> None:
    """Up to Python 3.11 the collector runs wherever objects are made."""
    done = program("""
import gc
from blitzio import _native

class Asks:
    def __init__(self):
        self.me = self
    def __del__(self):
        try:
            asked.append(_native._C_API)
        except AttributeError:
            asked.append(None)

asked = []
gc.disable()
garbage = [Asks() for _ in range(3)]
del garbage
gc.set_threshold(1)
gc.enable()
found = _native._C_API
gc.collect()
assert len(asked) == 3 and {*asked} <= {found, None}, asked
""")
    assert silent(done)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="no collection within native code")
def test_a_child_forked_while_it_is_made_makes_it_itself() -> None:
    done = program("""
import gc, os, signal, threading
import blitzio
from blitzio import _native

def fork():
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        _native.Semaphore(1).blocking_acquire()
        os._exit(0)
    ended.append(os.waitpid(pid, 0)[1])

class Forks:
    def __init__(self):
        self.me = self
    def __del__(self):
        made.append("Semaphore" in vars(_native))
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()

ended, made = [], []
gc.disable()
garbage = Forks()
del garbage
gc.set_threshold(1)
gc.enable()
_native.Semaphore(1).blocking_acquire()
assert ended == [0] and made == [False], (ended, made)
""")
    assert silent(done)
