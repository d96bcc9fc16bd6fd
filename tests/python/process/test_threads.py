"""Loops and what belongs to them, in the hands of other threads than the one that runs them."""

from __future__ import annotations

import asyncio
import functools
import gc
import socket
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import net
from tests.python.loop.support import Recorder, raw_pair, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]

PATIENCE = 30


def in_thread(work: Callable[[], Any]) -> Any:
    """Calls `work` in a thread of its own; gives what it returns, raises what it raises."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.extend((True, work()))
        except BaseException as exc:
            outcome.extend((False, exc))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    assert outcome, "the thread hangs"
    if outcome[0]:
        return outcome[1]
    raise outcome[1]


def test_a_loop_is_made_run_closed_and_dropped_in_four_threads(new_loop: LoopFactory) -> None:
    held = [in_thread(new_loop)]

    async def use() -> bytes:
        ours, peer = raw_pair()
        with ours, peer:
            loop = asyncio.get_running_loop()
            loop.call_later(60, print)
            await loop.run_in_executor(None, peer.sendall, b"x")
            return await loop.sock_recv(ours, 1)

    for _ in range(2):
        assert in_thread(lambda: held[0].run_until_complete(use())) == b"x"
    in_thread(lambda: held[0].run_until_complete(held[0].shutdown_default_executor()))
    in_thread(lambda: held[0].close())
    gone = weakref.ref(held[0])
    in_thread(held.clear)
    gc.collect()
    assert gone() is None


def test_many_threads_run_a_loop_each(new_loop: LoopFactory) -> None:
    async def echo() -> int:
        ours, peer = raw_pair()
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        with peer:
            for _ in range(10):
                await loop.sock_sendall(peer, b"ping")
            received = len(await protocol.received(40))
            transport.close()
            await soon(protocol.lost)
        return received

    def work() -> None:
        for _ in range(3):
            loop = new_loop()
            try:
                answers.append(loop.run_until_complete(soon(echo())))
            finally:
                loop.close()

    answers: list[int] = []
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [40] * 24


def test_a_stream_dropped_in_another_thread_is_closed_by_the_loop(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Collecting garbage runs StreamWriter.__del__ in whatever thread it happens to run."""

    async def main() -> bytes:
        ours, peer = raw_pair()
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        await loop.run_in_executor(None, transport.close)
        await soon(protocol.lost)
        with peer:
            return await soon(loop.sock_recv(peer, 1))

    loop.set_debug(False)
    assert loop.run_until_complete(main()) == b""


