"""Random programs of a transport, its protocol and its peer are told what they are told on
asyncio's loop, in its order, and what they send arrives. Sizes of pieces are left out: they may
differ."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]

# More than the kernel takes for a pair whose peer does not read.
BIG = 1 << 20
LIMITS: list[dict[str, int]] = [
    {},
    {"high": 0},
    {"low": 1},
    {"high": 10, "low": 5},
    {"high": 9, "low": 10},
]
METHODS = (
    "get_buffer",
    "connection_made",
    "data_received",
    "buffer_updated",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
)
# asyncio tells the end to who has closed or paused just before, in get_buffer(), and up to 3.10 all
# to who has paused in connection_made().
ACTING = METHODS[1 if sys.version_info >= (3, 11) else 2 :]


def describe(exc: BaseException | None) -> object:
    # A reset is noticed by the send or by the receive.
    return "broken" if isinstance(exc, ConnectionError) else (type(exc), str(exc))


class Plan:
    """What a protocol does. Drawn before: the pieces, and so the calls, may differ in number."""

    def __init__(self, draw: random.Random) -> None:
        self.is_buffered = draw.random() < 0.4
        # The last one again and again. With none there is room for one message and no more.
        self.buffer_sizes = draw.choice([[7], [100_000], [10, 0]])
        self.keeps_open = draw.random() < 0.5
        self.fails_in = draw.choice(METHODS) if draw.random() < 0.2 else None
        self.does_in = draw.choice(ACTING) if draw.random() < 0.5 else None
        self.does = draw.choice(list(OF_TRANSPORT))
        self.seed = draw.randrange(1 << 30)


class Program:
    def __init__(self, loop: asyncio.AbstractEventLoop, seed: int) -> None:
        self.loop = loop
        self.draw = random.Random(seed)
        self.transport: Any = None
        self.peer: socket.socket
        self.received = bytearray()
        self.is_cut = False
        self.has_ended = False
        self.protocols = 0
        self.sent = 0
        self.calls = 0
        # Of each step what its actions gave and what was told meanwhile. Apart: what a write leads
        # to may be told in it, or at the end of its turn.
        self.answers: list[object] = []
        self.told: list[Any] = []
        self.trace: list[object] = []

    def tell(self, number: int, what: str, value: object = None) -> None:
        self.calls += 1
        self.told.append((number, what, value))

    def tell_data(self, number: int, data: bytes) -> None:
        if self.told and self.told[-1][:2] == (number, "data"):
            data = self.told.pop()[2] + data
        self.tell(number, "data", data)

    def act(self, name: str, draw: random.Random) -> None:
        try:
            self.answers.append((name, OF_TRANSPORT[name](self, draw)))
        except Exception as exc:
            self.answers.append((name, type(exc), str(exc)))

    def next_bytes(self, size: int) -> bytes:
        self.sent += 1
        return (b"%d," % self.sent * size)[:size]

    def make_protocol(self, draw: random.Random) -> asyncio.BaseProtocol:
        self.protocols += 1
        plan = Plan(draw)
        return (Buffered if plan.is_buffered else Plain)(self, self.protocols, plan)

    def receive(self) -> bool:
        """Whether there was something."""
        try:
            data = self.peer.recv(BIG)
        except OSError:  # Nothing yet, broken, or closed by ourselves.
            return False
        self.received += data
        return bool(data)

    async def settle(self) -> None:
        count = -1
        while count != self.calls:
            count = self.calls
            for _ in range(8):
                await asyncio.sleep(0)

    async def step(self) -> None:
        if self.draw.random() < 0.6:
            self.act(self.draw.choice(list(OF_TRANSPORT)), self.draw)
        else:
            OF_PEER[self.draw.choice(list(OF_PEER))](self)
        await self.settle()
        self.trace.append((self.answers, self.told))
        self.answers, self.told = [], []

    async def run(self) -> list[object]:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        with self.peer:
            protocol = self.make_protocol(self.draw)
            self.transport, _ = await self.loop.create_connection(lambda: protocol, sock=ours)
            for _ in range(self.draw.randrange(3, 12)):
                await self.step()
            while self.receive():
                await self.settle()
            self.trace.append((self.answers, self.told))
            self.told = []
            if not self.transport.is_closing():
                self.transport.abort()
            await self.settle()
        self.trace.append(self.told)
        if not self.is_cut:
            self.trace.append(bytes(self.received))
        return self.trace


class Protocol:
    def __init__(self, program: Program, number: int, plan: Plan) -> None:
        self.program = program
        self.number = number
        self.plan = plan
        self.called: set[str] = set()

    def note(self, method: str) -> None:
        """Does what is planned, in the first call."""
        if method in self.called:
            return
        self.called.add(method)
        if method == self.plan.does_in and self.program.transport is not None:
            self.program.act(self.plan.does, random.Random(self.plan.seed))
        if method == self.plan.fails_in:
            raise ValueError(f"in {method}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.program.transport = transport
        self.program.tell(self.number, "made")
        self.note("connection_made")

    def eof_received(self) -> bool:
        if not self.program.has_ended:  # asyncio tells again after pause and resume.
            self.program.has_ended = True
            self.program.tell(self.number, "eof")
        self.note("eof_received")
        return self.plan.keeps_open

    def pause_writing(self) -> None:
        self.program.tell(self.number, "pause")
        self.note("pause_writing")

    def resume_writing(self) -> None:
        self.program.tell(self.number, "resume")
        self.note("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.program.tell(self.number, "lost", describe(exc))
        self.note("connection_lost")


class Plain(Protocol, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.program.tell_data(self.number, data)
        self.note("data_received")


class Buffered(Protocol, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> bytearray:
        self.note("get_buffer")
        self.buffer = bytearray(self.plan.buffer_sizes[0])
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.program.tell_data(self.number, bytes(self.buffer[:nbytes]))
        del self.plan.buffer_sizes[:-1]
        self.note("buffer_updated")


def abort(program: Program, draw: random.Random) -> None:
    program.is_cut = True
    program.transport.abort()


def writelines(program: Program, draw: random.Random) -> None:
    pieces = [program.next_bytes(5) for _ in range(draw.randrange(1, 4))]
    if not program.transport.is_closing():  # After the end 3.12 and 3.13 raise a TypeError of None.
        program.transport.writelines(piece for piece in pieces)


OF_TRANSPORT: dict[str, Callable[[Program, random.Random], object]] = {
    "write": lambda program, _: program.transport.write(program.next_bytes(10)),
    "write a bytearray": lambda program, _: program.transport.write(
        bytearray(program.next_bytes(30_000))
    ),
    "write nothing": lambda program, _: program.transport.write(b""),
    "write much": lambda program, _: program.transport.write(program.next_bytes(BIG)),
    "write text": lambda program, _: program.transport.write("text"),
    "writelines": writelines,
    "write_eof": lambda program, _: program.transport.write_eof(),
    "close": lambda program, _: program.transport.close(),
    "abort": abort,
    "pause": lambda program, _: program.transport.pause_reading(),
    "resume": lambda program, _: program.transport.resume_reading(),
    "set limits": lambda program, draw: program.transport.set_write_buffer_limits(
        **draw.choice(LIMITS)
    ),
    "limits": lambda program, _: program.transport.get_write_buffer_limits(),
    "holds back": lambda program, _: program.transport.get_write_buffer_size() > 0,
    "is_reading": lambda program, _: program.transport.is_reading(),
    "is_closing": lambda program, _: program.transport.is_closing(),
    "set_protocol": lambda program, draw: program.transport.set_protocol(
        program.make_protocol(draw)
    ),
}


def peer_sends(size: int) -> Callable[[Program], None]:
    def send(program: Program) -> None:
        try:
            program.peer.send(program.next_bytes(size))
        except OSError:
            program.answers.append("the peer cannot send")

    return send


def peer_ends(program: Program) -> None:
    if program.peer.fileno() != -1:
        program.peer.shutdown(socket.SHUT_WR)


def peer_closes(program: Program) -> None:
    program.is_cut = True
    program.peer.close()


OF_PEER: dict[str, Callable[[Program], object]] = {
    "sends": peer_sends(10),
    "sends more": peer_sends(3000),
    "receives": Program.receive,
    "ends": peer_ends,
    "closes": peer_closes,
}


@pytest.mark.no_faults("counts turns")
@pytest.mark.parametrize(
    "seeds", [range(start, start + 50) for start in range(0, 500, 50)], ids=str
)
def test_random_programs_are_told_what_they_are_told_on_asyncio(
    same_as_asyncio: Compare, seeds: range
) -> None:
    for seed in seeds:

        def scenario(loop: asyncio.AbstractEventLoop, seed: int = seed) -> list[object]:
            program = Program(loop, seed)

            def report(_: object, context: dict[str, Any]) -> None:
                exc = context.get("exception")
                # asyncio ends it twice if resume_writing() aborts what close() has begun to end.
                if not isinstance(exc, AttributeError):
                    program.told.append((context["message"].split(" ")[:3], describe(exc)))

            loop.set_exception_handler(report)
            return loop.run_until_complete(program.run())

        kind, trace = same_as_asyncio(scenario)
        assert kind == "returned", trace
