"""The end of the interpreter with loops in every state: no crash, no hang, no noise of our own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.python.process.support import PATIENCE, program

pytestmark = pytest.mark.usefixtures("native")

HEAD = """
import asyncio, atexit, blitzio, faulthandler, gc, os, socket, sys, threading, time, warnings
faulthandler.enable()
# What asyncio itself warns of at the end (unclosed loops, transports) is not what is tested.
warnings.simplefilter("ignore", ResourceWarning)
def new_loop():
    made = blitzio.new_event_loop(blitzio.Config(backend=sys.argv[1]))
    made.slow_callback_duration = 1000  # Development mode would tell of a busy machine.
    return made
loop = new_loop()
loop.set_debug(False)
"""

OPEN = """
async def forever():
    await loop.create_future()

async def main():
    global kept
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(bytes(8_000_000))  # More than the kernel takes.
    ours, peer = socket.socketpair()
    loop.add_reader(ours, print)
    read, write = socket.socketpair()
    read.setblocking(False)
    task = loop.create_task(forever())
    task._log_destroy_pending = False
    receive = loop.create_task(loop.sock_recv(read, 1))
    receive._log_destroy_pending = False
    timer = loop.call_later(60, print)
    job = loop.run_in_executor(None, time.sleep, 0.05)
    await asyncio.sleep(0)
    kept = server, reader, writer, ours, peer, read, write, task, receive, timer, job
"""

SCENARIOS = {
    "a loop that was never run": (0, ""),
    "pending callbacks": (0, "loop.call_soon(print); loop.call_soon_threadsafe(print)"),
    "everything open": (0, OPEN + "loop.run_until_complete(main())"),
    "everything open, closed at exit": (
        0,
        OPEN + "loop.run_until_complete(main()); atexit.register(loop.close)",
    ),
    "everything open, in a cycle": (
        0,
        OPEN + "loop.run_until_complete(main()); kept += ([],); kept[-1].append(kept); del loop",
    ),
    "sys.exit in a callback": (
        3,
        OPEN + "loop.run_until_complete(main()); loop.call_soon(sys.exit, 3); loop.run_forever()",
    ),
    "os._exit in a callback": (
        4,
        OPEN + "loop.run_until_complete(main()); loop.call_soon(os._exit, 4); loop.run_forever()",
    ),
    "a daemon thread that waits": (
        0,
        OPEN
        + """
threading.Thread(target=loop.run_forever, daemon=True).start()
asyncio.run_coroutine_threadsafe(main(), loop).result()
""",
    ),
    "a busy daemon thread, without threading": (
        0,
        """
begun = threading.Event()
def again():
    begun.set()
    loop.call_soon(again)
loop.call_soon(again)
threading.Thread(target=loop.run_forever, daemon=True).start()
begun.wait()
del sys.modules["threading"]
""",
    ),
    "a daemon thread, called at exit": (
        0,
        OPEN
        + """
thread = threading.Thread(target=loop.run_forever, daemon=True)
thread.start()
asyncio.run_coroutine_threadsafe(main(), loop).result()
@atexit.register
def stop():
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
""",
    ),
    "threads with a loop each": (
        0,
        """
def run():
    own = new_loop()
    own.run_until_complete(asyncio.sleep(0.01))
    threading.local().loop = own
threads = [threading.Thread(target=run) for _ in range(8)]
for thread in threads: thread.start()
""",
    ),
    "a job that outlives the main thread": (
        0,
        "loop.run_in_executor(None, lambda: (time.sleep(0.05), loop.call_soon_threadsafe(print)))",
    ),
    "a loop made by a finaliser at exit": (
        0,
        """
class Late:
    def __del__(self, new_loop=new_loop):
        own = new_loop()
        own.call_soon(int)
        own.close()
late = Late()
sys.late = [late]
sys.late.append(sys.late)
""",
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_interpreter_ends_well_with(backend: str, scenario: str) -> None:
    status, source = SCENARIOS[scenario]
    done = program(HEAD + source, backend)
    assert (done.returncode, done.stderr) == (status, "")


INTERRUPTED = (
    HEAD
    + OPEN
    + """
async def wait():
    await main()
    loop.call_soon(lambda: print("ready", flush=True))
    await loop.create_future()
try:
    asyncio.Runner(loop_factory=lambda: loop).run(wait()) if sys.version_info >= (3, 11) else (
        loop.run_until_complete(wait()))
except KeyboardInterrupt:
    print("interrupted")
"""
)


def test_ctrl_c_ends_a_program_that_waits(backend: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", INTERRUPTED, backend],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out, err) == (0, "interrupted\n", "")
