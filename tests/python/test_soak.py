"""The soak's program works: a few seconds of it, on each backend, find nothing wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rich.console import Console
from soak.__main__ import Soak, main
from soak.ledger import Ledger, slope_per_minute
from soak.parts import PARTS
from soak.rests import Gate, Sample

SECONDS = 3.0
CLIENTS = 12
SOAKS_OWN_TASKS = 4  # The run, its lines, its rests, and wait_for's of a rest.


@pytest.mark.no_faults("a round may take as long as the machine lets it")
def test_a_short_soak_finds_nothing_wrong(loop: asyncio.AbstractEventLoop, tmp_path: Any) -> None:
    soak = Soak(1, SECONDS, tmp_path, Console(quiet=True))
    verdicts = loop.run_until_complete(soak.run())
    assert [verdict for verdict in verdicts if not verdict.ok] == []
    assert soak.ledger.counts["tcp"]["bytes"] > 0
    assert soak.ledger.counts["timers"]["fired"] > 0
    # Nothing is under way at a rest: the tasks are those that wait for its end, and the soak's own.
    waiting = CLIENTS + sum(count for _, _, count, _ in PARTS)
    assert soak.ledger.rests
    assert max(rest.tasks for rest in soak.ledger.rests) <= waiting + SOAKS_OWN_TASKS


def test_a_bad_choice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--backend", "kqueue"])
    assert "invalid choice" in capsys.readouterr().err


def rests(rss_kib: list[int], blocks: list[int], fds: list[int]) -> list[Sample]:
    rows = enumerate(zip(rss_kib, blocks, fds, strict=True))
    return [Sample(30.0 * number, *row, 10, 2) for number, row in rows]


def failing(ledger: Ledger) -> list[str]:
    return [verdict.what for verdict in ledger.verdicts() if not verdict.ok]


def test_a_leak_is_told_from_noise() -> None:
    count = 60
    memory = [80_000 + (number * 7919) % 1500 for number in range(count)]
    blocks = [300_000 + (number * 7919) % 900 for number in range(count)]
    fds = [20 + number % 2 for number in range(count)]
    ledger = Ledger(rests=rests(memory, blocks, fds))
    assert failing(ledger) == []
    leaking = [rss + 150 * number for number, rss in enumerate(memory)]
    ledger.rests = rests(leaking, blocks, fds)
    assert 250 < slope_per_minute(ledger.rests, "rss_kib")[0] < 350
    assert failing(ledger) == ["memory, KiB"]
    ledger.rests = rests(memory, [now + 100 * number for number, now in enumerate(blocks)], fds)
    assert failing(ledger) == ["objects"]
    # What cannot be judged passes only in a short run.
    ledger.rests = rests(memory[:20], blocks[:20], fds[:20])
    assert failing(ledger) == []
    ledger.rests = rests(memory[:24], blocks[:24], fds[:24])
    assert failing(ledger) == ["leaks"]
    # One descriptor in five minutes.
    ledger.rests = rests(memory, blocks, [now + number // 10 for number, now in enumerate(fds)])
    assert failing(ledger) == ["fds"]


def test_nobody_works_at_a_rest() -> None:
    async def main() -> None:
        gate = Gate()
        working: set[int] = set()
        rounds = [0, 0, 0]

        async def work(number: int) -> None:
            with gate.joined():
                while rounds[number] < 50:
                    await gate.passed()
                    working.add(number)
                    for _ in range(number + 1):
                        await asyncio.sleep(0)
                    working.remove(number)
                    rounds[number] += 1

        async def rest() -> None:
            while min(rounds) < 50:
                async with gate.closed():
                    before = list(rounds)
                    for _ in range(10):
                        await asyncio.sleep(0)
                    assert not working
                    assert before == rounds
                await asyncio.sleep(0)

        await asyncio.gather(rest(), *(work(number) for number in range(3)))
        async with gate.closed():
            pass  # Nobody is left to wait for.

    asyncio.run(main())


def test_a_gate_closed_again_at_once_lets_nobody_through() -> None:
    async def main() -> None:
        gate = Gate()
        is_closed = False
        passed = []

        async def work() -> None:
            with gate.joined():
                await gate.passed()
                passed.append(is_closed)

        async with gate.closed():
            working = asyncio.ensure_future(work())
            await asyncio.sleep(0)
        async with gate.closed():  # Before the one who waits has had its turn.
            is_closed = True
            for _ in range(5):
                await asyncio.sleep(0)
            assert passed == []
            is_closed = False
        await working
        assert passed == [False]

    asyncio.run(main())


def test_what_the_handler_hears_is_judged() -> None:
    ledger = Ledger()
    ledger.report({"message": "reset", "exception": ConnectionResetError()})
    assert failing(ledger) == []
    ledger.report({"message": "Task exception was never retrieved", "exception": KeyError()})
    assert failing(ledger) == ["exception handler"]
