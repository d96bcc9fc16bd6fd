"""Datagram endpoints: callbacks that raise or end the transport, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import threading
import weakref
from typing import Any

import pytest

from tests.python.loop.datagram_support import Datagrams, endpoint, name_of
from tests.python.loop.support import HOST, soon, turns


def exceptions(reports: list[dict[str, Any]]) -> list[type[BaseException]]:
    return [type(report["exception"]) for report in reports]


# ---- raising -----------------------------------------------------------------------------------


def test_an_error_in_datagram_received_is_reported_and_nothing_ends(
    loop: Any, reports: list[dict[str, Any]]
) -> None:
    class Raises(Datagrams):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            raise LookupError(data)

    async def main() -> None:
        async with endpoint(Raises) as (server, protocol):
            for _ in range(3):
                server.sendto(b"x", name_of(server))
            await protocol.until_received(3)
            await turns()
            assert exceptions(reports) == [LookupError] * 3
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


def test_a_report_names_transport_and_protocol(
    loop: Any, reports: list[dict[str, Any]], native: None
) -> None:
    class Raises(Datagrams):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            raise LookupError

    async def main() -> None:
        async with endpoint(Raises) as (server, protocol):
            server.sendto(b"x", name_of(server))
            await protocol.until_received(1)
            [report] = reports
            assert report["transport"] is server
            assert report["protocol"] is protocol
            assert report["message"] == "Exception in callback DatagramTransport._read_ready()"

    loop.run_until_complete(main())


def refusing_address() -> tuple[str, int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        name: tuple[str, int] = sock.getsockname()
        return name


class RaisesOnError(Datagrams):
    def error_received(self, exc: Exception) -> None:
        super().error_received(exc)
        raise LookupError


def test_an_error_in_error_received_is_reported(loop: Any, reports: list[dict[str, Any]]) -> None:
    async def main() -> None:
        async with endpoint(RaisesOnError, remote_addr=refusing_address()) as (client, protocol):
            client.sendto(b"x")
            await protocol.until(lambda: protocol.errors)
            await turns()
            assert exceptions(reports) == [LookupError]
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


@pytest.mark.no_faults("what is sent leaves at once", "again")
def test_an_error_in_error_received_reaches_the_sender(
    loop: Any, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        async with endpoint(RaisesOnError) as (client, protocol):
            with pytest.raises(LookupError):
                client.sendto(bytes(70_000), (HOST, 9))
            assert not client.is_closing()
            assert protocol.events == ["made"]
            assert not reports

    loop.run_until_complete(main())


def test_errors_in_connection_made_and_connection_lost(
    loop: Any, reports: list[dict[str, Any]]
) -> None:
    class Raises(Datagrams):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            raise LookupError

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            raise KeyError

    async def main() -> None:
        async with endpoint(Raises) as (server, protocol):
            server.sendto(b"x", name_of(server))
            await protocol.until_received(1)
            sock = server.get_extra_info("socket")
            server.close()
            await soon(protocol.lost)
            await turns()
            assert sock.fileno() == -1
            assert exceptions(reports) == [LookupError, KeyError]

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_ends_the_run_and_loses_no_datagram(loop: Any, kind: Any) -> None:
    class Raises(Datagrams):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if len(self.received) == 1:
                raise kind

    made: list[Any] = []

    async def main() -> None:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            Raises, local_addr=(HOST, 0)
        )
        made.extend((transport, protocol))
        for _ in range(3):
            transport.sendto(b"x", name_of(transport))
        await soon(asyncio.Event().wait())

    task = loop.create_task(main())
    with pytest.raises(kind):
        loop.run_until_complete(task)
    task.cancel()
    transport, protocol = made
    assert len(protocol.received) == 1
    loop.run_until_complete(protocol.until_received(3))
    transport.close()
    loop.run_until_complete(soon(protocol.lost))


# ---- ending ------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_in_datagram_received(loop: Any, end: str) -> None:
    class Ends(Datagrams):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            getattr(self.transport, end)()
            getattr(self.transport, end)()

    async def main() -> None:
        async with endpoint(Ends) as (server, protocol):
            for _ in range(5):
                server.sendto(b"x", name_of(server))
            assert await soon(protocol.lost) is None
            await turns()
            assert len(protocol.received) == 1
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


@pytest.mark.no_faults("what is sent leaves at once", "again")
@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_in_error_received(loop: Any, end: str) -> None:
    class Ends(Datagrams):
        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            getattr(self.transport, end)()

    async def main() -> None:
        async with endpoint(Ends, remote_addr=refusing_address()) as (client, protocol):
            client.sendto(b"x")
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "lost"]
        async with endpoint(Ends) as (client, protocol):
            client.sendto(bytes(70_000), (HOST, 9))
            assert client.is_closing()
            assert await soon(protocol.lost) is None

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_in_connection_made(loop: Any, end: str) -> None:
    class Ends(Datagrams):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            getattr(transport, end)()

    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.bind((HOST, 0))
            ours.sendto(b"x", ours.getsockname())
            async with endpoint(Ends, sock=ours) as (_, protocol):
                assert await soon(protocol.lost) is None
                await turns()
                assert protocol.events == ["made", "lost"]
                assert not protocol.received

    loop.run_until_complete(main())


def test_everything_in_connection_lost(loop: Any) -> None:
    class Busy(Datagrams):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.transport.close()
            self.transport.abort()
            assert self.transport.is_closing()

    async def main() -> None:
        async with endpoint(Busy) as (server, protocol):
            server.close()
            server.abort()
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_connection_lost_closes_the_descriptor_however_it_came(loop: Any) -> None:
    class Aborts(Datagrams):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.abort()

    async def main() -> None:
        await turns()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(30):
            async with endpoint(Aborts) as (server, protocol):
                server.sendto(b"x", name_of(server))
                await soon(protocol.lost)
            # The port is free again.
            async with endpoint(local_addr=name_of(server)) as (again, other):
                again.close()
                await soon(other.lost)
        await turns()
        assert len(os.listdir("/proc/self/fd")) == before

    loop.run_until_complete(main())


def test_sending_after_the_end(loop: Any, native: None, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with endpoint() as (client, protocol):
            client.close()
            await soon(protocol.lost)
            for _ in range(10):
                client.sendto(b"x", (HOST, 9))
            with pytest.raises(TypeError):
                client.sendto("x", (HOST, 9))
            assert client.get_write_buffer_size() == 0

    loop.run_until_complete(main())
    assert caplog.text.count("socket.send() raised exception.") == 6


def test_a_connected_endpoint_warns_of_sending_after_the_end(
    loop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with endpoint(remote_addr=refusing_address()) as (client, protocol):
            client.abort()
            for _ in range(5):
                client.sendto(b"x")
            assert "socket.send() raised exception." in caplog.text
            await soon(protocol.lost)
            assert not protocol.errors

    loop.run_until_complete(main())


def test_fatal_errors(loop: Any, reports: list[dict[str, Any]]) -> None:
    async def main() -> None:
        for exc, is_reported in ((OSError(5, "x"), False), (LookupError("x"), True)):
            async with endpoint() as (server, protocol):
                server._fatal_error(exc, "why")
                assert await soon(protocol.lost) is exc
                assert [report["message"] for report in reports] == ["why"] * is_reported
        async with endpoint() as (server, protocol):
            exc = OSError(5, "x")
            server._force_close(exc)
            server._force_close(None)
            assert await soon(protocol.lost) is exc

    loop.run_until_complete(main())


def test_debug_mode_logs_fatal_errors_and_pauses(
    loop: Any, native: None, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)

    async def main() -> None:
        async with endpoint() as (server, protocol):
            server.pause_reading()
            server.resume_reading()
            server._fatal_error(OSError(5, "x"), "why")
            await soon(protocol.lost)

    with caplog.at_level(logging.DEBUG, logger="asyncio"):
        loop.run_until_complete(main())
    assert "pauses reading" in caplog.text
    assert "resumes reading" in caplog.text
    assert "why" in caplog.text


# ---- what is left ------------------------------------------------------------------------------


def test_repr_tells_the_state(loop: Any, native: None) -> None:
    async def main() -> None:
        async with endpoint() as (server, protocol):
            await turns()
            fd = server.get_extra_info("socket").fileno()
            prefix = "<DatagramTransport"
            assert repr(server) == f"{prefix} fd={fd} read=polling write=<idle, bufsize=0>>"
            server.pause_reading()
            assert "read=idle" in repr(server)
            server.close()
            assert repr(server).startswith(f"{prefix} closing fd={fd} read=idle")
            await soon(protocol.lost)
            assert repr(server) == f"{prefix} closed fd={fd}>"

    loop.run_until_complete(main())


def test_an_endpoint_that_reads_keeps_itself_alive(loop: Any) -> None:
    async def main() -> None:
        received = asyncio.Event()

        class Sets(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                received.set()

        running = asyncio.get_running_loop()
        transport, _ = await running.create_datagram_endpoint(Sets, local_addr=(HOST, 0))
        name = name_of(transport)
        alive = weakref.ref(transport)
        del transport, _
        await turns()
        gc.collect()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.sendto(b"x", name)
        await soon(received.wait())
        found: Any = alive()
        assert found is not None
        found.abort()
        await turns()

    loop.run_until_complete(main())


def test_a_paused_endpoint_that_nobody_has_is_collected(loop: Any, native: None) -> None:
    async def main() -> None:
        running = asyncio.get_running_loop()
        transport: Any
        transport, _ = await running.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(HOST, 0)
        )
        await turns()
        fd = transport.get_extra_info("socket").fileno()
        transport.pause_reading()
        await turns()
        with pytest.warns(ResourceWarning, match="unclosed transport <DatagramTransport"):
            del transport, _
            gc.collect()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)

    loop.run_until_complete(main())


def test_an_abandoned_loop_with_endpoints_is_collected(new_loop: Any, native: None) -> None:
    loop = new_loop()

    class Cycle(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.loop = asyncio.get_running_loop()

    transport, _ = loop.run_until_complete(
        loop.create_datagram_endpoint(Cycle, local_addr=(HOST, 0))
    )
    loop.run_until_complete(turns())
    transport.sendto(b"x", name_of(transport))
    alive = weakref.ref(transport), weakref.ref(loop)
    with pytest.warns(ResourceWarning):
        del transport, _, loop
        gc.collect()
        gc.collect()
    assert [ref() for ref in alive] == [None, None]


def test_closing_the_loop_calls_nobody_and_frees_everything(new_loop: Any) -> None:
    loop = new_loop()

    async def main() -> Any:
        return await asyncio.get_running_loop().create_datagram_endpoint(
            Datagrams, local_addr=(HOST, 0)
        )

    transport, protocol = loop.run_until_complete(main())
    loop.run_until_complete(turns())
    transport.sendto(b"x", name_of(transport))
    loop.close()
    assert protocol.events == ["made"]
    assert not protocol.received
    protocol.transport = None
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del transport
        protocol = None
        gc.collect()


def test_a_foreign_thread_gets_an_error_while_the_loop_runs(loop: Any, native: None) -> None:
    async def main() -> None:
        async with endpoint() as (server, protocol):
            errors: list[str] = []

            def use() -> None:
                for call in (
                    lambda: server.sendto(b"x", (HOST, 9)),
                    server.close,
                    server.abort,
                    server.pause_reading,
                    lambda: server.set_write_buffer_limits(5),
                ):
                    try:
                        call()
                    except RuntimeError as exc:
                        errors.append(str(exc))

            thread = threading.Thread(target=use)
            thread.start()
            await asyncio.get_running_loop().run_in_executor(None, thread.join)
            assert len(errors) == 5
            assert all("Non-thread-safe operation" in text for text in errors)
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


def test_the_descriptor_is_the_transports(loop: Any, native: None) -> None:
    async def main() -> None:
        running: Any = asyncio.get_running_loop()
        count = running.metrics()["transports"]
        async with endpoint() as (server, _):
            assert running.metrics()["transports"] == count + 1
            with pytest.raises(RuntimeError, match="is used by transport"):
                running.add_reader(server.get_extra_info("socket").fileno(), print)
        assert running.metrics()["transports"] == count

    loop.run_until_complete(main())


@pytest.mark.no_faults("what is sent leaves at once", "again")
def test_a_descriptor_closed_behind_our_back(loop: Any, native: None) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((HOST, 0))
        async with endpoint(sock=sock) as (server, protocol):
            await turns()
            sock.close()
            server.sendto(b"x", (HOST, 9))
            assert [type(exc) for exc in protocol.errors] == [OSError]
            await turns()
            assert not server.is_closing()
        assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_construction(loop: Any, native: None) -> None:
    from blitzio._native import DatagramTransport

    async def main() -> None:
        running: Any = asyncio.get_running_loop()
        bare: Any = DatagramTransport.__new__(DatagramTransport)
        assert repr(bare).startswith("<DatagramTransport")
        for call in (lambda: bare.sendto(b"x"), bare.close, bare.abort, bare.pause_reading):
            with pytest.raises(RuntimeError, match="not initialised"):
                call()
        make: Any = DatagramTransport
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for wrong in ((), (5, sock, None), (running, "no socket", None)):
                with pytest.raises(TypeError):
                    make(*wrong)
            with pytest.raises(TypeError):
                make(running, sock, Datagrams(), extra=5)
            sock.setblocking(False)

            class Sub(DatagramTransport):
                pass

            protocol = Datagrams()
            waiter = running.create_future()
            transport = Sub(running, sock, protocol, None, waiter, {"peername": None, "own": 5})
            await soon(waiter)
            assert isinstance(transport, asyncio.DatagramTransport)
            assert transport.get_extra_info("own") == 5
            with pytest.raises(RuntimeError, match="initialised already"):
                transport.__init__(running, sock, protocol)  # type: ignore[misc]
            assert "<Sub " in repr(transport)
            transport.abort()
            await soon(protocol.lost)

    loop.run_until_complete(main())


def test_a_failed_construction_leaves_the_socket_alone(loop: Any, native: None) -> None:
    from blitzio._native import DatagramTransport

    class NoCallback:
        pass

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        no_protocol: Any = NoCallback()
        with pytest.raises(AttributeError, match="connection_made"):
            DatagramTransport(loop, sock, no_protocol)
        assert sock.fileno() != -1
        assert loop.metrics()["transports"] == 0
