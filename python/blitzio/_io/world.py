"""`Deterministic`: an Io for tests: one thread, simulated time, order, network and files. A program
that runs on it runs the same way every time, in an order that a seed chooses.

Threads: one, be it now this and then that.
"""

from __future__ import annotations

import asyncio
import errno
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blitzio import _duration
from blitzio._duration import Duration, Instant
from blitzio._io.handle import Io
from blitzio._io.sim_fs import SimFileSystem
from blitzio._io.sim_loop import Deadlock, SimLoop
from blitzio._io.sim_net import SimNetwork, SimUdpSocket
from blitzio._io.sim_system import SimProcesses, SimSignals, SimSignalStream
from blitzio._native import Address, _start_soon
from blitzio._runtime.waiting import wait_for, when_ended
from blitzio._task.concurrent import ConcurrencyUnavailable
from blitzio._unique import refuse_copy
from blitzio.time import sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from blitzio._duration import Seconds
    from blitzio._io.sim_bound import SimListener
    from blitzio._io.sim_stream import Flow
    from blitzio._io.sim_tree import Node
    from blitzio._io.sim_unix import SimUnixDatagram
    from blitzio._native import JoinHandle


@dataclass(frozen=True)
class Faults:
    """What the network does, to all.

    Args:
        latency_min, latency_max: seconds that a message takes, at random between the two. A
            connection keeps its order, datagrams do not.
        short_transfers: whether reads and writes take fewer bytes than they could, at random.
        datagram_loss: the share of datagrams that get lost, 0 to 1.

    Raises:
        ValueError: a value is out of range.
    """

    latency_min: float = 0.0001
    latency_max: float = 0.002
    short_transfers: bool = True
    datagram_loss: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.latency_min <= self.latency_max:
            raise ValueError(
                f"latencies must be 0 <= min <= max, not {self.latency_min}, {self.latency_max}"
            )
        if not 0 <= self.datagram_loss <= 1:
            raise ValueError(f"datagram_loss must be from 0 to 1, not {self.datagram_loss}")


