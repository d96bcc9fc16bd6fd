"""The questions of primitives.py for pytest-benchmark: `pytest benchmarks/test_primitives.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from asking import ask, loops
from primitives import questions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crossing import Arm


def _cases() -> Iterator[Any]:
    for question in questions():
        for name, arm in question.arms.items():
            yield pytest.param(arm, question.ops, id=f"{question.name}-{name}")


@pytest.mark.parametrize("on", list(loops()))
@pytest.mark.parametrize(("arm", "ops"), list(_cases()))
def test_primitive(benchmark: Any, arm: Arm, ops: int, on: str) -> None:
    benchmark.pedantic(ask, args=(arm, max(ops // 10, 100), loops()[on]), rounds=3)
