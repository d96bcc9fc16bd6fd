"""Signals as a stream: reload with SIGHUP, end with SIGTERM, in any thread and on any loop."""

import os
import signal as numbers

import blitzio
from blitzio import signal


async def serve() -> None:
    with signal.stream(numbers.SIGHUP, numbers.SIGTERM) as arrivals:
        os.kill(os.getpid(), numbers.SIGHUP)  # What an operator would do.
        async for number in arrivals:
            if number == numbers.SIGTERM:
                print("ending")
                break
            print("reloading")
            os.kill(os.getpid(), numbers.SIGTERM)


if __name__ == "__main__":
    blitzio.run(serve())
