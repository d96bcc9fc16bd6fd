"""create_datagram_endpoint: which socket it makes, and what it refuses."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.datagram_support import Datagrams, endpoint, name_of
from tests.python.loop.support import HOST, soon, turns

if TYPE_CHECKING:
    from pathlib import Path


def create(**options: Any) -> Any:
    """A scenario that makes an endpoint and closes it; returns its names."""

    async def main() -> Any:
        async with endpoint(**options) as (transport, protocol):
            assert protocol.events == ["made"]
            return [transport.get_extra_info(name) is None for name in ("sockname", "peername")]

    return lambda loop: loop.run_until_complete(main())


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"family": 0}, id="no address and no family"),
        pytest.param({"local_addr": HOST}, id="a host alone"),
        pytest.param({"local_addr": (HOST, 0, 0)}, id="three parts"),
        pytest.param({"remote_addr": [HOST, 9]}, id="a list"),
        pytest.param({"local_addr": (HOST, 1), "family": socket.AF_UNIX}, id="no path"),
        pytest.param({"remote_addr": b"path", "family": socket.AF_UNIX}, id="a path of bytes"),
        pytest.param({"local_addr": (HOST, 0), "remote_addr": ("::1", 9)}, id="two families"),
        pytest.param({"remote_addr": ("256.0.0.1.invalid", 9)}, id="an unknown host"),
        pytest.param({"local_addr": (HOST, 70000)}, id="an impossible port"),
        pytest.param({"local_addr": ("192.0.2.1", 0)}, id="somebody else's address"),
        pytest.param({"remote_addr": ("255.255.255.255", 9)}, id="broadcast without permission"),
    ],
)
def test_what_is_refused(same_as_asyncio: Any, options: dict[str, Any]) -> None:
    assert same_as_asyncio(create(**options))[0] == "raised"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"local_addr": (HOST, 0)}, id="bound"),
        pytest.param({"remote_addr": (HOST, 9)}, id="connected"),
        pytest.param({"local_addr": (HOST, 0), "remote_addr": (HOST, 9)}, id="both"),
        pytest.param({"local_addr": ("localhost", 0)}, id="a name"),
        pytest.param({"remote_addr": ("::1", 9), "family": socket.AF_INET6}, id="IPv6"),
        pytest.param({"family": socket.AF_INET}, id="neither"),
        pytest.param({"family": socket.AF_INET6}, id="neither, IPv6"),
        pytest.param({"family": socket.AF_UNIX}, id="neither, Unix"),
        pytest.param({"local_addr": (HOST, 0), "proto": socket.IPPROTO_UDP}, id="a protocol"),
        pytest.param({"local_addr": (HOST, 0), "reuse_port": True}, id="reuse_port"),
    ],
)
def test_what_is_made(same_as_asyncio: Any, options: dict[str, Any]) -> None:
    assert same_as_asyncio(create(**options))[0] == "returned"


@pytest.mark.parametrize("name", ["reuse_address", "unknown"])
def test_arguments_that_are_no_more(same_as_asyncio: Any, name: str) -> None:
    def scenario(loop: Any) -> Any:
        try:
            return create(local_addr=(HOST, 0), **{name: True})(loop)
        except TypeError as exc:
            return str(exc).rpartition("create_datagram_endpoint")[2]  # Without the class.

    kind, text, *_ = same_as_asyncio(scenario)
    if name == "unknown" or sys.version_info >= (3, 11):
        assert (kind, text) == ("returned", f"() got an unexpected keyword argument '{name}'")


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="gone in 3.11")
def test_reuse_address_is_deprecated_until_it_is_gone(loop: Any) -> None:
    with pytest.warns(DeprecationWarning, match="reuse_address"):
        create(local_addr=(HOST, 0), reuse_address=False)(loop)


def test_a_socket_stands_alone(same_as_asyncio: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        refused: tuple[dict[str, Any], ...] = (
            {"local_addr": (HOST, 0)},
            {"remote_addr": (HOST, 9), "family": socket.AF_INET},
            {"proto": 17, "flags": 1, "reuse_port": True, "allow_broadcast": True},
        )
        for options in refused:

            def scenario(loop: Any, options: dict[str, Any] = options) -> Any:
                with pytest.raises(ValueError, match="socket modifier keyword") as caught:
                    create(sock=sock, **options)(loop)
                # asyncio of 3.10 shows the mark of an argument that was not given.
                return re.sub(r", reuse_address=<object object at 0x\w+>", "", str(caught.value))

            assert same_as_asyncio(scenario)[0] == "returned"
            assert sock.fileno() != -1


def test_a_stream_socket_is_refused(same_as_asyncio: Any) -> None:
    with socket.socket() as sock:
        assert same_as_asyncio(create(sock=sock))[1] is ValueError
        assert sock.fileno() != -1


def test_a_given_socket_becomes_non_blocking_and_is_closed_in_the_end(loop: Any) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        async with endpoint(sock=sock) as (transport, _):
            assert sock.gettimeout() == 0
            shown = transport.get_extra_info("socket")
            assert shown.fileno() == sock.fileno()
            assert shown.type == socket.SOCK_DGRAM
        assert sock.fileno() == -1

    loop.run_until_complete(main())


def test_extra_info(loop: Any) -> None:
    async def main() -> None:
        async with endpoint() as (server, _):
            assert server.get_extra_info("peername", "default") is None
            assert server.get_extra_info("no such thing") is None
            assert server.get_extra_info(name="no such thing", default=5) == 5
            async with endpoint(remote_addr=name_of(server)) as (client, _):
                assert client.get_extra_info("peername") == name_of(server)
                assert client.get_extra_info("sockname")[0] == HOST
            assert client.get_extra_info("peername") == name_of(server)

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("AF_INET", (HOST, 0)),
        ("AF_INET", ("127.255.0.99", 0)),
        ("AF_INET6", ("::1", 0)),
        ("AF_UNIX", "path"),
        ("AF_UNIX", "abstract"),
        ("AF_NETLINK", (0, 0)),
    ],
)
def test_addresses_are_worded_as_the_socket_words_them(
    loop: Any, native: None, family: str, name: Any, tmp_path: Path
) -> None:
    if not hasattr(socket, family) or (family == "AF_INET6" and not socket.has_dualstack_ipv6()):
        pytest.skip(f"no {family} here")
    named, connected, fresh = (
        socket.socket(getattr(socket, family), socket.SOCK_DGRAM) for _ in range(3)
    )

    async def check(sock: socket.socket) -> None:
        expected: list[Any] = []
        for ask in (sock.getsockname, sock.getpeername):
            try:
                expected.append(ask())
            except OSError:
                expected.append(None)
        async with endpoint(sock=sock) as (transport, _):
            told = [transport.get_extra_info(key) for key in ("sockname", "peername")]
            assert told == expected
            assert [type(address) for address in told] == [type(one) for one in expected]

    async def main() -> None:
        unix_names: dict[str, Any] = {
            "path": str(tmp_path / "path"),
            "abstract": b"\0blitzio-%d" % os.getpid(),
        }
        named.bind(unix_names[name] if family == "AF_UNIX" else name)
        # Netlink's 0 is the kernel, which everybody may connect to.
        connected.connect(name if family == "AF_NETLINK" else named.getsockname())
        for sock in (connected, named, fresh):
            await check(sock)

    with named, connected, fresh:
        loop.run_until_complete(main())


def test_a_socket_that_it_makes_does_not_block_whatever_the_default(loop: Any) -> None:
    async def main() -> None:
        async with endpoint() as (transport, _):
            assert transport.get_extra_info("socket").gettimeout() == 0
            assert not os.get_blocking(transport.get_extra_info("socket").fileno())

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5)
    try:
        loop.run_until_complete(main())
    finally:
        socket.setdefaulttimeout(before)


def test_reuse_port_lets_two_share_it(loop: Any) -> None:
    async def main() -> None:
        async with endpoint(local_addr=(HOST, 0), reuse_port=True) as (first, _):
            async with endpoint(local_addr=name_of(first), reuse_port=True) as (second, _):
                assert name_of(first) == name_of(second)
            with pytest.raises(OSError, match="in use"):
                await asyncio.get_running_loop().create_datagram_endpoint(
                    Datagrams, local_addr=name_of(first)
                )

    loop.run_until_complete(main())


def test_the_next_address_is_tried_when_one_fails(loop: Any, monkeypatch: Any) -> None:
    async def resolve(host: Any, port: Any, **_: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP, "")
        other = (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_UDP, "")
        return [(*other, ("2001:db8::1", port, 0, 0)), (*kind, (HOST, port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)

    async def main() -> None:
        async with endpoint(local_addr=("two.addresses", 0)) as (transport, _):
            assert name_of(transport)[0] == HOST

    loop.run_until_complete(main())


def test_the_first_error_is_raised_when_all_fail(loop: Any, monkeypatch: Any) -> None:
    async def resolve(host: Any, port: Any, **_: Any) -> list[Any]:
        kind = (socket.SOCK_DGRAM, socket.IPPROTO_UDP, "")
        first = (socket.AF_INET6, *kind, ("2001:db8::1", port, 0, 0))
        return [first, (socket.AF_INET, *kind, ("192.0.2.1", port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    attempts: list[Any] = []
    bind = socket.socket.bind

    class Watched(socket.socket):
        def bind(self, address: Any) -> None:
            attempts.append(address)
            try:
                bind(self, address)
            except OSError as exc:
                raise OSError(exc.errno, f"attempt {len(attempts)}") from None

    monkeypatch.setattr(socket, "socket", Watched)
    with pytest.raises(OSError, match="attempt 1"):
        create(local_addr=("two.addresses", 0))(loop)
    assert len(attempts) == 2


def test_a_resolver_that_finds_nothing(same_as_asyncio: Any) -> None:
    def scenario(loop: Any) -> Any:
        async def resolve(*_: Any, **__: Any) -> list[Any]:
            return []

        loop.getaddrinfo = resolve
        return create(local_addr=("nowhere", 0))(loop)

    assert same_as_asyncio(scenario) == ("raised", OSError, "getaddrinfo() returned empty list")


def test_a_failing_factory_leaves_no_socket(loop: Any, native: None) -> None:
    def fail() -> Any:
        raise LookupError("no protocol")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(LookupError):
            await loop.create_datagram_endpoint(fail, local_addr=(HOST, 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with pytest.raises(LookupError):
                await loop.create_datagram_endpoint(fail, sock=sock)
            assert sock.fileno() != -1  # Its maker may try again.

    loop.run_until_complete(main())


def test_cancelling_before_the_endpoint_is_up_closes_it(loop: Any) -> None:
    async def main() -> None:
        made: list[Datagrams] = []

        def factory() -> Datagrams:
            made.append(Datagrams())
            return made[-1]

        running = asyncio.get_running_loop()
        for wait in range(4):
            task = running.create_task(
                running.create_datagram_endpoint(factory, local_addr=(HOST, 0))
            )
            await turns(wait)
            task.cancel()
            try:
                transport, _ = await soon(task)
            except asyncio.CancelledError:
                pass
            else:
                transport.close()
        assert made
        for protocol in made:
            assert await soon(protocol.lost) is None
            assert protocol.events == ["made", "lost"]

    loop.run_until_complete(main())


def test_cancelling_while_connecting_closes_the_socket(loop: Any, monkeypatch: Any) -> None:
    started: list[socket.socket] = []

    async def never(sock: socket.socket, address: Any) -> None:
        started.append(sock)
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(loop, "sock_connect", never)

    async def main() -> None:
        running = asyncio.get_running_loop()
        task = running.create_task(
            running.create_datagram_endpoint(Datagrams, remote_addr=(HOST, 9))
        )
        while not started:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        assert started[0].fileno() == -1

    loop.run_until_complete(main())


def test_a_stale_unix_socket_is_replaced(loop: Any, tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        for _ in range(2):  # Closing does not remove the path.
            async with endpoint(local_addr=path, family=socket.AF_UNIX):
                assert stat.S_ISSOCK(os.stat(path).st_mode)
        assert os.path.exists(path)

    loop.run_until_complete(main())


def test_what_is_no_socket_is_left_alone(same_as_asyncio: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("kept")
    outcome = same_as_asyncio(create(local_addr=str(path), family=socket.AF_UNIX))
    assert outcome[1] is OSError
    assert path.read_text() == "kept"


def test_a_path_that_cannot_be_looked_at_is_logged(
    loop: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    path = str(tmp_path / "file" / "below")
    with pytest.raises(NotADirectoryError):
        create(local_addr=path, family=socket.AF_UNIX)(loop)
    assert "Unable to check or remove stale UNIX socket" in caplog.text


def test_debug_mode_logs_the_endpoint(loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    loop.set_debug(True)
    with caplog.at_level(logging.DEBUG, logger="asyncio"):
        create(local_addr=(HOST, 0))(loop)
        create(remote_addr=(HOST, 9))(loop)
    assert f"Datagram endpoint local_addr=('{HOST}', 0) remote_addr=None created: (" in caplog.text
    assert f"Datagram endpoint remote_addr=('{HOST}', 9) created: (" in caplog.text


def test_on_a_closed_loop(new_loop: Any, native: None) -> None:
    loop = new_loop()
    loop.close()
    coro = loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(HOST, 0))
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        coro.send(None)
