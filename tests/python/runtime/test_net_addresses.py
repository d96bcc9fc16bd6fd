"""Addresses, and the names of hosts that become some."""

from __future__ import annotations

import copy
import pickle
import socket
from typing import TYPE_CHECKING

import pytest

from blitzio import net
from blitzio.net import (
    Address,
    TcpListener,
    TcpStream,
    UdpSocket,
    UnixDatagram,
    UnixListener,
    UnixStream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.python.runtime.conftest import Run


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:443", "/run/app.sock", "@abstract"])
def test_addresses_are_values(text: str) -> None:
    address = Address.parse(text)
    assert str(address) == text
    assert address == Address.parse(text)
    assert hash(address) == hash(Address.parse(text))
    assert eval(repr(address)) == address


@pytest.mark.parametrize(
    "address",
    [
        Address("127.0.0.1", 80),
        Address("fe80::1%1", 80),
        Address.local("/run/app.sock"),
        Address.local(b"relative\xff"),
        Address.local("@relative"),
        Address.local("\0name"),
    ],
)
def test_addresses_can_be_copied_and_sent_to_other_processes(address: Address) -> None:
    for same in (
        copy.copy(address),
        copy.deepcopy([address])[0],
        pickle.loads(pickle.dumps(address)),
    ):
        assert same == address == eval(repr(address))
        assert (str(same), same.port, same.scope_id) == (
            str(address),
            address.port,
            address.scope_id,
        )


def test_addresses_have_parts() -> None:
    address = Address("127.0.0.1", 80)
    assert (address.host, address.port, address.family) == ("127.0.0.1", 80, socket.AF_INET)
    assert address.is_loopback
    assert address.with_port(81) == Address("127.0.0.1", 81) != address
    local = Address.local("/tmp/x")
    assert local.is_local
    assert local.host == "/tmp/x"
    assert str(Address.local("\0name")) == "@name"


@pytest.mark.parametrize("text", ["", "127.0.0.1", "localhost:80", "127.0.0.1:65536", "::1:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        Address.parse(text)


def test_address_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="port must be from 0 to 65535"):
        Address("127.0.0.1", 65_536)
    with pytest.raises(ValueError, match="resolve"):
        Address("localhost", 80)
    with pytest.raises(TypeError):
        Address.parse(80)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="path"):
        Address.local("x" * 200)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: TcpListener.bind("/run/app.sock"),
        lambda: UdpSocket.bind("@abstract"),
        lambda: UnixListener.bind("127.0.0.1:0"),
        lambda: UnixDatagram.bind("[::1]:0"),
        lambda: TcpStream.connect("/run/app.sock"),
        lambda: UnixStream.connect("127.0.0.1:80"),
    ],
)
def test_an_address_of_another_kind_of_socket_is_named(refused: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"'(/run/app.sock|@abstract|127.*|\[::1\]:0)' is .*Unix"):
        refused()


def test_names(run: Run) -> None:
    async def main() -> None:
        assert await net.resolve("127.0.0.1", 80) == [Address("127.0.0.1", 80)]
        found = await net.resolve("localhost", 7, family=socket.AF_INET)
        assert found == [Address("127.0.0.1", 7)]
        with pytest.raises(socket.gaierror):
            await net.resolve("::1", 1, family=socket.AF_INET)
        async with TcpListener.bind("127.0.0.1:0") as listener:
            port = listener.local_address.port
            # Perhaps ::1 comes first, where nobody listens.
            async with await net.connect("localhost", port) as client:
                assert client.peer_address == Address("127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError):
            await net.connect("127.0.0.1", port)

    run(main())
