"""Stands in for uvloop where uvloop's tests import it: its public names, with blitzio's loops.

`_testbase`, which the tests need, comes from the source distribution.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import warnings
from typing import Any

__path__ = [*__path__, os.path.join(os.environ["BLITZIO_UVLOOP_SOURCE"], "uvloop")]

_subject: Any = importlib.import_module(os.environ.get("BLITZIO_CONFORMANCE_LOOP", "blitzio"))
__version__ = "0"

if _subject is asyncio:
    Loop: Any = asyncio.SelectorEventLoop

    def run(main: Any, *, loop_factory: Any = None, debug: bool | None = None) -> Any:
        with asyncio.Runner(  # type: ignore[attr-defined,unused-ignore]
            loop_factory=loop_factory or Loop, debug=debug
        ) as runner:
            return runner.run(main)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        EventLoopPolicy: Any = asyncio.DefaultEventLoopPolicy
else:
    Loop = _subject.Loop
    run = _subject.run
    EventLoopPolicy = _subject.EventLoopPolicy


def new_event_loop() -> Any:
    return Loop()


def install() -> None:
    asyncio.set_event_loop_policy(EventLoopPolicy())
