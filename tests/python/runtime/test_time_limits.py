"""What a call for threads says when its time is over: its own name, and how long it was."""

from __future__ import annotations

import functools
import re
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import channel, fs, net, process, sync
from blitzio import signal as signals
from blitzio.time import Duration
from tests.python.asleep import do_wait
from tests.python.runtime.runtime_support import PATIENCE, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT = 0.002


def taken(lock: Any) -> Any:
    lock.blocking_lock()
    return lock


def in_use(cell: sync.OnceCell[int]) -> sync.OnceCell[int]:
    """Somebody makes its value, for good."""
    begun = threading.Event()

    def never_ends() -> int:
        begun.set()
        threading.Event().wait(PATIENCE)
        return 1

    threading.Thread(target=cell.blocking_get_or_init, args=(never_ends,), daemon=True).start()
    assert begun.wait(PATIENCE)
    return cell


def of_condition(name: str) -> Callable[..., Any]:
    condition = sync.Condition()

    def wait(timeout: float | None) -> None:
        assert condition.mutex.try_lock()
        try:
            if name == "blocking_wait":
                condition.blocking_wait(timeout)
            else:
                condition.blocking_wait_for(lambda: False, timeout)
        finally:
            condition.mutex.unlock()

    return wait


def of_pool(timeout: Any) -> None:
    async def connect() -> Any:
        raise NotImplementedError

    pool: net.Pool[Any] = net.Pool(connect, blocking_connect=socket.socket, connections_max=1)
    with pool, pool.blocking_acquire(), pool.blocking_acquire(timeout):
        pass


def of_child(name: str) -> Callable[..., Any]:
    def wait(timeout: Any) -> None:
        child = process.spawn("sleep", "600", stdout="pipe")
        try:
            getattr(child, name)(timeout=timeout)
        finally:
            child.kill()
            child.close_pipes()

    return wait


def of_listener(timeout: Any) -> None:
    listener = net.TcpListener.bind("127.0.0.1:0")
    try:
        listener.blocking_accept(timeout=timeout)
    finally:
        listener.close()


def of_pair(call: Callable[..., Any]) -> Callable[..., Any]:
    def wait(timeout: Any) -> None:
        ours, theirs = net.UnixStream.pair()
        try:
            call(ours, timeout)
        finally:
            ours.close()
            theirs.close()

    return wait


CALLS: dict[str, Callable[[], Callable[..., Any]]] = {
    "Mutex.blocking_lock": lambda: taken(sync.Mutex()).blocking_lock,
    "Semaphore.blocking_acquire": lambda: sync.Semaphore(0).blocking_acquire,
    "Event.blocking_wait": lambda: sync.Event().blocking_wait,
    "Notify.blocking_wait": lambda: sync.Notify().blocking_wait,
    "Barrier.blocking_wait": lambda: sync.Barrier(2).blocking_wait,
    "Condition.blocking_wait": lambda: of_condition("blocking_wait"),
    "Condition.blocking_wait_for": lambda: of_condition("blocking_wait_for"),
    "Channel.blocking_recv": lambda: channel.Channel[int](1).blocking_recv,
    "Oneshot.blocking_recv": lambda: channel.Oneshot[int]().blocking_recv,
    "BroadcastReceiver.blocking_recv": lambda: channel.Broadcast[int](1).subscribe().blocking_recv,
    "WatchReceiver.blocking_changed": lambda: channel.Watch(1).subscribe().blocking_changed,
    "UnixStream.blocking_read_exact": lambda: of_pair(
        lambda stream, timeout: stream.blocking_read_exact(1, timeout=timeout)
    ),
    "blocking_copy": lambda: of_pair(
        lambda stream, timeout: net.blocking_copy(stream, stream, timeout=timeout)
    ),
    "TcpListener.blocking_accept": lambda: of_listener,
    "SignalStream.blocking_next": lambda: signals.stream(signal.SIGUSR1).blocking_next,
    "blocking_wait": lambda: functools.partial(signals.blocking_wait, signal.SIGUSR1),
    "Pool.blocking_acquire": lambda: of_pool,
    "Child.blocking_wait": lambda: of_child("blocking_wait"),
    "Child.blocking_wait_with_output": lambda: of_child("blocking_wait_with_output"),
    "OnceCell.blocking_get_or_init": lambda: functools.partial(
        in_use(sync.OnceCell()).blocking_get_or_init, int
    ),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("limit", [LIMIT, Duration.from_millis(2)], ids=["number", "duration"])
def test_the_call_and_its_time_are_told(name: str, limit: Any) -> None:
    call = CALLS[name]()
    expected = rf"^{re.escape(name)}\(\) did not end within 0\.002 seconds$"
    with pytest.raises(TimeoutError, match=expected) as caught:
        call(timeout=limit)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "name",
    [
        *("Mutex.blocking_lock", "Event.blocking_wait", "Condition.blocking_wait_for"),
        *("Channel.blocking_recv", "TcpListener.blocking_accept", "SignalStream.blocking_next"),
        *("Child.blocking_wait", "Child.blocking_wait_with_output", "blocking_copy"),
    ],
)
def test_a_call_that_would_block_a_loop_is_told_in_the_same_words(name: str) -> None:
    call = CALLS[name]()

    async def main() -> None:
        expected = rf"^{re.escape(name)}\(\) would block the event loop of this thread; "
        with pytest.raises(RuntimeError, match=expected):
            call(timeout=LIMIT)

    blitzio.run(main())


