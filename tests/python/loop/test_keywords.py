"""Arguments by name: whatever asyncio's methods take by keyword, ours take too."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.python.conftest import LoopFactory, Outcome, Scenario


def test_callbacks_may_be_given_by_name(new_loop: LoopFactory) -> None:
    # asyncio's *args forbid some of these; where it takes a name, so do we.
    loop: Any = new_loop()
    seen: list[str] = []

    async def main() -> None:
        loop.call_soon(callback=lambda: seen.append("soon"))
        loop.call_soon_threadsafe(callback=lambda: seen.append("threadsafe"))
        loop.call_later(delay=0, callback=lambda: seen.append("later"))
        loop.call_at(when=loop.time(), callback=lambda: seen.append("at"))
        loop.call_later(0, callback=lambda: seen.append("mixed"), context=contextvars.Context())
        while len(seen) < 5:
            await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(main(), 30))
    loop.close()
    assert sorted(seen) == ["at", "later", "mixed", "soon", "threadsafe"]


def test_run_in_executor_by_name(new_loop: LoopFactory) -> None:
    loop: Any = new_loop()
    result = loop.run_until_complete(loop.run_in_executor(executor=None, func=lambda: 42))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert result == 42


def test_watches_by_name(new_loop: LoopFactory) -> None:
    loop: Any = new_loop()
    near, far = socket.socketpair()
    with near, far:
        loop.add_reader(fd=near, callback=loop.stop)
        far.send(b"x")
        loop.run_forever()
        assert loop.remove_reader(fd=near) is True
        loop.add_writer(fd=near, callback=loop.stop)
        loop.run_forever()
        assert loop.remove_writer(fd=near) is True
    loop.close()


def test_settings_by_name(new_loop: LoopFactory) -> None:
    loop: Any = new_loop()
    loop.set_debug(enabled=True)
    loop.set_task_factory(factory=None)
    assert loop.get_debug() is True
    loop.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda loop: loop.call_soon(),
        lambda loop: loop.call_later(1),
        lambda loop: loop.call_later(callback=print),
        lambda loop: loop.call_soon(print, callback=print),
        lambda loop: loop.call_soon(print, nonsense=1),
        lambda loop: loop.run_in_executor(None),
        lambda loop: loop.add_reader(1),
        lambda loop: loop.remove_reader(),
        lambda loop: loop.set_debug(),
        lambda loop: loop.set_debug(True, False),
    ],
)
def test_wrong_arguments_are_type_errors(call: Callable[[Any], Any], new_loop: LoopFactory) -> None:
    loop = new_loop()
    with pytest.raises(TypeError):
        call(loop)
    loop.close()


def test_none_as_context_is_the_current_one(
    same_as_asyncio: Callable[[Scenario], Outcome],
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    def scenario(loop: asyncio.AbstractEventLoop) -> str:
        seen: list[str] = []
        variable.set("current")
        loop.call_soon(lambda: seen.append(variable.get()), context=None)
        loop.call_soon(loop.stop)
        loop.run_forever()
        return seen[0]

    assert same_as_asyncio(scenario) == ("returned", "current")


def test_transport_methods_by_name(new_loop: LoopFactory) -> None:
    loop: Any = new_loop()
    near, far = socket.socketpair()

    async def main() -> None:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        transport.set_protocol(protocol=asyncio.Protocol())
        transport.write(data=b"one ")
        transport.writelines(list_of_data=[b"two ", b"three"])
        with pytest.raises(TypeError, match="unexpected keyword argument 'dta'"):
            transport.write(dta=b"")
        with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
            transport.write(b"", b"")
        with pytest.raises(TypeError, match="missing required argument: 'data'"):
            transport.write()
        transport.close()
        await asyncio.sleep(0)

    with far:
        loop.run_until_complete(main())
        assert far.recv(100) == b"one two three"
    loop.close()
