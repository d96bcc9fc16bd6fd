"""Coming from uvloop: the same ways in, by another name.

| uvloop                                   | blitzio                                   |
|------------------------------------------|-------------------------------------------|
| `uvloop.run(main())`                     | `blitzio.run(main())`                     |
| `Runner(loop_factory=uvloop.new_event_loop)` | `Runner(loop_factory=blitzio.new_event_loop)` |
| `uvloop.install()`                       | `blitzio.install()`                       |
| `uvloop.EventLoopPolicy()`               | `blitzio.EventLoopPolicy()`               |
| `isinstance(loop, uvloop.Loop)`          | `isinstance(loop, blitzio.Loop)`          |
"""

import asyncio
import contextlib
import sys

import blitzio

# A program that should run with either: whichever is there.
new_event_loop = asyncio.new_event_loop
with contextlib.suppress(ImportError):
    from uvloop import new_event_loop
with contextlib.suppress(ImportError):
    from blitzio import new_event_loop


async def main() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, blitzio.Loop)
    print(f"{type(loop).__module__.split('.')[0]} on {loop.backend}")


blitzio.run(main())

if sys.version_info >= (3, 11):
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
