"""What a soak counts, and how it judges the process over time.

A leak shows as a slope, and noise must not: memory is judged by the median of the slopes between
all pairs of samples (Theil and Sen), which a few outliers do not move, and only if the growth that
it stands for is more than the allocator's own breathing.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
#: Growth from the warm-up to the end that is no verdict: arenas, caches, a burst at the end.
_GROWTH_KIB_MIN = 6 * 1024
_SLOPE_KIB_PER_MINUTE_MAX = 256.0
_SAMPLES_MAX = 240
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


def slope_per_minute(samples: list[Sample]) -> float:
    """The median slope of memory, KiB per minute."""
    thinned = samples[:: max(1, len(samples) // _SAMPLES_MAX)]
    slopes = [
        (b.rss_kib - a.rss_kib) / (b.seconds - a.seconds) * 60
        for i, a in enumerate(thinned)
        for b in thinned[i + 1 :]
        if b.seconds > a.seconds
    ]
    return statistics.median(slopes) if slopes else 0.0


def _memory(samples: list[Sample]) -> Verdict:
    slope = slope_per_minute(samples)
    growth = slope * (samples[-1].seconds - samples[0].seconds) / 60
    ok = growth < _GROWTH_KIB_MIN or slope < _SLOPE_KIB_PER_MINUTE_MAX
    text = (
        f"{slope:+.0f} KiB per minute, {growth / 1024:+.1f} MiB in all; "
        f"median {statistics.median(s.rss_kib for s in samples) / 1024:.0f} MiB"
    )
    return Verdict("memory", ok, text)


def _steady(samples: list[Sample], name: str) -> Verdict:
    third = max(1, len(samples) // 3)
    first = statistics.median(getattr(s, name) for s in samples[:third])
    last = statistics.median(getattr(s, name) for s in samples[-third:])
    top = max(getattr(s, name) for s in samples)
    return Verdict(name, last <= first * 1.25 + 8, f"median {first:g}, later {last:g}; top {top}")


def _first(lines: list[str]) -> str:
    return "" if not lines else f"{len(lines)}: " + " | ".join(lines[:3])
