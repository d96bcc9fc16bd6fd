"""Making and replacing files: what open() does, whatever has the name, and however often the last
name was free. Whether it is free this time is guessed from that."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import fs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.python.runtime.conftest import Run

#: Each makes something of that name.
_MAKERS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "file": lambda path: path.write_bytes(b"as it was"),
    "folder": lambda path: path.mkdir(),
    "link_to_file": lambda path: path.symlink_to("target"),
    "dangling_link": lambda path: path.symlink_to("missing"),
    "link_to_folder": lambda path: path.symlink_to("."),
    "link_to_itself": lambda path: path.symlink_to(path.name),
    "link_to_device": lambda path: path.symlink_to("/dev/null"),
    "long_name": lambda path: None,
}


@pytest.fixture(params=["a_free_name", "a_taken_name"])
def expected(request: pytest.FixtureRequest) -> str:
    """What the last name was."""
    name: str = request.param
    return name


async def _expect(expected: str, folder: Path) -> None:
    last = folder / "last"
    await fs.write_file(last, b"")
    await fs.write_file(last, b"")
    if expected == "a_free_name":
        os.remove(last)
        await fs.write_file(last, b"")
    os.remove(last)


def _content(path: Path) -> object:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes() if path.is_file() else None


def _result(attempt: Callable[[], object], folder: Path) -> tuple[object, ...]:
    """What it raised, and all that there is now."""
    raised: tuple[object, ...] = ()
    try:
        attempt()
    except OSError as error:
        name = os.path.relpath(error.filename, folder)
        raised = type(error), error.errno, error.strerror, name
    return *raised, {path.name: _content(path) for path in folder.iterdir()}


def _prepared(folder: Path, kind: str) -> Path:
    folder.mkdir()
    (folder / "target").write_bytes(b"of the link")
    path = folder / ("n" * 300 if kind == "long_name" else "name")
    _MAKERS[kind](path)
    return path


@pytest.mark.parametrize("mode", ["wb", "ab", "xb"])
@pytest.mark.parametrize("kind", _MAKERS)
def test_files_are_opened_as_by_open(
    run: Run, tmp_path: Path, kind: str, mode: str, expected: str
) -> None:
    ours, theirs = _prepared(tmp_path / "ours", kind), _prepared(tmp_path / "theirs", kind)

    async def write() -> None:
        await _expect(expected, ours.parent)
        file: Any = await fs.open(ours, mode)
        async with file:
            await file.write(b"new")

    def write_theirs() -> None:
        with open(theirs, mode) as file:
            file.write(b"new")

    result = _result(lambda: run(write()), ours.parent)
    assert result == _result(write_theirs, theirs.parent)


@pytest.mark.parametrize("kind", _MAKERS)
def test_whole_files_are_written_as_by_open(
    run: Run, tmp_path: Path, kind: str, expected: str
) -> None:
    ours, theirs = _prepared(tmp_path / "ours", kind), _prepared(tmp_path / "theirs", kind)

    async def write() -> None:
        await _expect(expected, ours.parent)
        await fs.write_file(ours, b"new")

    result = _result(lambda: run(write()), ours.parent)
    assert result == _result(lambda: theirs.write_bytes(b"new"), theirs.parent)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """Whoever still waits at it in the end goes on."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    (tmp_path / "link").symlink_to("fifo")
    yield path
    with suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


@pytest.mark.parametrize("name", ["fifo", "link"])
def test_a_loop_does_not_wait_at_a_fifo(run: Run, fifo: Path, name: str, expected: str) -> None:
    async def main() -> bytes:
        await _expect(expected, fifo.parent)
        writing = asyncio.ensure_future(fs.write_file(fifo.with_name(name), b"met"))
        for _ in range(10):
            await asyncio.sleep(0)  # Were it to wait on the spot, nobody would come to read.
        assert not writing.done()
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            await writing
            assert select.select([reader], [], [], 0)[0]
            return os.read(reader, 10)
        finally:
            os.close(reader)

    assert run(main()) == b"met"


@pytest.mark.parametrize("name", ["fifo", "link"])
def test_a_fifo_is_there_for_who_insists_on_a_new_file(
    run: Run, fifo: Path, name: str, expected: str
) -> None:
    async def main() -> None:
        await _expect(expected, fifo.parent)
        with pytest.raises(FileExistsError):
            await fs.open(fifo.with_name(name), "xb")

    run(main())


def test_files_are_made_and_replaced_by_turns(run: Run, tmp_path: Path) -> None:
    """Each guess is wrong."""

    async def main() -> None:
        for number in range(50):
            path = tmp_path / str(number)
            await fs.write_file(path, b"first, and longer")
            assert path.read_bytes() == b"first, and longer"
            await fs.write_file(path, b"second")
            assert path.read_bytes() == b"second"

    run(main())
