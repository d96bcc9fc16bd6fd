"""blitzio.run, new_event_loop and Config."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

pytest.importorskip("blitzio._native", exc_type=ImportError)

import blitzio
from blitzio import _native


def test_run_gives_the_result_on_our_loop() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, blitzio.Loop)
        await asyncio.sleep(0)
        return loop.backend

    assert blitzio.run(main()) in ("io_uring", "epoll", "poll")


def test_run_raises_what_main_raises() -> None:
    async def main() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        blitzio.run(main())


@pytest.mark.parametrize("debug", [True, False])
def test_run_sets_debug_mode(debug: bool) -> None:
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert blitzio.run(main(), debug=debug) is debug


def test_run_with_a_factory_of_ones_own() -> None:
    made: list[blitzio.Loop] = []

    def factory() -> blitzio.Loop:
        made.append(blitzio.new_event_loop())
        return made[-1]

    async def main() -> None:
        assert asyncio.get_running_loop() is made[0]

    blitzio.run(main(), loop_factory=factory)
    assert made[0].is_closed()


@pytest.mark.parametrize("wrong", [0, "", (), "loop"])
def test_run_refuses_what_is_no_factory(wrong: Any) -> None:
    """What is false was taken for None."""
    main = asyncio.sleep(0)
    with pytest.raises(TypeError, match="is not callable"):
        blitzio.run(main, loop_factory=wrong)
    main.close()


def test_run_cleans_up() -> None:
    cleaned: list[str] = []

    async def background() -> None:
        try:
            await asyncio.Future()
        finally:
            cleaned.append("task")

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append("generator")

    async def main() -> asyncio.AbstractEventLoop:
        main.task = asyncio.ensure_future(background())  # type: ignore[attr-defined]
        main.generator = numbers()  # type: ignore[attr-defined]
        await main.generator.__anext__()  # type: ignore[attr-defined]
        await asyncio.to_thread(cleaned.append, "thread")
        return asyncio.get_running_loop()

    loop = blitzio.run(main())
    assert loop.is_closed()
    assert sorted(cleaned) == ["generator", "task", "thread"]


def test_run_wants_a_coroutine() -> None:
    # From 3.14 on any awaitable will do, and the type of the error is another.
    with pytest.raises((TypeError, ValueError)) as theirs:
        asyncio.run(5)  # type: ignore[arg-type]
    with pytest.raises(theirs.type, match=re.escape(str(theirs.value))):
        blitzio.run(5)  # type: ignore[arg-type]


def test_run_inside_a_loop_is_refused() -> None:
    async def main() -> None:
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            blitzio.run(coroutine)
        coroutine.close()

    blitzio.run(main())


def test_ctrl_c_cancels_main() -> None:
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    cancelled: list[bool] = []
    waits = threading.Event()

    async def main() -> None:
        waits.set()
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    def interrupt() -> None:
        waits.wait()
        time.sleep(0.02)  # Lets the loop fall asleep.
        os.kill(os.getpid(), signal.SIGINT)

    # Started before the loop runs: Thread.start() must not be what the signal interrupts.
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            blitzio.run(main())
    finally:
        signal.signal(signal.SIGINT, old)
    assert cancelled == [True]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner came in 3.11")
def test_asyncios_runner_takes_our_factory() -> None:
    if sys.version_info >= (3, 11):
        with asyncio.Runner(loop_factory=blitzio.new_event_loop) as runner:
            assert isinstance(runner.get_loop(), blitzio.Loop)
            assert runner.run(asyncio.sleep(0, "one")) == "one"
            assert runner.run(asyncio.sleep(0, "two")) == "two"


def test_config_is_a_frozen_value() -> None:
    config = blitzio.Config(backend="epoll")
    assert config == blitzio.Config("epoll")
    assert config != blitzio.Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.backend = "poll"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"backend": "kqueue"}, "backend must be one of 'auto', 'io_uring', 'epoll', 'poll', not"),
        ({"backend": ""}, "backend must be one of"),
        ({"ring_entries": -1}, "ring_entries must be 0 or a power of two from 1 to 32768, not -1"),
        ({"ring_entries": 3}, "ring_entries must be"),
        ({"ring_entries": 65536}, "ring_entries must be"),
        ({"buffer_bytes": 0}, "buffer_bytes must be a power of two from 256 to 16777216, not 0"),
        ({"buffer_bytes": 5000}, "buffer_bytes must be"),
        ({"buffer_count": 0}, "buffer_count must be"),
        (
            {"buffer_count": 64, "buffer_count_max": 32},
            r"buffer_count_max \(32\) must not be below",
        ),
    ],
)
def test_config_refuses_values_out_of_range(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        blitzio.Config(**arguments)


@pytest.mark.parametrize(
    "arguments", [{"backend": None}, {"backend": b"epoll"}, {"ring_entries": "8"},
                  {"buffer_bytes": 4096.0}, {"buffer_count": None}, {"buffer_count_max": True}]
)  # fmt: skip
def test_config_refuses_wrong_types(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(arguments))} must be an? "):
        blitzio.Config(**arguments)


def test_a_loop_wants_a_config() -> None:
    with pytest.raises(TypeError, match=r"config must be a blitzio.Config or None, not 'epoll'"):
        blitzio.new_event_loop("epoll")  # type: ignore[arg-type]


def test_the_environment_chooses_for_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    usable = [name for name, is_usable, _, _ in _native.detect() if is_usable]
    for name in usable:
        monkeypatch.setenv("BLITZIO_BACKEND", name)
        loop = blitzio.new_event_loop()
        assert loop.backend == name
        loop.close()
    monkeypatch.setenv("BLITZIO_BACKEND", "poll" if "poll" in usable else "io_uring")
    loop = blitzio.new_event_loop(blitzio.Config(backend=usable[0]))
    assert loop.backend == usable[0]
    loop.close()
    monkeypatch.setenv("BLITZIO_BACKEND", "")
    blitzio.new_event_loop().close()


def test_a_wrong_environment_says_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BLITZIO_BACKEND", raising=False)
    assert blitzio.Config(backend="auto").resolve_backend() == "auto"
    monkeypatch.setenv("BLITZIO_BACKEND", "poll")
    assert blitzio.Config().resolve_backend() == "poll"
    assert blitzio.Config(backend="epoll").resolve_backend() == "epoll", "what is asked for wins"
    monkeypatch.setenv("BLITZIO_BACKEND", "kqueue")
    assert blitzio.Config(backend="epoll").resolve_backend() == "epoll"
    with pytest.raises(ValueError, match="must be one of"):
        blitzio.Config().resolve_backend()
    with pytest.raises(ValueError, match="BLITZIO_BACKEND must be one of 'auto', .*, not 'kqueue'"):
        blitzio.new_event_loop()


def test_exported_names_exist() -> None:
    for name in blitzio.__all__:
        assert getattr(blitzio, name) is not None
        assert name in dir(blitzio)
    with pytest.raises(AttributeError, match="module 'blitzio' has no attribute 'nothing'"):
        _ = blitzio.nothing  # type: ignore[attr-defined]
    assert blitzio.__version__[0].isdigit()


def test_the_loop_alone_imports_nothing_else() -> None:
    program = """
import sys
import blitzio
async def main(): pass
blitzio.run(main())
loaded = {name.removeprefix("blitzio.") for name in sys.modules if name.startswith("blitzio.")}
assert loaded.isdisjoint(("runtime", "task", "time", "sync", "net", "_serve")), loaded
for name in ("channel", "fs", "io", "net", "process", "runtime", "signal", "sync", "task", "time"):
    assert name in dir(blitzio)
    assert getattr(blitzio, name).__name__ == "blitzio." + name
assert blitzio.sleep is blitzio.time.sleep
assert "sleep" in vars(blitzio)  # Found without a call of Python from now on.
class Home:  # Where another thread replaces the name while this one looks it up.
    get_include = property(lambda self: setattr(blitzio, "get_include", "another thread's"))
sys.modules["blitzio._capi"] = Home()
assert blitzio.get_include == "another thread's"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
