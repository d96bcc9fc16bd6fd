"""Copying and pickling: values are copied, and what is one thing refuses, as Python's locks do."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import importlib
import inspect
import pickle
import socket
from signal import SIGUSR1
from typing import TYPE_CHECKING, Any

import blitzio
from blitzio import channel, fs, io, net, process, signal, sync, time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALUES = (
    blitzio.Config(workers=2),
    blitzio.Duration(5),
    blitzio.Instant.now(),
    time.Deadline(blitzio.Instant.now()),
    fs.DirEntry("name", "folder/name", "file", 1),
    fs.WatchEvent("created", "name", None, False),
    io.Faults(),
    net.Address("127.0.0.1", 80),
    net.KeepAlive(),
    process.ExitStatus(3),
    process.Output(process.ExitStatus(3), b"out", b"err"),
    blitzio.runtime.BlockingPoolInfo(1, 0, 2, 1, 5),
    blitzio.runtime.SchedulerInfo("work_stealing", 2, 1, 0),
)
#: Made of functions, or of what may be a function or a file; two handles of one thing are equal; a
#: dict.
MAY_BE_COPIED = {process.Command, io.Io, blitzio.EventLoopPolicy, blitzio.runtime.RuntimeMetrics}


def accepted(thing: object) -> list[str]:
    """The ways in which `thing` can be copied, which shall be none."""
    ways: dict[str, Any] = {"copy": copy.copy, "deepcopy": copy.deepcopy}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        ways[f"pickle {protocol}"] = functools.partial(pickle.dumps, protocol=protocol)
    wrong = []
    for name, way in ways.items():
        try:
            way(thing)
        except TypeError as error:
            if not str(error).startswith("cannot pickle '"):
                wrong.append(f"{name} of {type(thing).__name__}: {error}")
        else:
            wrong.append(f"{name} of {type(thing).__name__}")
    return wrong


def made_anywhere(stack: contextlib.ExitStack, folder: Path) -> Iterator[object]:
    yield from (sync.Mutex(), sync.RwLock(), sync.Semaphore(1), sync.Notify(), sync.Event())
    yield from (sync.Barrier(1), sync.Condition(), sync.OnceCell())
    yield sync.RwLock().try_write()
    broadcast, watch = channel.Broadcast[int](4), channel.Watch(0)
    yield from (channel.Channel[int](1), channel.Oneshot[int](), broadcast, watch)
    yield from (broadcast.subscribe(), watch.subscribe())
    yield from (blitzio.CancelToken(), blitzio.Group(), blitzio.timeout(1))
    shutdown = stack.enter_context(blitzio.Shutdown(()))
    yield from (shutdown, stack.enter_context(shutdown.start_work()))
    runtime = stack.enter_context(blitzio.Runtime(workers=1))
    yield from (runtime, runtime.spawn(int))
    yield stack.enter_context(blitzio.Server(asyncio.Protocol, "127.0.0.1", 0))
    yield from (stack.enter_context(each()) for each in (io.Threaded, io.Deterministic))
    yield stack.enter_context(io.Evented(runtime))
    yield from (io.Reader(_Source(), 16), io.Writer(_Source(), 16), io.AllocatingWriter())
    yield stack.enter_context(signal.stream(SIGUSR1))
    yield from (fs.temp_file(), fs.temp_dir(), fs.named_temp_file(), fs.read_dir(folder))
    yield from (fs.watch(folder), fs.blocking_stat(folder))
    opened = fs.blocking_open(folder / "bytes", "wb")
    yield stack.enter_context(opened)
    yield stack.enter_context(fs.blocking_open(folder / "text", "w"))


class _Source:
    async def read(self, n: int) -> bytes:
        return b""

    async def write(self, data: bytes) -> int:
        return len(data)


async def copied_on_a_loop(folder: Path) -> tuple[list[str], set[type]]:
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        one, other = net.UnixStream.pair()
        halves = one.split()
        listener = net.TcpListener.bind("127.0.0.1:0")
        pool = net.Pool(lambda: net.TcpStream.connect(listener.local_address))
        descriptors: list[Any] = [
            *halves,
            other,
            listener,
            pool,
            await net.TcpStream.connect(listener.local_address),
            net.UdpSocket.bind("127.0.0.1:0"),
            net.UnixDatagram.bind(),
            net.UnixListener.bind(str(folder / "socket")),
            blitzio.AsyncFd.adopt(socket.socket().detach()),
            process.spawn("cat", stdin="pipe", stdout="pipe"),
            net.TlsStream(*await asyncio.open_connection(*_host_and_port(listener))),
        ]
        for each in descriptors:
            await stack.enter_async_context(each)
        child = descriptors[-2]
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        stack.callback(server.close)
        stream, _ = await loop.create_connection(asyncio.Protocol, *_host_and_port(listener))
        datagram, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        subprocess, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "true", stdout=None, stderr=None
        )
        for transport in (stream, datagram, subprocess):
            stack.callback(transport.close)
        limited = blitzio.timeout(1, asyncio.sleep(0))
        opening = fs.open(folder / "opened", "wb")
        locking = sync.Mutex().lock()
        threaded = stack.enter_context(io.Threaded()).io()
        future = threaded.async_(int)
        things = [
            loop,
            *descriptors,
            child.stdin,
            child.stdout,
            server,
            stream,
            datagram,
            subprocess,
            loop.call_soon(int),
            loop.call_later(0.001, int),
            blitzio.interval(1),
            limited,
            opening,
            locking,
            threaded.group(),
            future,
        ]
        wrong = [way for thing in things for way in accepted(thing)]
        await limited
        await locking
        await (await opening).close()
        await future
        return wrong, {type(thing) for thing in things}


def _host_and_port(listener: net.TcpListener) -> tuple[str, int]:
    return listener.local_address.host, listener.local_address.port


def test_what_is_one_thing_is_not_copied(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        things = list(made_anywhere(stack, tmp_path))
        wrong = [way for thing in things for way in accepted(thing)]
        more_wrong, seen = blitzio.run(copied_on_a_loop(tmp_path))
    assert wrong + more_wrong == []
    # Of the public classes none was forgotten.
    seen |= {type(thing) for thing in things} | {type(value) for value in VALUES} | MAY_BE_COPIED
    forgotten = {each.__name__ for each in public_classes() if each not in seen}
    assert forgotten == set()


def public_classes() -> Iterator[type]:
    names = ("channel", "fs", "io", "net", "process", "runtime", "signal", "sync", "task", "time")
    for module in (blitzio, *(importlib.import_module(f"blitzio.{name}") for name in names)):
        for name in module.__all__:
            each = getattr(module, name)
            is_protocol = getattr(each, "_is_protocol", False)
            if inspect.isclass(each) and not issubclass(each, BaseException) and not is_protocol:
                yield each


def test_values_are_copied() -> None:
    for value in VALUES:
        copies = [copy.copy(value), copy.deepcopy(value)]
        copies += [
            pickle.loads(pickle.dumps(value, protocol))
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
        ]
        assert copies == [value] * len(copies)


def test_a_subclass_may_say_how_it_is_made_again() -> None:
    class Named(sync.OnceCell[int]):
        def __reduce__(self) -> Any:
            return Named, ()

    assert type(copy.copy(Named())) is Named
