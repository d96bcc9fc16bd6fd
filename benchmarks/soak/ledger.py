"""What a soak counts, and how it judges the process over time.

A leak shows as a slope, and noise must not. The process breathes by tens of MiB as large messages
come and go, but what has leaked stays: memory is judged by its floor, the least of each stretch of
the run, and the median of the slopes between all pairs of floors (Theil and Sen). It is bad if that
is above zero with 95% confidence (as Kendall's test has it) and stands for more than caches.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
#: Growth from the warm-up to the end that is no verdict: arenas, caches, a burst at the end.
_GROWTH_KIB_MIN = 4 * 1024
_STRETCHES = 24
_CONFIDENCE_SIGMAS = 1.645
#: Over less than this a slope says nothing.
_JUDGED_SECONDS_MIN = 40
_WARM_UP = 0.25


class Wrong(Exception):
    """Something was lost, doubled, changed, or came at the wrong time."""


@dataclass(frozen=True)
class Sample:
    seconds: float
    rss_kib: int
    fds: int
    tasks: int
    threads: int


def sample(seconds: float) -> Sample:
    """The state of this process, from inside its running loop."""
    return Sample(
        seconds,
        int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KIB,
        len(os.listdir("/proc/self/fd")),
        len(asyncio.all_tasks()),
        threading.active_count(),
    )


@dataclass
class Verdict:
    what: str
    ok: bool
    text: str


@dataclass
class Ledger:
    """Counters by part, what went wrong, and what reached the loop's exception handler."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    expected: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)

    def add(self, part: str, **amounts: int) -> None:
        self.counts.setdefault(part, Counter()).update(amounts)

    def report(self, context: dict[str, Any]) -> None:
        """The loop's exception handler: connections are reset on purpose; nothing else is."""
        error = context.get("exception")
        if isinstance(error, (ConnectionError, OSError)):  # SSLError is one.
            self.expected[f"{context['message']}: {type(error).__name__}"] += 1
        else:
            self.unexpected.append(f"{context['message']}: {error!r}")

    def verdicts(self) -> list[Verdict]:
        """Everything that is judged, over the samples after the warm-up."""
        settled = self.samples[int(len(self.samples) * _WARM_UP) :]
        rows = [
            Verdict("nothing lost, doubled or changed", not self.wrong, _first(self.wrong)),
            Verdict("exception handler", not self.unexpected, _first(self.unexpected)),
        ]
        if settled and settled[-1].seconds - settled[0].seconds >= _JUDGED_SECONDS_MIN:
            rows.append(_memory(settled))
            rows += [_steady(settled, name) for name in ("fds", "tasks", "threads")]
        return rows


def floors(samples: list[Sample]) -> list[Sample]:
    """The sample with the least memory of each stretch."""
    size = max(1, len(samples) // _STRETCHES)
    stretches = [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]
    return [min(stretch, key=lambda sample: sample.rss_kib) for stretch in stretches]


def slope_per_minute(samples: list[Sample]) -> tuple[float, float]:
    """The median slope of memory, KiB per minute, and what it is above with 95% confidence."""
    slopes = sorted(
        (b.rss_kib - a.rss_kib) / (b.seconds - a.seconds) * 60
        for i, a in enumerate(samples)
        for b in samples[i + 1 :]
        if b.seconds > a.seconds
    )
    if not slopes:
        return 0.0, 0.0
    count = len(samples)
    spread = _CONFIDENCE_SIGMAS * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return statistics.median(slopes), slopes[max(0, int((len(slopes) - spread) / 2))]


def _memory(samples: list[Sample]) -> Verdict:
    slope, at_least = slope_per_minute(floors(samples))
    growth = slope * (samples[-1].seconds - samples[0].seconds) / 60
    text = (
        f"floor {slope:+.0f} KiB per minute, more than {at_least:+.0f}; {growth / 1024:+.1f} MiB "
        f"in all; median {statistics.median(s.rss_kib for s in samples) / 1024:.0f} MiB"
    )
    return Verdict("memory", at_least <= 0 or growth < _GROWTH_KIB_MIN, text)


def _steady(samples: list[Sample], name: str) -> Verdict:
    third = max(1, len(samples) // 3)
    first = statistics.median(getattr(s, name) for s in samples[:third])
    last = statistics.median(getattr(s, name) for s in samples[-third:])
    top = max(getattr(s, name) for s in samples)
    return Verdict(name, last <= first * 1.25 + 8, f"median {first:g}, later {last:g}; top {top}")


def _first(lines: list[str]) -> str:
    return "" if not lines else f"{len(lines)}: " + " | ".join(lines[:3])
