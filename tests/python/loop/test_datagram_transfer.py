"""Datagram endpoints: what goes out, what comes in, and addresses."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import importlib
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.datagram_support import Datagrams, Echo, endpoint, name_of
from tests.python.loop.support import HOST, soon, turns

if TYPE_CHECKING:
    from pathlib import Path


def test_datagrams_keep_their_bounds_and_their_order(loop: Any) -> None:
    async def main() -> None:
        async with endpoint() as (server, receiver), endpoint() as (client, _):
            sizes = [1, 1400, 3, 60_000, 100]
            for size in sizes:
                client.sendto(b"x" * size, name_of(server))
            received = await receiver.until_received(len(sizes))
            assert [len(data) for data, _ in received] == sizes
            assert {address for _, address in received} == {name_of(client)}

    loop.run_until_complete(main())


def test_echo_both_ways_when_connected(loop: Any) -> None:
    async def main() -> None:
        async with endpoint(Echo) as (server, echo):
            async with endpoint(remote_addr=name_of(server)) as (client, protocol):
                for number in range(20):
                    client.sendto(b"%d" % number)
                    await protocol.until_received(number + 1)
                assert protocol.received == [(b"%d" % n, name_of(server)) for n in range(20)]
                assert {address for _, address in echo.received} == {name_of(client)}

    loop.run_until_complete(main())


def test_ten_thousand_round_trips_with_a_window(loop: Any) -> None:
    total = 10_000

    class Client(Datagrams):
        next = 32

        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if self.next < total:
                self.transport.sendto(b"%d" % self.next)
                self.next += 1

    async def main() -> None:
        async with endpoint(Echo) as (server, echo):
            async with endpoint(Client, remote_addr=name_of(server)) as (client, protocol):
                for number in range(32):
                    client.sendto(b"%d" % number)
                await protocol.until_received(total)
                assert protocol.payloads == [b"%d" % number for number in range(total)]
                assert echo.payloads == protocol.payloads
                assert not protocol.errors
                assert not echo.errors

    loop.run_until_complete(main())


def test_each_peer_gets_its_own_answer(loop: Any) -> None:
    async def main() -> None:
        ends = endpoint(), endpoint()
        async with endpoint(Echo) as (server, echo), ends[0] as (a, at_a), ends[1] as (b, at_b):
            for number in range(10):
                a.sendto(b"a%d" % number, name_of(server))
                b.sendto(b"b%d" % number, name_of(server))
            await at_a.until_received(10)
            await at_b.until_received(10)
            assert at_a.payloads == [b"a%d" % number for number in range(10)]
            assert at_b.payloads == [b"b%d" % number for number in range(10)]
            assert {address for _, address in echo.received} == {name_of(a), name_of(b)}

    loop.run_until_complete(main())


def test_the_address_of_an_unchanged_peer_is_one_object(loop: Any, native: None) -> None:
    async def main() -> None:
        async with endpoint() as (server, receiver), endpoint() as (client, _):
            for _ in range(3):
                client.sendto(b"x", name_of(server))
            (_, first), *others = await receiver.until_received(3)
            assert first == name_of(client)
            assert all(address is first for _, address in others)

    loop.run_until_complete(main())


def test_ipv6_addresses_have_four_parts(loop: Any) -> None:
    async def main() -> None:
        async with endpoint(Echo, local_addr=("::1", 0)) as (server, echo):
            name = name_of(server)
            assert len(name) == 4
            async with endpoint(local_addr=("::1", 0)) as (client, protocol):
                for address in (name, name[:2], name[:3]):
                    client.sendto(b"x", address)
                received = await protocol.until_received(3)
                assert received == [(b"x", name)] * 3
                assert echo.received == [(b"x", name_of(client))] * 3
            async with endpoint(remote_addr=name[:2]) as (client, protocol):
                client.sendto(b"y")
                client.sendto(b"z", name)
                received = await protocol.until_received(2)
                assert received == [(b"y", name), (b"z", name)]

    loop.run_until_complete(main())


def test_an_ipv6_address_that_cannot_be_is_told_as_asyncio_tells_it(same_as_asyncio: Any) -> None:
    def scenario(address: Any) -> Any:
        async def main() -> Any:
            reports: list[Any] = []
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: reports.append(context))
            async with endpoint(local_addr=("::1", 0)) as (client, protocol):
                client.sendto(b"x", address)
                await turns()
                texts = [(type(exc), str(exc)) for exc in protocol.errors]
                texts += [(type(r["exception"]), str(r["exception"])) for r in reports]
                return texts, protocol.events

        return lambda loop: loop.run_until_complete(main())

    for address in (
        ("::1", 70000),
        ("::1", -1),
        ("::1", 9, 1 << 20),
        ("::1", "9"),
        ("::1",),
        ["::1", 9],
        (HOST, 9),
        ("::1\0", 9),
        ("::1", 9, 0, 0, 0),
        None,
        5,
    ):
        kind, (texts, _) = same_as_asyncio(scenario(address))
        assert kind == "returned"
        assert len(texts) == 1, address


def test_hosts_that_need_looking_up(loop: Any) -> None:
    """asyncio resolves them in line; "" is every interface, here the loopback one."""

    async def main() -> None:
        async with endpoint() as (server, receiver), endpoint() as (client, protocol):
            port = name_of(server)[1]
            client.sendto(b"by name", ("localhost", port))
            client.sendto(b"anywhere", ("", port))
            await receiver.until_received(2)
            assert receiver.payloads == [b"by name", b"anywhere"]
            assert not protocol.errors

    loop.run_until_complete(main())


def test_what_counts_as_data(loop: Any) -> None:
    class Bytes(bytes):
        pass

    async def main() -> None:
        async with endpoint() as (server, receiver), endpoint() as (client, _):
            name = name_of(server)
            client.sendto(bytearray(b"one"), name)
            client.sendto(memoryview(b"two"), name)
            client.sendto(memoryview(b"-three")[1:], addr=name)
            client.sendto(addr=name, data=Bytes(b"four"))
            await receiver.until_received(4)
            assert receiver.payloads == [b"one", b"two", b"three", b"four"]

    loop.run_until_complete(main())


@pytest.mark.parametrize("data", ["text", 5, None, [b"x"]])
def test_what_is_no_data(same_as_asyncio: Any, data: Any) -> None:
    async def main() -> None:
        async with endpoint() as (client, _):
            client.sendto(data, (HOST, 9))

    outcome = same_as_asyncio(lambda loop: loop.run_until_complete(main()))
    assert outcome[1] is TypeError


def test_wrong_numbers_of_arguments(loop: Any) -> None:
    async def main() -> None:
        async with endpoint() as (client, protocol):
            with pytest.raises(TypeError):
                client.sendto()
            with pytest.raises(TypeError):
                client.sendto(b"x", (HOST, 9), 5)
            with pytest.raises(TypeError):
                client.sendto(b"x", address=(HOST, 9))
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


def test_empty_datagrams(loop: Any) -> None:
    """They arrive in every version; asyncio sends them from 3.13 on."""

    async def main() -> None:
        async with endpoint() as (server, receiver), endpoint() as (client, _):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"", name_of(server))
                await receiver.until_received(1)
            client.sendto(b"", name_of(server))
            client.sendto(b"end", name_of(server))
            await receiver.until(lambda: receiver.payloads[-1] == b"end")
            expected = [b"", b"", b"end"] if sys.version_info >= (3, 13) else [b"", b"end"]
            assert receiver.payloads == expected

    loop.run_until_complete(main())


def test_a_datagram_that_is_too_long_concerns_nobody_else(loop: Any) -> None:
    async def main() -> None:
        async with endpoint() as (server, receiver), endpoint() as (client, protocol):
            client.sendto(bytes(70_000), name_of(server))
            await protocol.until(lambda: protocol.errors)
            assert [exc.errno for exc in protocol.errors] == [errno.EMSGSIZE]
            client.sendto(bytes(65_507), name_of(server))
            (data, _), *_ = await receiver.until_received(1)
            assert len(data) == 65_507
            assert not client.is_closing()

    loop.run_until_complete(main())


def test_a_refused_datagram_is_told_and_the_endpoint_goes_on(loop: Any) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((HOST, 0))
            name = peer.getsockname()
        async with endpoint(remote_addr=name) as (client, protocol):
            client.sendto(b"nobody there")
            await protocol.until(lambda: protocol.errors)
            assert type(protocol.errors[0]) is ConnectionRefusedError
            async with endpoint(Echo, local_addr=name):
                client.sendto(b"now there is")
                await protocol.until_received(1)
            assert protocol.payloads == [b"now there is"]
            assert protocol.events == ["made"]

    loop.run_until_complete(main())


def test_a_refused_datagram_does_not_hide_those_behind_it(loop: Any) -> None:
    """The kernel reports the error first; both came with one edge."""

    async def main() -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        ):
            peer.bind((HOST, 0))
            ours.bind((HOST, 0))
            name = peer.getsockname()
            ours.connect(name)
            peer.sendto(b"kept", ours.getsockname())
            peer.close()
            ours.send(b"refused")
            async with endpoint(sock=ours) as (_, protocol):
                await protocol.until(lambda: protocol.errors and protocol.received)
                assert type(protocol.errors[0]) is ConnectionRefusedError
                assert protocol.received == [(b"kept", name)]

    loop.run_until_complete(main())


def test_broadcast_needs_permission(loop: Any) -> None:
    async def main() -> None:
        async with endpoint() as (client, protocol):
            client.sendto(b"x", ("<broadcast>", 9))
            assert [type(exc) for exc in protocol.errors] == [PermissionError]

    loop.run_until_complete(main())


def test_broadcast(loop: Any) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("0.0.0.0", 0)) as (server, receiver):
            port = name_of(server)[1]
            options: Any = {"remote_addr": ("127.255.255.255", port), "allow_broadcast": True}
            async with endpoint(**options) as (client, protocol):
                sock = client.get_extra_info("socket")
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST) != 0
                assert client.get_extra_info("peername") is None
                client.sendto(b"everybody")
                client.sendto(b"again", ("127.255.255.255", port))
                with pytest.raises(ValueError, match="Invalid address: must be None or"):
                    client.sendto(b"x", (HOST, port))
                await receiver.until_received(2)
                assert receiver.payloads == [b"everybody", b"again"]
                # Not connected: answers come from another address than the one sent to.
                server.sendto(b"answer", receiver.received[0][1])
                await protocol.until_received(1)

    loop.run_until_complete(main())


def test_multicast(loop: Any) -> None:
    group = "239.1.2.3"

    async def main() -> None:
        async with endpoint(local_addr=("0.0.0.0", 0)) as (server, receiver):
            member = socket.inet_aton(group) + socket.inet_aton(HOST)
            sock = server.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            async with endpoint() as (client, protocol):
                client.get_extra_info("socket").setsockopt(
                    socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOST)
                )
                client.sendto(b"members", (group, name_of(server)[1]))
                assert not protocol.errors
                received = await receiver.until_received(1)
                assert received == [(b"members", name_of(client))]

    loop.run_until_complete(main())


@pytest.mark.no_faults("the loop ends with what is written", "again")
def test_only_the_peer_of_a_connected_endpoint_may_be_named(same_as_asyncio: Any) -> None:
    async def main() -> Any:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((HOST, 0))
            name = peer.getsockname()
            async with endpoint(remote_addr=name) as (client, _):
                client.sendto(b"one", None)
                client.sendto(b"two", name)
                client.sendto(b"three", (name[0], name[1]))
                peer.settimeout(10)
                received = [peer.recv(10) for _ in range(3)]
                with pytest.raises(ValueError, match="Invalid address") as caught:
                    client.sendto(b"x", ("127.0.0.2", 9))
                assert str(caught.value) == f"Invalid address: must be None or {name}"
                return received

    assert same_as_asyncio(lambda loop: loop.run_until_complete(main()))[1] == [
        b"one",
        b"two",
        b"three",
    ]


def test_a_socket_that_came_connected_takes_any_address_and_ignores_it(loop: Any) -> None:
    async def main() -> None:
        async with endpoint() as (server, receiver):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
                ours.connect(name_of(server))
                async with endpoint(sock=ours) as (client, _):
                    client.sendto(b"one")
                    client.sendto(b"two", ("192.0.2.1", 9))
                    await receiver.until_received(2)
                    assert receiver.payloads == [b"one", b"two"]

    loop.run_until_complete(main())


def test_nowhere_to_send_to_is_fatal(loop: Any, reports: list[dict[str, Any]]) -> None:
    async def main() -> None:
        async with endpoint() as (client, protocol):
            client.sendto(b"x")
            assert client.is_closing()
            exc = await soon(protocol.lost)
            assert isinstance(exc, TypeError)
            [report] = reports
            assert report["message"] == "Fatal write error on datagram transport"
            assert report["exception"] is exc
            assert report["transport"] is client
            assert report["protocol"] is protocol

    loop.run_until_complete(main())


def test_a_buffer_with_gaps_is_fatal(loop: Any, reports: list[dict[str, Any]]) -> None:
    async def main() -> None:
        async with endpoint() as (client, protocol):
            client.sendto(memoryview(b"abcdef")[::2], (HOST, 9))
            assert isinstance(await soon(protocol.lost), BufferError)
            assert [report["message"] for report in reports] == [
                "Fatal write error on datagram transport"
            ]

    loop.run_until_complete(main())


# ---- Unix --------------------------------------------------------------------------------------


@pytest.mark.no_faults("what is sent leaves at once", "again")
def test_unix_paths(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        here, there = str(tmp_path / "here"), str(tmp_path / "thére")
        unix: Any = {"family": socket.AF_UNIX}
        async with endpoint(Echo, local_addr=there, **unix) as (server, echo):
            assert name_of(server) == there
            async with endpoint(local_addr=here, **unix) as (client, protocol):
                client.sendto(b"text", there)
                client.sendto(b"bytes", there.encode())
                client.sendto(bytes(100_000), there)
                await protocol.until_received(3)
                assert protocol.received[:2] == [(b"text", there), (b"bytes", there)]
                assert [len(data) for data in protocol.payloads] == [4, 5, 100_000]
                assert {address for _, address in echo.received} == {here}
                client.sendto(b"x", str(tmp_path / "nowhere"))
                client.sendto(b"x", "x" * 200)
                assert [type(exc) for exc in protocol.errors] == [FileNotFoundError, OSError]
                assert str(protocol.errors[1]) == "AF_UNIX path too long"
            async with endpoint(local_addr=here, remote_addr=there, **unix) as (client, protocol):
                assert client.get_extra_info("peername") == there
                client.sendto(b"connected")
                client.sendto(b"named", there)
                await protocol.until_received(2)
                assert protocol.received == [(b"connected", there), (b"named", there)]
                with pytest.raises(ValueError, match="Invalid address"):
                    client.sendto(b"x", here)

    loop.run_until_complete(main())


def test_unix_abstract_names(loop: Any) -> None:
    async def main() -> None:
        async with endpoint(family=socket.AF_UNIX) as (client, protocol):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as chosen:
                chosen.bind("")  # The kernel chooses an abstract name.
                name = chosen.getsockname()
            local: Any = {"local_addr": name.decode() + "blitzio", "family": socket.AF_UNIX}
            async with endpoint(**local) as (server, receiver):
                assert name_of(server) == name + b"blitzio"
                client.sendto(b"bytes", name + b"blitzio")
                client.sendto(b"text", name.decode() + "blitzio")
                received = await receiver.until_received(2)
                assert received == [(b"bytes", None), (b"text", None)]
                assert not protocol.errors

    loop.run_until_complete(main())


def test_an_unnamed_sender_has_no_address(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        async with endpoint(local_addr=path, family=socket.AF_UNIX) as (server, receiver):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
                peer.sendto(b"one", path)
                peer.sendto(b"two", path)
                received = await receiver.until_received(2)
                assert received == [(b"one", None), (b"two", None)]
            server.sendto(b"x", None)  # Fatal in asyncio, and here.
            assert server.is_closing()

    loop.set_exception_handler(lambda *_: None)
    loop.run_until_complete(main())


@pytest.mark.no_faults("what is sent leaves at once", "again")
def test_a_socketpair_can_answer(loop: Any, native: None) -> None:
    """asyncio takes an unnamed peer for none, and cannot send to it."""

    async def main() -> None:
        ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, peer:
            peer.settimeout(10)
            async with endpoint(sock=ours) as (client, protocol):
                peer.send(b"question")
                assert await protocol.until_received(1) == [(b"question", None)]
                client.sendto(b"answer")
                assert peer.recv(100) == b"answer"

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="asyncio takes no raw sockets before")
def test_other_families_go_through_the_sockets_own_methods(loop: Any) -> None:
    """Netlink: the kernel answers a request for its interfaces."""
    if not hasattr(socket, "AF_NETLINK"):
        pytest.skip("no netlink here")

    async def main() -> None:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as ours:
            ours.bind((0, 0))
            async with endpoint(sock=ours) as (client, protocol):
                get_link, request_dump = 18, 0x301
                message = (32).to_bytes(4, sys.byteorder) + get_link.to_bytes(2, sys.byteorder)
                message += request_dump.to_bytes(2, sys.byteorder) + bytes(24)
                client.sendto(message, (0, 0))
                (data, address), *_ = await protocol.until_received(1)
                assert len(data) > 32
                assert address == (0, 0)

    loop.run_until_complete(main())


# ---- the protocol ------------------------------------------------------------------------------


def test_connection_made_and_the_awaiter_come_before_the_first_datagram(loop: Any) -> None:
    async def main() -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        ):
            ours.bind((HOST, 0))
            peer.sendto(b"early", ours.getsockname())
            async with endpoint(sock=ours) as (_, protocol):
                assert protocol.events == ["made"]
                assert not protocol.received
                await protocol.until_received(1)

    loop.run_until_complete(main())


def test_what_was_scheduled_before_an_arrival_runs_before_it(loop: Any) -> None:
    class Answer(Datagrams):
        waiter: asyncio.Future[bytes]

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.waiter.set_result(data)

    async def make() -> Any:
        return await asyncio.get_running_loop().create_datagram_endpoint(
            Answer, local_addr=(HOST, 0)
        )

    async def wait(protocol: Any) -> bytes:
        protocol.waiter = asyncio.get_running_loop().create_future()
        answer: bytes = await soon(protocol.waiter)
        return answer

    transport, protocol = loop.run_until_complete(make())
    for number in range(5):
        # It has arrived when the task begins, whose step makes what the arrival needs.
        transport.sendto(b"%d" % number, name_of(transport))
        assert loop.run_until_complete(wait(protocol)) == b"%d" % number
    transport.close()
    loop.run_until_complete(soon(protocol.lost))


def test_callbacks_run_in_the_context_of_the_creation(loop: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    class Looks(Datagrams):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            seen.append(variable.get())

    async def main() -> None:
        variable.set("creation")
        async with endpoint(Looks) as (server, protocol):
            variable.set("later")
            server.sendto(b"x", name_of(server))
            await protocol.until_received(1)
        assert seen == ["creation"]

    loop.run_until_complete(main())


def test_the_protocol_may_be_exchanged(loop: Any) -> None:
    async def main() -> None:
        async with endpoint() as (server, first):
            second = Datagrams()
            assert server.get_protocol() is first
            server.sendto(b"one", name_of(server))
            await first.until_received(1)
            server.set_protocol(second)
            assert server.get_protocol() is second
            server.sendto(b"two", name_of(server))
            await second.until_received(1)
            assert first.payloads == [b"one"]
            server.set_protocol(first)

    loop.run_until_complete(main())


def test_paused_reading_keeps_datagrams_in_the_kernel(loop: Any) -> None:
    selector_events: Any = importlib.import_module("asyncio.selector_events")
    if not hasattr(selector_events._SelectorTransport, "pause_reading"):
        pytest.skip("new in 3.11")

    async def main() -> None:
        async with endpoint() as (server, receiver), endpoint() as (client, _):
            assert server.is_reading()
            server.pause_reading()
            server.pause_reading()
            assert not server.is_reading()
            await turns()
            for number in range(40):
                client.sendto(b"%d" % number, name_of(server))
            await turns(10)
            assert not receiver.received
            server.resume_reading()
            server.resume_reading()
            await receiver.until_received(40)
            assert receiver.payloads == [b"%d" % number for number in range(40)]

    loop.run_until_complete(main())


def test_pausing_in_datagram_received_takes_effect_at_once(loop: Any, native: None) -> None:
    class Pauses(Datagrams):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            self.transport.pause_reading()

    async def main() -> None:
        async with endpoint(Pauses) as (server, receiver), endpoint() as (client, _):
            for _ in range(5):
                client.sendto(b"x", name_of(server))
            for count in range(1, 6):
                await receiver.until_received(count)
                await turns()
                assert len(receiver.received) == count
                server.resume_reading()

    loop.run_until_complete(main())
