"""The soak's program works: a few seconds of it, on each backend, find nothing wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from soak.__main__ import Soak, main
from soak.ledger import Ledger, Sample, slope_per_minute

if TYPE_CHECKING:
    import asyncio

SECONDS = 3.0


@pytest.mark.no_faults("a round may take as long as the machine lets it")
def test_a_short_soak_finds_nothing_wrong(loop: asyncio.AbstractEventLoop, tmp_path: Any) -> None:
    soak = Soak(1, SECONDS, tmp_path, Console(quiet=True))
    verdicts = loop.run_until_complete(soak.run())
    assert [verdict for verdict in verdicts if not verdict.ok] == []
    assert soak.ledger.counts["tcp"]["bytes"] > 0
    assert soak.ledger.counts["timers"]["fired"] > 0


def test_a_bad_choice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--backend", "kqueue"])
    assert "invalid choice" in capsys.readouterr().err


def samples(rss_kib: list[int], fds: list[int]) -> list[Sample]:
    return [
        Sample(float(second), rss, count, 10, 2)
        for second, (rss, count) in enumerate(zip(rss_kib, fds, strict=True))
    ]


def failing(ledger: Ledger) -> list[str]:
    return [verdict.what for verdict in ledger.verdicts() if not verdict.ok]


def test_a_leak_is_told_from_noise() -> None:
    noise = [80_000 + (second * 7919) % 5000 for second in range(200)]
    ledger = Ledger(samples=samples(noise, [20] * 200))
    assert failing(ledger) == []
    ledger.samples = samples([rss + 100 * i for i, rss in enumerate(noise)], [20] * 200)
    assert 5000 < slope_per_minute(ledger.samples)[0] < 7000
    assert failing(ledger) == ["memory"]
    # Twenty minutes with 300 KiB a minute under a breath of 25 MiB.
    breath = [80_000 + (second * 7919) % 25_000 for second in range(1200)]
    ledger.samples = samples([rss + 5 * i for i, rss in enumerate(breath)], [20] * 1200)
    assert failing(ledger) == ["memory"]
    ledger.samples = samples(breath, [20] * 1200)
    assert failing(ledger) == []
    ledger.samples = samples(noise, [20 + second for second in range(200)])
    assert failing(ledger) == ["fds"]


def test_what_the_handler_hears_is_judged() -> None:
    ledger = Ledger()
    ledger.report({"message": "reset", "exception": ConnectionResetError()})
    assert failing(ledger) == []
    ledger.report({"message": "Task exception was never retrieved", "exception": KeyError()})
    assert failing(ledger) == ["exception handler"]