def test_the_lock_of_readers_names_the_call() -> None:
    lock = sync.RwLock()
    guard = lock.try_write()
    assert guard is not None
    for call, name in (
        (lock.blocking_read, r"RwLock\.blocking_read"),
        (lock.blocking_write, r"RwLock\.blocking_write"),
    ):
        with pytest.raises(TimeoutError, match=rf"^{name}\(\) did not end within 0.002 seconds$"):
            call(LIMIT)
    guard.release()


def test_a_watcher_names_the_call(tmp_path: Path) -> None:
    with fs.watch(tmp_path) as events:
        with pytest.raises(TimeoutError, match=r"^Watcher\.blocking_next\(\) did not end"):
            events.blocking_next(LIMIT)


@pytest.mark.parametrize("addresses", [1, 2])
def test_connecting_names_the_call(addresses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A backlog that is full: nobody answers.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        row = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        rows = [(*row, (host, port)) for host in ("127.0.0.1", "127.0.0.2")[:addresses]]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: rows)
        expected = r"^blocking_connect\(\) did not end within 0.05 seconds$"
        with pytest.raises(TimeoutError, match=expected):
            net.blocking_connect("somewhere", port, timeout=0.05)
        for one in filling:
            one.close()


def test_what_a_handler_raises_is_told_as_it_is() -> None:
    """A TimeoutError, as programs raise it for an alarm, is no other."""

    def ring() -> TimeoutError:
        return TimeoutError("the alarm")

    never, begins = threading.Event(), threading.Event()
    main = threading.get_native_id()
    work = blitzio.spawn_blocking(never.wait, PATIENCE)
    for wait in (work.blocking_join, of_condition("blocking_wait")):
        for limit in (None, PATIENCE):
            with (
                pytest.raises(TimeoutError, match="^the alarm$"),
                interrupted(lambda: begins.is_set() and do_wait(main), ring),
            ):
                begins.set()
                wait(limit)
            begins.clear()
    never.set()
    work.blocking_join(PATIENCE)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon"])
def test_a_wrong_limit_is_all_that_is_told(timeout: Any, tmp_path: Path) -> None:
    """What was made to be waited for is dropped, without a warning that nobody awaited it."""
    condition = sync.Condition()
    with condition.mutex:
        for call in (condition.blocking_wait, of_pool):
            with pytest.raises((ValueError, TypeError), match="timeout|seconds|Duration"):
                call(timeout)
    with pytest.raises((ValueError, TypeError)):
        sync.OnceCell[int]().blocking_get_or_init(int, timeout)
    with blitzio.signal.stream(signal.SIGUSR2) as arrivals, fs.watch(tmp_path) as events:
        for wait in (arrivals.blocking_next, events.blocking_next):
            with pytest.raises((ValueError, TypeError)):
                wait(timeout)
