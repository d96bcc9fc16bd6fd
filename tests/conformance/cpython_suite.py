"""CPython's own tests of asyncio: `test.test_asyncio` of the interpreter that runs them.

Every way to a loop that the tests take leads to the one under test:

- what asyncio makes by default: the default policy's loops, `asyncio.EventLoop`, and so
  `asyncio.run`, `Runner` and `IsolatedAsyncioTestCase`;
- the stock classes that a test class names in its set-up: while its tests run, `REPLACED` puts a
  subclass of our loop's class in their place, which takes the stock constructors' arguments;
- mock.patch("asyncio.base_events.logger"): the mock also sees what is logged through
  `logging.getLogger("asyncio")`, which is the object it stands for.

What is left out, and why, is in excluded_cpython.txt.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from tests.conformance.worker import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXCLUDED = Path(__file__).with_name("excluded_cpython.txt")

_SELECTOR = "asyncio.SelectorEventLoop"
#: The stock class that a test class names in its set-up.
REPLACED: dict[str, dict[str, str]] = {
    "test_events": {
        "EPollEventLoopTests": _SELECTOR,
        "UnixPipeObjectSupportTests": _SELECTOR,
    },
    "test_sock_lowlevel": {"EPollEventLoopTests": _SELECTOR},
    "test_sendfile": {"EPollEventLoopTests": _SELECTOR},
    "test_server": {"SelectorStartServerTests": _SELECTOR},
    "test_buffered_proto": {"BufferedProtocolSelectorTests": _SELECTOR},
    "test_sslproto": {"SelectorStartTLSTests": _SELECTOR},
    "test_base_events": {
        "BaseEventLoopTests": "asyncio.base_events.BaseEventLoop",
        "BaseEventLoopWithSelectorTests": _SELECTOR,
        "BaseLoopSockSendfileTests": "asyncio.selector_events.BaseSelectorEventLoop",
    },
    "test_unix_events": {
        "SelectorEventLoopSignalTests": _SELECTOR,
        "SelectorEventLoopUnixSocketTests": _SELECTOR,
    },
    "test_runners": {
        "RunTests": "asyncio.BaseEventLoop",
        "RunnerTests": "asyncio.BaseEventLoop",
    },
    "test_pep492": {"*": "asyncio.BaseEventLoop"},
}

#: Modules of asyncio whose name `logger` tests patch.
_LOGGING_MODULES = (
    "base_events",
    "proactor_events",
    "selector_events",
    "sslproto",
    "unix_events",
)


def files() -> list[str]:
    """The test files that there are.

    Raises:
        ModuleNotFoundError: this interpreter came without its tests.
    """
    package = importlib.import_module("test.test_asyncio")
    return sorted(path.stem for path in Path(package.__path__[0]).glob("test_*.py"))


def prepare(loop_class: type, expect: str) -> None:
    if loop_class is asyncio.SelectorEventLoop:
        return
    unix_events = importlib.import_module("asyncio.unix_events")
    policy: Any = getattr(unix_events, "_DefaultEventLoopPolicy", None)
    policy = policy or unix_events.DefaultEventLoopPolicy
    policy._loop_factory = loop_class
    if sys.version_info >= (3, 13):
        setattr(asyncio, "EventLoop", loop_class)  # noqa: B010
    _show_logging_to_mocks()


def cases(file: str, loop_class: type) -> Iterator[Case]:
    module = importlib.import_module(f"test.test_asyncio.{file}")
    loader = unittest.TestLoader()
    replaced = REPLACED.get(file, {})
    for name, cls in list(vars(module).items()):
        if not (isinstance(cls, type) and issubclass(cls, unittest.TestCase)):
            continue
        if cls.__module__ != module.__name__ or cls.__name__ != name:
            continue  # Imported, or another name of one that has its own.
        target = replaced.get(name) or replaced.get("*")
        if target is not None and loop_class is not asyncio.SelectorEventLoop:
            cls = _with_replaced(cls, target, loop_class)
        for method in loader.getTestCaseNames(cls):
            yield Case(f"{file}.{name}.{method}", cls(method))


def _with_replaced(cls: type, target: str, loop_class: type) -> Any:
    """`cls`, whose tests run while the name `target` stands for a loop class like ours."""
    stand_in = _stand_in(loop_class)

    def run(self: unittest.TestCase, result: Any = None) -> Any:
        with mock.patch(target, stand_in):
            return cls.run(self, result)  # type: ignore[attr-defined]

    members = {"run": run, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (cls,), members)


def _stand_in(loop_class: Any) -> type:
    """A subclass of the loop class under test that can be made as the stock classes are."""

    def __init__(self: Any, selector: Any = None) -> None:
        if selector is not None:
            selector.close()  # The stock loop would own it.
        loop_class.__init__(self)

    def _run_once(self: Any) -> None:
        """What test_utils.run_once() does for any loop."""
        self.call_soon(self.stop)
        self.run_forever()

    members = {"__init__": __init__, "_run_once": _run_once, "__module__": loop_class.__module__}
    return type(loop_class.__name__, (loop_class,), members)


def _show_logging_to_mocks() -> None:
    logger: Any = logging.getLogger("asyncio")
    modules: list[Any] = [importlib.import_module(f"asyncio.{name}") for name in _LOGGING_MODULES]

    def forwarding(name: str) -> Callable[..., None]:
        genuine = getattr(logger, name)

        def log(*args: Any, **kwargs: Any) -> None:
            mocks = {id(module.logger): module.logger for module in modules}
            mocks.pop(id(logger), None)
            for seen in mocks.values():
                getattr(seen, name)(*args, **kwargs)
            genuine(*args, **kwargs)

        return log

    for name in ("debug", "info", "warning", "error", "exception", "critical", "log"):
        setattr(logger, name, forwarding(name))
