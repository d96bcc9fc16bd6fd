"""blitzio: a native runtime for Python and C++ with an asyncio-compatible event loop.

`blitzio.run(main())` is `asyncio.run(main())` on a faster loop; everything written for asyncio runs
unchanged on it. `new_event_loop` is the factory for `asyncio.Runner(loop_factory=…)`, `Config`
chooses the backend (io_uring, epoll, poll), and `python -m blitzio` runs a program as it is.

Beyond that: `Runtime` runs coroutines on several threads, `spawn`, `spawn_blocking` and `compute`
start work, `join_all`, `Group` and `CancelToken` hold it together, `sleep`, `interval` and
`timeout` tell the time, `serve` spreads a server over the workers, `Shutdown` ends a program well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blitzio._capi import get_include
from blitzio._config import Config
from blitzio._loop import Loop
from blitzio._native import build_info
from blitzio._run import new_event_loop, run
from blitzio._serve import Server, serve
from blitzio._shutdown import Shutdown, WorkGuard
from blitzio.runtime import Runtime, get_runtime, run_with
from blitzio.task import (
    CancelToken,
    ConcurrencyUnavailable,
    Group,
    JoinHandle,
    compute,
    join_all,
    parallel_map,
    race,
    select,
    spawn,
    spawn_blocking,
    spawn_future,
    try_join_all,
    yield_now,
)
from blitzio.time import (
    Duration,
    Instant,
    deadline,
    interval,
    sleep,
    sleep_until,
    timeout,
)

if TYPE_CHECKING:
    from blitzio._policy import EventLoopPolicy, install

__all__ = (
    "CancelToken",
    "ConcurrencyUnavailable",
    "Config",
    "Duration",
    "EventLoopPolicy",
    "Group",
    "Instant",
    "JoinHandle",
    "Loop",
    "Runtime",
    "Server",
    "Shutdown",
    "WorkGuard",
    "__version__",
    "compute",
    "deadline",
    "get_include",
    "get_runtime",
    "install",
    "interval",
    "join_all",
    "new_event_loop",
    "parallel_map",
    "race",
    "run",
    "run_with",
    "select",
    "serve",
    "sleep",
    "sleep_until",
    "spawn",
    "spawn_blocking",
    "spawn_future",
    "timeout",
    "try_join_all",
    "yield_now",
)

__version__: str = build_info()["version"]


def __getattr__(name: str) -> object:
    # Policies are on their way out of asyncio, and naming their base class warns there. Whoever
    # does not ask for them should not pay for the import nor see the warning.
    if name in ("EventLoopPolicy", "install"):
        from blitzio import _policy

        return getattr(_policy, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
