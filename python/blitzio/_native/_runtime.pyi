"""Workers, spawned work and threads: `blitzio.runtime`, `blitzio.task`."""

import contextvars
from collections.abc import Awaitable as _AnyAwaitable
from collections.abc import Callable, Coroutine, Generator
from types import GenericAlias
from typing import Any, Generic, TypeVar, final, overload

from typing_extensions import Self, disjoint_base

from blitzio._duration import Seconds as _Seconds
from blitzio._native._loop import LoopBase

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

@final
class ThreadPool:
    """Threads that call Python functions. Thread: any."""

    def __init__(self, threads_max: int, keep_alive: float, thread_name: str) -> None: ...
    def submit(self, callable: Callable[[], object], /) -> None:
        """Have callable() run in a thread. What it raises is written as unraisable.

        Raises:
            RuntimeError: the pool was shut down, or no thread can be started.
        """

    def spawn(
        self, function: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]:
        """Have function(*args) run in a thread.

        Raises:
            TypeError: `function` cannot be called.
            RuntimeError: the pool was shut down, or no thread can be started.
        """

    def shutdown(
        self, wait: bool = True, cancel_pending: bool = False
    ) -> list[Callable[[], object] | JoinHandle[Any]]:
        """Take no more; with `wait`, return when all threads have ended.

        Returns:
            the callables and handles that will not run, because of `cancel_pending`.
        """

    def is_own_thread(self) -> bool:
        """Whether the calling thread is one of these, which cannot wait for itself."""

    def metrics(self) -> dict[str, int]:
        """How many threads there are, how many of them idle, and how many callables wait."""

@final
class JoinHandle(Generic[_T_co]):
    """The spawner's end of a piece of work: waits for its result, or cancels it.

    Dropping the handle detaches the work, which runs on. A handle may be awaited in any task of any
    asyncio loop, by several at once, and again; `blocking_join()` is for threads.

    >>> async def main():
    ...     handle = blitzio.spawn(asyncio.sleep, 0, "result")
    ...     return await handle
    >>> await main()
    'result'

    Thread: any, for every method.
    """

    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def join(self) -> Coroutine[Any, Any, _T_co]:
        """Waits for the work to end; as awaiting the handle.

        Returns:
            its result.

        Raises:
            Exception: what the work raised.
            asyncio.CancelledError: the work was cancelled.
            RuntimeError: the caller is the work itself, and would wait for ever. A limit around
                it changes nothing, as with a task of asyncio's; in a select() or race() with others
                it is only not the first.

        Cancellation: stops waiting; the work runs on.
        """

    def blocking_join(self, timeout: _Seconds | None = None) -> _T_co:
        """Waits for the work to end, blocking the calling thread. Not on a thread that runs a loop.

        Args:
            timeout: how long to wait; None: as long as it takes.

        Raises:
            RuntimeError: a loop runs in this thread, which would stand still; also if the work has
                ended: then there is try_join(). Or the caller is the work itself.
            TimeoutError: the time was over first; the work runs on. A thread for computing takes
                part in a parallel_map() that it waits for, and looks at the time between two items.
            Exception: what the work raised.
        """

    def try_join(self) -> _T_co | None:
        """The result if the work has ended, else None. Raises as join()."""

    def is_finished(self) -> bool:
        """Whether the work has ended: with a result, an exception or by cancellation."""

    def cancelled(self) -> bool:
        """Whether the work has ended by cancellation."""

    def cancel(self) -> bool:
        """Asks for the end of the work, and returns at once. Again: harmless.

        Work that has not started never will; a coroutine gets CancelledError at its next await; a
        plain function that runs already cannot be stopped.

        Returns:
            False if the work has ended already.
        """

    def detach(self) -> None:
        """Says that nobody will ask for the result: an exception is not reported as lost."""

    @property
    def name(self) -> str | None:
        """As given to spawn()."""

    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def _ended(self) -> Coroutine[Any, Any, None]:
        """Wait for the end of the work, whatever it is."""

    def _block(self, timeout: _Seconds | None = None) -> None:
        """Wait for the end of the work, whatever it is, blocking the calling thread."""

    def _exception(self) -> BaseException | None:
        """Of finished work: what it raised, asyncio.CancelledError included."""

    @property
    def _cancel_requested(self) -> bool:
        """Whether cancel() was called before the end."""

    @property
    def _task(self) -> Any:
        """The task that runs it, or has run it; else None."""

    @property
    def _context(self) -> contextvars.Context | None:
        """Of queued work, else None."""

    def _claim(self) -> tuple[Any, tuple[Any, ...], contextvars.Context, bool] | None:
        """Take the work to run it by other means, and to end it by _finish() or _fail().

        Returns:
            (function, args, context, True), or (awaitable, (), context, False); None: somebody
            else has it, or it was cancelled.
        """

    def _put_back(self, awaitable: _AnyAwaitable[Any], context: contextvars.Context, /) -> None:
        """What is left of claimed work: to be started, or claimed again."""

    def _finish(self, value: Any, /) -> None:
        """End of work that is claimed, or external."""

    def _fail(self, error: BaseException, /) -> None:
        """End of work that is claimed, or external."""

