"""uvloop's own tests, from its source distribution.

They are written against a module called uvloop; stand_in/uvloop is one, and makes our loops. Each
test class for uvloop has a twin for asyncio, which is left out. Where a test expects one thing of
uvloop's loop and another of asyncio's (`self.implementation`), ours may do either.

What is left out, and why, is in excluded_uvloop.txt.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
import textwrap
import types
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conformance.worker import Case

if TYPE_CHECKING:
    from collections.abc import Iterator

EXCLUDED = Path(__file__).with_name("excluded_uvloop.txt")
STAND_IN = Path(__file__).with_name("stand_in")
#: Where the unpacked source distribution is; also read by the stand-in.
SOURCE_VARIABLE = "BLITZIO_UVLOOP_SOURCE"
#: Whose answers tests with two of them get first, and then.
ANSWERS = ("uvloop", "asyncio")
_TESTS = "uvloop_tests"


def _source() -> Path:
    return Path(os.environ[SOURCE_VARIABLE])


def files() -> list[str]:
    """The test files that there are."""
    return sorted(path.stem for path in (_source() / "tests").glob("test_*.py"))


def prepare(loop_class: type, expect: str) -> None:
    package = types.ModuleType(_TESTS)
    package.__path__ = [str(_source() / "tests")]
    sys.modules[_TESTS] = package
    testbase: Any = importlib.import_module("uvloop._testbase")
    if expect == "asyncio":
        testbase.UVTestCase.implementation = "asyncio"
        testbase.BaseTestCase.is_asyncio_loop = lambda self: True


def cases(file: str, loop_class: type) -> Iterator[Case]:
    testbase: Any = importlib.import_module("uvloop._testbase")
    module = importlib.import_module(f"{_TESTS}.{file}")
    loader = unittest.TestLoader()
    for name, cls in list(vars(module).items()):
        if not (isinstance(cls, type) and issubclass(cls, unittest.TestCase)):
            continue
        if cls.__module__ != module.__name__ or issubclass(cls, testbase.AIOTestCase):
            continue
        for method in loader.getTestCaseNames(cls):
            yield Case(f"{file}.{name}.{method}", cls(method), _has_two_answers(cls, method))


def _has_two_answers(cls: type, method: str) -> bool:
    """Whether a test, or a method of its class that it calls, asks which loop it is on."""
    seen: set[str] = set()
    pending = [method]
    while pending:
        name = pending.pop()
        seen.add(name)
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(cls, name))))
        except (AttributeError, TypeError, OSError, SyntaxError):
            continue  # Nothing with a source.
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            if node.value.id != "self":
                continue
            if node.attr in ("implementation", "is_asyncio_loop"):
                return True
            if node.attr.startswith("_test") and node.attr not in seen:
                pending.append(node.attr)
    return False