class Deterministic:
    """A simulated world. One seed, one run: a test tries many, that of a failure brings it back.

    >>> from blitzio.io import Deterministic
    >>> async def nightly(io):
    ...     began = io.now()
    ...     await io.sleep(8 * 3600)
    ...     return (io.now() - began).as_secs()
    >>> with Deterministic(seed=7) as world:
    ...     world.run(nightly)
    28800

    - Of the tasks that could run, the seed picks one; of ready branches of `select`, too.
    - Time stands still while a task runs, but for `step`. If no task can run, it jumps to the next
      timer or arrival. Timers of asyncio and of `blitzio.time` are simulated as those of the Io.
    - Hosts are known to this world only; see `Faults`, `partition`, `reset_connections`.
    - If no task can run and nothing is to come, run() raises `Deadlock` and says who waits.

    Everything must go through the Io: a task that waits for a real socket or another thread looks
    deadlocked. What is given to an executor or to threads of asyncio runs in place. Iterating over
    a set of tasks, or other objects without an order, is not reproducible.

    Args:
        seed: chooses the order, latencies and faults.
        step: seconds that a step of a task takes on the simulated clock.
        concurrent_limit: tasks at once before concurrent() fails; None: no limit.
        keeps_trace: whether `trace` is kept; `fingerprint` always is.
    """

    __reduce__ = refuse_copy

    def __init__(
        self,
        *,
        seed: int = 0,
        step: Seconds = 0.000001,
        concurrent_limit: int | None = None,
        keeps_trace: bool = False,
    ) -> None:
        if not isinstance(seed, int):
            raise TypeError(f"seed must be an int, not {type(seed).__name__}")
        step_ns = Duration.of(step).as_nanos()
        if step_ns < 0:
            raise ValueError("step must not be negative")
        if concurrent_limit is not None and concurrent_limit < 0:
            raise ValueError(f"concurrent_limit must not be negative, not {concurrent_limit}")
        self._random = random.Random(seed)
        self._loop = SimLoop(self._random, step_ns)
        if keeps_trace:
            self._loop.trace = []
        self._concurrent_limit = concurrent_limit
        self._running = 0
        self._faults = Faults()
        self._cuts: set[frozenset[str]] = set()
        #: What listens for signals.
        self._streams: list[SimSignalStream] = []
        self._names: dict[str, list[Address]] = {}
        self._network = World(self)
        self._first = self._network.host("127.0.0.1")
        self.add_name("localhost", ["127.0.0.1"])

    # ---- running -----------------------------------------------------------------------------

    def io(self) -> Io:
        """Of the first host, 127.0.0.1."""
        return Io(self._first)

    def host(self, address: str) -> Io:
        """Of the host with the numeric address, which is made if there is none."""
        return Io(self._network.host(address))

    def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Runs `function(io, *args)`, and the coroutine that it returns, to its end.

        Tasks that still run then go on with the next run().

        Raises:
            Deadlock: no task can run, and nothing is to come; all tasks have been cancelled.
            RuntimeError: a loop runs in this thread; the world is closed.
            Exception: what the function raised.
        """
        return self.io().run(function, self.io(), *args)

    def close(self) -> None:
        """Cancels all tasks, runs them to their ends, and closes the loop. Again: nothing."""
        if not self._loop.is_closed():
            self._drop_tasks()
            self._loop.close()

    def __enter__(self) -> Deterministic:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # ---- what is seen ------------------------------------------------------------------------

    def now(self) -> Instant:
        """The simulated time; it begins at 0."""
        return Instant(self._loop.now_ns())

    @property
    def task_count(self) -> int:
        """Tasks that have not ended."""
        return len(self._loop.tasks)

    @property
    def fingerprint(self) -> int:
        """A number made of all that happened: runs that differ in anything have different ones, all
        but surely."""
        return self._loop.fingerprint

    @property
    def trace(self) -> list[tuple[float, str, Any]]:
        """(time in seconds, what, subject) of all that happened; empty unless it is kept.

        "run" and "finish": a task, by its number in the order of starting; "time": it jumped;
        "deliver" and "lose": so many bytes; "reset": a connection; "signal": its number.
        """
        return list(self._loop.trace or ())

    # ---- faults ------------------------------------------------------------------------------

    def set_faults(self, faults: Faults) -> None:
        """From now on."""
        self._faults = faults

    def partition(self, a: str, b: str) -> None:
        """From now on nothing passes between the two hosts: datagrams are lost, the bytes of
        connections wait, connecting retries and gives up with TimeoutError after two minutes."""
        self._cuts.add(_pair(a, b))

    def heal(self, a: str, b: str) -> None:
        """Ends a partition; what waits arrives."""
        self._cuts.discard(_pair(a, b))
        for flow in self._network.flows_between(a, b):
            flow.release()

    def reset_connections(self, a: str, b: str) -> None:
        """Every connection between the two hosts ends with ConnectionResetError."""
        for flow in self._network.flows_between(a, b):
            if not flow.error:
                self._loop.note("reset", "")
                flow.fail(errno.ECONNRESET)

    def add_name(self, name: str, addresses: Iterable[str]) -> None:
        """Makes resolve() give `addresses` for `name`, everywhere."""
        self._names[name] = [Address(address, 0) for address in addresses]

    def raise_signal(self, number: int) -> None:
        """Sends a signal to the program."""
        self._loop.note("signal", int(number))
        for stream in tuple(self._streams):
            stream.arrive(number)

    def __repr__(self) -> str:
        return f"<Deterministic now={self._loop.time()} tasks={self.task_count}>"

    # ---- what hosts call ---------------------------------------------------------------------

    def start(self, handle: JoinHandle[Any], *, must_overlap: bool) -> None:
        if asyncio._get_running_loop() is not self._loop:
            raise RuntimeError("tasks of a simulation start in its run()")
        limit = self._concurrent_limit
        if must_overlap and limit is not None and self._running >= limit:
            raise ConcurrencyUnavailable(f"{limit} tasks run, which is the limit")
        self._running += 1
        when_ended(handle, self._has_ended)
        _start_soon(handle)

    def _has_ended(self) -> None:
        self._running -= 1

    def block_on(self, handle: JoinHandle[Any]) -> Any:
        if self._loop.is_closed():
            handle.cancel()  # A coroutine is closed, not warned about.
            handle.detach()
            raise RuntimeError("the world is closed")
        work = handle._claim()
        assert work is not None, "nobody else has the handle"
        target, arguments, _, is_function = work
        called = _call(target, arguments) if is_function else wait_for(target)
        main = self._loop.create_task(called, name="main")
        with _clock_of(self._loop):
            try:
                return self._loop.run_until_complete(main)
            except Deadlock:
                self._drop_tasks()
                raise

    def _drop_tasks(self) -> None:
        """The newest first. What waits again for what never comes is left to the collector."""
        with _clock_of(self._loop):
            task: Any
            for task in reversed(self._loop.tasks):
                task.cancel()
                waiting: Any = self._loop.create_task(_settle(task))
                try:
                    self._loop.run_until_complete(waiting)
                except Deadlock:
                    for left in (task, waiting):
                        left._log_destroy_pending = False


async def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    made = function(*arguments)
    return await made if hasattr(made, "__await__") else made


async def _settle(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])


def _pair(a: str, b: str) -> frozenset[str]:
    return frozenset((Address(a, 0).host, Address(b, 0).host))


# ---- the clock -----------------------------------------------------------------------------------


class _Simulated(threading.local):
    loop: SimLoop | None = None


_simulated = _Simulated()


def _clock() -> int:
    loop = _simulated.loop
    return time.monotonic_ns() if loop is None else loop.now_ns()


class _clock_of:
    """Instant.now() is the simulation's, in this thread and scope."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._before: SimLoop | None = None

    def __enter__(self) -> None:
        _duration._clock = _clock  # Once and for all: outside it costs a look.
        self._before, _simulated.loop = _simulated.loop, self._loop

    def __exit__(self, *exc_info: object) -> None:
        _simulated.loop = self._before


