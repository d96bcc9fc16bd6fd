"""Awaitables written by hand: one that gives way once, one that another thread completes, and one
around others that tries again."""

import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

import blitzio
from blitzio.channel import Oneshot

T = TypeVar("T")


class DelayedValue:
    """Lets every other task run once, and is 42 then: a bare yield is "not yet"."""

    def __await__(self) -> Generator[Any, Any, int]:
        yield
        return 42


class FromThread:
    """A value that a thread makes: a Oneshot carries it, and wakes whoever waits."""

    def __init__(self, make: Callable[[], int]) -> None:
        self._value: Oneshot[int] = Oneshot()
        threading.Thread(target=lambda: self._value.send(make())).start()

    def __await__(self) -> Generator[Any, Any, int]:
        return self._value.recv().__await__()


class Retry(Generic[T]):
    """Awaits what `make` gives, and again, at most `retries` times, while that raises OSError."""

    def __init__(self, make: Callable[[], Awaitable[T]], retries: int) -> None:
        self._make = make
        self._retries = retries

    def __await__(self) -> Generator[Any, Any, T]:
        for _ in range(self._retries):
            try:
                return (yield from self._make().__await__())
            except OSError:
                continue
        return (yield from self._make().__await__())


async def main() -> None:
    calls = 0

    async def flaky() -> int:
        nonlocal calls
        calls += 1
        await blitzio.yield_now()
        if calls < 3:
            raise TimeoutError("not yet")
        return calls

    print("after", await Retry(flaky, 5), "calls")
    print(await DelayedValue() + await FromThread(lambda: 7))
    # The same awaitables in combination with others.
    winner, index = await blitzio.select(DelayedValue(), blitzio.sleep(60))
    print("branch", index, "with", winner)


blitzio.run(main())
