"""`Group`: tasks that end together. Structured concurrency: none outlives the block.

              enter                leave, wait()                all have ended
    created ─────────▶ open ──────────────────────▶ waiting ─────────────────▶ closed
                        │   a child fails, cancel()    ▲
                        └────────▶ cancelling ─────────┘

Children are cancelled when the group is: by cancel(), by the first that fails, by an exception that
leaves the block, by cancellation of the task that waits. A failure also ends the block, by
cancelling the task that is in it, as asyncio.TaskGroup does; leaving the block turns that
cancellation into the failure. The first failure is what is raised; others that follow are told of
in its notes (Python 3.11 and newer).

Threads: belongs to the task that made it; others of its loop may wait as well. Children may run on
any worker of a Runtime.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, overload

from blitzio._native import spawn
from blitzio._runtime.interruption import Interruption
from blitzio._runtime.waiting import when_ended
from blitzio._task.concurrent import concurrent
from blitzio._unique import refuse_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from blitzio._native import JoinHandle

_T = TypeVar("_T")


class Group:
    """Spawns tasks and waits for all of them.

    >>> import blitzio
    >>> async def main():
    ...     async with Group() as group:
    ...         first = group.spawn(pow, 2, 3)
    ...         second = group.spawn(blitzio.sleep, 0)
    ...     return first.try_join()
    >>> blitzio.run(main())
    8
    """

    __slots__ = (
        "_block",
        "_block_cancelled",
        "_children",
        "_error",
        "_is_cancelled",
        "_others",
        "_state",
        "_waiters",
    )
    __reduce__ = refuse_copy

    def __init__(self) -> None:
        self._state = "open"
        #: In the order of their starting.
        self._children: dict[JoinHandle[Any], None] = {}
        self._is_cancelled = False
        self._error: BaseException | None = None
        self._others: list[BaseException] = []
        #: With the task that waits.
        self._waiters: dict[asyncio.Future[None], asyncio.Task[Any] | None] = {}
        # The task that is in the block, and whether a failure has cancelled it.
        self._block: asyncio.Task[Any] | None = None
        self._block_cancelled = False

    @overload
    def spawn(
        self, work: Coroutine[Any, Any, _T], /, *, name: str | None = None
    ) -> JoinHandle[_T]: ...
    @overload
    def spawn(
        self, work: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]: ...
    @overload
    def spawn(
        self, work: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]: ...
    def spawn(self, work: Any, /, *args: Any, name: str | None = None) -> JoinHandle[Any]:
        """blitzio.spawn() of a child.

        Raises:
            RuntimeError: the group is being cancelled or has ended; a coroutine is closed.
        """
        return self._add(work, args, name, must_overlap=False)

    #: The name in the Io interface: may, but need not, run at the same time as the caller.
    async_ = spawn

    @overload
    def concurrent(
        self, work: Coroutine[Any, Any, _T], /, *, name: str | None = None
    ) -> JoinHandle[_T]: ...
    @overload
    def concurrent(
        self, work: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]: ...
    @overload
    def concurrent(
        self, work: Callable[..., _T], /, *args: Any, name: str | None = None
    ) -> JoinHandle[_T]: ...
    def concurrent(self, work: Any, /, *args: Any, name: str | None = None) -> JoinHandle[Any]:
        """blitzio.concurrent() of a child.

        Raises:
            ConcurrencyUnavailable: there is one worker only.
        """
        return self._add(work, args, name, must_overlap=True)

    def _add(
        self, work: Any, args: tuple[Any, ...], name: str | None, *, must_overlap: bool
    ) -> JoinHandle[Any]:
        if self._state != "open":
            if asyncio.iscoroutine(work):
                work.close()
            raise RuntimeError(f"Group is {self._state}; it takes no more tasks")
        child = self._launch(work, args, name, must_overlap=must_overlap)
        self._children[child] = None
        when_ended(child, lambda: self._child_ended(child))
        return child

    def _launch(
        self, work: Any, args: tuple[Any, ...], name: str | None, *, must_overlap: bool
    ) -> JoinHandle[Any]:
        """Starts a child; on what, those derived from this say."""
        start = concurrent if must_overlap else spawn
        return start(work, *args, name=name)

    def cancel(self) -> None:
        """Cancels all children. Again: nothing. Wait for their end with wait()."""
        self._is_cancelled = True
        if self._state == "open":
            self._state = "cancelling"
        for child in list(self._children):
            child.cancel()

    @property
    def cancel_requested(self) -> bool:
        """Whether the group was cancelled: by cancel(), or for one of the reasons above."""
        return self._is_cancelled

    @property
    def pending_count(self) -> int:
        """How many children have not ended; `len()` as well."""
        return len(self._children)

    def __len__(self) -> int:
        return len(self._children)

    async def wait(self) -> None:
        """Waits until all children have ended. The group takes others until then.

        Raises:
            Exception: what the first child that failed raised; the others were cancelled.
            RuntimeError: called by a child, which would wait for its own end.

        Cancellation: cancels the children, waits for their end, and goes on.
        """
        interruption = Interruption()
        loop = asyncio.get_running_loop()
        while self._children:
            waiter = loop.create_future()
            self._waiters[waiter] = asyncio.current_task()
            loop.call_soon(self._refuse_child, waiter)
            with interruption:
                try:
                    await waiter
                except asyncio.CancelledError:
                    self.cancel()
                    raise
                finally:
                    del self._waiters[waiter]
            # No variable has the task: its exception would have this frame, and so itself.
            if self._is_child(asyncio.current_task()):
                interruption.deliver()  # Its own end is waited for, too.
        self._state = "closed"
        error = self._error
        if not self._waiters:
            self._error = None  # The last one takes it along.
        try:
            if error is not None:
                self._note_others(error)
            interruption.deliver()
            if error is not None:
                raise error
        finally:
            del error  # It must not be kept by its own traceback.

    async def __aenter__(self) -> Group:
        if self._block is not None:
            raise RuntimeError("Group has already been entered")
        if self._state == "closed":
            raise RuntimeError("Group is closed")
        self._block = asyncio.current_task()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc, GeneratorExit):
            self.cancel()
            return  # Nothing may be awaited any more.
        is_ours = await self._take_back_cancellation(exc)
        if exc is not None:
            self.cancel()
        try:
            await self.wait()
        except asyncio.CancelledError:
            raise
        except Exception as failure:
            if exc is None or is_ours:
                raise
            # The block's own end comes first.
            _add_note(exc, f"a task of the group failed as well: {failure!r}")

    async def _take_back_cancellation(self, exc: BaseException | None) -> bool:
        """On leaving the block. Returns whether `exc` is the cancellation by a failure alone."""
        block, self._block = self._block, None
        if not self._block_cancelled or block is None:
            return False
        is_cancelled = isinstance(exc, asyncio.CancelledError)
        if exc is None:
            # Not delivered yet: here, where it does no harm.
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                is_cancelled = True
        left = 0
        if hasattr(block, "uncancel"):
            left = block.uncancel()
            if left and exc is None and is_cancelled:
                # One from elsewhere came with it. It comes at the next await, as of a TaskGroup.
                block.uncancel()
                block.cancel()
        return left == 0 and is_cancelled

    def __repr__(self) -> str:
        return f"<Group {self._state} tasks={len(self._children)}>"

    def _child_ended(self, child: JoinHandle[Any]) -> None:
        self._children.pop(child, None)
        error = child._exception()
        if error is not None and not isinstance(error, asyncio.CancelledError):
            if self._error is None:
                self._error = error
                self.cancel()
                if self._block is not None and self._block not in self._waiters.values():
                    self._block_cancelled = True
                    self._block.cancel()
            else:
                self._others.append(error)
        if not self._children:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _refuse_child(self, waiter: asyncio.Future[None]) -> None:
        """Once it is suspended: only then a child whose first step this is has a task."""
        task = self._waiters.get(waiter)
        if task is None or waiter.done():
            return
        if self._is_child(task):
            waiter.set_exception(
                RuntimeError("a task of a Group cannot wait for it: its own end is waited for, too")
            )

    def _is_child(self, task: asyncio.Task[Any] | None) -> bool:
        return any(child._task is task for child in list(self._children))

    def _note_others(self, error: BaseException) -> None:
        others, self._others = self._others, []
        for other in others:
            _add_note(error, f"another task of the group failed as well: {other!r}")


def _add_note(error: BaseException, note: str) -> None:
    if hasattr(error, "add_note"):
        error.add_note(note)
