"""run_in_executor on the native pool, numeric addresses, and what the build says of itself."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import itertools
import socket
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import PATIENCE, soon, turns

if TYPE_CHECKING:
    from collections.abc import Callable

    Loop = asyncio.AbstractEventLoop
    Compare = Callable[[Callable[[Loop], Any]], tuple[Any, ...]]


def outcome_of(loop: Loop, func: Callable[..., Any], *args: Any) -> Any:
    return loop.run_until_complete(soon(loop.run_in_executor(None, func, *args)))


# ---- jobs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(8))
def test_arguments_go_in_and_the_result_comes_back(loop: Loop, count: int) -> None:
    arguments = tuple(object() for _ in range(count))
    assert outcome_of(loop, lambda *args: args, *arguments) == arguments


def test_the_job_runs_in_another_thread_and_the_result_arrives_in_the_loops(loop: Loop) -> None:
    seen: list[int] = []

    async def main() -> None:
        future = loop.run_in_executor(None, threading.get_ident)
        assert asyncio.isfuture(future)
        future.add_done_callback(lambda _: seen.append(threading.get_ident()))
        assert await soon(future) != threading.get_ident()

    loop.run_until_complete(main())
    assert seen == [threading.get_ident()]


@pytest.mark.parametrize(
    "error", [ValueError, OSError, KeyboardInterrupt, SystemExit, asyncio.CancelledError]
)
def test_what_the_job_raises_is_raised_at_the_await(loop: Loop, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("text")

    async def main() -> None:
        future = loop.run_in_executor(None, fail)
        try:
            await soon(asyncio.wait([future]))
        finally:
            exception = None if future.cancelled() else future.exception()
        assert type(exception) is error
        assert exception.args == ("text",)
        assert exception.__traceback__ is not None

    if error is asyncio.CancelledError:
        # asyncio's own future takes it as an exception, too; awaiting it cancels the waiter.
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(loop.run_in_executor(None, fail))
    else:
        loop.run_until_complete(main())


def test_stop_iteration_becomes_a_runtime_error(loop: Loop, native: None) -> None:
    with pytest.raises(RuntimeError, match="StopIteration interacts badly") as caught:
        outcome_of(loop, next, iter(()))
    assert type(caught.value.__cause__) is StopIteration


def test_what_is_not_callable_fails_when_it_is_called(loop: Loop) -> None:
    with pytest.raises(TypeError, match="'int' object is not callable"):
        outcome_of(loop, 5)  # type: ignore[arg-type]


async def coroutine_function() -> None:
    pass


@pytest.mark.parametrize("func", [coroutine_function, 5, None], ids=["coroutine", "5", "None"])
def test_debug_mode_checks_the_callable(same_as_asyncio: Compare, func: Any) -> None:
    def scenario(loop: Loop) -> None:
        loop.set_debug(True)
        loop.run_in_executor(None, func)

    assert same_as_asyncio(scenario)[1] is TypeError


def test_wrong_calls_are_type_errors(loop: Loop) -> None:
    with pytest.raises(TypeError):
        loop.run_in_executor()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        loop.run_in_executor(None)  # type: ignore[call-arg]


def test_a_closed_loop_takes_no_job(new_loop: Callable[[], Loop]) -> None:
    loop = new_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.run_in_executor(None, print)


def test_after_the_default_executors_shutdown_there_are_no_more_jobs(loop: Loop) -> None:
    assert outcome_of(loop, int) == 0
    loop.run_until_complete(loop.shutdown_default_executor())
    with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
        loop.run_in_executor(None, int)
    loop.run_until_complete(loop.shutdown_default_executor())


def test_the_shutdown_waits_for_running_jobs(loop: Loop) -> None:
    release = threading.Event()
    finished: list[int] = []

    def work() -> None:
        assert release.wait(PATIENCE)
        finished.append(1)

    async def main() -> None:
        for _ in range(3):
            loop.run_in_executor(None, work)
        shutting_down = loop.create_task(loop.shutdown_default_executor())
        await turns()
        assert not shutting_down.done()
        release.set()
        await soon(shutting_down)
        assert finished == [1, 1, 1]

    loop.run_until_complete(main())


def test_an_executor_of_the_users_own_is_used(loop: Loop) -> None:
    with concurrent.futures.ThreadPoolExecutor(thread_name_prefix="mine") as pool:

        def name() -> str:
            return threading.current_thread().name

        async def main() -> None:
            assert (await soon(loop.run_in_executor(pool, name))).startswith("mine")
            loop.set_default_executor(pool)
            assert (await soon(loop.run_in_executor(None, name))).startswith("mine")

        loop.run_until_complete(main())


def test_the_context_is_not_copied(loop: Loop) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    variable.set(1)
    assert outcome_of(loop, lambda: variable.get(0)) == 0

    async def main() -> None:
        assert await soon(asyncio.to_thread(variable.get, 0)) == 1

    loop.run_until_complete(main())


def test_a_future_cancelled_while_the_job_runs_stays_cancelled(
    loop: Loop, reports: list[dict[str, Any]]
) -> None:
    started, release = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert release.wait(PATIENCE)

    async def main() -> None:
        future = loop.run_in_executor(None, work)
        while not started.is_set():
            await asyncio.sleep(0)
        assert future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        release.set()
        await soon(loop.run_in_executor(None, int))
        await turns()

    loop.run_until_complete(main())
    assert reports == []


def test_a_job_cancelled_before_it_starts_never_runs(loop: Loop) -> None:
    ran: list[int] = []
    release = threading.Event()

    async def main() -> None:
        # All threads are taken, so that the jobs wait in the queue.
        blockers = [loop.run_in_executor(None, release.wait, PATIENCE) for _ in range(512)]
        futures = [loop.run_in_executor(None, ran.append, number) for number in range(20)]
        for future in futures[::2]:
            assert future.cancel()
        await turns()
        release.set()
        await soon(asyncio.gather(*blockers))
        await soon(asyncio.gather(*futures[1::2]))
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())
    assert sorted(ran) == list(range(1, 20, 2))


def test_jobs_run_at_the_same_time(loop: Loop) -> None:
    count = 40
    barrier = threading.Barrier(count)

    async def main() -> None:
        jobs = [loop.run_in_executor(None, barrier.wait, PATIENCE) for _ in range(count)]
        assert sorted(await soon(asyncio.gather(*jobs))) == list(range(count))

    if hasattr(loop, "backend"):
        loop.run_until_complete(main())


def test_thousands_of_jobs_all_come_back(loop: Loop) -> None:
    async def main() -> None:
        jobs = [loop.run_in_executor(None, divmod, number, 7) for number in range(5000)]
        assert await soon(asyncio.gather(*jobs)) == [divmod(n, 7) for n in range(5000)]

    loop.run_until_complete(main())


def test_threads_are_used_again_and_keep_their_locals(loop: Loop, native: None) -> None:
    local = threading.local()

    def count() -> int:
        local.count = getattr(local, "count", 0) + 1
        return int(local.count)

    # A thread may not be idle yet when the next job comes; but there are 512 of them at most.
    assert any(outcome_of(loop, count) == 2 for _ in range(513))


def test_a_job_may_schedule_and_submit_itself(loop: Loop) -> None:
    async def main() -> None:
        done = loop.create_future()

        def work() -> None:
            loop.call_soon_threadsafe(done.set_result, "from the thread")

        await soon(loop.run_in_executor(None, work))
        assert await soon(done) == "from the thread"

        def nested() -> int:
            return asyncio.run_coroutine_threadsafe(asyncio.sleep(0, result=7), loop).result(
                PATIENCE
            )

        assert await soon(loop.run_in_executor(None, nested)) == 7

    loop.run_until_complete(main())


def test_nothing_that_a_job_held_stays_alive(loop: Loop) -> None:
    class Thing:
        def __call__(self, other: object) -> Thing:
            return Thing()

    async def main() -> list[weakref.ref[Any]]:
        func, argument = Thing(), Thing()
        future = loop.run_in_executor(None, func, argument)
        result = await soon(future)
        return [weakref.ref(thing) for thing in (func, argument, future, result)]

    refs = loop.run_until_complete(main())
    gc.collect()
    assert [ref() for ref in refs] == [None] * 4


def test_a_loop_may_be_closed_while_a_job_runs(new_loop: Callable[[], Loop]) -> None:
    started, release, finished = threading.Event(), threading.Event(), threading.Event()

    class Result:
        pass

    gone: list[weakref.ref[Any]] = []

    def work() -> Result:
        started.set()
        assert release.wait(PATIENCE)
        result = Result()
        gone.append(weakref.ref(result, lambda _: finished.set()))
        return result

    loop = new_loop()
    is_native = hasattr(loop, "backend")
    future = loop.run_in_executor(None, work)
    assert started.wait(PATIENCE)
    loop.close()
    release.set()
    if is_native:
        assert finished.wait(PATIENCE)
    assert not future.done()


def test_a_loop_that_is_not_running_gets_the_result_in_its_next_run(loop: Loop) -> None:
    finished = threading.Event()
    future = loop.run_in_executor(None, finished.set)
    assert finished.wait(PATIENCE)
    assert not future.done()
    loop.run_until_complete(soon(future))


def test_jobs_submitted_from_many_loops_do_not_mix(new_loop: Callable[[], Loop]) -> None:
    failures: list[BaseException] = []

    def run(start: int) -> None:
        loop = new_loop()
        try:

            async def main() -> None:
                for number in range(start, start + 200):
                    assert await soon(loop.run_in_executor(None, str, number)) == str(number)

            loop.run_until_complete(main())
            loop.run_until_complete(loop.shutdown_default_executor())
        except BaseException as exc:
            failures.append(exc)
        finally:
            loop.close()

    threads = [threading.Thread(target=run, args=(start,)) for start in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_metrics_count_the_pools_threads(loop: Any, native: None) -> None:
    release = threading.Event()

    async def all_at_work() -> None:
        # Each thread that begins a job calls the next one, as none of these ends.
        while loop.metrics()["blocking_threads"] != 3:
            await asyncio.sleep(0)

    async def main() -> None:
        assert loop.metrics()["blocking_threads"] == 0
        jobs = [loop.run_in_executor(None, release.wait, PATIENCE) for _ in range(3)]
        assert loop.metrics()["blocking_threads"] >= 1
        await soon(all_at_work())
        release.set()
        await soon(asyncio.gather(*jobs))

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    assert loop.metrics()["blocking_threads"] == 0


def run_script(script: str) -> str:
    """Runs a program of its own; what happens at the interpreter's end is seen only there."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


