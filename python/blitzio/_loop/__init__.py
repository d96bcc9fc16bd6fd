"""`Loop`: the asyncio event loop, put together from the native core and one mixin per idea.

Native (`LoopBase`) is what runs once per callback, packet or turn; here is what runs once per
connection, per server or per run. Each mixin is a subclass of `LoopBase` (and of the mixins it
needs), so every file type-checks alone and says by its bases what it stands on:

    running     run_forever, run_until_complete, close, async generators
    errors      exception handlers
    tasks       task factories
    executor    run_in_executor with Python executors, shutting the pool down
    names       getaddrinfo, getnameinfo
    signals     add_signal_handler, waking an idle loop for Ctrl-C; wakeup_fd: which loop is woken
    tls         TLS connections, start_tls; tls_protocol: handshake, timeouts, shutdown of each
    connect     create_connection, connect_accepted_socket
    listen      create_server; server: what it returns
    unix        create_unix_connection, create_unix_server
    datagram    create_datagram_endpoint
    sockets     no mixin: making a socket, sharing its port
    pipes       connect_read_pipe, connect_write_pipe
    sendfile    sock_sendfile, sendfile
    forking     no mixin: the loops of the parent, in a forked child
    debug_info  print_debug_info
    subprocess  subprocess_exec, subprocess_shell; process_transport: what they return; child:
                waiting for the process's end

Threads: a loop belongs to the thread that runs it; only call_soon_threadsafe may come from others.
"""

from __future__ import annotations

import asyncio
import os
import sys

from blitzio._backend import backend_of_environment
from blitzio._loop import forking
from blitzio._loop.connect import ConnectMixin
from blitzio._loop.datagram import DatagramMixin
from blitzio._loop.debug_info import DebugInfoMixin
from blitzio._loop.errors import ErrorsMixin
from blitzio._loop.executor import ExecutorMixin
from blitzio._loop.listen import ListenMixin
from blitzio._loop.names import NamesMixin
from blitzio._loop.pipes import PipesMixin
from blitzio._loop.running import RunningMixin
from blitzio._loop.sendfile import SendfileMixin
from blitzio._loop.signals import SignalsMixin
from blitzio._loop.subprocess import SubprocessMixin
from blitzio._loop.tasks import TasksMixin
from blitzio._loop.tls import TlsMixin
from blitzio._loop.unix import UnixMixin
from blitzio._native import LoopBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from blitzio._config import Config


# What the mixins keep in a loop, and its first values, where it is kept in slots: from 3.12 on
# CPython remembers where a method is only for objects of this layout that have no dict, and else
# looks for it anew at each call. Up to 3.11 it does so only for those that have one.
_STATE = {
    name: vars(mixin)[name]
    for mixin in (RunningMixin, SignalsMixin, SubprocessMixin, ExecutorMixin, ErrorsMixin)
    for name in mixin.__annotations__
    if sys.version_info >= (3, 12)
}


class Loop(
    UnixMixin,
    ListenMixin,
    ConnectMixin,
    DatagramMixin,
    SendfileMixin,
    NamesMixin,
    TlsMixin,
    RunningMixin,
    SignalsMixin,
    SubprocessMixin,
    PipesMixin,
    ExecutorMixin,
    TasksMixin,
    DebugInfoMixin,
    ErrorsMixin,
    LoopBase,
    asyncio.AbstractEventLoop,
):
    """A drop-in asyncio event loop on io_uring, epoll or poll.

    Args:
        config: options; None for the defaults.

    Raises:
        ValueError: `BLITZIO_BACKEND` names no backend, or options exclude each other.
        RuntimeError: the chosen backend does not work on this machine, or lacks what was asked for.
        OSError: the kernel refused what the loop needs, such as file descriptors.
    """

    __slots__ = tuple(_STATE)

    def __new__(cls, *_args: object, **_kwargs: object) -> Loop:
        self = super().__new__(cls)
        for name, value in _STATE.items():
            # Not by a program's __setattr__, whose __init__ is yet to come.
            super(Loop, self).__setattr__(name, value)
        return self

    def __init__(self, config: Config | None = None) -> None:
        if config is None:
            super().__init__(backend=backend_of_environment())
        else:
            _check_type(config)
            super().__init__(
                backend=config.resolve_backend(),
                ring_entries=config.ring_entries,
                buffer_bytes=config.buffer_bytes,
                buffer_count=config.buffer_count,
                buffer_count_max=config.buffer_count_max,
                sqpoll=config.sqpoll,
                iopoll=config.iopoll,
                single_issuer=config.single_issuer,
                defer_taskrun=config.defer_taskrun,
                registered_buffers=config.registered_buffers,
                registered_files=config.registered_files,
                ring_files=config.ring_files,
                timer_tick=config.timer_tick,
                timers_max=config.timers_max,
            )
        self.set_debug(_debug_by_default())
        forking.remember(self)
        self._open = True

    def _after_fork(self) -> None:
        self._disown()
        self._disown_signals()
        self._disown_children()


def _check_type(config: object) -> None:
    # Here, as a dataclass costs memory that a loop with the default options does without. Not by
    # sys.modules.get(): without the GIL that holds the dict's lock, for which a child would wait.
    from blitzio._config import Config

    if not isinstance(config, Config):
        raise TypeError(f"config must be a blitzio.Config or None, not {config!r}")


def _debug_by_default() -> bool:
    return sys.flags.dev_mode or (
        not sys.flags.ignore_environment and bool(os.environ.get("PYTHONASYNCIODEBUG"))
    )


LoopBase._redefine_in(Loop)
Loop.__module__ = "blitzio"
