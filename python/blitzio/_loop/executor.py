"""Executors: the native blocking pool by default, any `concurrent.futures` executor on request."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
import warnings

from blitzio._native import LoopBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    _T = TypeVar("_T")


# What concurrent.futures raises, and asyncio has a class of its own for.
_OWN_EXCEPTIONS: dict[type[BaseException], type[BaseException]] = {
    concurrent.futures.CancelledError: asyncio.CancelledError,
    concurrent.futures.InvalidStateError: asyncio.InvalidStateError,
}
if sys.version_info < (3, 11):
    _OWN_EXCEPTIONS[concurrent.futures.TimeoutError] = asyncio.TimeoutError


class ExecutorMixin(LoopBase):
    _default_executor: concurrent.futures.Executor | None = None
    # Set by shutdown_default_executor() and close(): the default executor takes no more work.
    _executor_shutdown_called: bool = False

    def set_default_executor(self, executor: concurrent.futures.Executor) -> None:
        """Makes `run_in_executor(None, …)` use `executor` instead of the native pool.

        Raises:
            TypeError: `executor` is no ThreadPoolExecutor (3.10: a DeprecationWarning).
        """
        if not isinstance(executor, concurrent.futures.ThreadPoolExecutor):
            if sys.version_info >= (3, 11):
                raise TypeError("executor must be ThreadPoolExecutor instance")
            warnings.warn(
                "Using the default executor that is not an instance of "
                "ThreadPoolExecutor is deprecated and will be prohibited "
                "in Python 3.9",
                DeprecationWarning,
                2,
            )
        self._default_executor = executor
        self._set_default_executor_object(executor)

    def _run_in_python_executor(
        self, executor: concurrent.futures.Executor | None, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        """`run_in_executor` for everything but the native pool."""
        if executor is None:
            if self._executor_shutdown_called:
                raise RuntimeError("Executor shutdown has been called")
            executor = self._default_executor
            assert executor is not None, "the native pool serves when no default executor is set"
        return asyncio.wrap_future(
            executor.submit(func, *args),
            loop=self,  # type: ignore[arg-type]
        )

    @staticmethod
    def _job_exception(exc: BaseException) -> BaseException:
        """`exc`, raised by a job of the native pool, as a future of asyncio's may hold it."""
        if isinstance(exc, StopIteration):
            # It would end whoever awaits.
            replacement = RuntimeError(
                "StopIteration interacts badly with generators and cannot be raised into a Future"
            )
            replacement.__cause__ = exc
            replacement.__context__ = exc
            return replacement
        ours = _OWN_EXCEPTIONS.get(type(exc))
        return exc if ours is None else ours(*exc.args).with_traceback(exc.__traceback__)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Waits until the default executor has finished its work; it takes no more.

        Args:
            timeout: seconds to wait, None for as long as it takes. When they are over a
                RuntimeWarning is given and the threads are left behind.
        """
        self._executor_shutdown_called = True
        executor = self._default_executor
        if executor is None and self._shutdown_blocking_pool(False) is True:
            return  # Nothing is running: no thread is needed to wait for it.

        def shut_down(wait: bool) -> None:
            if executor is None:
                self._shutdown_blocking_pool(wait)
            else:
                executor.shutdown(wait=wait)

        done: asyncio.Future[None] = self.create_future()

        def wait_in_thread() -> None:
            try:
                shut_down(True)
            except Exception as exc:
                if not self.is_closed():
                    self.call_soon_threadsafe(_settle, done, exc)
            else:
                if not self.is_closed():
                    self.call_soon_threadsafe(_settle, done, None)

        thread = threading.Thread(target=wait_in_thread, name="blitzio-executor-shutdown")
        thread.start()
        # asyncio.wait_for would cancel and swallow more than its share; a timer that settles the
        # future is all that is needed, on every version.
        expiry = (
            None if timeout is None else self.call_later(timeout, _settle, done, TimeoutError())
        )
        try:
            await done
        except TimeoutError:
            warnings.warn(
                f"The executor did not finishing joining its threads within {timeout} seconds.",
                RuntimeWarning,
                stacklevel=2,
            )
            shut_down(False)
        else:
            thread.join()
        finally:
            if expiry is not None:
                expiry.cancel()

    def _close_executor(self) -> None:
        """The part of close(): no more work, no waiting."""
        self._executor_shutdown_called = True
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False)
        self._shutdown_blocking_pool(False)


def _name_thread(name: str) -> None:
    """Names a thread of a native pool: a loop's as asyncio's default executor names its own. Called
    natively."""
    threading.current_thread().name = name


def _forget_thread(_: None) -> None:
    """The native pool's thread ends, and with it what threading knows of it. Called natively."""
    registry: Any = threading
    with registry._active_limbo_lock:
        registry._active.pop(threading.get_ident(), None)


def _settle(future: asyncio.Future[None], exc: Exception | None) -> None:
    if future.done():
        return
    if exc is None:
        future.set_result(None)
    else:
        future.set_exception(exc)
