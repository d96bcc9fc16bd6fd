"""Signals while the loop is busy with callbacks and no descriptor is waited for: it then looks for
events in some turns only, and nobody may notice."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)

#: asyncio's loop reads of a signal in the turn after it, and calls the handler in the next.
TURNS_MAX = 2


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Spinner:
    """Keeps the loop going round; in some turns it sends this process signals."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sends: Mapping[int, Sequence[int]]) -> None:
        self.loop = loop
        self.sends = sends
        self.turn = 0
        #: What handlers noted: signals, and turns since they were sent.
        self.seen: list[tuple[int, int]] = []
        self.sent: dict[int, int] = {}

    def note(self, number: int, _frame: object = None) -> None:
        self.seen.append((number, self.turn - self.sent[number]))

    def run(self) -> None:
        self.loop.call_soon(self._spin)
        self.loop.run_forever()

    def _spin(self) -> None:
        self.turn += 1
        for number in self.sends.get(self.turn, ()):
            self.sent[number] = self.turn
            os.kill(os.getpid(), number)
        if self.turn > max(self.sends) + 200:
            self.loop.stop()
        else:
            self.loop.call_soon(self._spin)


# At every phase of whatever period there may be.
TURNS = range(40, 40 + 50 * 37, 37)


def test_a_handler_of_the_loop_is_called_at_once(loop: asyncio.AbstractEventLoop) -> None:
    spinner = Spinner(loop, {turn: [signal.SIGUSR1] for turn in TURNS})
    loop.add_signal_handler(signal.SIGUSR1, spinner.note, signal.SIGUSR1)
    spinner.run()
    loop.remove_signal_handler(signal.SIGUSR1)
    assert len(spinner.seen) == len(TURNS)
    assert max(late for _, late in spinner.seen) <= TURNS_MAX


def test_handlers_of_the_loop_are_called_in_the_order_of_the_signals(
    loop: asyncio.AbstractEventLoop,
) -> None:
    both = [signal.SIGUSR1, signal.SIGUSR2]
    sends = {turn: both if turn % 2 else both[::-1] for turn in TURNS}
    spinner = Spinner(loop, sends)
    for number in both:
        loop.add_signal_handler(number, spinner.note, number)
    spinner.run()
    for number in both:
        loop.remove_signal_handler(number)
    assert [number for number, _ in spinner.seen] == [n for turn in TURNS for n in sends[turn]]
    assert max(late for _, late in spinner.seen) <= TURNS_MAX


def test_handlers_of_python_run_between_two_callbacks(loop: asyncio.AbstractEventLoop) -> None:
    spinner = Spinner(loop, {turn: [signal.SIGUSR1, signal.SIGUSR2] for turn in TURNS})
    loop.add_signal_handler(signal.SIGUSR2, spinner.note, signal.SIGUSR2)
    signal.signal(signal.SIGUSR1, spinner.note)
    spinner.run()
    loop.remove_signal_handler(signal.SIGUSR2)
    assert [late for number, late in spinner.seen if number == signal.SIGUSR1] == [0] * len(TURNS)
    # The loop's callbacks come behind, and none is lost for that.
    assert [number for number, _ in spinner.seen] == [signal.SIGUSR1, signal.SIGUSR2] * len(TURNS)


def test_a_handler_that_two_loops_have_is_called_in_both(
    loop: asyncio.AbstractEventLoop, new_loop: Any, native: None
) -> None:
    """With asyncio the second loop takes the first one's signals away."""
    other = new_loop()
    spinner = Spinner(loop, {50: [signal.SIGUSR1]})
    seen: list[str] = []
    other.add_signal_handler(signal.SIGUSR1, seen.append, "other")
    loop.add_signal_handler(signal.SIGUSR1, spinner.note, signal.SIGUSR1)
    spinner.run()
    other.run_until_complete(asyncio.sleep(0))
    other.close()
    loop.close()
    assert seen == ["other"]
    assert len(spinner.seen) == 1


def test_signals_that_interrupt_each_others_delivery_are_all_delivered(
    loop: asyncio.AbstractEventLoop, native: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes while the loop hands out the first."""
    seen: list[str] = []
    handle = loop._handle_signal  # type: ignore[attr-defined]

    def interrupted(number: int) -> bool:
        if number == signal.SIGUSR1 and not seen:
            seen.append("first is being handed out")
            os.kill(os.getpid(), signal.SIGUSR2)
        return bool(handle(number))

    monkeypatch.setattr(loop, "_handle_signal", interrupted)
    spinner = Spinner(loop, {50: [signal.SIGUSR1]})
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "first")
    loop.add_signal_handler(signal.SIGUSR2, seen.append, "second")
    spinner.run()
    loop.close()
    assert seen == ["first is being handed out", "first", "second"]


def test_ctrl_c_ends_a_busy_loop_at_once(loop: asyncio.AbstractEventLoop) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    spinner = Spinner(loop, {turn: [signal.SIGINT] for turn in TURNS})
    for turn in TURNS:
        with pytest.raises(KeyboardInterrupt):
            spinner.run()
        assert spinner.turn == turn
    loop.run_until_complete(asyncio.sleep(0))


def test_ctrl_c_cancels_the_main_task_of_a_busy_loop(
    loop: asyncio.AbstractEventLoop, new_loop: Any
) -> None:
    """As asyncio.Runner has it, from Python 3.11 on."""
    if not hasattr(asyncio, "Runner"):
        pytest.skip("from Python 3.11 on")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    turns: list[int] = []

    async def main() -> None:
        try:
            for turn in range(1000):
                turns.append(turn)
                if turn == 100:
                    os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            turns.append(-1)
            raise

    with asyncio.Runner(loop_factory=new_loop) as runner, pytest.raises(KeyboardInterrupt):
        runner.run(main())
    assert turns[-1] == -1
    assert len(turns) - 1 <= 100 + 1 + TURNS_MAX


def test_ctrl_c_reaches_a_loop_that_is_busy_in_native_code(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """No callback in Python ever runs, so the loop itself has to let the sender and the handler
    run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    again = functools.partial(int)
    again.__setstate__((loop.call_soon, (again,), {}, {}))  # type: ignore[attr-defined]
    loop.call_soon(again)
    sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
    loop.call_soon(sender.start)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    again.__setstate__((int, (), {}, {}))  # type: ignore[attr-defined]
    sender.join(PATIENCE)
    loop.run_until_complete(asyncio.sleep(0))
