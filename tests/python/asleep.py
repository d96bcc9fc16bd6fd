"""Waiting until other threads wait."""

from __future__ import annotations

import time


def do_wait(*threads: int) -> bool:
    """Whether these threads of the process, by native id, wait for something that does not come by
    itself. Lets the others run.

    That one sleeps says little: it may wait for the interpreter, and do so until this one gives it
    away. While this one does, none of them may have run.
    """

    def look() -> list[list[str]]:
        found = []
        for thread in threads:
            with open(f"/proc/self/task/{thread}/status") as file:
                lines = file.read().splitlines()
            found.append([line for line in lines if line.startswith("State") or "switches" in line])
        return found

    before = look()
    time.sleep(0.002)
    return before == look() and all("S (sleeping)" in state for state, *_ in before)
