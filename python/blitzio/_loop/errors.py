"""Exception handlers: where errors go that nobody awaits. Follows asyncio's docs."""

from __future__ import annotations

import logging
import sys
import traceback

from blitzio._native import LoopBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any, TypeAlias

    ExceptionContext: TypeAlias = dict[str, Any]
    ExceptionHandler: TypeAlias = Callable[[asyncio.AbstractEventLoop, ExceptionContext], object]


logger = logging.getLogger("asyncio")


class ErrorsMixin(LoopBase):
    _exception_handler: ExceptionHandler | None = None

    def get_exception_handler(self) -> ExceptionHandler | None:
        """The handler that was set, or None: the default one is in use."""
        return self._exception_handler

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        """Sets what `call_exception_handler` calls with (loop, context); None for the default.

        Raises:
            TypeError: `handler` is neither callable nor None.
        """
        if handler is not None and not callable(handler):
            raise TypeError(f"A callable object or None is expected, got {handler!r}")
        self._exception_handler = handler

    def default_exception_handler(self, context: ExceptionContext) -> None:
        """Logs what happened, with the object's or handle's origin in debug mode."""
        message = context.get("message") or "Unhandled exception in event loop"
        exception = context.get("exception")
        exc_info: Any = False
        if exception is not None:
            exc_info = (type(exception), exception, exception.__traceback__)

        if "source_traceback" not in context:
            handle = self._current_handle
            if handle is not None and handle._source_traceback:
                context["handle_traceback"] = handle._source_traceback

        details = sorted(set(context) - {"message", "exception"})
        lines = [message, *(f"{key}: {_describe(key, context[key])}" for key in details)]
        logger.error("\n".join(lines), exc_info=exc_info)

    def call_exception_handler(self, context: ExceptionContext) -> None:
        """Reports `context` ("message", and optionally "exception", "future", "task", "handle",
        "protocol", "transport", "socket", "asyncgen") to the current handler.

        What a handler raises is logged, never passed on, except SystemExit and KeyboardInterrupt.
        """
        if self._exception_handler is None:
            try:
                self.default_exception_handler(context)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException:
                # A subclass may override the default handler.
                logger.error("Exception in default exception handler", exc_info=True)
            return
        try:
            self._call_custom_handler(self._exception_handler, context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            try:
                self.default_exception_handler(
                    {
                        "message": "Unhandled error in exception handler",
                        "exception": exc,
                        "context": context,
                    }
                )
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException:
                logger.error(
                    "Exception in default exception handler "
                    "while handling an unexpected error "
                    "in custom exception handler",
                    exc_info=True,
                )

    def _call_custom_handler(self, handler: Any, context: ExceptionContext) -> None:
        if sys.version_info >= (3, 12):
            # The handler sees the context variables of whoever failed.
            keys = ("task", "future", "handle")
            origin = next((context[key] for key in keys if context.get(key) is not None), None)
            get_context = getattr(origin, "get_context", None)
            variables = get_context() if get_context is not None else None
            if variables is not None and hasattr(variables, "run"):
                variables.run(handler, self, context)
                return
        handler(self, context)


def _describe(key: str, value: Any) -> str:
    if key == "source_traceback":
        origin = "Object created at (most recent call last):\n"
    elif key == "handle_traceback":
        origin = "Handle created at (most recent call last):\n"
    else:
        return repr(value)
    return origin + "".join(traceback.format_list(value)).rstrip()