# ---- hosts ---------------------------------------------------------------------------------------


class World:
    """What hosts and their connections see of the simulation."""

    def __init__(self, simulation: Deterministic) -> None:
        self._simulation = simulation
        self._hosts: dict[str, Host] = {}
        self.connections: list[tuple[Flow, Flow]] = []

    @property
    def names(self) -> dict[str, list[Address]]:
        return self._simulation._names

    def now(self) -> Instant:
        return self._simulation.now()

    def note(self, what: str, subject: Any) -> None:
        self._simulation._loop.note(what, subject)

    def at(self, when_ns: int, callback: Callable[[], object]) -> None:
        self._simulation._loop.call_at(when_ns / 1e9, callback)

    def host(self, address: str) -> Host:
        where = Address(address, 0)
        if where.host not in self._hosts:
            self._hosts[where.host] = Host(self._simulation, self, where)
        return self._hosts[where.host]

    def find_host(self, address: Address) -> Host | None:
        return self._hosts.get(address.host)

    def is_cut(self, a: Host, b: Host) -> bool:
        return frozenset((a.address.host, b.address.host)) in self._simulation._cuts

    def flows_between(self, a: str, b: str) -> list[Flow]:
        pair = _pair(a, b)
        self.connections = [
            connection
            for connection in self.connections
            if not all(flow.reader_is_gone for flow in connection)
        ]
        return [
            flow
            for connection in self.connections
            for flow in connection
            if frozenset((flow.source.address.host, flow.target.address.host)) == pair
        ]

    def latency_ns(self) -> int:
        faults = self._simulation._faults
        seconds = self._simulation._random.uniform(faults.latency_min, faults.latency_max)
        return int(seconds * 1e9)

    def arrival_ns(self) -> int:
        return self._simulation._loop.now_ns() + self.latency_ns()

    async def transit(self) -> None:
        await sleep(Duration(self.latency_ns()))

    def some_of(self, count: int) -> int:
        if count <= 1 or not self._simulation._faults.short_transfers:
            return count
        return self._simulation._random.randint(1, count)

    def send_datagram(self, source: Host, local: Address, data: bytes, to: Address) -> None:
        target = self.find_host(to)
        is_lost = (
            target is None
            or self.is_cut(source, target)
            or self._simulation._random.random() < self._simulation._faults.datagram_loss
        )
        if target is None or is_lost:
            self.note("lose", len(data))
            return
        receiver = target

        def arrive() -> None:
            socket = receiver.sockets.get(to.port)
            if socket is None or self.is_cut(source, receiver):
                self.note("lose", len(data))
            else:
                self.note("deliver", len(data))
                socket.add(data, local)

        self.at(self.arrival_ns(), arrive)


class Host:
    """One machine of the world, and what an Io of it stands on."""

    def __init__(self, simulation: Deterministic, world: World, address: Address) -> None:
        self.simulation = simulation
        self.world = world
        self.address = address
        self.listeners: dict[int, SimListener] = {}
        self.sockets: dict[int, SimUdpSocket] = {}
        self.unix_listeners: dict[Node | str, SimListener] = {}
        self.unix_datagrams: dict[Node | str, SimUnixDatagram] = {}
        self._next_port = 32_768
        self._fs = SimFileSystem(lambda: world.now().as_secs_f64())
        self._net = SimNetwork(self)
        self._process = SimProcesses()
        self._signal = SimSignals(simulation._streams)

    def take_port(self) -> int:
        self._next_port = 32_768 + (self._next_port - 32_767) % 28_232
        return self._next_port

    def _start(self, handle: JoinHandle[Any], *, must_overlap: bool) -> None:
        self.simulation.start(handle, must_overlap=must_overlap)

    def _block_on(self, handle: JoinHandle[Any]) -> Any:
        return self.simulation.block_on(handle)

    def _now(self) -> Instant:
        return self.simulation.now()

    def _order(self, count: int) -> list[int]:
        order = list(range(count))
        self.simulation._random.shuffle(order)
        return order

    def __repr__(self) -> str:
        return f"{self.address.host} of {self.simulation!r}"
