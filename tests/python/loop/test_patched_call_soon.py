"""`call_soon` replaced while the loop runs. What asyncio schedules through, and what a program
calls, is whatever stands there at that moment: on the instance, its class or a base of it. (Up to
Python 3.11 the loop keeps its bound method for the length of a run.)"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def classes(backend: str) -> tuple[type[Any], Callable[[type[Any]], Any]]:
    """The loop's class, and what makes a loop of one derived from it."""
    if backend == "asyncio":
        return asyncio.SelectorEventLoop, lambda kind: kind()
    import blitzio

    return blitzio.Loop, lambda kind: kind(blitzio.Config(backend=backend))


@pytest.fixture
def loop(classes: tuple[type[Any], Callable[[type[Any]], Any]]) -> Iterator[Any]:
    """Of a class derived from one that is derived from the loop's own."""
    base, make = classes

    class Middle(base):  # type: ignore[misc, valid-type]
        pass

    class Derived(Middle):
        pass

    loop = make(Derived)
    yield loop
    loop.close()


def place(loop: Any, where: str) -> Any:
    kinds = type(loop).__mro__
    return {"instance": loop, "class": kinds[0], "base": kinds[1], "library's": kinds[2]}[where]


def replacement(seen: list[object], original: Any) -> Any:
    """A function that notes what it is called with and calls the original."""

    def call_soon(self: Any, callback: Any, *args: Any, **options: Any) -> Any:
        seen.append(callback)
        return original(self, callback, *args, **options)

    return call_soon


PLACES = ("instance", "class", "base", "library's")


@pytest.mark.parametrize("where", PLACES)
def test_what_replaces_call_soon_during_a_run_is_called(loop: Any, where: str) -> None:
    seen: list[object] = []
    at = place(loop, where)
    library = place(loop, "library's")
    original = library.call_soon

    async def step() -> str:
        await asyncio.sleep(0)
        return "done"

    async def main() -> None:
        # The loop has bound its own by now, if it ever does.
        await asyncio.create_task(step())
        loop.call_soon(int)
        assert seen == []

        patch = replacement(seen, original)
        had = vars(at).get("call_soon")
        at.call_soon = functools.partial(patch, loop) if where == "instance" else patch
        try:
            loop.call_soon(int)
            assert seen == [int]
            assert await asyncio.create_task(step()) == "done"
            # The first step, that after sleep(0), and the task's end for who awaits it.
            assert len(seen) >= 4
            future = loop.create_future()
            future.set_result(None)
            future.add_done_callback(hash)
            assert hash in seen
        finally:
            if had is None:
                del at.call_soon
            else:
                at.call_soon = had
        count = len(seen)
        await asyncio.create_task(step())
        loop.call_soon(int)
        assert len(seen) == count

    loop.run_until_complete(main())


def test_a_method_of_a_derived_class_and_super(classes: Any) -> None:
    base, make = classes
    seen: list[object] = []

    class Derived(base):  # type: ignore[misc, valid-type]
        def call_soon(self, callback: Any, *args: Any, **options: Any) -> Any:
            seen.append(callback)
            return super().call_soon(callback, *args, **options)

    async def main() -> None:
        await asyncio.sleep(0)
        derived.call_soon(int)

    derived = make(Derived)
    try:
        for _ in range(2):
            seen.clear()
            derived.run_until_complete(main())
            assert int in seen
            assert len(seen) >= 3
    finally:
        derived.close()


def test_a_bound_method_that_is_kept_calls_the_original(loop: Any) -> None:
    """As any bound method, before, during and after the run it was taken in."""
    seen: list[object] = []
    original = place(loop, "library's").call_soon

    async def main() -> Any:
        kept = loop.call_soon
        loop.call_soon = functools.partial(replacement(seen, original), loop)
        try:
            done = loop.create_future()
            kept(done.set_result, None)
            await soon(done)
        finally:
            del loop.call_soon
        assert done.set_result not in seen
        return kept

    kept = loop.run_until_complete(main())
    kept(loop.stop)
    loop.run_forever()
    assert kept.__self__ is loop


def test_two_loops_that_run_by_turns_bind_their_own(
    classes: tuple[type[Any], Callable[[type[Any]], Any]],
) -> None:
    base, make = classes
    loops = [make(base), make(base)]
    try:

        async def main(own: Any, other: Any) -> None:
            assert own.call_soon.__self__ is own
            assert other.call_soon.__self__ is other
            assert type(own).call_soon is type(other).call_soon
            await asyncio.sleep(0)
            assert own.call_soon.__self__ is own

        for _ in range(2):
            loops[0].run_until_complete(main(*loops))
            loops[1].run_until_complete(main(*loops[::-1]))
    finally:
        for loop in loops:
            loop.close()
