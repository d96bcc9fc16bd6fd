"""The end of the extension module: what its objects need of it stays until they are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import blitzio

# A copy of the module of its own, which the collector finds together with its types and a loop,
# oldest first: module, types, and last what keeps the loop. It clears them in that order, and a
# cleared type lets its module go.
COLLECTED_TOGETHER = """
import gc
import importlib.util
import threading
import weakref

import blitzio

gc.disable()
spec = importlib.util.find_spec("blitzio._native")
native = importlib.util.module_from_spec(spec)
spec.loader.exec_module(native)
threading._threading_atexits.pop()
loop = native.LoopBase()
future = loop.run_in_executor(None, len, "abc")
future.add_done_callback(lambda future: future.get_loop().stop())
loop._run()
loop._shutdown_blocking_pool(True)


class Keeper:
    pass


keeper = Keeper()
keeper.itself = keeper
keeper.loop = loop
loops, modules = weakref.ref(loop), weakref.ref(native)
del native, loop, spec, keeper, future
gc.collect()
print(loops(), modules() is None)
"""


def test_a_loop_that_is_collected_with_its_module_goes_first() -> None:
    package = Path(blitzio.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COLLECTED_TOGETHER],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loop, module_is_gone = done.stdout.split()
    assert loop == "None"
    # Without the GIL the interpreter keeps types, and with them the module, for longer.
    assert module_is_gone == "True" or "free-threading" in sys.version
