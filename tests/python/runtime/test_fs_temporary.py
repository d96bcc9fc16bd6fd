"""Leaving what is temporary by `async with`: where it is removed, and what cancelling does."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import types
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
import blitzio._fs.temporary as temporary_module
from blitzio import fs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .conftest import Run


class Gate:
    """In place of a function of blitzio._fs.temporary: tells who calls it, and lets it wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.threads: list[int] = []
        self.entered, self.release = threading.Event(), threading.Event()
        real = getattr(temporary_module, name)

        def call(path: str) -> None:
            self.threads.append(threading.get_ident())
            self.entered.set()
            assert self.release.wait(60)
            real(path)

        monkeypatch.setattr(temporary_module, name, call)


MAKES: dict[str, Callable[[Path], Any]] = {
    "_remove_file": lambda folder: fs.named_temp_file(parent=folder),
    "_remove_tree": lambda folder: fs.temp_dir(parent=folder),
}


@pytest.mark.parametrize("name", MAKES)
def test_leaving_removes_in_a_thread(
    name: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, name)
    gate.release.set()

    async def main() -> None:
        async with MAKES[name](tmp_path):
            assert len(list(tmp_path.iterdir())) == 1
        assert list(tmp_path.iterdir()) == []

    run(main())
    assert gate.threads != []
    assert threading.get_ident() not in gate.threads


@pytest.mark.parametrize("name", MAKES)
def test_a_cancellation_while_leaving_waits_for_the_removal(
    name: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, name)
    temporary = MAKES[name](tmp_path)

    async def leave() -> None:
        async with temporary:
            pass

    async def main() -> None:
        leaving = asyncio.ensure_future(leave())
        while not gate.entered.is_set():
            await asyncio.sleep(0.001)
        for _ in range(2):
            leaving.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not leaving.done()
        assert len(list(tmp_path.iterdir())) == 1
        gate.release.set()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert list(tmp_path.iterdir()) == []

    run(main())
    if isinstance(temporary, fs.NamedTempFile):
        assert temporary.file.closed


@pytest.mark.parametrize("name", MAKES)
def test_what_is_closed_while_it_leaves_is_removed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, name)
    bodies: list[str] = []

    async def leave() -> None:
        async with MAKES[name](tmp_path):
            bodies.append(name)

    @types.coroutine
    def close_while_it_leaves() -> Generator[Any, None, None]:
        leaving = leave()
        waits_for = leaving.send(None)
        while not bodies:
            yield waits_for
            waits_for = leaving.send(None)
        assert gate.entered.wait(60)
        leaving.close()

    async def main() -> None:
        await close_while_it_leaves()
        gate.release.set()
        while list(tmp_path.iterdir()):
            await asyncio.sleep(0.001)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of its file, which it could not close
        blitzio.run(main())
        gc.collect()


def test_what_cannot_be_removed_is_an_error(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        made = fs.temp_dir(parent=tmp_path)
        path = await made.__aenter__()
        os.rmdir(path)
        Path(path).touch()  # Somebody has put a file there.
        with pytest.raises(NotADirectoryError):
            await made.__aexit__(None, None, None)
        os.unlink(path)
        await made.remove()  # Once is enough.

    run(main())


def test_the_empty_folder_is_where_the_program_is(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was the root."""
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        async with fs.temp_dir("a-", "") as path, fs.named_temp_file("b-", "") as named:
            assert Path(path).resolve().parent == tmp_path
            assert Path(named.path).resolve().parent == tmp_path
        async with fs.temp_file("") as file:
            assert os.fstat(file.fileno()).st_dev == tmp_path.stat().st_dev

    run(main())
    with fs.blocking_temp_dir(parent="") as path, fs.blocking_named_temp_file(parent="") as named:
        assert {Path(path).name, Path(named.path).name} == set(os.listdir())
    fs.blocking_temp_file("").blocking_close()
    assert os.listdir() == []
