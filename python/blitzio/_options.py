"""The fields of `Config` as keyword arguments, for those who check types: what `Runtime` and others
take as `**options`. A test compares them with `Config`, where they are explained."""

from __future__ import annotations

from typing import TypedDict


class Options(TypedDict, total=False):
    """Any of them, by name."""

    backend: str
    ring_entries: int
    buffer_bytes: int
    buffer_count: int
    buffer_count_max: int
    sqpoll: bool
    iopoll: bool
    single_issuer: bool | None
    defer_taskrun: bool | None
    registered_buffers: bool | None
    registered_files: bool | None
    ring_files: bool | None
    timer_tick: float
    timers_max: int
    workers: int
    strategy: str
    affinity: str
    stack_bytes: int
    blocking_threads_max: int
    blocking_keep_alive: float
    compute_threads: int
    task_pooling: bool