def _make_handle(work: Any, args: tuple[Any, ...], name: str | None, /) -> JoinHandle[Any]:
    """A handle of work that nobody has queued.

    Raises:
        TypeError: `work` is no function and cannot be awaited.
    """

def _start_soon(handle: JoinHandle[Any], /) -> None:
    """Start what a handle of _make_handle() stands for, on the running loop."""

def _make_external_handle(
    cancel: Callable[[], object] | None, helper: Callable[[float | None], object] | None, /
) -> JoinHandle[Any]:
    """A handle of work that runs by other means, until _finish() or _fail().

    Args:
        cancel: ends the work early.
        helper: called by a thread that blocks for its end, with its timeout: may do a part of it.
    """

@final
class Scheduler:
    """Queues of spawned work, shared by workers. Thread: any."""

    def __new__(cls, is_stealing: bool, keeps_work: bool, blocking: ThreadPool) -> Self: ...
    def stop(self, is_parents: bool, /) -> None:
        """Take no more work. is_parents: in a forked child, which has none of the threads."""

    def schedule(self, handle: JoinHandle[Any], /) -> None:
        """Queue a handle of _make_handle().

        Raises:
            RuntimeError: the runtime has shut down; the work is cancelled.
        """

    def schedule_on_another(self, handle: JoinHandle[Any], /) -> None:
        """schedule() for another worker than this thread is; there must be one."""

    def drop_queued(self) -> None:
        """Cancel what has not started."""

    @property
    def is_stopping(self) -> bool:
        """Whether it takes no more work."""

    @property
    def is_parents(self) -> bool:
        """Whether its threads are not here."""

    @property
    def injected(self) -> int:
        """How much work waits for any worker."""

    @property
    def sleeping(self) -> int:
        """How many workers have nothing to do."""

@final
class Worker:
    """A thread's queue of work, which becomes tasks of its loop."""

    def __new__(cls, scheduler: Scheduler, loop: LoopBase) -> Self: ...
    def enter(self, pools_tasks: bool, /) -> None:
        """The calling thread, which runs the loop, is this worker.

        Args:
            pools_tasks: whether it keeps the memory of native coroutines that have ended.
        """

    def leave(self) -> None:
        """The calling thread is nobody's worker."""

    def metrics(self) -> dict[str, int]:
        """Counters since the start, and how much work is queued. Thread: any."""

    @property
    def scheduler(self) -> Scheduler:
        """The Scheduler that it was made for."""

def _current_worker() -> Worker | None:
    """The Worker that the calling thread is, or None."""

@disjoint_base
class RuntimeBase:
    """The native half of blitzio.Runtime."""

    @overload
    def spawn(
        self, work: Coroutine[Any, Any, _T], /, *, name: str | None = None
    ) -> JoinHandle[_T]: ...
    @overload
    def spawn(
        self,
        work: Callable[..., Coroutine[Any, Any, _T]],
        /,
        *args: Any,
        name: str | None = None,
    ) -> JoinHandle[_T]: ...
    @overload
    def spawn(
        self, work: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]:
        """Starts a coroutine, or calls a function, on a worker.

        Args:
            work: a coroutine; or a function, whose result is the work's, or which gives a coroutine
                that then is the work.
            args: the function's arguments.
            name: the task's.

        Raises:
            TypeError: `work` is neither.
            RuntimeError: the runtime has shut down; a coroutine is closed.

        The work sees the caller's context variables as they are now.
        """

    def spawn_future(self, awaitable: _AnyAwaitable[_T], /) -> JoinHandle[_T]:
        """As spawn(), for any awaitable."""

    def spawn_blocking(
        self, function: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]:
        """Calls `function(*args)` in a thread where it may block.

        Raises:
            RuntimeError: the runtime has shut down, or no thread can be started.

        Cancellation: before the call begins; afterwards it runs to its end.
        """

    def _attach(self, scheduler: Scheduler, /) -> None:
        """Spawn on the workers of this Scheduler."""

@overload
def spawn(work: Coroutine[Any, Any, _T], /, *, name: str | None = None) -> JoinHandle[_T]: ...
@overload
def spawn(
    work: Callable[..., Coroutine[Any, Any, _T]],
    /,
    *args: Any,
    name: str | None = None,
) -> JoinHandle[_T]: ...
@overload
def spawn(work: Callable[..., _T], /, *args: Any, name: str | None = None) -> JoinHandle[_T]:
    """Runtime.spawn() of the current runtime; on another running loop, a task of that loop.

    >>> await blitzio.spawn(asyncio.sleep, 0, "result")
    'result'

    Raises:
        RuntimeError: neither is there.
        TypeError: `work` is no coroutine and no function.
    """

def spawn_future(awaitable: _AnyAwaitable[_T], /) -> JoinHandle[_T]:
    """As spawn(), for any awaitable.

    >>> await blitzio.spawn_future(asyncio.sleep(0, "result"))
    'result'
    """

def spawn_blocking(
    function: Callable[..., _T], /, *args: Any, name: str | None = None
) -> JoinHandle[_T]:
    """Runtime.spawn_blocking() of the current runtime; elsewhere, on threads of the process.

    >>> await blitzio.spawn_blocking(sum, [1, 2])
    3

    Raises:
        TypeError: `function` cannot be called.
        RuntimeError: no thread can be started.
    """
