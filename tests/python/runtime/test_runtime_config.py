"""The options of blitzio.Runtime and of loops: what each does, and wrong ones."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import Any

import pytest

import blitzio
from blitzio import Config, Runtime, compute, parallel_map
from tests.python.runtime.runtime_support import PATIENCE, double


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"workers": 65}, ValueError, "workers must be from 0 to 64"),
        ({"workers": -1}, ValueError, "workers must be from 0 to 64"),
        ({"workers": 1.5}, TypeError, "workers must be an int, not float"),
        ({"workers": 2, "strategy": "single_threaded"}, ValueError, "workers must be 0 or 1"),
        ({"strategy": "greedy"}, ValueError, "strategy must be one of 'auto', "),
        ({"strategy": 1}, TypeError, "strategy must be a str"),
        ({"affinity": "random"}, ValueError, "affinity must be one of 'auto', "),
        ({"stack_bytes": 100}, ValueError, "stack_bytes must be 0 or from 32768"),
        ({"blocking_threads_max": 0}, ValueError, "blocking_threads_max must be from 1"),
        ({"blocking_keep_alive": -1}, ValueError, "blocking_keep_alive must not be negative"),
        ({"blocking_keep_alive": "1"}, TypeError, "blocking_keep_alive must be seconds"),
        ({"backend": "carrier pigeon"}, ValueError, "backend must be one of"),
        ({"compute_threads": 1025}, ValueError, "compute_threads must be from 0 to 1024"),
        ({"task_pooling": 1}, TypeError, "task_pooling must be a bool"),
        ({"timer_tick": 0}, ValueError, "timer_tick must be from 1e-06 to 1.0 seconds"),
        ({"timer_tick": True}, TypeError, "timer_tick must be seconds as a number"),
        ({"timers_max": -1}, ValueError, "timers_max must be from 0"),
        ({"iopoll": True}, ValueError, "iopoll is had by no backend"),
        ({"sqpoll": True, "defer_taskrun": True}, ValueError, "exclude each other"),
        ({"single_issuer": False, "defer_taskrun": True}, ValueError, "needs single_issuer"),
        ({"registered_files": 1}, TypeError, "registered_files must be a bool or None"),
        ({"sqpoll": True, "backend": "epoll"}, ValueError, "only io_uring has sqpoll"),
        ({"no_such_option": 1}, TypeError, "no_such_option"),
    ],
)
def test_wrong_options_are_named(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Runtime(**options)


def test_the_config_is_resolved() -> None:
    with Runtime(workers=2, stack_bytes=1 << 20) as runtime:
        assert runtime.config.strategy == "work_stealing"
        assert runtime.config.affinity == "none"
        assert runtime.block_on(double, 2) == 4
    with Runtime(Config(strategy="thread_per_core"), workers=2) as pinned:
        assert pinned.config.affinity == "sequential"
        used = [pinned.spawn(os.sched_getaffinity, 0).blocking_join(PATIENCE) for _ in range(2)]
        assert [len(processors) for processors in used] == [1, 1]


def test_a_loop_has_no_more_timers_than_allowed() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        first = loop.call_later(60, print)
        loop.call_later(60, print)
        with pytest.raises(RuntimeError, match="as many timers as its Config.timers_max allows"):
            loop.call_later(60, print)
        first.cancel()
        loop.call_later(60, print)

    loop = blitzio.new_event_loop(Config(timers_max=2, timer_tick=0.01))
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_what_only_io_uring_has_is_used_or_refused() -> None:
    async def main() -> bytes:
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(b"there")
        data = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()  # Injected faults have it written later.
        return data

    for options in (
        {"single_issuer": True, "defer_taskrun": True},
        {"single_issuer": False, "defer_taskrun": False},
        {"registered_buffers": True, "registered_files": True},
        {"sqpoll": True},
    ):
        config = Config(backend="io_uring", **options)  # type: ignore[arg-type]
        try:
            loop = blitzio.new_event_loop(config)
        except RuntimeError as refused:
            assert "io_uring" in str(refused)
            continue
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(b"back")
            try:
                assert loop.run_until_complete(main()) == b"back"
                assert theirs.recv(16) == b"there"
            finally:
                loop.close()


def test_a_runtime_may_compute_on_threads_of_its_own() -> None:
    async def main() -> tuple[str, list[int]]:
        name = await compute(lambda: threading.current_thread().name)
        return name, await parallel_map(range(100), lambda number: number + 1)

    with Runtime(workers=1, compute_threads=1, task_pooling=False) as runtime:
        names = {runtime.block_on(main)[0] for _ in range(3)}
        assert names == {"blitzio-compute_0"}
        assert runtime.block_on(main)[1] == list(range(1, 101))