EXITS = {
    "idle threads": """
        loop.run_until_complete(loop.run_in_executor(None, int))
    """,
    "a job that still runs": """
        import time
        loop.run_in_executor(None, lambda: (time.sleep(0.2), print("finished")))
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
    """,
    "a job that still runs on an open loop": """
        import time
        loop.run_in_executor(None, lambda: (time.sleep(0.2), print("finished")))
    """,
    "jobs in the queue of many": """
        import time
        for _ in range(600):
            loop.run_in_executor(None, time.sleep, 0.01)
    """,
    "a job submitted at exit": """
        import atexit
        def late():
            try:
                loop.run_in_executor(None, int)
            except RuntimeError as exc:
                print(exc)
        atexit.register(late)
        loop.run_until_complete(loop.run_in_executor(None, int))
    """,
    "a forked child": """
        import os, warnings
        warnings.simplefilter("ignore")
        loop.run_until_complete(loop.run_in_executor(None, int))
        child = os.fork()
        if child == 0:
            import threading
            threading._shutdown()
            other = blitzio.new_event_loop()
            sys.stdout.flush()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """,
}


@pytest.mark.parametrize("situation", EXITS)
def test_the_interpreter_ends_cleanly_with(backend: str, native: None, situation: str) -> None:
    script = "\n".join(
        (
            "import asyncio, sys, warnings, blitzio",
            "warnings.simplefilter('ignore', ResourceWarning)",
            f"loop = blitzio.new_event_loop(blitzio.Config(backend={backend!r}))",
            textwrap.dedent(EXITS[situation]),
        )
    )
    printed = run_script(script)
    if "still runs" in situation:
        assert printed == "finished\n"
    if "at exit" in situation:
        assert printed == "cannot schedule new futures after interpreter shutdown\n"


