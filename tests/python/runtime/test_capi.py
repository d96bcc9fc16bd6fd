"""The C API: an extension is compiled, and its futures awaited on every kind of loop."""

from __future__ import annotations

import asyncio
import gc
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import blitzio
from tests.python.process.support import program, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.python.runtime.conftest import LoopFactory, Run

NAME = "capi_extension"
SOURCE = Path(__file__).with_name(f"{NAME}.c")
PENDING, READY, ERROR = 0, 1, -1


def find_compiler() -> str | None:
    names = (os.environ.get("CC"), "cc", "gcc", "clang")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C compiler")
    built = tmp_path_factory.mktemp("capi") / f"{NAME}{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = [compiler, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1"]
    command += ["-pthread", "-fPIC", "-shared", "-isystem", sysconfig.get_paths()["include"]]
    command += ["-I", blitzio.get_include(), os.fspath(SOURCE), "-o", os.fspath(built)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="module")
def loaded(library: Path) -> Any:
    loader = importlib.machinery.ExtensionFileLoader(NAME, os.fspath(library))
    spec = importlib.util.spec_from_file_location(NAME, library, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Drops:
    """How many futures were dropped since the test began."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._before = module.drops()

    @property
    def count(self) -> int:
        return int(self._module.drops() - self._before)


@pytest.fixture
def drops(loaded: Any) -> Iterator[Drops]:
    yield Drops(loaded)


async def waiting(one: Any) -> asyncio.Task[Any]:
    """A task that was suspended by `await one.wait()`."""
    task = asyncio.ensure_future(one.wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert isinstance(task, asyncio.Task)
    assert not task.done()
    return task


# ---- awaiting ------------------------------------------------------------------------------------


def test_what_is_ready_needs_no_loop(loaded: Any, drops: Drops) -> None:
    with pytest.raises(StopIteration) as stop:
        loaded.answer(READY, "value").send(None)
    assert stop.value.value == "value"
    assert drops.count == 1


def test_what_is_ready_is_awaited(loaded: Any, run: Run, drops: Drops) -> None:
    async def main() -> Any:
        return await loaded.answer(READY, 42)

    assert run(main()) == 42
    assert drops.count == 1


@pytest.mark.parametrize("how", ["set", "set_detached", "set_from_thread"])
def test_a_value_that_is_set_later(loaded: Any, run: Run, drops: Drops, how: str) -> None:
    async def main() -> Any:
        one = loaded.OneShot()
        task = await waiting(one)
        getattr(one, how)("value")
        return await task

    assert run(main()) == "value"
    assert drops.count == 1


def test_set_by_a_thread_of_python(loaded: Any, run: Run, drops: Drops) -> None:
    async def main() -> Any:
        one = loaded.OneShot()
        task = await waiting(one)
        thread = threading.Thread(target=one.set, args=("value",))
        thread.start()
        result = await task
        thread.join()
        return result

    assert run(main()) == "value"
    assert drops.count == 1


def test_a_race_between_a_thread_and_the_first_poll(loaded: Any, run: Run, drops: Drops) -> None:
    async def main() -> list[Any]:
        results = []
        for number in range(50):
            one = loaded.OneShot()
            one.set_from_thread(number)
            results.append(await one.wait())
        return results

    assert run(main()) == list(range(50))
    assert drops.count == 50


def test_tasks_of_a_runtime_await(loaded: Any, drops: Drops) -> None:
    async def wait(one: Any) -> Any:
        return await one.wait()

    async def main() -> list[Any]:
        ones = [loaded.OneShot() for _ in range(20)]
        handles = [blitzio.spawn(wait, one) for one in ones]
        for number, one in enumerate(ones):
            one.set_from_thread(number)
        return [await handle for handle in handles]

    with blitzio.Runtime(workers=2) as runtime:
        assert runtime.run(main()) == list(range(20))
    assert drops.count == 20


def test_select_takes_it_and_drops_the_others(loaded: Any, run: Run, drops: Drops) -> None:
    async def main() -> None:
        one, other = loaded.OneShot(), loaded.OneShot()
        other.set("value")
        assert await blitzio.select(one.wait(), other.wait()) == ("value", 1)

    run(main())
    assert drops.count == 2


# ---- failing -------------------------------------------------------------------------------------


def test_the_exception_of_a_poll(loaded: Any, run: Run, drops: Drops) -> None:
    error = KeyError("which")

    async def main() -> None:
        await loaded.answer(ERROR, error)

    with pytest.raises(KeyError) as caught:
        run(main())
    assert caught.value is error
    assert drops.count == 1


@pytest.mark.parametrize("answer", [(READY,), (ERROR,), (7, "value"), (PENDING, "value")])
def test_an_answer_without_what_belongs_to_it(
    loaded: Any, drops: Drops, answer: tuple[Any, ...]
) -> None:
    with pytest.raises(SystemError, match=f"returned {answer[0]} "):
        loaded.answer(*answer).send(None)
    assert drops.count == 1


@pytest.mark.parametrize("code", [PENDING, READY])
def test_an_exception_that_the_answer_does_not_tell_of(
    loaded: Any, drops: Drops, code: int
) -> None:
    error = KeyError("which")
    with pytest.raises(SystemError, match="with an exception set") as caught:
        loaded.answer(code, error).send(None)
    assert caught.value.__cause__ is error
    assert drops.count == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_drop_leaves_set_is_reported_and_the_result_kept(
    loaded: Any, drops: Drops, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reports.append(str(report.exc_value)))
    with pytest.raises(StopIteration) as stop:
        loaded.answer(READY, "value", True).send(None)
    assert stop.value.value == "value"
    assert reports == ["left set by drop"]
    assert drops.count == 1


# ---- dropping ------------------------------------------------------------------------------------


def test_never_awaited(loaded: Any, drops: Drops) -> None:
    with pytest.warns(RuntimeWarning, match=r"'OneShot\.wait' was never awaited"):
        loaded.OneShot().wait()
    assert drops.count == 1


def test_closed(loaded: Any, drops: Drops) -> None:
    loaded.OneShot().wait().close()
    assert drops.count == 1


def test_a_cancelled_task_drops_it_and_later_wakes_do_nothing(
    loaded: Any, run: Run, drops: Drops
) -> None:
    async def main() -> None:
        one = loaded.OneShot()
        task = await waiting(one)
        waker = one.waker()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert drops.count == 1
        assert loaded.wake(waker) == 0
        one.set("value")
        assert await one.wait() == "value"

    run(main())
    assert drops.count == 2


def test_cancelled_after_the_wake(loaded: Any, run: Run, drops: Drops) -> None:
    async def main() -> None:
        one = loaded.OneShot()
        task = await waiting(one)
        one.set("value")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert drops.count == 1


def test_a_closed_loop_drops_it_and_later_wakes_do_nothing(
    loaded: Any, any_loop: LoopFactory, drops: Drops
) -> None:
    loop = any_loop()
    one = loaded.OneShot()
    task = loop.run_until_complete(waiting(one))
    waker = one.waker()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # uvloop's own, of the reader.
        loop.close()
        gc.collect()
    assert drops.count == 1
    assert loaded.wake(waker) == 0
    one.set("value")
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_wakes_too_many_cost_a_poll_and_clones_wake_the_same(loaded: Any, run: Run) -> None:
    async def main() -> None:
        one, other = loaded.OneShot(), loaded.OneShot()
        task, other_task = await waiting(one), await waiting(other)
        waker = one.waker()
        assert loaded.wakes_same(waker, one.waker())
        assert not loaded.wakes_same(waker, other.waker())
        for _ in range(3):
            assert loaded.wake(waker) == 0
        await asyncio.sleep(0.001)
        assert not task.done()
        one.set("value")
        other.set("other")
        assert [await task, await other_task] == ["value", "other"]

    run(main())


# Whether it warns depends on which part of the cycle the collector clears first.
@pytest.mark.filterwarnings("ignore:coroutine 'answer':RuntimeWarning")
def test_a_cycle_through_its_state_is_collected(loaded: Any, drops: Drops) -> None:
    cycle: list[Any] = []
    cycle.append(loaded.answer(READY, cycle))
    del cycle
    gc.collect()
    assert drops.count == 1


# ---- threads that block --------------------------------------------------------------------------


def test_block_on(loaded: Any, drops: Drops) -> None:
    one = loaded.OneShot()
    one.set_from_thread("value")
    assert one.blocking_wait(None) == "value"
    assert drops.count == 1


def test_block_on_until_a_timeout(loaded: Any, drops: Drops) -> None:
    one = loaded.OneShot()
    with pytest.raises(TimeoutError):
        one.blocking_wait(0.001)
    with pytest.raises(ValueError, match="timeout"):
        one.blocking_wait(-1)
    assert drops.count == 2


def test_block_on_is_refused_on_the_thread_of_a_loop(loaded: Any, run: Run, drops: Drops) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"OneShot\.blocking_wait\(\) would block"):
            loaded.OneShot().blocking_wait(None)

    run(main())
    assert drops.count == 1


# ---- importing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "advice"),
    [((2, 0), "install a newer"), ((1, 99), "install a newer"), ((0, 0), "compile the extension")],
)
def test_a_version_that_does_not_fit(loaded: Any, version: tuple[int, int], advice: str) -> None:
    wanted = ".".join(map(str, version))
    with pytest.raises(ImportError, match=rf"for version {wanted} of .* has 1\.0: {advice}"):
        loaded.import_version(*version)
    loaded.import_version(1, 0)


def test_a_blitzio_without_it(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from blitzio import _native

    monkeypatch.delattr(_native, "_C_API")
    with pytest.raises(ImportError, match="no C API"):
        loaded.import_version(1, 0)


INTERPRETERS = """
import os, sys
try:
    import _interpreters as interpreters
    create = lambda own: interpreters.create("isolated" if own else "legacy")
    def run(number, code):
        failed = interpreters.exec(number, code)
        assert failed is None, failed
except ImportError:
    import _xxsubinterpreters as interpreters
    create = lambda own: interpreters.create(isolated=own)
    run = interpreters.run_string

CODE = f"import sys; sys.path[:0] = {[os.path.dirname(sys.argv[1]), *sys.path]!r}" + '''
import asyncio, blitzio, capi_extension
async def main():
    one = capi_extension.OneShot()
    asyncio.get_running_loop().call_soon(one.set_from_thread, "value")
    return await one.wait()
assert blitzio.run(main()) == "value"
assert capi_extension.drops() == 1
'''
for own in (True, False):
    number = create(own)
    run(number, CODE)
    interpreters.destroy(number)
exec(CODE)
print("done", flush=True)
# 3.12 crashes at its end after a sub-interpreter that shared its GIL imported asyncio.
os._exit(0)
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="refused before 3.12")
def test_each_interpreter_has_its_own(library: Path) -> None:
    assert silent(program(INTERPRETERS, os.fspath(library), options=()), "done\n")
