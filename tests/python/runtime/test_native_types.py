"""Every type of the extension: its objects made without `__init__`, and called with anything.

What is wrong is an exception, never SystemError and never the interpreter's end.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
import signal
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from blitzio import _native, channel, net, sync
from blitzio._native import fs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

TYPES = sorted(
    {
        thing
        for module in (_native, fs)
        for thing in vars(module).values()
        if isinstance(thing, type) and not issubclass(thing, BaseException)
    },
    key=lambda type_: type_.__qualname__,
)
#: Ends what other tests need, gives a descriptor away, or says that this process is a fork.
LEFT_ALONE = {
    *("__class__", "__init_subclass__", "__subclasshook__", "_disown", "_redefine_in", "detach"),
}


class Hostile:
    """Is nothing that anybody asks for, and says so in the way that is expected least."""

    def __index__(self) -> int:
        raise ZeroDivisionError("index")

    def __float__(self) -> float:
        raise ZeroDivisionError("float")

    def __bool__(self) -> bool:
        raise ZeroDivisionError("bool")

    def __fspath__(self) -> str:
        raise ZeroDivisionError("path")

    def __iter__(self) -> Iterator[Any]:
        raise ZeroDivisionError("iter")

    def __len__(self) -> int:
        raise ZeroDivisionError("len")

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("eq")

    def __hash__(self) -> int:
        raise ZeroDivisionError("hash")


ANYTHING: tuple[Any, ...] = (
    *(None, -1, 2**31, 2**63, -(2**100), float("nan"), float("-inf"), "", "a\0b", "\udc80"),
    *(b"", bytearray(3), memoryview(b"abcdef")[::2], (), [object()], {}, object()),
    *(Hostile, Hostile()),
)


def provoke(call: Callable[[], object]) -> object:
    """Makes the call; what it raises has to be an ordinary exception."""
    try:
        result = call()
    except SystemError:
        raise
    except Exception:
        return None
    if inspect.isawaitable(result) and hasattr(result, "close"):
        result.close()
    return result


def provoke_all(thing: Any) -> None:
    """Calls and reads everything that `thing` has."""
    for name in dir(type(thing)):
        if name in LEFT_ALONE or name == "__new__":
            continue
        method = provoke(lambda name=name: getattr(thing, name))  # type: ignore[misc]
        provoke(lambda name=name: setattr(thing, name, Hostile()))  # type: ignore[misc]
        provoke(lambda name=name: delattr(thing, name))  # type: ignore[misc]
        if not callable(method):
            continue
        provoke(method)
        for value in ANYTHING:
            provoke(lambda: method(value))  # noqa: B023
            provoke(lambda: method(value, value))  # noqa: B023
            provoke(lambda: method(value, timeout=value))  # noqa: B023
        provoke(lambda: method(*ANYTHING[:5]))  # noqa: B023
        provoke(lambda: method(no_such=1))  # noqa: B023
    for use in (repr, hash, copy.copy, copy.deepcopy, pickle.dumps, weakref.ref, bool, len, iter):
        provoke(lambda use=use: use(thing))  # type: ignore[misc]


def in_a_loop(main: Coroutine[Any, Any, None]) -> None:
    """Where a loop runs nothing blocks."""
    loop = blitzio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    loop.run_until_complete(main)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    gc.collect()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("native", TYPES, ids=lambda type_: type_.__name__)
def test_objects_that_were_never_initialised(native: Any) -> None:
    async def main() -> None:
        for arguments in ((), *((value,) for value in ANYTHING), ANYTHING[:3], ANYTHING[:6]):
            provoke(lambda: native.__new__(native, *arguments))  # noqa: B023
            provoke(lambda: native(*arguments))  # noqa: B023
        for make in (native.__new__, object.__new__):
            made = provoke(lambda: make(native))  # noqa: B023
            if made is not None:
                provoke_all(made)

    in_a_loop(main())


async def things(folder: Path) -> list[Any]:
    """One of everything that can be had without a peer."""
    loop: Any = asyncio.get_running_loop()
    listener = net.TcpListener.bind("127.0.0.1:0")
    broadcast: Any = channel.Broadcast(2)
    watch: Any = channel.Watch(1)
    return [
        *(sync.Mutex(), sync.RwLock(), sync.Semaphore(2), sync.Event(), sync.Notify()),
        *(sync.Barrier(2), sync.RwLock().try_write(), sync.Semaphore(1).permit()),
        *(channel.Channel(2), channel.Oneshot(), broadcast, broadcast.subscribe()),
        *(watch, watch.subscribe(), sync.Mutex().lock(), net.Address("127.0.0.1", 80)),
        *(listener, await net.TcpStream.connect(listener.local_address)),
        *(*net.UnixStream.pair(), *net.UnixDatagram.pair(), net.UdpSocket.bind("127.0.0.1:0")),
        *(await fs.open(folder / "file", "w+b"), await fs.open(folder / "text", "w+")),
        *(await fs.watch([folder], False), await fs.stat(folder)),
        *(loop.call_soon(int), loop.call_later(100, int), blitzio.spawn(asyncio.sleep, 0)),
        *(_native.ThreadPool(1, 0.1, "pool"), _native.SignalSet([signal.SIGUSR1])),
        loop.sock_recv(net.UnixStream.pair()[0], 1),
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.no_faults("what fails here fails for one reason")
def test_objects_that_are_called_with_anything(tmp_path: Path) -> None:
    async def main() -> None:
        for thing in await things(tmp_path):
            provoke_all(thing)
            await asyncio.sleep(0)

    in_a_loop(main())


def test_a_worker_that_is_never_left_stays() -> None:
    loop = blitzio.new_event_loop()

    def enter() -> None:
        pool = _native.ThreadPool(1, 0.1, "pool")
        worker = _native.Worker(_native.Scheduler(True, False, pool), loop)
        worker.enter(True)
        worker.enter(True)

    enter()
    gc.collect()
    left = _native._current_worker()
    assert left is not None
    assert left.metrics()["queued"] == 0
    left.leave()
    assert _native._current_worker() is None
    loop.close()
