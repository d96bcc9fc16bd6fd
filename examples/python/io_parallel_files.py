"""Parallel file processing with an Io: each file is read, transformed and written again, all
at once if the Io can. Here in a simulation, which tries many orders.
"""

from blitzio.io import Deterministic, Io

NAMES = ["a.txt", "b.txt", "c.txt", "d.txt"]


async def process_file(io: Io, path: str, order: list[str]) -> None:
    data = await io.fs.read_file(path)
    await io.fs.write_file(path + ".out", data.upper())
    order.append(path)


async def process_all(io: Io, folder: str, order: list[str]) -> list[str]:
    for name in NAMES:
        await io.fs.write_file(f"{folder}/{name}", f"this was {name}".encode())
    async with io.group() as group:
        for name in NAMES:
            group.async_(process_file, io, f"{folder}/{name}", order)
    return [(await io.fs.read_file(f"{folder}/{name}.out")).decode() for name in NAMES]


def main() -> None:
    finished_first = set()
    for seed in range(10):
        with Deterministic(seed=seed) as world:
            order: list[str] = []
            texts = world.run(process_all, "", order)
            assert texts == [f"THIS WAS {name.upper()}" for name in NAMES]
            finished_first.add(order[0])
    print("whatever the order, the same result:", texts[0])
    print("finished first, by seed:", *sorted(finished_first))


if __name__ == "__main__":
    main()
