"""EventLoopPolicy and install."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("blitzio._native", exc_type=ImportError)

import blitzio

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 16), reason="asyncio has no policies any more"
)


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(None)


def set_policy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(blitzio.EventLoopPolicy())


async def running_loop() -> asyncio.AbstractEventLoop:
    await asyncio.sleep(0)
    return asyncio.get_running_loop()


def test_asyncio_run_uses_our_loop() -> None:
    assert not isinstance(asyncio.run(running_loop()), blitzio.Loop)
    set_policy()
    assert isinstance(asyncio.run(running_loop()), blitzio.Loop)


def test_new_event_loop_is_ours_in_every_thread() -> None:
    set_policy()
    made: list[asyncio.AbstractEventLoop] = []

    def work() -> None:
        loop = asyncio.new_event_loop()
        made.append(loop)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    work()
    assert [type(loop) for loop in made] == [blitzio.Loop, blitzio.Loop]


def test_the_policy_keeps_a_loop_per_thread() -> None:
    set_policy()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    policy = blitzio.EventLoopPolicy()
    policy.set_event_loop(loop)
    assert policy.get_event_loop() is loop
    policy.set_event_loop(None)
    asyncio.set_event_loop(None)
    loop.close()


def test_install() -> None:
    if sys.version_info >= (3, 12):
        with pytest.warns(DeprecationWarning, match=r"in favor of blitzio\.run\(\)") as caught:
            blitzio.install()
        assert caught[0].filename == __file__
    else:
        blitzio.install()
    assert isinstance(asyncio.run(running_loop()), blitzio.Loop)
