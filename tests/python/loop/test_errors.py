"""Exceptions in callbacks and exception handlers."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


def fail(exc: BaseException) -> None:
    raise exc


def run_pending(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "asyncio"]


def test_an_exception_in_a_callback_is_reported_and_the_loop_goes_on(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    seen: list[int] = []
    error = ValueError("mine")
    handle = loop.call_soon(fail, error)
    loop.call_soon(seen.append, 1)
    run_pending(loop)
    (report,) = reports
    assert report["exception"] is error
    assert report["handle"] is handle
    assert report["message"].startswith("Exception in callback fail(")
    assert seen == [1]


def test_an_exception_in_a_timer_is_reported(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    loop.call_later(0, fail, ValueError("mine"))
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    assert [str(report["exception"]) for report in reports] == ["mine"]


class Custom(BaseException):
    """A BaseException that is neither of the two that end a run."""


def test_another_base_exception_is_reported(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    loop.call_soon(fail, Custom("mine"))
    run_pending(loop)
    assert [type(report["exception"]) for report in reports] == [Custom]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "task"])
def test_interrupts_leave_the_loop_which_can_run_again(
    loop: asyncio.AbstractEventLoop, kind: type[BaseException], method: str
) -> None:
    seen: list[int] = []

    async def main() -> None:
        raise kind("mine")

    if method == "task":
        with pytest.raises(kind, match="mine"):
            loop.run_until_complete(main())
    else:
        if method == "call_later":
            loop.call_later(0, fail, kind("mine"))
        else:
            getattr(loop, method)(fail, kind("mine"))
            loop.call_soon(seen.append, 1)
        with pytest.raises(kind, match="mine"):
            loop.run_forever()
    assert not loop.is_running()
    loop.run_until_complete(asyncio.sleep(0.001))
    assert seen == ([1] if method.startswith("call_soon") else [])


def test_an_interrupt_in_an_awaited_task_reaches_the_caller(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def child() -> None:
        raise SystemExit(3)

    async def main() -> None:
        await loop.create_task(child())

    task = loop.create_task(main())
    with pytest.raises(SystemExit):
        loop.run_until_complete(task)
    with pytest.raises(SystemExit):
        loop.run_until_complete(task)


def test_a_callback_that_raises_stop_iteration(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    loop.call_soon(fail, StopIteration("mine"))
    run_pending(loop)
    assert [type(report["exception"]) for report in reports] == [StopIteration]


def test_the_default_handler_logs_like_asyncio(
    same_as_asyncio: Compare, caplog: pytest.LogCaptureFixture
) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        caplog.clear()
        loop.call_exception_handler(
            {"message": "what happened", "exception": ValueError("why"), "b": 2, "a": "one"}
        )
        loop.call_exception_handler({"other": "no message"})
        loop.call_exception_handler({"message": ""})
        return [(record.levelname, record.getMessage()) for record in logged(caplog)]

    _, found = same_as_asyncio(scenario)
    assert found[0] == ("ERROR", "what happened\na: 'one'\nb: 2")


def test_the_default_handler_shows_origins(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    loop.call_soon(fail, ValueError("mine"))
    run_pending(loop)
    text = logged(caplog)[0].getMessage()
    assert "Object created at (most recent call last):" in text
    assert "test_the_default_handler_shows_origins" in text


def test_the_default_handler_shows_where_the_callback_that_reports_was_scheduled(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    loop.call_soon(loop.call_exception_handler, {"message": "mine"})
    run_pending(loop)
    loop.call_exception_handler({"message": "of nobody"})
    texts = [record.getMessage() for record in logged(caplog)]
    assert texts[0].startswith("mine\nhandle_traceback: Handle created at (most recent call last):")
    assert "test_the_default_handler_shows_where_the_callback" in texts[0]
    assert texts[1:] == ["of nobody"]


@pytest.mark.parametrize("handler", [1, "text", object])
def test_a_handler_must_be_callable(handler: Any, same_as_asyncio: Compare) -> None:
    same_as_asyncio(lambda loop: loop.set_exception_handler(handler))
    same_as_asyncio(lambda loop: loop.set_exception_handler(12))  # type: ignore[arg-type]


def test_setting_and_removing_a_handler(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        seen.append((loop, context))

    assert loop.get_exception_handler() is None
    loop.set_exception_handler(handler)
    assert loop.get_exception_handler() is handler
    context = {"message": "mine"}
    loop.call_exception_handler(context)
    assert seen == [(loop, context)]
    loop.set_exception_handler(None)
    loop.call_exception_handler(context)
    assert len(seen) == 1
    assert logged(caplog)[0].getMessage() == "mine"


def test_a_handler_that_fails_is_logged(
    same_as_asyncio: Compare, caplog: pytest.LogCaptureFixture
) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        caplog.clear()
        loop.set_exception_handler(lambda *_: fail(Custom("handler")))
        loop.call_exception_handler({"message": "first"})
        return [record.getMessage() for record in logged(caplog)]

    _, found = same_as_asyncio(scenario)
    assert found == ["Unhandled error in exception handler\ncontext: {'message': 'first'}"]


def test_an_overridden_default_handler_that_fails_is_logged(
    loop: asyncio.AbstractEventLoop,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "default_exception_handler", lambda _: fail(Custom("default")))
    loop.call_exception_handler({"message": "first"})
    loop.set_exception_handler(lambda *_: fail(Custom("handler")))
    loop.call_exception_handler({"message": "second"})
    assert [record.getMessage() for record in logged(caplog)] == [
        "Exception in default exception handler",
        "Exception in default exception handler while handling an unexpected error "
        "in custom exception handler",
    ]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupts_pass_through_handlers(
    loop: asyncio.AbstractEventLoop, kind: type[BaseException]
) -> None:
    loop.set_exception_handler(lambda *_: fail(kind("mine")))
    with pytest.raises(kind):
        loop.call_exception_handler({"message": "first"})
    loop.call_soon(fail, ValueError("first"))
    with pytest.raises(kind):
        loop.run_forever()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="handlers run in the context from 3.12 on")
def test_a_handler_sees_the_context_of_the_callback(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []
    loop.set_exception_handler(lambda *_: seen.append(variable.get()))
    token = variable.set("the callback's")
    loop.call_soon(fail, ValueError())
    variable.reset(token)
    run_pending(loop)
    assert seen == ["the callback's"]


def test_an_exception_nobody_retrieved_is_reported(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    import gc

    future = loop.create_future()
    future.set_exception(ValueError("mine"))
    del future
    gc.collect()
    assert [report["message"] for report in reports] == ["Future exception was never retrieved"]
