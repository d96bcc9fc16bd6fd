"""gunicorn's worker for ASGI applications, with our loop: all that it takes is a name."""

from __future__ import annotations

import os
from typing import Any

from uvicorn_worker import UvicornWorker


class BlitzioWorker(UvicornWorker):
    CONFIG_KWARGS: dict[str, Any] = {"loop": "blitzio:new_event_loop", "http": "auto"}


class AsyncioWorker(UvicornWorker):
    CONFIG_KWARGS: dict[str, Any] = {"loop": "asyncio", "http": "auto"}


Worker = AsyncioWorker if os.environ["ECOSYSTEM_LOOP"] == "asyncio" else BlitzioWorker
