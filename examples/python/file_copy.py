"""Copies a file piece by piece, then counts the words of many files at the same time."""

from __future__ import annotations

import asyncio

import blitzio
from blitzio import fs

PIECE_BYTES = 64 * 1024


async def copy(source: str, target: str) -> int:
    """Returns how many bytes were copied."""
    total = 0
    async with fs.open(source, "rb") as reader, fs.open(target, "wb") as writer:
        while piece := await reader.read(PIECE_BYTES):
            total += await writer.write(piece)
    return total


async def count_words(path: str) -> int:
    async with fs.open(path, encoding="utf-8") as file:
        return sum([len(line.split()) async for line in file])


async def main() -> None:
    async with fs.temp_dir() as folder:
        await fs.write_file(f"{folder}/original", bytes(1_000_000))
        print("copied", await copy(f"{folder}/original", f"{folder}/copy"), "bytes")

        texts = [f"{folder}/text{number}" for number in range(100)]
        await asyncio.gather(
            *(fs.write_text(path, f"file {path}\n" * 50, encoding="utf-8") for path in texts)
        )
        counts = await asyncio.gather(*(count_words(path) for path in texts))
        print("counted", sum(counts), "words in", len(counts), "files")


if __name__ == "__main__":
    blitzio.run(main())
