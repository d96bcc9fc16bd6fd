"""blitzio: a native runtime for Python and C++ with an asyncio-compatible event loop.

`blitzio.run(main())` is `asyncio.run(main())` on a faster loop; everything written for asyncio runs
unchanged on it. `new_event_loop` is the factory for `asyncio.Runner(loop_factory=…)`, `Config`
chooses the backend (io_uring, epoll, poll), and `python -m blitzio` runs a program as it is.

Beyond that: `Runtime` runs coroutines on several threads, `spawn`, `spawn_blocking` and `compute`
start work, `join_all`, `Group` and `CancelToken` hold it together, `sleep`, `interval` and
`timeout` tell the time, `serve` spreads a server over the workers, `Shutdown` ends a program well.
"""

from __future__ import annotations

from importlib import import_module

from blitzio._loop import Loop
from blitzio._native import __version__
from blitzio._run import new_event_loop, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from blitzio import (  # noqa: F401  Attributes of the package.
        channel,
        fs,
        io,
        net,
        process,
        runtime,
        signal,
        sync,
        task,
        time,
    )
    from blitzio._capi import get_include
    from blitzio._config import Config
    from blitzio._native import AsyncFd
    from blitzio._policy import EventLoopPolicy, install
    from blitzio._serve import Server, serve
    from blitzio._shutdown import Shutdown, WorkGuard
    from blitzio.runtime import Runtime, get_runtime, run_with
    from blitzio.task import (
        CancelToken,
        ConcurrencyUnavailable,
        Group,
        JoinHandle,
        compute,
        concurrent,
        join_all,
        parallel_for,
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

__all__ = (
    "AsyncFd",
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
    "concurrent",
    "deadline",
    "get_include",
    "get_runtime",
    "install",
    "interval",
    "join_all",
    "new_event_loop",
    "parallel_for",
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

#: What is imported when it is first asked for, and where it is: a program that wants the loop alone
#: does not pay for the rest. Policies are on their way out of asyncio, too, and naming their base
#: class warns there: who does not ask for them is not to see that.
_ELSEWHERE = {
    "_capi": ("get_include",),
    "_config": ("Config",),
    "_native": ("AsyncFd",),
    "_policy": ("EventLoopPolicy", "install"),
    "_serve": ("Server", "serve"),
    "_shutdown": ("Shutdown", "WorkGuard"),
    "runtime": ("Runtime", "get_runtime", "run_with"),
    "task": (
        "CancelToken",
        "ConcurrencyUnavailable",
        "Group",
        "JoinHandle",
        "compute",
        "concurrent",
        "join_all",
        "parallel_for",
        "parallel_map",
        "race",
        "select",
        "spawn",
        "spawn_blocking",
        "spawn_future",
        "try_join_all",
        "yield_now",
    ),
    "time": ("Duration", "Instant", "deadline", "interval", "sleep", "sleep_until", "timeout"),
}
_MODULES = ("channel", "fs", "io", "net", "process", "runtime", "signal", "sync", "task", "time")
_HOMES = {name: home for home, names in _ELSEWHERE.items() for name in names}


if not TYPE_CHECKING:  # Who checks types is told of each name above, and of a wrong one.

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            return import_module(f"blitzio.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"blitzio.{_HOMES[name]}"), name)
        return globals().setdefault(name, value)  # Another thread may have replaced it meanwhile.


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
