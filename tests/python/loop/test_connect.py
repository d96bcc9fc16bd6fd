"""create_connection and connect_accepted_socket."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import (
    HOST,
    Recorder,
    others_that_hold,
    raw_pair,
    soon,
    turns,
    unused_port,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]


def connect(*args: Any, **kwargs: Any) -> Scenario:
    """A scenario that connects with these arguments and closes again."""

    def scenario(loop: asyncio.AbstractEventLoop) -> str:
        async def main() -> str:
            transport, protocol = await loop.create_connection(Recorder, *args, **kwargs)
            transport.abort()
            await soon(protocol.lost)
            return "connected"

        return loop.run_until_complete(main())

    return scenario


def test_connecting_and_talking(loop: asyncio.AbstractEventLoop) -> None:
    with socket.create_server((HOST, 0)) as listener:

        async def main() -> None:
            transport, protocol = await loop.create_connection(Recorder, *listener.getsockname())
            assert protocol.events == ["made"]
            assert protocol.transport is transport
            peer, address = listener.accept()
            with peer:
                assert transport.get_extra_info("sockname") == address
                assert transport.get_extra_info("peername") == listener.getsockname()
                sock = transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
                peer.sendall(b"hello")
                assert await protocol.received(5) == b"hello"
            transport.close()
            await soon(protocol.lost)

        loop.run_until_complete(main())


@pytest.mark.usefixtures("native_only")
def test_a_numeric_address_is_connected_to_natively_unless_a_subclass_does(loop: Any) -> None:
    kind: Any = type(loop)

    class Loop(kind):  # type: ignore[misc]
        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            raise NotImplementedError

    connecting = loop._connect_numeric(Recorder, HOST, 9, 0, False)
    assert connecting is not None
    connecting.close()
    own = Loop()
    try:
        assert own._connect_numeric(Recorder, HOST, 9, 0, False) is None
    finally:
        own.close()


def test_a_subclass_connects_in_its_own_way(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[Any] = []
    kind: Any = type(loop)

    class Loop(kind):  # type: ignore[misc]
        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            seen.append(address)
            await super().sock_connect(sock, address)

    with socket.create_server((HOST, 0)) as listener:
        own = Loop()
        try:
            assert connect(*listener.getsockname())(own) == "connected"
            assert seen == [listener.getsockname()]
        finally:
            own.close()


def test_whoever_replaces_the_socket_class_sees_the_connection(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Guarded(socket.socket):
        def connect(self, address: Any) -> None:
            raise PermissionError(errno.EPERM, "no network in tests")

    with socket.create_server((HOST, 0)) as listener:
        address = listener.getsockname()
        monkeypatch.setattr(socket, "socket", Guarded)
        with pytest.raises(PermissionError, match="no network"):
            connect(*address)(loop)
        monkeypatch.undo()
        assert connect(*address)(loop) == "connected"


def test_a_replaced_socket_class_may_know_no_flags(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Proxied(socket.socket):  # As PySocks' is, which says so itself.
        def __init__(self, family: int = socket.AF_INET, type: int = -1, *args: Any) -> None:
            if type not in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                raise ValueError(f"a type, and no flags: {type}")
            super().__init__(family, type, *args)

    async def main() -> None:
        datagrams, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(HOST, 0)
        )
        assert not os.get_blocking(datagrams.get_extra_info("socket").fileno())
        datagrams.close()
        path = str(tmp_path / "unix")
        with socket.create_server((HOST, 0)) as internet, listening_at(path):
            monkeypatch.setattr(socket, "socket", Proxied)
            for connecting in (
                loop.create_connection(asyncio.Protocol, *internet.getsockname()),
                loop.create_unix_connection(asyncio.Protocol, path),
                loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(HOST, 0)),
            ):
                transport, _ = await connecting
                assert not os.get_blocking(transport.get_extra_info("socket").fileno())
                transport.close()
            monkeypatch.undo()

    loop.run_until_complete(main())


def listening_at(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    return sock


@pytest.mark.no_refleaks("an audit hook stays for good")
def test_connections_are_audited(loop: asyncio.AbstractEventLoop) -> None:
    """As those of socket.connect(), though no socket object is made."""
    seen: list[Any] | None = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.connect" and seen is not None:
            seen.append(args[1])

    sys.addaudithook(hook)
    try:
        with socket.create_server((HOST, 0)) as listener:
            assert connect(*listener.getsockname())(loop) == "connected"
            assert seen == [listener.getsockname()]
    finally:
        seen = None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("delay", [None, 0.01])
def test_names_and_happy_eyeballs(
    loop: asyncio.AbstractEventLoop, host: str, delay: float | None
) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        connected = connect(host, port, happy_eyeballs_delay=delay)(loop)
        assert connected == "connected"


def test_a_refused_connection_says_so(same_as_asyncio: Compare) -> None:
    result = same_as_asyncio(connect(HOST, unused_port()))
    assert result[1] is ConnectionRefusedError


def test_a_local_address(loop: asyncio.AbstractEventLoop) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = unused_port()
        connect(HOST, listener.getsockname()[1], local_addr=(HOST, port))(loop)
        _, address = listener.accept()
        _.close()
        assert address == (HOST, port)


def test_a_local_address_in_use(same_as_asyncio: Compare) -> None:
    with socket.create_server((HOST, 0)) as listener, socket.create_server((HOST, 0)) as other:
        port = listener.getsockname()[1]
        result = same_as_asyncio(connect(HOST, port, local_addr=other.getsockname()))
        assert result[1] is OSError
        assert "error while attempting to bind on address" in result[2]


def test_a_local_address_of_another_family(same_as_asyncio: Compare) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        same_as_asyncio(connect(HOST, port, local_addr=("::1", 0)))


@pytest.mark.parametrize("port", [65536, 70000, -1, 2**40])
def test_a_port_out_of_range(port: int, same_as_asyncio: Compare) -> None:
    same_as_asyncio(connect(HOST, port))


@pytest.mark.parametrize("port", ["", b"", "no-such-service", None, 1.5, "70000"])
def test_odd_ports(port: Any, same_as_asyncio: Compare) -> None:
    same_as_asyncio(connect(HOST, port))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "", "a" * 70, "1.2.3.4.5", 5])
def test_odd_hosts(host: Any, same_as_asyncio: Compare) -> None:
    same_as_asyncio(connect(host, unused_port()))


def test_arguments_that_do_not_fit_together(same_as_asyncio: Compare) -> None:
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        for arguments in (
            {},
            {"host": HOST, "port": 1, "sock": stream},
            {"sock": datagram},
            {"host": HOST, "port": 1, "server_hostname": "name"},
            {"host": HOST, "port": 1, "ssl_handshake_timeout": 1},
            {"port": 1, "ssl": True},
            {"sock": stream, "ssl": True},
        ):
            # The text may name the socket, which is the same one on both loops.
            result = same_as_asyncio(connect(**arguments))
            assert result[1] is ValueError, arguments


@pytest.mark.skipif(sys.version_info < (3, 12), reason="all_errors came in 3.12")
def test_all_errors_come_in_a_group(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(BaseException, match="create_connection failed") as caught:
        connect(HOST, unused_port(), all_errors=True)(loop)
    group: Any = caught.value
    assert type(group).__name__ == "ExceptionGroup"
    assert [exc.errno for exc in group.exceptions] == [errno.ECONNREFUSED]


def test_several_different_errors_are_combined(
    same_as_asyncio: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = unused_port()

    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        async def resolve(*args: Any, **kwargs: Any) -> list[Any]:
            stream = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [(*stream, (HOST, port)), (*stream, ("255.255.255.255", port))]

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        return connect("some.name", port)(loop)

    result = same_as_asyncio(scenario)
    assert result[1] is OSError
    assert result[2].startswith("Multiple exceptions: [Errno 111]")


def test_no_address_at_all(same_as_asyncio: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> Any:
        async def resolve(*args: Any, **kwargs: Any) -> list[Any]:
            return []

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        return connect("some.name", 80)(loop)

    assert same_as_asyncio(scenario)[2] == "getaddrinfo() returned empty list"


def test_addresses_are_tried_in_turn(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((HOST, 0)) as listener:
        stream = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        addresses = [(*stream, (HOST, unused_port())), (*stream, listener.getsockname())]

        async def resolve(*args: Any, **kwargs: Any) -> list[Any]:
            return list(addresses)

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        for delay in (None, 0, 0.01):
            assert connect("some.name", 1, happy_eyeballs_delay=delay)(loop) == "connected"


def test_interleaving_families(native: None) -> None:
    from blitzio._loop.connect import interleave_families

    def info(family: int, number: int) -> Any:
        return (family, socket.SOCK_STREAM, 6, "", (str(number), 80))

    four = [info(socket.AF_INET, number) for number in range(3)]
    six = [info(socket.AF_INET6, number) for number in range(3)]
    assert interleave_families([*six, *four], 1) == [
        six[0], four[0], six[1], four[1], six[2], four[2],
    ]  # fmt: skip
    assert interleave_families([*six, *four], 2) == [
        six[0], six[1], four[0], six[2], four[1], four[2],
    ]  # fmt: skip
    assert interleave_families([*four], 1) == four


def test_cancelling_leaves_nothing_open(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        # A full backlog: the kernel drops further attempts, so the connection stays pending.
        with socket.socket() as listener:
            listener.bind((HOST, 0))
            listener.listen(0)
            fillers = []
            try:
                for _ in range(8):
                    filler = socket.socket()
                    filler.setblocking(False)
                    filler.connect_ex(listener.getsockname())
                    fillers.append(filler)
                task = loop.create_task(loop.create_connection(Recorder, *listener.getsockname()))
                await turns(5)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            finally:
                for filler in fillers:
                    filler.close()

    loop.run_until_complete(main())


def test_a_factory_that_fails(same_as_asyncio: Compare) -> None:
    with socket.create_server((HOST, 0)) as listener:
        mine = socket.create_connection(listener.getsockname())

        def scenario(loop: asyncio.AbstractEventLoop) -> Any:
            async def main() -> None:
                await loop.create_connection(lambda: 1 / 0, sock=mine)  # type: ignore[type-var]

            loop.run_until_complete(main())

        assert same_as_asyncio(scenario)[1] is ZeroDivisionError
        mine.close()


def test_connection_made_that_fails_is_reported(
    loop: asyncio.AbstractEventLoop, reports: list[dict[str, Any]]
) -> None:
    class Bad(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            raise ValueError("in connection_made")

    async def main() -> None:
        mine, peer = raw_pair()
        with peer:
            transport, protocol = await soon(loop.create_connection(Bad, sock=mine))
            transport.abort()
            await soon(protocol.lost)

    loop.run_until_complete(main())
    assert [str(report["exception"]) for report in reports] == ["in connection_made"]


def test_an_accepted_socket(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        mine, peer = raw_pair()
        mine.setblocking(True)
        with peer:
            transport, protocol = await loop.connect_accepted_socket(Recorder, mine)
            peer.sendall(b"hello")
            assert await protocol.received(5) == b"hello"
            transport.close()
            await soon(protocol.lost)

    loop.run_until_complete(main())


def test_an_accepted_socket_must_be_a_stream(same_as_asyncio: Compare) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagram:

        def scenario(loop: asyncio.AbstractEventLoop) -> Any:
            return loop.run_until_complete(loop.connect_accepted_socket(Recorder, datagram))

        assert same_as_asyncio(scenario)[1] is ValueError


@pytest.mark.parametrize(
    "extra", [{}, {"local_addr": ("192.0.2.1", 0)}, {"happy_eyeballs_delay": 0.25}], ids=str
)
def test_the_exception_of_a_failed_connect_is_in_no_cycle(
    loop: asyncio.AbstractEventLoop, extra: dict[str, Any]
) -> None:
    if sys.version_info < ((3, 13, 3) if extra else (3, 11)):
        pytest.skip("older frames of asyncio's own keep it")

    async def main() -> None:
        caught = None
        try:
            await loop.create_connection(asyncio.Protocol, HOST, unused_port(), **extra)
        except OSError as exc:
            caught = exc
        assert caught is not None
        assert others_that_hold(caught) == []

    loop.run_until_complete(main())
