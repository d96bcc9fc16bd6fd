"""Real frameworks, with nothing changed but the loop.

Every test runs on io_uring and on epoll; on poll only those marked `smoke`, because that backend
shares all its code but the wait with epoll.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [
        item
        for item in items
        if HERE in item.path.parents
        and isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
        and item.callspec.params.get("backend") == "poll"
        and item.get_closest_marker("smoke") is None
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
