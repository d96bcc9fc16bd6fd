"""A Runtime: workers, threads that may block, and tasks that end together."""

import hashlib
import time

import blitzio


async def fetch(name: str) -> str:
    """What waits for the network does so without holding up its worker."""
    await blitzio.sleep(0.01)
    return f"{name} fetched by {'a worker' if blitzio.get_runtime() else 'nobody'}"


def read_slowly() -> str:
    """What blocks runs in a thread of its own."""
    time.sleep(0.01)
    return "read"


def digest(number: int) -> str:
    """What calculates runs on the processors."""
    return hashlib.sha256(bytes(number)).hexdigest()[:8]


async def main() -> None:
    async with blitzio.Group() as group:
        pages = [group.spawn(fetch, name) for name in ("one", "two")]
        file = group.spawn(lambda: blitzio.spawn_blocking(read_slowly))
    for handle in (*pages, file):
        print(handle.try_join())
    print(await blitzio.parallel_map(range(3), digest))
    winner, index = await blitzio.select(blitzio.sleep(60), fetch("the faster one"))
    print(f"branch {index}: {winner}")


with blitzio.Runtime(workers=2) as runtime:
    runtime.block_on(main)
