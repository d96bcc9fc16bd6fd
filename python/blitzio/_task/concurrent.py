"""`concurrent`: spawn() of what must get ahead while its starter goes on, even if that blocks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from blitzio._runtime.scheduler import current_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from blitzio._native import JoinHandle

_T = TypeVar("_T")


class ConcurrencyUnavailable(RuntimeError):
    """`concurrent()` where nothing runs at the same time as the caller."""


@overload
def concurrent(work: Coroutine[Any, Any, _T], /, *, name: str | None = None) -> JoinHandle[_T]: ...
@overload
def concurrent(
    work: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any, name: str | None = None
) -> JoinHandle[_T]: ...
@overload
def concurrent(
    work: Callable[..., _T], /, *args: Any, name: str | None = None
) -> JoinHandle[_T]: ...
def concurrent(work: Any, /, *args: Any, name: str | None = None) -> JoinHandle[Any]:
    """`Runtime.concurrent()` of the current runtime.

    >>> import blitzio, threading
    >>> def wait_for_another():
    ...     done = threading.Event()
    ...     blitzio.concurrent(done.set)
    ...     return done.wait(60)  # It blocks its worker.
    >>> with blitzio.Runtime(workers=2) as runtime:
    ...     runtime.spawn(wait_for_another).blocking_join()
    True

    Raises:
        ConcurrencyUnavailable: there is no runtime, or it has one worker only; a coroutine is
            closed.
    """
    runtime = current_runtime()
    if runtime is None:
        refuse(work)
    return runtime.concurrent(work, *args, name=name)


def refuse(work: Any) -> NoReturn:
    """For who takes `work` and cannot run it."""
    if asyncio.iscoroutine(work):
        work.close()
    raise ConcurrencyUnavailable(
        "nothing runs at the same time as this task; use a Runtime of several workers"
    )
