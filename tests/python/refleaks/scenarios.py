"""What is run again and again to see whether anything stays behind: one small function per part of
the loop's interface.

A scenario gets an open loop that nobody runs, and leaves nothing open but the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blitzio
from blitzio import channel, process, sync
from blitzio import signal as blitzio_signal
from blitzio.io import Deadlock, Deterministic
from tests.python.loop.support import client_context, server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from blitzio.io import Io

    Loop = asyncio.AbstractEventLoop
    Scenario = Callable[[Any], None]

HOST = "127.0.0.1"
SCENARIOS: list[Scenario] = []
# One set of threads for all rounds: starting and ending them is not what is measured.
_THREADS = concurrent.futures.ThreadPoolExecutor(1)


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.setblocking(False)
        peer.setblocking(False)
        yield ours, peer


class Protocol(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.grown = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.grown.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)

    async def received(self, size: int) -> None:
        while len(self.data) < size:
            self.grown.clear()
            await self.grown.wait()


@scenario
def callbacks(loop: Loop) -> None:
    def nothing(*_: object) -> None:
        pass

    for count in range(6):
        loop.call_soon(nothing, *range(count))
        loop.call_soon_threadsafe(nothing, *range(count))
        loop.call_later(0, nothing, *range(count)).cancel()
        loop.call_at(0, nothing, *range(count))
    loop.call_soon(nothing).cancel()
    later = loop.call_later(60, nothing)
    repr(later)
    later.cancel()
    with contextlib.suppress(TypeError):
        loop.call_soon(nothing, context=1)  # type: ignore[arg-type]
    loop.call_later(0.001, loop.stop)
    loop.run_forever()


@scenario
def a_loop_of_its_own(loop: Any) -> None:
    other = type(loop)()
    other.call_soon(print)
    other.call_later(60, print)
    with pair() as (ours, _):
        other.add_reader(ours, print, other)
        other.close()
    with contextlib.suppress(RuntimeError):
        other.call_soon(print)


@scenario
def an_abandoned_loop(loop: Any) -> None:
    other = type(loop)()
    other.call_soon(print, other)
    other.call_later(60, print, other)
    other.abandoned = other
    del other
    gc.collect()


@scenario
def failing_callbacks(loop: Loop) -> None:
    loop.set_exception_handler(lambda loop, context: None)
    loop.call_soon(int, "no number")
    loop.run_until_complete(asyncio.sleep(0))
    loop.set_exception_handler(None)
    loop.call_soon(sys.exit)
    with contextlib.suppress(SystemExit):
        loop.run_forever()


@scenario
def tasks(loop: Loop) -> None:
    async def fail() -> None:
        raise ValueError

    async def main() -> None:
        await asyncio.gather(*[asyncio.sleep(0) for _ in range(3)])
        await asyncio.gather(fail(), return_exceptions=True)
        task = loop.create_task(asyncio.sleep(60), name="sleeps")
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(loop.create_future(), 0.001)

    loop.run_until_complete(main())


@scenario
def debug_mode(loop: Loop) -> None:
    loop.set_debug(True)
    loop.call_soon(int)
    repr(loop.call_later(0, int))
    loop.call_later(60, int).cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.set_debug(False)


@scenario
def readers_and_writers(loop: Loop) -> None:
    with pair() as (ours, peer):
        loop.add_reader(ours, loop.stop)
        loop.add_writer(ours, int)
        loop.add_writer(ours, int, 1)
        peer.send(b"x")
        loop.run_forever()
        loop.remove_reader(ours)
        loop.remove_writer(ours)
        loop.remove_reader(ours)


@scenario
def sockets(loop: Loop) -> None:
    async def main() -> None:
        listener = socket.create_server((HOST, 0))
        client = socket.socket()
        with listener, client:
            listener.setblocking(False)
            client.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(listener))
            await loop.sock_connect(client, listener.getsockname())
            server, _ = await accepting
            with server:
                server.setblocking(False)
                await loop.sock_sendall(client, bytearray(b"hello"))
                await loop.sock_recv(server, 3)
                await loop.sock_recv_into(server, bytearray(2))
                waiting = loop.create_task(loop.sock_recv(server, 3))
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                loop.sock_recv(server, 1).close()
        one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        with one, other:
            for sock in (one, other):
                sock.setblocking(False)
                sock.bind((HOST, 0))
            if sys.version_info >= (3, 11):
                await loop.sock_sendto(one, b"x", other.getsockname())
                await loop.sock_recvfrom(other, 10)
                await loop.sock_sendto(one, b"x", other.getsockname())
                await loop.sock_recvfrom_into(other, bytearray(10))

    loop.run_until_complete(main())


@scenario
def names(loop: Loop) -> None:
    async def main() -> None:
        await loop.getaddrinfo(HOST, 80)
        await loop.getaddrinfo("::1", "80", type=socket.SOCK_STREAM)

    loop.run_until_complete(main())


@scenario
def transports(loop: Loop) -> None:
    async def main() -> None:
        with pair() as (ours, peer):
            transport, protocol = await loop.create_connection(Protocol, sock=ours.dup())
            await loop.sock_sendall(peer, b"hello")
            await protocol.received(5)
            transport.pause_reading()
            transport.resume_reading()
            transport.set_write_buffer_limits(high=100)
            transport.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
            transport.write(bytes(1_000_000))  # More than the kernel takes.
            repr(transport)
            transport.get_extra_info("peername")
            transport.get_extra_info("socket")
            received = 0
            while received < 1_000_003:
                received += len(await loop.sock_recv(peer, 1_000_000))
            transport.write_eof()
            assert await loop.sock_recv(peer, 1) == b""
            transport.abort()
            await protocol.lost

    loop.run_until_complete(main())


@scenario
def servers(loop: Loop) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        done.set()

    async def main() -> None:
        server = await asyncio.start_server(serve, HOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\n")
        assert await reader.readline() == b"line\n"
        writer.close()
        await writer.wait_closed()
        await done.wait()
        server.close()
        await server.wait_closed()

    done = asyncio.Event()
    loop.run_until_complete(main())


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    with tempfile.TemporaryDirectory() as folder:
        return server_context(Path(folder)), client_context()


_SERVER_TLS, _CLIENT_TLS = _contexts()


@scenario
def tls(loop: Loop) -> None:
    async def main() -> None:
        line, done = b"line\n", asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            done.set()

        server = await asyncio.start_server(serve, HOST, 0, ssl=_SERVER_TLS)
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), ssl=_CLIENT_TLS, server_hostname="localhost"
        )
        writer.write(line)
        assert await reader.readline() == line
        writer.get_extra_info("ssl_object").getpeercert()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        await done.wait()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


@scenario
def upgrades_to_tls(loop: Loop) -> None:
    async def main() -> None:
        with pair() as (ours, peer):
            near, near_protocol = await loop.create_connection(Protocol, sock=ours.dup())
            far, far_protocol = await loop.create_connection(Protocol, sock=peer.dup())
            both = await asyncio.gather(
                loop.start_tls(near, near_protocol, _SERVER_TLS, server_side=True),
                loop.start_tls(far, far_protocol, _CLIENT_TLS, server_hostname="localhost"),
            )
            for transport in both:
                assert transport is not None
                transport.write(b"hello")
            await near_protocol.received(5)
            await far_protocol.received(5)
            for transport in both:
                assert transport is not None
                transport.close()
            await near_protocol.lost
            await far_protocol.lost

    loop.run_until_complete(main())


@scenario
def primitives(loop: Loop) -> None:
    async def main() -> None:
        numbers: channel.Channel[int] = channel.Channel(2)

        async def send() -> None:
            for number in range(5):
                await numbers.send(number)

        handle = blitzio.spawn(send())
        assert [await numbers.recv() for _ in range(5)] == [*range(5)]
        await handle
        async with sync.Mutex() as _, sync.Semaphore(2) as _:
            with contextlib.suppress(TimeoutError):
                await blitzio.timeout(0.001, sync.Event().wait())
        await blitzio.join_all([asyncio.sleep(0), asyncio.sleep(0)])

    loop.run_until_complete(main())


@scenario
def unix_servers(loop: Loop) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            server = await loop.create_unix_server(Protocol, path)
            transport, protocol = await loop.create_unix_connection(Protocol, path)
            transport.close()
            await protocol.lost
            server.close()
            await asyncio.sleep(0)

    loop.run_until_complete(main())


@scenario
def refused_connections(loop: Loop) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            sock.bind((HOST, 0))
            with contextlib.suppress(ConnectionRefusedError):
                await loop.create_connection(Protocol, *sock.getsockname())

    loop.run_until_complete(main())


@scenario
def datagrams(loop: Loop) -> None:
    class Datagrams(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            if not arrived.done():
                arrived.set_result(data)

    async def main() -> None:
        receiver, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=(HOST, 0))
        sender, _ = await loop.create_datagram_endpoint(
            Datagrams, remote_addr=receiver.get_extra_info("sockname")
        )
        sender.sendto(b"x")
        await arrived
        sender.close()
        receiver.abort()
        await asyncio.sleep(0)

    arrived = loop.create_future()
    loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0))


@scenario
def pipes(loop: Loop) -> None:
    async def main() -> None:
        read_end, write_end = os.pipe()
        reader, protocol = await loop.connect_read_pipe(Protocol, os.fdopen(read_end, "rb", 0))
        writer, other = await loop.connect_write_pipe(Protocol, os.fdopen(write_end, "wb", 0))
        writer.write(b"hello")
        await protocol.received(5)
        writer.close()
        await asyncio.gather(protocol.lost, other.lost)
        reader.close()

    loop.run_until_complete(main())


@scenario
def executors(loop: Loop) -> None:
    async def main() -> None:
        await asyncio.gather(*[loop.run_in_executor(None, len, "abc") for _ in range(3)])
        await asyncio.gather(loop.run_in_executor(None, int, "x"), return_exceptions=True)
        await loop.run_in_executor(_THREADS, int)
        loop.run_in_executor(None, int).cancel()
        await loop.run_in_executor(None, int)

    loop.run_until_complete(main())


@scenario
def calls_from_threads(loop: Loop) -> None:
    async def main() -> None:
        woken = asyncio.Event()
        _THREADS.submit(loop.call_soon_threadsafe, woken.set)
        await woken.wait()

    loop.run_until_complete(main())


@scenario
def signals(loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGUSR1)


@scenario
def subprocesses(loop: Loop) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert (await process.communicate(b"hello"))[0] == b"hello"

    loop.run_until_complete(main())


@scenario
def processes(loop: Loop) -> None:
    async def main() -> None:
        async with process.spawn("cat", stdin="pipe", stdout="pipe") as child:
            assert child.stdin is not None
            assert child.stdout is not None
            await child.stdin.write_all(b"line\nrest")
            child.stdin.shutdown("write")
            async for _ in child.stdout:
                break
            repr(child.stdout)
            waiting = asyncio.ensure_future(child.wait())
            await asyncio.sleep(0)
            waiting.cancel()
        assert (await process.output("cat", input=b"x")).stdout == b"x"
        with contextlib.suppress(subprocess.TimeoutExpired):
            await process.output("sleep", "60", timeout=0)
        with contextlib.suppress(FileNotFoundError):
            process.spawn("/no/such/program", stdin="pipe")
        with contextlib.suppress(ValueError):
            process.Command("true", env={"=": ""})
        process.spawn("sleep", "60", stdout="pipe", kill_on_drop=True)

    loop.run_until_complete(main())


@scenario
def streams_of_signals(loop: Loop) -> None:
    async def main() -> None:
        with blitzio_signal.stream(signal.SIGUSR1, signal.SIGINT) as arrivals:
            waiting = asyncio.ensure_future(arrivals.next())
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGUSR1)
            await waiting
            dropped = asyncio.ensure_future(arrivals.next())
            await asyncio.sleep(0)
            dropped.cancel()
            arrivals.try_next()
        with contextlib.suppress(ValueError):
            blitzio_signal.stream(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await asyncio.get_running_loop().run_in_executor(_THREADS, wait_in_vain)

    def wait_in_vain() -> None:
        blitzio_signal.blocking_wait(signal.SIGUSR2, timeout=0)

    loop.run_until_complete(main())


@scenario
def a_simulation(loop: Loop) -> None:
    async def main(io: Io) -> None:
        listener = io.net.listen("127.0.0.1:0")
        stream = await io.net.connect(listener.local_address)
        accepted, _ = await listener.accept()
        await stream.write_all(b"line\n")
        await io.select(line=accepted.read_line(), timer=io.sleep(60))
        async with io.group() as group:
            group.async_(io.sleep, 60)
        await io.async_(asyncio.Event().wait).cancel()
        io.async_(asyncio.Event().wait)
        for each in (stream, accepted, listener):
            each.close()
        await asyncio.Event().wait()

    with Deterministic(seed=1) as world, contextlib.suppress(Deadlock):
        world.run(main)


@scenario
def files(loop: Loop) -> None:
    async def main() -> None:
        with tempfile.TemporaryFile() as file, pair() as (ours, peer):
            file.write(bytes(1000))
            file.seek(0)
            await loop.sock_sendfile(ours, file)
            transport, protocol = await loop.create_connection(Protocol, sock=ours.dup())
            await loop.sendfile(transport, file, 0)
            transport.close()
            await protocol.lost
            await loop.sock_recv(peer, 2000)

    loop.run_until_complete(main())


@scenario
def async_generators(loop: Loop) -> None:
    async def numbers() -> Any:
        yield 1
        yield 2

    async def main() -> None:
        async for _ in numbers():
            break

    loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0))


@scenario
def forked_children(loop: Loop) -> None:
    if threading.active_count() == 1:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)


@scenario
def files_of_our_own(loop: Loop) -> None:
    from blitzio import fs

    async def main() -> None:
        async with fs.temp_dir() as folder:
            path = folder + "/file"
            async with fs.watch(folder, recursive=True) as events:
                await fs.write_file(path, b"line\n" * 1_000)
                async for _ in events:
                    break
            await fs.append_text(path, "x" * 100_000, encoding="utf-16")
            await fs.read_file(path)
            with contextlib.suppress(OSError):
                await fs.read_text(folder)
            async with fs.open(path, "r+b") as file:
                await file.read(10)
                await file.readline()
                await file.write(b"x" * 100_000)
                await file.read_at(10, 5)
                await file.metadata()
            async with fs.open(path, encoding="latin-1") as text:
                await text.readline()
                await text.tell()
                await text.seek(0)
                await text.readlines()
            with contextlib.suppress(ValueError):
                await text.read()
            reading = asyncio.ensure_future(awaiting(fs.read_dir(folder)))
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])

    async def awaiting(awaitable: Any) -> Any:
        return await awaitable

    loop.run_until_complete(main())
