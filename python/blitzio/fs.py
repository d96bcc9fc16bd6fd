"""Files: open ones with the methods of Python's own, whole ones, paths, watching.

Everything here can be awaited from a task of any asyncio loop: blitzio's, asyncio's own, uvloop's.
What the kernel has in memory is read and written at once, without suspending the task; only what
would have to wait for a disk goes to a thread. Each function of paths has a form for plain threads,
`blocking_…`.

    >>> import asyncio, tempfile
    >>> from blitzio import fs
    >>> async def main(folder):
    ...     async with fs.open(folder + "/log", "w") as file:
    ...         await file.write("first\\nsecond\\n")
    ...     async with fs.open(folder + "/log") as file:
    ...         return [line.rstrip() async for line in file]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     asyncio.run(main(folder))
    ['first', 'second']

Errors are those of the standard library: `OSError` with `errno` and `filename`, `ValueError` for a
closed file. A cancelled read has consumed nothing; of a cancelled write a part may be written.
Paths are str, bytes or os.PathLike.
"""

from __future__ import annotations

from blitzio._fs.directory import DirEntry, ReadDir, blocking_read_dir, read_dir
from blitzio._fs.temporary import (
    NamedTempFile,
    TempDir,
    TempFile,
    blocking_named_temp_file,
    blocking_temp_dir,
    blocking_temp_file,
    named_temp_file,
    temp_dir,
    temp_file,
)
from blitzio._fs.watching import Watcher, WatchEvent, blocking_watch, watch
from blitzio._native.fs import (  # There since _fs asked the extension for it.
    File,
    Metadata,
    Opening,
    TextFile,
    append,
    append_text,
    blocking_append,
    blocking_append_text,
    blocking_copy,
    blocking_exists,
    blocking_hard_link,
    blocking_mkdir,
    blocking_mkdir_all,
    blocking_open,
    blocking_read_file,
    blocking_read_link,
    blocking_read_text,
    blocking_remove,
    blocking_remove_dir,
    blocking_remove_dir_all,
    blocking_rename,
    blocking_set_permissions,
    blocking_stat,
    blocking_symlink,
    blocking_write_file,
    blocking_write_text,
    copy,
    exists,
    hard_link,
    mkdir,
    mkdir_all,
    open,
    read_file,
    read_link,
    read_text,
    remove,
    remove_dir,
    remove_dir_all,
    rename,
    set_inline_writes,
    set_permissions,
    stat,
    symlink,
    write_file,
    write_text,
)

__all__ = (
    "DirEntry",
    "File",
    "Metadata",
    "NamedTempFile",
    "Opening",
    "ReadDir",
    "TempDir",
    "TempFile",
    "TextFile",
    "WatchEvent",
    "Watcher",
    "append",
    "append_text",
    "blocking_append",
    "blocking_append_text",
    "blocking_copy",
    "blocking_exists",
    "blocking_hard_link",
    "blocking_mkdir",
    "blocking_mkdir_all",
    "blocking_named_temp_file",
    "blocking_open",
    "blocking_read_dir",
    "blocking_read_file",
    "blocking_read_link",
    "blocking_read_text",
    "blocking_remove",
    "blocking_remove_dir",
    "blocking_remove_dir_all",
    "blocking_rename",
    "blocking_set_permissions",
    "blocking_stat",
    "blocking_symlink",
    "blocking_temp_dir",
    "blocking_temp_file",
    "blocking_watch",
    "blocking_write_file",
    "blocking_write_text",
    "copy",
    "exists",
    "hard_link",
    "mkdir",
    "mkdir_all",
    "named_temp_file",
    "open",
    "read_dir",
    "read_file",
    "read_link",
    "read_text",
    "remove",
    "remove_dir",
    "remove_dir_all",
    "rename",
    "set_inline_writes",
    "set_permissions",
    "stat",
    "symlink",
    "temp_dir",
    "temp_file",
    "watch",
    "write_file",
    "write_text",
)
