"""`EventLoopPolicy` and `install`: blitzio as a process's default loop, while policies exist."""

from __future__ import annotations

import asyncio
import sys
import warnings
from typing import TYPE_CHECKING

from blitzio._run import new_event_loop

if TYPE_CHECKING:
    from blitzio._loop import Loop

if TYPE_CHECKING or sys.version_info < (3, 14):
    from asyncio import DefaultEventLoopPolicy as _BasePolicy
else:
    # The public name warns since 3.14 and goes in 3.16; the class is the same.
    from asyncio.unix_events import _DefaultEventLoopPolicy as _BasePolicy


class EventLoopPolicy(_BasePolicy):
    """asyncio's policy, with blitzio's loops.

    `asyncio.set_event_loop_policy(blitzio.EventLoopPolicy())` makes `asyncio.run()`,
    `asyncio.new_event_loop()` and whatever calls them use blitzio.

    >>> import blitzio
    >>> loop = blitzio.EventLoopPolicy().new_event_loop()
    >>> isinstance(loop, blitzio.Loop)
    True
    >>> loop.close()
    """

    def _loop_factory(self) -> Loop:
        return new_event_loop()


def install() -> None:
    """Makes blitzio the loop of every `asyncio.run()` that follows in this process.

    Deprecated from Python 3.12 on in favour of `blitzio.run()`, because policies are.

    >>> import blitzio
    >>> install()
    >>> async def main():
    ...     return isinstance(asyncio.get_running_loop(), blitzio.Loop)
    >>> asyncio.run(main())
    True
    """
    if sys.version_info >= (3, 12):
        warnings.warn(
            "blitzio.install() is deprecated in favor of blitzio.run() starting with Python 3.12.",
            DeprecationWarning,
            stacklevel=2,
        )
    install_policy()


def install_policy() -> None:
    """`install()` for our own command line: without the advice to call `blitzio.run()`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(EventLoopPolicy())
