"""Running and closing a loop. Follows asyncio's "Running and stopping the loop".

    created ──run_forever──▶ running ──stop, or a fatal exception──▶ created
       │                                                               │
       └──────────────────────────── close ────────────────────────────┴──▶ closed

The turns themselves are native (`LoopBase._run`); here is what surrounds them: the running loop of
the thread, the hooks for async generators, the origin tracking of coroutines in debug mode, and the
wake-up fd for signals. Everything set on the way in is put back on the way out, in reverse.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
import weakref
from asyncio import constants

from blitzio._loop.errors import ErrorsMixin
from blitzio._loop.executor import ExecutorMixin
from blitzio._loop.signals import SignalsMixin
from blitzio._loop.subprocess import SubprocessMixin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator
    from typing import Any, TypeVar

    _T = TypeVar("_T")

logger = logging.getLogger("asyncio")


class RunningMixin(SignalsMixin, SubprocessMixin, ExecutorMixin, ErrorsMixin):
    # False until the constructor is through: an unfinished loop has nothing to close or to warn of.
    _open: bool = False
    _asyncgens: weakref.WeakSet[AsyncGenerator[Any, Any]] | None = None
    _asyncgens_shutdown_called: bool = False
    _old_agen_hooks: Any = None
    # The depth that was set before ours; None while we do not track.
    _outer_origin_depth: int | None = None

    def run_forever(self) -> None:
        """Runs until stop() is called.

        Raises:
            RuntimeError: the loop is closed or running, or another loop runs in this thread.
            SystemExit, KeyboardInterrupt: a callback or a signal handler raised it.
        """
        self._check_closed()
        self._check_running()
        self._run_forever_setup()
        try:
            self._run()
        finally:
            # Here as well: when memory is short, the call of the cleanup may fail.
            asyncio._set_running_loop(None)
            self._run_forever_cleanup()

    def run_until_complete(self, future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
        """Runs until `future` (a future, coroutine or other awaitable) is done; gives its result.

        Raises:
            RuntimeError: as run_forever(), or the loop was stopped before `future` was done.
            Exception: what `future` raised.
        """
        self._check_closed()
        self._check_running()
        is_new_task = not asyncio.isfuture(future)
        task: Any = asyncio.ensure_future(future, loop=self)  # type: ignore[call-overload]
        if is_new_task:
            # If it does not complete, the RuntimeError below says so.
            task._log_destroy_pending = False

        task.add_done_callback(_stop_when_done)
        try:
            self.run_forever()
        except BaseException:
            if is_new_task and task.done() and not task.cancelled():
                # The coroutine raised a BaseException, which is on its way to the caller. Marks it
                # as retrieved, since the caller has no task to ask.
                task.exception()
            raise
        finally:
            task.remove_done_callback(_stop_when_done)
        if not task.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        result: _T = task.result()
        return result

    def close(self) -> None:
        """Closes the loop: pending callbacks are dropped, threads of executors are not waited for.

        Calling it again does nothing.

        Raises:
            RuntimeError: the loop is running.
        """
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            self._close()  # In a forked child the parent's loop has copies to free.
            return
        if self.get_debug():
            logger.debug("Close %r", self)
        try:
            self._close_signals()
        finally:
            self._close_children()
            self._close_executor()
            self._close()

    def set_debug(self, enabled: bool) -> None:
        """Switches debug mode: checks of threads and callables, origins, slow callbacks."""
        super().set_debug(enabled)
        if self.is_running():
            self.call_soon_threadsafe(self._set_coroutine_origin_tracking, enabled)

    async def shutdown_asyncgens(self) -> None:
        """Closes all async generators that this loop has begun to iterate."""
        self._asyncgens_shutdown_called = True
        if not self._asyncgens:
            return
        closing = list(self._asyncgens)
        self._asyncgens.clear()
        results = await asyncio.gather(
            *[generator.aclose() for generator in closing], return_exceptions=True
        )
        for result, generator in zip(results, closing, strict=True):
            if isinstance(result, Exception):
                self.call_exception_handler(
                    {
                        "message": f"an error occurred during closing of "
                        f"asynchronous generator {generator!r}",
                        "exception": result,
                        "asyncgen": generator,
                    }
                )

    def __repr__(self) -> str:
        return (
            f"<{self.__class__.__name__} running={self.is_running()} "
            f"closed={self.is_closed()} debug={self.get_debug()}>"
        )

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if self._open and not self.is_closed():
            _warn(f"unclosed event loop {self!r}", ResourceWarning, source=self)
            if not self.is_running():
                self.close()

    # ---- around a run; the names are those that asyncio gives subclasses from 3.13 on ----

    def _check_running(self) -> None:
        if self.is_running():
            raise RuntimeError("This event loop is already running")
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another loop is running")

    def _run_forever_setup(self) -> None:
        if self._asyncgens is None:
            self._asyncgens = weakref.WeakSet()
        self._enter_signals()
        self._set_coroutine_origin_tracking(self.get_debug())
        self._old_agen_hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(
            firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook
        )
        asyncio._set_running_loop(self)  # type: ignore[arg-type]

    def _run_forever_cleanup(self) -> None:
        asyncio._set_running_loop(None)
        if self._old_agen_hooks is not None:
            sys.set_asyncgen_hooks(*self._old_agen_hooks)
            self._old_agen_hooks = None
        self._set_coroutine_origin_tracking(False)
        self._leave_signals()

    def _set_coroutine_origin_tracking(self, enabled: bool) -> None:
        if bool(enabled) == (self._outer_origin_depth is not None):
            return
        if enabled:
            self._outer_origin_depth = sys.get_coroutine_origin_tracking_depth()
            sys.set_coroutine_origin_tracking_depth(constants.DEBUG_STACK_DEPTH)
        else:
            assert self._outer_origin_depth is not None
            sys.set_coroutine_origin_tracking_depth(self._outer_origin_depth)
            self._outer_origin_depth = None

    def _asyncgen_firstiter_hook(self, generator: AsyncGenerator[Any, Any]) -> None:
        if self._asyncgens_shutdown_called:
            warnings.warn(  # noqa: B028  No frame of the caller is near: `source` tells.
                f"asynchronous generator {generator!r} was scheduled after "
                f"loop.shutdown_asyncgens() call",
                ResourceWarning,
                source=self,
            )
        assert self._asyncgens is not None
        self._asyncgens.add(generator)

    def _asyncgen_finalizer_hook(self, generator: AsyncGenerator[Any, Any]) -> None:
        # The garbage collector may call this in any thread.
        assert self._asyncgens is not None
        self._asyncgens.discard(generator)
        if not self.is_closed():
            self.call_soon_threadsafe(self.create_task, generator.aclose())


def _stop_when_done(future: asyncio.Future[Any]) -> None:
    if (
        isinstance(future, asyncio.Task)
        and not future.cancelled()
        and isinstance(future.exception(), (SystemExit, KeyboardInterrupt))
    ):
        # The task's step raised it through run_forever(), and this is already the next run. A plain
        # future (of an executor's thread) raises nothing by itself.
        return
    future.get_loop().stop()
