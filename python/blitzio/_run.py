"""`run`, `run_alone` and `new_event_loop`: how programs get a loop.

From Python 3.11 on `asyncio.Runner` does the work, Ctrl-C included. On 3.10 there is no Runner, so
`_run_on_310` does what that version's `asyncio.run` does: Ctrl-C leaves the loop as
`KeyboardInterrupt`, and the tasks are cancelled on the way out.
"""

from __future__ import annotations

import asyncio
import sys

from blitzio._loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeVar

    from blitzio._config import Config

    _T = TypeVar("_T")


def new_event_loop(config: Config | None = None) -> Loop:
    """A new loop, not running, owned by the caller.

    >>> import asyncio, blitzio
    >>> loop = blitzio.new_event_loop()
    >>> loop.run_until_complete(asyncio.sleep(0, "result"))
    'result'
    >>> loop.close()

    Args:
        config: options; None for the defaults (see `Config`).

    Raises:
        ValueError: `BLITZIO_BACKEND` names no backend.
        RuntimeError: the chosen backend does not work on this machine.
        OSError: the kernel refused what the loop needs, such as file descriptors.
    """
    return Loop(config)


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> _T:
    """Runs `main` on a new loop and returns its result; `asyncio.run` on blitzio.

    >>> import asyncio, blitzio
    >>> blitzio.run(asyncio.sleep(0, "result"))
    'result'

    Args:
        main: a coroutine.
        debug: switches debug mode on or off; None leaves it to `PYTHONASYNCIODEBUG`.
        loop_factory: makes the loop; None for `new_event_loop`.

    Raises:
        RuntimeError: a loop is already running in this thread.
        ValueError: `main` is not a coroutine. From CPython 3.14 on any awaitable will do, and
            TypeError says that it is none.

    Cancellation: the first Ctrl-C cancels `main` (3.10: leaves at once), a second one interrupts.
    """
    factory: Callable[[], asyncio.AbstractEventLoop]
    factory = new_event_loop if loop_factory is None else loop_factory
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("blitzio.run() cannot be called from a running event loop")
    if sys.version_info >= (3, 11):
        with asyncio.Runner(debug=debug, loop_factory=factory) as runner:
            return runner.run(main)
    else:
        return _run_on_310(main, debug, factory, is_current=True)


def run_alone(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, _T]) -> _T:
    """run() on `loop`, which is closed then; the thread's current loop stays what it is, on 3.10
    too. No loop may run in this thread."""
    if sys.version_info >= (3, 11):
        return run(main, loop_factory=lambda: loop)
    else:
        return _run_on_310(main, None, lambda: loop, is_current=False)


if sys.version_info < (3, 11):

    def _run_on_310(
        main: Coroutine[Any, Any, _T],
        debug: bool | None,
        factory: Callable[[], asyncio.AbstractEventLoop],
        *,
        is_current: bool,
    ) -> _T:
        if not asyncio.iscoroutine(main):
            raise ValueError(f"a coroutine was expected, got {main!r}")
        loop = factory()
        try:
            if is_current:
                asyncio.set_event_loop(loop)
            if debug is not None:
                loop.set_debug(debug)
            return loop.run_until_complete(main)
        finally:
            try:
                _cancel_all_tasks(loop)
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.run_until_complete(loop.shutdown_default_executor())
            finally:
                if is_current:
                    asyncio.set_event_loop(None)
                loop.close()

    def _cancel_all_tasks(loop: asyncio.AbstractEventLoop) -> None:
        to_cancel = asyncio.all_tasks(loop)
        if not to_cancel:
            return
        for task in to_cancel:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*to_cancel, return_exceptions=True))
        for task in to_cancel:
            if not task.cancelled() and task.exception() is not None:
                loop.call_exception_handler(
                    {
                        "message": "unhandled exception during blitzio.run() shutdown",
                        "exception": task.exception(),
                        "task": task,
                    }
                )
