"""The examples in the docstrings of the public modules, and of the extension's stub, are run; and
each public name has one."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from tests.python.loop.support import client_context, server_context
from tests.python.process.support import program, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = (
    "blitzio._capi",
    "blitzio._compute",
    "blitzio._duration",
    "blitzio._fs.directory",
    "blitzio._fs.temporary",
    "blitzio._fs.watching",
    "blitzio._io.evented",
    "blitzio._io.handle",
    "blitzio._io.reader",
    "blitzio._io.threaded",
    "blitzio._io.world",
    "blitzio._io.writer",
    "blitzio._loop.debug_info",
    "blitzio._net.connect",
    "blitzio._net.copy",
    "blitzio._net.keep_alive",
    "blitzio._net.pool",
    "blitzio._net.split",
    "blitzio._process.child",
    "blitzio._process.command",
    "blitzio._process.status",
    "blitzio._run",
    "blitzio._serve",
    "blitzio._shutdown",
    "blitzio._sync.condition",
    "blitzio._sync.once_cell",
    "blitzio._task.cancel_token",
    "blitzio._task.concurrent",
    "blitzio._task.group",
    "blitzio._task.joining",
    "blitzio._task.selecting",
    "blitzio.channel",
    "blitzio.fs",
    "blitzio.process",
    "blitzio.runtime",
    "blitzio.signal",
    "blitzio.sync",
    "blitzio.task",
    "blitzio.time",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_give_what_they_say(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_examples_of_tls_give_what_they_say(tmp_path: Path) -> None:
    contexts = {"server": server_context(tmp_path), "client": client_context()}
    result = doctest.testmod(importlib.import_module("blitzio._net.tls"), extraglobs=contexts)
    assert result.attempted > 0
    assert result.failed == 0


def test_examples_of_policies_give_what_they_say() -> None:
    """They change the process, and asyncio warns of policies, which are on their way out."""
    source = """
import doctest, blitzio._policy
result = doctest.testmod(blitzio._policy)
assert result.attempted > 0
assert result.failed == 0
"""
    done = program(source, options=("-W", "ignore::DeprecationWarning"))
    assert silent(done), done.stdout


# ---- the extension: what its stub says ---------------------------------------------------------

_USED = ("channel", "fs", "net", "sync")
_STUB = Path(blitzio.__file__).parent / "_native"


def _documented(tree: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, str, int]]:
    """Name, docstring and line."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if text := ast.get_docstring(node):  # Of overloads one has it.
                yield prefix + node.name, text, node.lineno
            if isinstance(node, ast.ClassDef):
                yield from _documented(node, f"{prefix}{node.name}.")


STUB = {
    name: doctest.DocTestParser().get_doctest(text, {}, name, str(path), line)
    for path in sorted(_STUB.glob("*.pyi"))
    for name, text, line in _documented(ast.parse(path.read_text("utf-8")), "")
}


@pytest.mark.parametrize("name", [name for name, test in STUB.items() if test.examples])
def test_examples_in_the_stub_give_what_they_say(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As typed in `python -m asyncio`: `await` may stand anywhere."""
    names: dict[str, Any] = {
        module: importlib.import_module(f"blitzio.{module}") for module in _USED
    }
    names |= {"asyncio": asyncio, "blitzio": blitzio, "folder": str(tmp_path)}
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    with contextlib.closing(blitzio.new_event_loop()) as loop:
        for example in STUB[name].examples:
            result = eval(compile(example.source, name, "single", flags), names)
            if inspect.iscoroutine(result):
                loop.run_until_complete(result)
            assert capsys.readouterr().out == example.want, example.source


# ---- each public name has an example ------------------------------------------------------------

PUBLIC = ("", ".sync", ".channel", ".time", ".net", ".fs", ".process", ".signal", ".io")

#: What is shown by something else's example: who makes it or takes it, or what it is a form of.
SHOWN_BY = {
    "BroadcastReceiver": "Broadcast",
    "DirEntry": "read_dir",
    "Faults": "Deterministic",
    "Interval": "interval",
    "IoFuture": "Io",
    "IoGroup": "Io",
    "Loop": "new_event_loop",
    "Metadata": "stat",
    "Opening": "open",
    "Output": "Command",
    "PipeReader": "Child",
    "PipeWriter": "Child",
    "ReadDir": "read_dir",
    "SignalStream": "stream",
    "TempFile": "temp_file",
    "TimeLimit": "timeout",
    "Timeout": "timeout",
    "WatchEvent": "watch",
    "WatchReceiver": "Watch",
    "Watcher": "watch",
    "WorkGuard": "Shutdown",
    "blocking_wait": "stream",
    "named_temp_file": "NamedTempFile",
    "temp_dir": "TempDir",
}
#: What has none, and why.
WITHOUT = {
    "ReadStream": "a protocol",
    "WriteStream": "a protocol",
}


def _has_example(name: str, thing: Any) -> bool:
    texts = [inspect.getdoc(thing) or ""]
    if inspect.isclass(thing):
        # A plain value's documentation is its type's, and that of int has an example.
        texts += [
            inspect.getdoc(member) or ""
            for member in vars(thing).values()
            if inspect.isroutine(member) or inspect.isdatadescriptor(member)
        ]
    # Native: the extension itself, or a public module, which has functions of Python, too.
    home = thing.__module__.removeprefix("blitzio._native")
    is_native = not inspect.isfunction(thing) and "._" not in home
    return any(">>>" in text for text in texts) or (
        is_native
        and any(
            test.examples for own, test in STUB.items() if own == name or own.startswith(f"{name}.")
        )
    )


def test_each_public_name_has_an_example() -> None:
    modules = [importlib.import_module(f"blitzio{name}") for name in PUBLIC]
    public = [(name, getattr(module, name)) for module in modules for name in module.__all__]
    public = [(name, thing) for name, thing in public if callable(thing)]
    shown = {name for name, thing in public if _has_example(name, thing)}
    forms = {f"blocking_{name}" for name in shown}
    others = {name for name, other in SHOWN_BY.items() if other in shown}
    missing = {
        name
        for name, thing in public
        if not _has_example(name, thing)
        and not (inspect.isclass(thing) and issubclass(thing, BaseException))
    }
    assert missing - forms - others == set(WITHOUT)
    assert others == set(SHOWN_BY)
    assert {name for name, thing in public if not thing.__doc__} == set()
