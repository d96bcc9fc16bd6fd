"""What a soak counts, and how it judges the process from rest to rest.

A leak shows as a slope: the median of the slopes between all pairs of rests (Theil and Sen). It is
bad if it is above zero with 95% confidence (as Kendall's test has it) and has grown to more than
caches are.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soak.rests import Sample

#: Growth from the warm-up to the end that is no verdict: an arena more, a cache that fills late.
_GROWTH_KIB_MIN = 4 * 1024
_GROWTH_BLOCKS_MIN = 4_000
_CONFIDENCE_SIGMAS = 1.645
#: Over fewer rests than this a slope says nothing.
_JUDGED_RESTS_MIN = 20
#: After this long there must be as many: a soak that cannot tell a leak has not found none.
_UNJUDGED_SECONDS_MAX = 600
_WARM_UP = 0.25


class Wrong(Exception):
    """Something was lost, doubled, changed, or came at the wrong time."""


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
    rests: list[Sample] = field(default_factory=list)

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
        """Everything that is judged; slopes over the rests after the warm-up."""
        settled = self.rests[int(len(self.rests) * _WARM_UP) :]
        rows = [
            Verdict("nothing lost, doubled or changed", not self.wrong, _first(self.wrong)),
            Verdict("exception handler", not self.unexpected, _first(self.unexpected)),
        ]
        if len(settled) < _JUDGED_RESTS_MIN:
            is_short = not self.rests or self.rests[-1].seconds < _UNJUDGED_SECONDS_MAX
            rows.append(Verdict("leaks", is_short, f"too few rests to judge: {len(self.rests)}"))
        else:
            rows.append(_flat(settled, "memory, KiB", "rss_kib", _GROWTH_KIB_MIN))
            rows.append(_flat(settled, "objects", "blocks", _GROWTH_BLOCKS_MIN))
            rows += [_same(settled, name) for name in ("fds", "tasks", "threads")]
        return rows


def slope_per_minute(samples: list[Sample], name: str) -> tuple[float, float]:
    """The median slope of what is so called, and what it is above with 95% confidence."""
    points = [(sample.seconds / 60, getattr(sample, name)) for sample in samples]
    slopes = sorted(
        (later - earlier) / (end - start)
        for i, (start, earlier) in enumerate(points)
        for end, later in points[i + 1 :]
        if end > start
    )
    if not slopes:
        return 0.0, 0.0
    count = len(points)
    spread = _CONFIDENCE_SIGMAS * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return statistics.median(slopes), slopes[max(0, int((len(slopes) - spread) / 2))]


def _flat(rests: list[Sample], what: str, name: str, growth_min: int) -> Verdict:
    slope, at_least = slope_per_minute(rests, name)
    growth = slope * (rests[-1].seconds - rests[0].seconds) / 60
    values = [getattr(rest, name) for rest in rests]
    text = (
        f"{slope:+,.0f} per minute, more than {at_least:+,.0f}; {growth:+,.0f} in all; "
        f"{min(values):,} to {max(values):,}"
    )
    return Verdict(what, at_least <= 0 or growth < growth_min, text)


def _same(rests: list[Sample], name: str) -> Verdict:
    """At rest there are as many as there were: one that stays is one that was lost."""
    third = max(1, len(rests) // 3)
    first = max(getattr(rest, name) for rest in rests[:third])
    last = min(getattr(rest, name) for rest in rests[-third:])
    text = f"{first} at most in the first third, then {last} at least"
    return Verdict(name, last <= first, text)


def _first(lines: list[str]) -> str:
    return "" if not lines else f"{len(lines)}: " + " | ".join(lines[:3])