# ---- numeric addresses -------------------------------------------------------------------------

HOSTS: list[Any] = [
    "127.0.0.1", "0.0.0.0", "255.255.255.255", "1.2.3.4", b"10.0.0.1", "::1", "::", "fe80::1",
    "2001:DB8::1", "::ffff:1.2.3.4", b"::1", "fe80::1%lo", "fe80::1%1", "::1%1", "ff02::1%lo",
    "fe80::1%nosuch", "fe80::1%", "1.2.3", "0x7f.1", "127.0.0.01", "1.2.3.4 ", " 1.2.3.4", "",
    "1.2.3.4.5", "256.1.1.1", "::1::", "1.2.3.4\0", "\u0661.2.3.4", None, "[::1]",
]  # fmt: skip
PORTS: list[Any] = [
    0, 80, 65535, "80", "0080", b"443", None, 70000, -1, "70000", "-1", "+80", " 80", "", b"", "8x",
    True, 1 << 70,
]  # fmt: skip
FAMILIES = [socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 99]
TYPES = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, 77]
PROTOCOLS = [0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP]
FLAGS = [0, socket.AI_PASSIVE, socket.AI_NUMERICHOST, socket.AI_CANONNAME, socket.AI_V4MAPPED]


def resolver_says(*call: Any) -> Any:
    try:
        return socket.getaddrinfo(*call)
    except (OSError, UnicodeError, OverflowError, ValueError, TypeError) as exc:
        return exc


def compare_with_the_resolver(*call: Any) -> bool:
    from blitzio._native import numeric_address

    infos = numeric_address(*call)
    if infos is None:
        return False
    expected = resolver_says(*call)
    assert infos == expected, call
    for mine, theirs in zip(infos, expected, strict=True):
        assert [type(part) for part in mine] == [type(part) for part in theirs], call
        assert repr(mine) == repr(theirs)
    return True


