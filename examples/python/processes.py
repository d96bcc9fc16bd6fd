"""Processes: run one to its end, talk to another, connect two, limit a third."""

import subprocess

import blitzio
from blitzio import net, process


async def main() -> None:
    done = await process.output("sh", "-c", "echo hello; echo oops >&2; exit 3")
    print(done.stdout, done.stderr, done.status.code)

    # Leaving the block waits for the process, or kills it if an exception leaves it.
    async with process.spawn("cat", stdin="pipe", stdout="pipe") as child:
        assert child.stdin is not None and child.stdout is not None
        for question in (b"one\n", b"two\n"):
            await child.stdin.write_all(question)
            print("answer:", await child.stdout.read_line())
        child.stdin.close()

    # As `printf … | sort`: pipes are streams as sockets are.
    producer = process.spawn("printf", "b\\na\\n", stdout="pipe")
    async with producer, process.spawn("sort", stdin="pipe", stdout="pipe") as sorter:
        assert producer.stdout is not None
        assert sorter.stdin is not None and sorter.stdout is not None
        await net.copy(producer.stdout, sorter.stdin)
        sorter.stdin.close()
        print("sorted:", await sorter.stdout.read_to_end())

    try:
        await process.output("sleep", "60", timeout=0.05)
    except subprocess.TimeoutExpired:
        print("killed, since the time was over")


if __name__ == "__main__":
    blitzio.run(main())
