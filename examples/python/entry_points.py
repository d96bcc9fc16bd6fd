"""The ways in: run() as it comes, run_with() a configuration, a Runtime of one's own; and a
library's function that uses a runtime if there is one."""

import zlib

import blitzio


def compress(data: bytes) -> int:
    return len(zlib.compress(data))


async def process_data(data: bytes) -> int:
    """Inside a runtime the work goes to its threads; elsewhere it is done on the spot."""
    if runtime := blitzio.get_runtime():
        return await runtime.spawn_blocking(compress, data)
    return compress(data)


async def count(number: int) -> int:
    """The sum of what that many tasks return."""
    return sum(await blitzio.join_all(*(blitzio.spawn(int, i) for i in range(1, number + 1))))


PROFILES = {
    # Many connections that wait: a worker for each processor, room for calls that block.
    "web server": blitzio.Config(blocking_threads_max=256, blocking_keep_alive=30.0),
    # Work that calculates: few workers, threads for the rest.
    "pipeline": blitzio.Config(workers=2, blocking_threads_max=16),
    # Answers that must be quick: workers that stay on their processors, idle threads soon gone.
    "low latency": blitzio.Config(
        workers=2, strategy="thread_per_core", affinity="sequential", blocking_keep_alive=2.0
    ),
}

print("blitzio", blitzio.__version__)
print("on a loop:", blitzio.run(process_data(b"x" * 1000)))
for name, config in PROFILES.items():
    print(f"{name}:", blitzio.run_with(config, count, 10))

with blitzio.Runtime(workers=2) as mine:
    print("on a runtime:", mine.block_on(process_data, b"x" * 1000))
    print("as its task:", mine.spawn(count, 10).blocking_join())
    print(mine.scheduler().workers, "workers,", mine.blocking_pool().threads, "blocking threads")
