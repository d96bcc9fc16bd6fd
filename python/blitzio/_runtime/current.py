"""Which worker the calling thread is. Apart from the rest, so that everybody may ask."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blitzio._runtime.worker import Worker


class _Current(threading.local):
    worker: Worker | None = None


CURRENT = _Current()
