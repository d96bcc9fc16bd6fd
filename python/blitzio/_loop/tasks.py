"""Task factories. Without one `create_task` is native and never comes here."""

from __future__ import annotations

import sys

from blitzio._native import LoopBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import contextvars
    from collections.abc import Callable, Coroutine
    from typing import Any

# What a factory is given changed twice; the running version's asyncio decides.
_TAKES_CONTEXT = sys.version_info[:2] >= (3, 11)
_PASSES_EVERYTHING = sys.version_info >= (3, 14) or sys.version_info[:3] == (3, 13, 3)
_PASSES_EXTRAS = sys.version_info[:3] >= (3, 13, 3)
_NAME_IS_REQUIRED = sys.version_info >= (3, 13)


class TasksMixin(LoopBase):
    def _create_task_with_factory(
        self,
        factory: Callable[..., asyncio.Future[Any]],
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **kwargs: Any,
    ) -> asyncio.Future[Any]:
        """`create_task` through the user's factory: (loop, coro), then what the version adds.

        Up to 3.10 nothing is added, from 3.11 on `context` if there is one, in 3.13.3 and from 3.14
        on every keyword; the others since 3.13.3 pass the unknown keywords and name the task here.
        """
        self._check_closed()
        if kwargs and not _PASSES_EXTRAS:
            unknown = next(iter(kwargs))
            raise TypeError(f"create_task() got an unexpected keyword argument {unknown!r}")
        if context is not None:
            if not _TAKES_CONTEXT:
                raise TypeError("create_task() got an unexpected keyword argument 'context'")
            kwargs["context"] = context
        if _PASSES_EVERYTHING:
            if name is not None:
                kwargs["name"] = name
            return factory(self, coro, **kwargs)
        task = factory(self, coro, **kwargs)
        try:
            _set_name(task, name)
            return task
        finally:
            # An eager task may have failed already, with this frame in its traceback.
            del task


def _set_name(task: Any, name: str | None) -> None:
    if _NAME_IS_REQUIRED:
        task.set_name(name)
    elif name is not None and hasattr(task, "set_name"):
        task.set_name(name)
