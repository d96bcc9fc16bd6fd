"""The end of the interpreter with everything in flight that the package has: no crash, no hang, no
noise of our own, and the exit code that the program chose."""

from __future__ import annotations

import pytest

from tests.python.process.support import program, silent

HEAD = """
import asyncio, faulthandler, os, signal, socket, sys, tempfile, threading, time, warnings
import blitzio
from blitzio import channel, fs, net, process, signal as signals, sync
faulthandler.enable()
# What is left unclosed on purpose is not what is tested.
warnings.simplefilter("ignore", ResourceWarning)
kept = []
loop = blitzio.new_event_loop()
place = tempfile.mkdtemp()

def keep(*things):
    kept.extend(things)

def wait(awaitable):
    async def forever():
        await awaitable
    task = asyncio.get_running_loop().create_task(forever())
    task._log_destroy_pending = False
    keep(task)

def in_thread(function, *args):
    def call():
        try:
            function(*args)
        except RuntimeError:
            pass  # The interpreter ends.
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    keep(thread)
"""

#: Each starts something that does not end by itself, in a coroutine.
PARTS = {
    "channels": """
    full, empty = channel.Channel(1), channel.Channel(1)
    full.try_send(1)
    broadcast, watch, oneshot = channel.Broadcast(1), channel.Watch(0), channel.Oneshot()
    ear, eye = broadcast.subscribe(), watch.subscribe()
    keep(full, empty, broadcast, watch, oneshot)
    for each in (full.send(2), empty.recv(), ear.recv(), eye.changed(), oneshot.recv()):
        wait(each)
    wait(blitzio.select(empty.recv(), ear.recv()))
""",
    "sync": """
    mutex, lock, permits = sync.Mutex(), sync.RwLock(), sync.Semaphore(0)
    event, bell, barrier = sync.Event(), sync.Notify(), sync.Barrier(9)
    assert mutex.try_lock()
    keep(mutex, lock, permits, event, bell, barrier, lock.try_write())
    for each in (mutex.lock(), lock.read(), lock.write(), permits.acquire(), event.wait(),
                 bell.wait(), barrier.wait()):
        wait(each)
""",
    "net": """
    listener = net.TcpListener.bind("127.0.0.1:0")
    udp = net.UdpSocket.bind("127.0.0.1:0")
    ours, theirs = net.UnixStream.pair()
    client = await net.TcpStream.connect(listener.local_address)
    keep(listener, udp, ours, theirs, client)
    accepted, _ = await listener.accept()
    for each in (listener.accept(), udp.recv_from(), ours.read_exact(9), client.peek(),
                 theirs.write_all(bytes(9_000_000)), accepted.readable(),
                 net.copy(client, accepted)):
        wait(each)
""",
    "files": """
    os.mkfifo(place + "/fifo")
    fifo = os.open(place + "/fifo", os.O_RDWR)
    file = await fs.open(place + "/fifo", "rb")
    written = await fs.open(place + "/file", "wb")
    await written.write(b"x")
    await written.flush()
    events = fs.watch(place)
    await events.__aenter__()
    keep(fifo, file, written, events)
    wait(file.read(9))
    wait(events.next())
    wait(written.sync_all())
    wait(fs.copy(place + "/file", place + "/copy"))
""",
    "children": """
    children = [process.spawn("sleep", "1000", stdout="pipe", kill_on_drop=True) for _ in "ab"]
    keep(children)
    wait(children[0].wait())
    wait(children[1].wait_with_output())
    import atexit
    atexit.register(lambda: [child.kill() for child in children])
""",
    "threads": """
    begun = threading.Event()
    def short():
        begun.set()
        time.sleep(0.05)
    keep(blitzio.spawn_blocking(short), blitzio.compute(short),
         blitzio.parallel_map(range(4), lambda _: short()))
    wait(kept[-1].join())
    while not begun.is_set():
        await asyncio.sleep(0.001)
""",
    "signals": """
    stream = signals.stream(signal.SIGUSR1)
    shutdown = blitzio.Shutdown()
    keep(stream, shutdown, shutdown.start_work())
    wait(stream.next())
    wait(shutdown.wait())
    wait(shutdown.wait_pending())
""",
    "tasks": """
    group, token = blitzio.Group(), blitzio.CancelToken()
    keep(group, token, group.spawn(asyncio.sleep, 1000), blitzio.spawn(asyncio.sleep, 1000))
    wait(group.wait())
    wait(token.cancelled())
    wait(token.run(asyncio.sleep(1000)))
    wait(blitzio.join_all(blitzio.sleep(1000), kept[-2]))
    wait(blitzio.timeout(1000, asyncio.sleep(1000)))
    wait(blitzio.interval(1000).tick())
""",
    "runtime": """
    runtime = blitzio.Runtime(workers=2)
    inside = sync.Mutex()
    assert inside.try_lock()
    async def stuck():
        await inside.lock()
    keep(runtime, runtime.spawn(stuck), runtime.spawn(asyncio.sleep, 1000),
         runtime.spawn_blocking(time.sleep, 0.05))
    wait(kept[-2].join())
    wait(inside.lock())
""",
    "serve": """
    server = blitzio.Server(asyncio.Protocol, "127.0.0.1", 0)
    clients = [socket.create_connection(server.address[:2]) for _ in range(4)]
    keep(server, clients)
""",
}


