"""Work for the processors: `compute`, `parallel_map`, `parallel_for`: on threads apart from those
that block.

As many threads as the process may use processors, so that computing neither waits behind what
blocks nor takes more than its share. Without the GIL they run Python at the same time. With it they
do so while native code has released it (hashing, compression, numpy…), and otherwise take turns.
"""

from __future__ import annotations

import os
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar

from blitzio._native import JoinHandle, ThreadPool
from blitzio._runtime.parallel import ParallelWork
from blitzio._runtime.scheduler import current_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ("compute", "parallel_for", "parallel_map")

_T = TypeVar("_T")
_R = TypeVar("_R")


def compute(function: Callable[..., _T], /, *args: Any) -> JoinHandle[_T]:
    """Calls `function(*args)` on a thread for computing.

    Returns:
        a handle to await, or to join from a thread.

    Raises:
        TypeError: `function` cannot be called.
        RuntimeError: no thread can be started.

    Cancellation: before the call begins; afterwards it runs to its end.

    A function must not block until another compute() has ended: it holds a thread meanwhile, and if
    all of them do, one on a machine with one processor, none is left for what they wait for, and
    they wait for ever. It may for parallel_map() and parallel_for(), in which it takes part
    instead. So split work by these, or have a task await one compute() after the other.

    >>> compute(sum, range(10)).blocking_join()
    45
    """
    threads, _ = _threads()
    return threads.spawn(function, *args)


def parallel_map(
    items: Iterable[_T], function: Callable[[_T], _R], *, chunk: int = 0
) -> JoinHandle[list[_R]]:
    """Calls `function(item)` for every item, on all processors.

    Args:
        items: taken into a list first.
        function: called from several threads at once.
        chunk: how many items a thread takes at a time; 0: a sixteenth of its share.

    Returns:
        a handle of the list of results, in the order of the items.

    Raises:
        TypeError: `function` cannot be called, or `chunk` is no int.
        ValueError: `chunk` is negative.
        Exception: (from the handle) what the first call that failed raised; items that no thread
            has taken by then are left out.

    Cancellation: ends after the items that threads are at.

    >>> parallel_map(range(4), lambda n: n * n).blocking_join()
    [0, 1, 4, 9]
    """
    return _start_parallel(items, function, chunk, keeps_results=True)


def parallel_for(
    items: Iterable[_T], function: Callable[[_T], object], *, chunk: int = 0
) -> JoinHandle[None]:
    """Calls `function(item)` for every item, on all processors, and keeps no results.

    Args, errors, cancellation: as `parallel_map`.

    Returns:
        a handle that is done when every call is.

    >>> rows = [[3, 1, 2], [9, 8]]
    >>> parallel_for(rows, list.sort).blocking_join()
    >>> rows
    [[1, 2, 3], [8, 9]]
    """
    return _start_parallel(items, function, chunk, keeps_results=False)


def _start_parallel(
    items: Iterable[_T], function: Callable[[_T], object], chunk: int, *, keeps_results: bool
) -> JoinHandle[Any]:
    if not callable(function):
        raise TypeError(f"a function was expected, got {function!r}")
    chunk = index(chunk)
    if chunk < 0:
        raise ValueError(f"chunk must not be negative, not {chunk}")
    work: ParallelWork[_T, Any] = ParallelWork(
        list(items), function, chunk, *_threads(), keeps_results=keeps_results
    )
    work.start()
    return work.handle


def thread_count() -> int:
    """How many threads compute: one for each processor that the process may use."""
    return len(os.sched_getaffinity(0))


def _threads() -> tuple[ThreadPool, int]:
    """The current runtime's, if it has its own, else the process's; and how many there may be."""
    runtime = current_runtime()
    if runtime is not None and runtime._compute is not None:
        return runtime._compute, runtime.config.compute_threads
    return process_pool(), thread_count()


def process_pool() -> ThreadPool:
    """The threads of the process, which are started when there is work."""
    pool = _pools.get(None)
    if pool is None:
        # Of two threads that come here, one sets it.
        pool = _pools.setdefault(None, ThreadPool(thread_count(), 10.0, "blitzio-compute"))
    return pool


# None or one.
_pools: dict[None, ThreadPool] = {}


def _after_fork_in_child() -> None:
    global _pools
    _pools = {}  # The threads are not here.


os.register_at_fork(after_in_child=_after_fork_in_child)