def test_numeric_addresses_are_what_the_resolver_says() -> None:
    pytest.importorskip("blitzio._native")
    known = [
        call
        for call in itertools.chain(
            itertools.product(HOSTS, PORTS, FAMILIES, [0, socket.SOCK_STREAM], [0], [0]),
            itertools.product(HOSTS, [80], FAMILIES[:3], TYPES, PROTOCOLS, FLAGS),
        )
        if compare_with_the_resolver(*call)
    ]
    # Those that matter are among them.
    for host in ("127.0.0.1", "::1", b"10.0.0.1", "fe80::1%lo"):
        for port in (80, "80", b"443", None):
            assert (host, port, 0, socket.SOCK_STREAM, 0, 0) in known
    assert ("127.0.0.1", 80, 0, 0, 0, 0) in known
    assert ("127.0.0.1", 80, 0, 0, socket.IPPROTO_UDP, 0) in known


@pytest.mark.parametrize(
    "call",
    [
        ("1.2.3.4", 1.5, 0, 0, 0, 0),
        (5, 80, 0, 0, 0, 0),
        ("1.2.3.4", 80, "inet", 0, 0, 0),
        ("1.2.3.4", 80, 1 << 80, 0, 0, 0),
        ("localhost", 80, 0, 0, 0, 0),
        ("1.2.3.4", "http", 0, 0, 0, 0),
        ("1.2.3.4", 80, socket.AF_INET6, 0, 0, 0),
        ("1.2.3.4", 80, 0, socket.SOCK_STREAM, socket.IPPROTO_UDP, 0),
    ],
    ids=repr,
)
def test_what_is_not_plain_is_left_to_the_resolver(call: tuple[Any, ...]) -> None:
    native = pytest.importorskip("blitzio._native")
    assert native.numeric_address(*call) is None


def test_numeric_address_takes_six_arguments() -> None:
    native = pytest.importorskip("blitzio._native")
    with pytest.raises(TypeError):
        native.numeric_address("1.2.3.4", 80)


def answer_of(function: Callable[..., Any], *call: Any) -> Any:
    """What it returns with the types of all that, or what it raises."""
    try:
        info = function(*call)
    except (ValueError, TypeError) as exc:
        return type(exc), str(exc)
    return info if info is None else (info, [type(part) for part in (*info, *info[4])])


def test_a_literal_is_worded_as_asyncio_words_it() -> None:
    native = pytest.importorskip("blitzio._native")
    hosts = [*HOSTS, 5, [], ["%"]]
    ports = [*PORTS, 1.5, [], False]
    literals = 0
    for call in itertools.chain(
        itertools.product(hosts, ports, FAMILIES, [socket.SOCK_STREAM, socket.SOCK_DGRAM], [0]),
        itertools.product(HOSTS, [80], FAMILIES, TYPES, PROTOCOLS),
        [(host, 80, 0, socket.SOCK_STREAM, 0, 3, 4) for host in ("::1", "1.2.3.4")],
    ):
        expected = answer_of(asyncio.base_events._ipaddr_info, *call)  # type: ignore[attr-defined]
        assert answer_of(native.numeric_info, *call) == expected, call
        literals += expected is not None and isinstance(expected[1], list)
    assert literals > 100


def test_a_literal_with_a_strange_family_is_left_to_the_resolver() -> None:
    native = pytest.importorskip("blitzio._native")
    assert native.numeric_info("::1", 80, "inet6", socket.SOCK_STREAM, 0) is None
    with pytest.raises(TypeError):
        native.numeric_info("::1", 80, 0, 0)


def test_getaddrinfo_answers_numbers_without_a_thread(loop: Any, native: None) -> None:
    async def main() -> None:
        infos = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert infos == socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert loop.metrics()["blocking_threads"] == 0

    loop.run_until_complete(main())


# ---- what the build says -----------------------------------------------------------------------


def test_detection_names_every_backend_and_says_why_not() -> None:
    native = pytest.importorskip("blitzio._native")
    found = native.detect()
    assert {name for name, *_ in found} <= {"io_uring", "epoll", "poll"}
    assert "poll" in {name for name, *_ in found}
    for _, usable, reason, features in found:
        assert type(usable) is bool
        assert usable or reason
        assert all(type(feature) is str for feature in features)
    info = native.build_info()
    assert {"version", "compiler", "liburing", "build"} <= info.keys()
    assert all(type(value) is str for value in info.values())


def test_a_round_trip_is_not_slowed_by_the_switch_interval(loop: Loop) -> None:
    # Not a measurement: with the interval at a minute, a hand-over that waits for it never ends.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        started = time.monotonic()
        assert outcome_of(loop, int) == 0
        assert time.monotonic() - started < PATIENCE
    finally:
        sys.setswitchinterval(interval)
