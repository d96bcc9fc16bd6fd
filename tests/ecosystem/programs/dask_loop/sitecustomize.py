"""Puts every Python that starts with this folder on its path on blitzio, if it shall be.

Dask's scheduler, nannies and workers call `asyncio.run()` in processes of their own; they know
uvloop by name and no other loop, so the process's policy is the place to say it.
"""

import os

if os.environ["ECOSYSTEM_LOOP"] == "blitzio":
    import blitzio

    blitzio.install()
