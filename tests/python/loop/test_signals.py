"""Signals and Ctrl-C. Handlers belong to the process, so each test puts back what it found."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import PATIENCE, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    # The loop has given the wake-up fd back.
    assert signal.set_wakeup_fd(-1) == -1


def kill_soon(loop: asyncio.AbstractEventLoop, number: int, times: int = 1) -> threading.Thread:
    """Sends the signal from another thread while the loop sleeps in the kernel."""

    def work() -> None:
        while not loop.is_running():
            time.sleep(0.001)
        for _ in range(times):
            time.sleep(0.02)  # Not to wait for something: to let the loop fall asleep.
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.usefixtures("native")
def test_an_interrupt_while_a_run_prepares_for_signals_leaves_no_deaf_loop(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(loop), "_add_background_reader", interrupted)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                loop.run_forever()
    received = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, received.set_result, "argument")
    thread = kill_soon(loop, signal.SIGUSR1)
    assert loop.run_until_complete(soon(received)) == "argument"
    thread.join(PATIENCE)
    loop.remove_signal_handler(signal.SIGUSR1)


@pytest.mark.usefixtures("native")
def test_a_handler_in_python_may_close_the_loop_whose_signals_are_read(
    loop: asyncio.AbstractEventLoop,
) -> None:
    loop.add_signal_handler(signal.SIGUSR1, int)
    real: Any = loop._handle_signal  # type: ignore[attr-defined]
    descriptors: list[int] = []

    def close_and_take_its_number(number: int) -> bool:
        real(number)
        loop.close()
        descriptors.extend(os.pipe())
        os.write(descriptors[1], b"data")
        return True

    loop._handle_signal = close_and_take_its_number  # type: ignore[attr-defined]
    os.kill(os.getpid(), signal.SIGUSR1)
    while not descriptors:
        pass
    assert os.read(descriptors[0], 100) == b"data"
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_handler_is_called_in_the_loop(loop: asyncio.AbstractEventLoop, number: int) -> None:
    async def main() -> None:
        received = loop.create_future()
        loop.add_signal_handler(number, received.set_result, "argument")
        thread = kill_soon(loop, number)
        assert await soon(received) == "argument"
        thread.join(PATIENCE)
        assert loop.remove_signal_handler(number) is True
        assert loop.remove_signal_handler(number) is False

    loop.run_until_complete(main())
    default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    assert signal.getsignal(number) == default


def test_a_handler_added_before_the_loop_runs(loop: asyncio.AbstractEventLoop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    thread = kill_soon(loop, signal.SIGUSR1)
    loop.run_forever()
    thread.join(PATIENCE)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_a_handler_can_be_replaced(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "first")

    def second() -> None:
        seen.append("second")
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, second)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGUSR1)
    assert seen == ["second"]


def test_several_signals(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[int] = []

    def handler(number: int) -> None:
        seen.append(number)
        if len(seen) == 2:
            loop.stop()

    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, handler, number)
        os.kill(os.getpid(), number)
    loop.run_forever()
    assert sorted(seen) == [signal.SIGUSR1, signal.SIGUSR2]
    loop.close()


def test_a_handler_that_fails_is_reported(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    def handler() -> None:
        loop.stop()
        raise ValueError("in the handler")

    loop.add_signal_handler(signal.SIGUSR1, handler)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGUSR1)
    assert [str(report["exception"]) for report in reports] == ["in the handler"]


def test_ctrl_c_wakes_an_idle_loop(loop: asyncio.AbstractEventLoop) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = kill_soon(loop, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    thread.join(PATIENCE)
    loop.run_until_complete(asyncio.sleep(0))


def test_python_level_handlers_wake_an_idle_loop(loop: asyncio.AbstractEventLoop) -> None:
    calls: list[int] = []

    def handler(number: int, frame: object) -> None:
        calls.append(number)
        loop.call_soon_threadsafe(loop.stop)

    signal.signal(signal.SIGUSR1, handler)
    thread = kill_soon(loop, signal.SIGUSR1)
    loop.run_forever()
    thread.join(PATIENCE)
    assert calls == [signal.SIGUSR1]


def test_a_python_level_handler_may_schedule_without_more_ado(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    """The loop looks at what the handler left before it sleeps again. (asyncio's goes on waiting
    if it has no handlers of its own.)"""

    def handler(number: int, frame: object) -> None:
        loop.call_soon(loop.stop)

    signal.signal(signal.SIGUSR1, handler)
    far = loop.call_later(3600, print)
    thread = kill_soon(loop, signal.SIGUSR1)
    loop.run_forever()
    thread.join(PATIENCE)
    far.cancel()


def test_what_a_python_level_handler_raises_ends_the_run_of_an_idle_loop(
    loop: asyncio.AbstractEventLoop,
) -> None:
    def handler(number: int, frame: object) -> None:
        raise LookupError("in the handler")

    signal.signal(signal.SIGUSR1, handler)
    thread = kill_soon(loop, signal.SIGUSR1)
    with pytest.raises(LookupError, match="in the handler"):
        loop.run_forever()
    thread.join(PATIENCE)
    loop.run_until_complete(asyncio.sleep(0))


def test_a_handler_of_sigchld_and_children_get_on(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        told: asyncio.Queue[None] = asyncio.Queue()
        loop.add_signal_handler(signal.SIGCHLD, told.put_nowait, None)
        for status in range(3):
            child = await asyncio.create_subprocess_shell(f"exit {status}")
            assert await soon(child.wait()) == status
            await soon(told.get())
        assert loop.remove_signal_handler(signal.SIGCHLD)
        child = await asyncio.create_subprocess_shell("exit 3")
        assert await soon(child.wait()) == 3
        assert told.empty()

    loop.run_until_complete(main())


async def coroutine_function() -> None:
    pass


BAD_CALLS: dict[str, Callable[[asyncio.AbstractEventLoop], Any]] = {
    "no number": lambda loop: loop.add_signal_handler("SIGINT", print),  # type: ignore[arg-type]
    "number 0": lambda loop: loop.add_signal_handler(0, print),
    "number -1": lambda loop: loop.add_signal_handler(-1, print),
    "number 1000": lambda loop: loop.add_signal_handler(1000, print),
    "SIGKILL": lambda loop: loop.add_signal_handler(signal.SIGKILL, print),
    "SIGSTOP": lambda loop: loop.add_signal_handler(signal.SIGSTOP, print),
    "coroutine function": lambda loop: loop.add_signal_handler(10, coroutine_function),
    "remove, no number": lambda loop: loop.remove_signal_handler(None),  # type: ignore[arg-type]
    "remove 1000": lambda loop: loop.remove_signal_handler(1000),
    "remove what is not there": lambda loop: loop.remove_signal_handler(10),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_answer_like_asyncio(name: str, same_as_asyncio: Compare) -> None:
    same_as_asyncio(BAD_CALLS[name])


def test_another_thread_cannot_add_handlers(same_as_asyncio: Compare) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        found: list[Any] = []

        def work() -> None:
            try:
                loop.add_signal_handler(signal.SIGUSR1, print)
            except RuntimeError as exc:
                found.append((type(exc), str(exc)))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(PATIENCE)
        return found

    assert len(same_as_asyncio(scenario)[1]) == 1


def test_somebody_elses_wakeup_fd_is_put_back(
    loop: asyncio.AbstractEventLoop, native: None
) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        signal.set_wakeup_fd(write)
        loop.run_until_complete(asyncio.sleep(0))
        assert signal.set_wakeup_fd(write) == write
        loop.add_signal_handler(signal.SIGUSR1, print)
        loop.remove_signal_handler(signal.SIGUSR1)
        assert signal.set_wakeup_fd(-1) == write
    finally:
        signal.set_wakeup_fd(-1)
        os.close(read)
        os.close(write)
