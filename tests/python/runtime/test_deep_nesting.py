"""Objects that hold each other in long chains: the end of the first is not that of the thread's
stack. asyncio's own futures do not stand this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from blitzio import CancelToken, _native
from blitzio.channel import Broadcast, Channel, Oneshot, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 200_000


def channel(inner: object) -> object:
    made: Channel[object] = Channel(1)
    made.try_send(inner)
    return made


def oneshot(inner: object) -> object:
    made: Oneshot[object] = Oneshot()
    made.send(inner)
    return made


def broadcast(inner: object) -> object:
    made: Broadcast[object] = Broadcast(1)
    made.send(inner)
    return made


def watched(inner: object) -> object:
    return Watch(inner).subscribe()


def handle(inner: object) -> object:
    made: Any = _native._make_external_handle(None, None)
    made._finish(inner)
    return made


@pytest.mark.parametrize("wrap", [channel, oneshot, broadcast, Watch, watched, handle])
def test_a_chain_of_values_ends(wrap: Callable[[object], object]) -> None:
    chain: object = None
    for _ in range(LONG):
        chain = wrap(chain)
    del chain


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("is_closed", [False, True], ids=["dropped", "closed"])
@pytest.mark.parametrize("is_select", [False, True], ids=["send", "select"])
def test_a_chain_of_awaitables_ends(is_select: bool, is_closed: bool) -> None:
    sends = Channel[object](1)
    chain: Any = Channel[object](1).recv()
    for _ in range(LONG):
        chain = _native._select_first((chain,)) if is_select else sends.send(chain)
    if is_closed:
        chain.close()
    del chain


@pytest.mark.filterwarnings("ignore:coroutine")
def test_awaiting_many_selects_within_each_other_is_a_recursion_error() -> None:
    chain: Any = Channel[object](1).recv()
    for _ in range(1_000):
        chain = _native._select_first((chain,))
    with pytest.raises(RecursionError):
        chain.send(None)


def test_who_waits_on_a_long_chain_of_tokens_is_told() -> None:
    tokens = [CancelToken()]
    while len(tokens) < 5_000:
        tokens.append(tokens[-1].child())
    tokens[0].cancel()
    assert all(token.blocking_wait(0) for token in tokens)
