"""Scale: many connections, many timers, and nothing left afterwards.

On io_uring and epoll; poll(2) looks at every descriptor each time, so ten thousand of them are not
what it is for.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = []
    for item in items:
        if HERE not in item.path.parents or not isinstance(item, pytest.Function):
            continue
        item.add_marker(pytest.mark.scale)
        if hasattr(item, "callspec") and item.callspec.params.get("backend") == "poll":
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