def main_of(*names: str) -> str:
    parts = "".join(PARTS[name] for name in names)
    return f"""
async def main():
{parts}
    for _ in range(5):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks():
        task._log_destroy_pending = False
"""


EVERYTHING = main_of(*PARTS)

#: How it ends: the exit code, and what does it.
ENDS = {
    "left as it is": (0, "loop.run_until_complete(main())"),
    "blitzio.run": (0, "blitzio.run(main())"),
    "sys.exit in a task": (
        3,
        """
async def leave():
    await main()
    sys.exit(3)
loop.run_until_complete(leave())
""",
    ),
    "sys.exit in blitzio.run": (
        4,
        """
async def leave():
    await main()
    sys.exit(4)
blitzio.run(leave())
""",
    ),
    "a daemon thread's loop": (
        0,
        """
threading.Thread(target=loop.run_forever, daemon=True).start()
made = blitzio.Shutdown
blitzio.Shutdown = lambda: made(())  # Signals are the main thread's.
asyncio.run_coroutine_threadsafe(main(), loop).result()
""",
    ),
}

BLOCKED = """
mutex, permits, event, bell = sync.Mutex(), sync.Semaphore(0), sync.Event(), sync.Notify()
assert mutex.try_lock()
lock = sync.RwLock()
held = lock.try_write()
empty, oneshot, watch = channel.Channel(1), channel.Oneshot(), channel.Watch(0)
broadcast = channel.Broadcast(1)
listener = net.TcpListener.bind("127.0.0.1:0")
ours, theirs = net.UnixStream.pair()
sleeping = process.spawn("sleep", "1000", kill_on_drop=True)
runtime = blitzio.Runtime(workers=1)
handle = runtime.spawn(asyncio.sleep, 1000)
token = blitzio.CancelToken()
stream = signals.stream(signal.SIGUSR1)
events = fs.blocking_watch(place)
for blocking in (mutex.blocking_lock, permits.blocking_acquire, event.blocking_wait,
                 bell.blocking_wait, lock.blocking_read, lock.blocking_write,
                 empty.blocking_recv, oneshot.blocking_recv, watch.subscribe().blocking_changed,
                 broadcast.subscribe().blocking_recv, listener.blocking_accept,
                 ours.blocking_read, lambda: theirs.blocking_write_all(bytes(9_000_000)),
                 sleeping.blocking_wait, token.blocking_wait, stream.blocking_next,
                 events.blocking_next):
    in_thread(blocking)
in_thread(lambda: blitzio.run(asyncio.sleep(1000)))
in_thread(lambda: blitzio.parallel_map(range(2), lambda _: time.sleep(0.05)).blocking_join())
deadline = time.monotonic() + 0.05
while time.monotonic() < deadline:
    time.sleep(0.001)  # They wait by now, most of them.
sleeping.kill()
"""


@pytest.mark.parametrize("how", ENDS)
def test_the_interpreter_ends_well_with_everything_in_flight(how: str) -> None:
    status, end = ENDS[how]
    done = program(HEAD + EVERYTHING + end, options=())
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize("name", PARTS)
def test_the_interpreter_ends_well_with_a_part_in_flight(name: str) -> None:
    """Each alone, in development mode, which looks at memory more closely."""
    assert silent(
        program(
            HEAD + "loop.slow_callback_duration = 1000\n" + main_of(name) + ENDS["left as it is"][1]
        )
    )


def test_the_interpreter_ends_well_under_threads_that_block() -> None:
    assert silent(program(HEAD + BLOCKED, options=()))
