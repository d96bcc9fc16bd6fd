"""Blocking functions in threads: the loop goes on meanwhile.

Without an executor of your own they run on blitzio's native pool, which grows to 512 threads and
gives them back after ten idle seconds. Any `concurrent.futures` executor works as well.
"""

import asyncio
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import blitzio


def blocking(number: int) -> int:
    time.sleep(0.05)
    return number * number


async def main() -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    squares = await asyncio.gather(*(asyncio.to_thread(blocking, n) for n in range(50)))
    print(f"50 calls of 50 ms each, together in {loop.time() - start:.2f} s: {sum(squares)}")

    with ThreadPoolExecutor(max_workers=2) as pool:
        digest = await loop.run_in_executor(pool, hashlib.sha256, bytes(10_000_000))
    print("sha256 of ten million zeros:", digest.hexdigest()[:16], "…")


blitzio.run(main())
