"""Files and directories in a thread without a loop: the blocking form of what is done to paths."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from blitzio import fs

if TYPE_CHECKING:
    from pathlib import Path


def test_paths_are_made_linked_copied_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    fs.blocking_mkdir_all(folder)
    file = folder / "file"
    fs.blocking_write_text(file, "one\n")
    fs.blocking_append(file, b"two\n")
    assert file.read_text() == "one\ntwo\n"
    fs.blocking_copy(file, folder / "copy")
    assert (folder / "copy").read_bytes() == file.read_bytes()
    fs.blocking_symlink(file, folder / "symlink")
    assert os.fspath(fs.blocking_read_link(folder / "symlink")) == os.fspath(file)
    fs.blocking_hard_link(file, folder / "link")
    assert file.stat().st_nlink == 2
    for name in ("copy", "symlink", "link", "file"):
        fs.blocking_remove(folder / name)
    fs.blocking_remove_dir(folder)
    assert not folder.exists()
    (tmp_path / "a" / "left").write_bytes(b"x")
    fs.blocking_remove_dir_all(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_cannot_be_done_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for refused in (
        lambda: fs.blocking_remove(missing),
        lambda: fs.blocking_remove_dir(missing),
        lambda: fs.blocking_read_link(missing),
        lambda: fs.blocking_copy(missing, tmp_path / "copy"),
        lambda: fs.blocking_hard_link(missing, tmp_path / "link"),
    ):
        with pytest.raises(FileNotFoundError):
            refused()
    with pytest.raises(FileExistsError):
        fs.blocking_symlink("anything", tmp_path)


def test_metadata_is_that_of_stat(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    ours, theirs = fs.blocking_stat(file), file.stat()
    for name in ("size", "uid", "gid", "dev", "blksize", "blocks", "mtime_ns", "ctime", "ctime_ns"):
        assert getattr(ours, f"st_{name}") == getattr(theirs, f"st_{name}"), name


@pytest.mark.parametrize("seconds", [10**10, -(10**10), -1])
def test_times_of_every_century_are_those_of_stat(seconds: int, tmp_path: Path) -> None:
    """Of some, nanoseconds do not fit into 64 bits."""
    file = tmp_path / "file"
    file.touch()
    try:
        os.utime(file, ns=(seconds * 10**9 + 5, seconds * 10**9 + 7))
    except OSError as refused:
        pytest.skip(f"not on this file system: {refused}")
    ours, theirs = fs.blocking_stat(file), file.stat()
    assert (ours.st_atime_ns, ours.st_mtime_ns) == (theirs.st_atime_ns, theirs.st_mtime_ns)
