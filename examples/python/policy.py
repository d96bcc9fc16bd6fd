"""blitzio for code that makes its loop itself: `asyncio.run()` and `asyncio.new_event_loop()`.

Policies are deprecated from Python 3.14 on; new code uses `blitzio.run()` or a `loop_factory`.
"""

import asyncio
import sys
import warnings

import blitzio


async def main() -> None:
    print("asyncio.run() used", type(asyncio.get_running_loop()).__module__)
    assert isinstance(asyncio.get_running_loop(), blitzio.Loop)


if sys.version_info >= (3, 14):
    warnings.simplefilter("ignore", DeprecationWarning)

asyncio.set_event_loop_policy(blitzio.EventLoopPolicy())
asyncio.run(main())

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
