"""aiofiles: every call goes through the loop's executor."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import aiofiles
import aiofiles.os
import aiofiles.tempfile
import pytest

from tests.python.frameworks.support import digest, payload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ecosystem.conftest import Comparison


def test_files_lines_and_folders(same_on_asyncio: Comparison, tmp_path: Path) -> None:
    data = payload(5_000_000)

    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with aiofiles.tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            path = os.path.join(folder, "data")
            async with aiofiles.open(path, "wb") as binary:
                for start in range(0, len(data), 1_000_000):
                    await binary.write(data[start : start + 1_000_000])
            async with aiofiles.open(path, "rb") as binary:
                await binary.seek(1000)
                seen.append(await binary.read(16))
                seen.append(digest(await binary.read()))
            lines = os.path.join(folder, "lines")
            async with aiofiles.open(lines, "w") as text:
                await text.writelines(f"line {n}\n" for n in range(300))
            async with aiofiles.open(lines) as text:
                seen.append([line async for line in text][::100])
            await aiofiles.os.rename(lines, lines + ".old")
            seen.append(sorted(await aiofiles.os.listdir(folder)))
            seen.append((await aiofiles.os.stat(path)).st_size)
            with pytest.raises(FileNotFoundError):
                await aiofiles.os.remove(lines)
        seen.append(await aiofiles.os.path.exists(folder))
        return seen

    assert same_on_asyncio(scenario) == [
        data[1000:1016],
        digest(data[1016:]),
        ["line 0\n", "line 100\n", "line 200\n"],
        ["data", "lines.old"],
        len(data),
        False,
    ]


def test_a_hundred_files_at_once(same_on_asyncio: Comparison, tmp_path: Path) -> None:
    async def one(number: int) -> str:
        path = tmp_path / str(number)
        async with aiofiles.open(path, "w+") as file:
            await file.write(f"number {number}")
            await file.seek(0)
            return await file.read()

    async def scenario() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(100)))

    assert same_on_asyncio(scenario) == [f"number {number}" for number in range(100)]
