"""`run_in_thread`: the form for threads of a coroutine function, with a limit for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from blitzio._run import new_event_loop, run_alone
from blitzio._runtime.blocking import check_may_block, deadline_of, timed_out
from blitzio._time_limit import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from blitzio._duration import Instant, Seconds

_T = TypeVar("_T")


def run_in_thread(
    name: str,
    instead: str,
    timeout: Seconds | None,
    begin: Callable[[], Coroutine[Any, Any, _T]],
) -> _T:
    """Runs `begin()` on a loop of the call's own: streams belong to none.

    Raises:
        TimeoutError: `timeout` was over first; what was begun is cancelled.
        ValueError: `timeout` is negative.
        RuntimeError: an event loop runs in this thread, where one awaits `instead`.
    """
    check_may_block(name, instead)
    return run_within(name, timeout, deadline_of(timeout), begin)


def run_within(
    name: str,
    timeout: Seconds | None,
    deadline: Instant | None,
    begin: Callable[[], Coroutine[Any, Any, _T]],
) -> _T:
    """The rest of such a call, `name`, which may block and has perhaps used a part of its time.

    Raises:
        TimeoutError: `deadline` came first, with `timeout` in its text.
    """
    limit = Timeout(deadline)

    async def work() -> _T:
        async with limit:
            return await begin()

    try:
        return run_alone(new_event_loop(), work())
    except TimeoutError:
        # Not that of a stream, ETIMEDOUT.
        if timeout is None or not limit.expired:
            raise
        raise timed_out(name, timeout) from None
