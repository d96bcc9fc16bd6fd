"""Asking the questions of primitives.py: on which loops, in which order, and what is shown."""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

import blitzio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from crossing import Arm
    from rich.console import Console

OURS = "blitzio"
#: No peers, but what is to be had.
FLOORS = ("bare hops",)


@dataclass(frozen=True)
class Question:
    name: str
    ops: int
    arms: dict[str, Arm]


def has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.SelectorEventLoop
    }
    if has("uvloop"):
        found["uvloop"] = importlib.import_module("uvloop").new_event_loop
    found["blitzio"] = blitzio.new_event_loop
    return found


def ask(arm: Arm, ops: int, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> float:
    """Nanoseconds for one operation, on a fresh loop."""
    loop = make_loop()

    async def run() -> float:
        return await arm(ops)

    coroutine: Coroutine[Any, Any, float] = run()
    gc.collect()
    try:
        return loop.run_until_complete(coroutine) / ops * 1e9
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def compare(chosen: list[Question], on: list[str], rounds: int) -> list[dict[str, Any]]:
    rows = []
    for question in chosen:
        for name in on:
            make_loop = loops()[name]
            times: dict[str, list[float]] = {arm: [] for arm in question.arms}
            for turn in range(-1, rounds):
                order = list(question.arms)
                turned = order[turn % len(order) :] + order[: turn % len(order)]
                for arm in turned:
                    taken = ask(question.arms[arm], question.ops, make_loop)
                    if turn >= 0:  # The first round warms up.
                        times[arm].append(taken)
            peers = [arm for arm in times if arm != OURS and arm not in FLOORS]
            lead = None
            if peers:
                lead = statistics.median(
                    min(times[peer][i] for peer in peers) / times[OURS][i] for i in range(rounds)
                )
            medians = {arm: statistics.median(values) for arm, values in times.items()}
            rows.append({"question": question.name, "loop": name, "ns": medians, "lead": lead})
    return rows


def show(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="nanoseconds for one operation")
    for column in ("question", "on", OURS, "peers", "lead"):
        table.add_column(column)
    for row in rows:
        peers = "  ".join(
            f"({arm} {ns:,.0f})" if arm in FLOORS else f"{arm} {ns:,.0f}"
            for arm, ns in row["ns"].items()
            if arm != OURS
        )
        lead = "" if row["lead"] is None else f"{row['lead']:.2f}"
        table.add_row(row["question"], row["loop"], f"{row['ns'][OURS]:,.0f}", peers, lead)
    console.print(table)