@pytest.mark.usefixtures("native")
def test_debug_mode_names_a_wrong_thread(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> list[str]:
        ours, peer = raw_pair()
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        calls: list[Callable[[], object]] = [
            lambda: loop.call_soon(print),
            lambda: loop.call_later(0, print),
            transport.close,
            transport.abort,
            lambda: transport.write(b"x"),
        ]
        refused = []
        for call in calls:
            try:
                await loop.run_in_executor(None, call)
            except RuntimeError as exc:
                refused.append(str(exc))
        transport.close()
        await soon(protocol.lost)
        peer.close()
        return refused

    loop.set_debug(True)
    text = "Non-thread-safe operation invoked on an event loop other than the current one"
    assert loop.run_until_complete(main()) == [text] * 5


# Without the GIL the collector may come to the loop's own sockets before the loop.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("native")
def test_an_abandoned_loop_with_a_reader_that_fired_is_collected(new_loop: LoopFactory) -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        loop = new_loop()
        peer.send(b"x")
        loop.add_reader(ours, loop.stop)
        loop.call_soon(sys.exit)
        with pytest.raises(SystemExit):
            loop.run_forever()  # It has fired, and ends before its turn.
        gone = weakref.ref(loop)
        with pytest.warns(ResourceWarning, match="unclosed event loop"):
            del loop
            gc.collect()
        assert gone() is None


def schedule_stop(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon_threadsafe(loop.stop)


def test_an_abandoned_loop_with_a_callback_from_another_thread_is_collected(
    new_loop: LoopFactory,
) -> None:
    loop = new_loop()
    in_thread(functools.partial(schedule_stop, loop))
    gone = weakref.ref(loop)
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        del loop
        gc.collect()
    assert gone() is None


def test_a_finaliser_may_use_the_loop_that_is_collected_with_it(new_loop: LoopFactory) -> None:
    heard: list[str] = []

    class Uses:
        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.loop: Any = loop

        def __del__(self) -> None:
            try:
                self.loop.call_soon(print)
                heard.append("scheduled")
            except RuntimeError as exc:
                heard.append(str(exc))

    class Revived:
        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.loop: Any = loop

        def __del__(self) -> None:
            survivors.append(self.loop)

    survivors: list[Any] = []
    for kind in (Uses, Revived):
        loop = new_loop()
        loop.call_soon(print, kind(loop))
        loop.call_later(60, print, kind(loop))
        with pytest.warns(ResourceWarning, match="unclosed event loop"):
            del loop
            gc.collect()
    assert len(heard) == 2
    assert len(survivors) == 2
    assert all(loop.is_closed() for loop in survivors)
    with pytest.raises(RuntimeError, match="closed"):
        survivors[0].call_soon(print)


CHAIN_LENGTH = 300_000


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("kind", ["handle", "timer", "subclass", "many arguments", "cancelled"])
def test_a_long_chain_of_handles_is_dropped_without_recursion(
    loop: asyncio.AbstractEventLoop, kind: str
) -> None:
    from blitzio import _native

    class Subclass(_native.Handle):
        pass

    owner: Any = loop
    last: Any = None
    for _ in range(CHAIN_LENGTH):
        if kind == "handle":
            last = _native.Handle(print, (last,), owner)
        elif kind == "timer":
            last = _native.TimerHandle(1.0, print, (last,), owner)
        elif kind == "subclass":
            last = Subclass(print, (last,), owner)
        elif kind == "many arguments":
            last = _native.Handle(print, (last, 1, 2, 3, 4), owner)
        else:
            last = loop.call_later(60, print, last)
    if kind == "cancelled":
        last.cancel()
    del last


@pytest.mark.usefixtures("native")
def test_nested_runs_are_refused_as_asyncio_words_it(
    same_as_asyncio: Callable[[Callable[[asyncio.AbstractEventLoop], Any]], Any],
) -> None:
    def nested(call: Callable[[asyncio.AbstractEventLoop], Any]) -> Callable[..., list[str]]:
        def scenario(loop: asyncio.AbstractEventLoop) -> list[str]:
            async def main() -> list[str]:
                try:
                    call(loop)
                except RuntimeError as exc:
                    return [str(exc)]
                return []

            return loop.run_until_complete(main())

        return scenario

    other = asyncio.SelectorEventLoop()
    calls: list[Callable[[asyncio.AbstractEventLoop], Any]] = [
        lambda loop: loop.run_forever(),
        lambda loop: loop.run_until_complete(loop.create_future()),
        lambda loop: loop.close(),
        lambda loop: other.run_until_complete(other.create_future()),
    ]
    for call in calls:
        same_as_asyncio(nested(call))
    other.close()


def test_a_recursion_limit_met_in_a_callback_ends_that_callback_alone(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    def deeper() -> None:
        deeper()

    loop.call_soon(deeper)
    loop.run_until_complete(turns())
    assert [type(report["exception"]) for report in reports] == [RecursionError]


def test_a_loop_that_is_never_idle_lets_other_threads_run(
    new_loop: LoopFactory, tmp_path: Path
) -> None:
    # The kernel says of a datagram socket without a peer that it can be written to, although the
    # receiver has no room: the wait is over at once, again and again, and no Python runs.
    path = str(tmp_path / "receiver")
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    receiver.settimeout(PATIENCE)
    is_full = threading.Event()

    async def fill() -> None:
        async with net.UnixDatagram.bind() as sender:
            while sender.try_send_to(b"first", path) is not None:
                pass
            is_full.set()
            await sender.send_to(b"last", path)

    def run() -> None:
        loop = new_loop()
        loop.run_until_complete(fill())
        loop.close()

    sending = threading.Thread(target=run)
    sending.start()
    assert is_full.wait(PATIENCE)
    while receiver.recv(16) != b"last":
        pass
    sending.join(PATIENCE)
    assert not sending.is_alive()
    receiver.close()
