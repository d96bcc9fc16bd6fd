"""getaddrinfo and getnameinfo."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.python.loop.support import HOST

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    Scenario = Callable[[asyncio.AbstractEventLoop], Any]
    Compare = Callable[[Scenario], tuple[Any, ...]]


def resolve(*args: Any, **kwargs: Any) -> Scenario:
    return lambda loop: loop.run_until_complete(loop.getaddrinfo(*args, **kwargs))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%1",
        "fe80::1%lo", "fe80::1%nosuch", "::ffff:1.2.3.4", "localhost", "no-such-host.invalid",
        b"127.0.0.1", b"::1", "1", "1.2", "0x7f000001", "127.0.0.1 ", "", None, "[::1]",
        "1.2.3.4.5", ":::",
    ],
)  # fmt: skip
@pytest.mark.parametrize("type", [0, socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_hosts_resolve_as_in_asyncio(host: Any, type: int, same_as_asyncio: Compare) -> None:
    same_as_asyncio(resolve(host, 80, type=type))


@pytest.mark.parametrize(
    "port", [0, 80, 65535, 65536, -1, 2**40, "80", "http", "no-such-service", b"443", "", None, 1.5]
)
@pytest.mark.parametrize("host", [HOST, "::1"])
def test_ports_resolve_as_in_asyncio(host: str, port: Any, same_as_asyncio: Compare) -> None:
    same_as_asyncio(resolve(host, port, type=socket.SOCK_STREAM))


@pytest.mark.parametrize("family", [0, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 999])
@pytest.mark.parametrize("host", [HOST, "::1"])
def test_families_resolve_as_in_asyncio(host: str, family: int, same_as_asyncio: Compare) -> None:
    same_as_asyncio(resolve(host, 80, family=family, type=socket.SOCK_STREAM))


@pytest.mark.parametrize(
    "flags",
    [
        0, socket.AI_PASSIVE, socket.AI_CANONNAME, socket.AI_NUMERICHOST, socket.AI_NUMERICSERV,
        socket.AI_V4MAPPED, socket.AI_ADDRCONFIG,
        socket.AI_PASSIVE | socket.AI_NUMERICHOST, 1 << 20,
    ],
)  # fmt: skip
@pytest.mark.parametrize("host", [HOST, "::1", None])
def test_flags_resolve_as_in_asyncio(host: Any, flags: int, same_as_asyncio: Compare) -> None:
    same_as_asyncio(resolve(host, 80, flags=flags))


@pytest.mark.parametrize("proto", [0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, 132, 999])
@pytest.mark.parametrize("type", [0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW])
def test_protocols_resolve_as_in_asyncio(proto: int, type: int, same_as_asyncio: Compare) -> None:
    same_as_asyncio(resolve(HOST, 80, proto=proto, type=type))


def test_a_numeric_host_needs_no_thread(
    loop: asyncio.AbstractEventLoop, native: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError("the resolver was called")

    loop.set_debug(False)
    threads = threading.active_count()
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for host in (HOST, "::1"):
        assert loop.run_until_complete(loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM))
    assert threading.active_count() == threads


def test_debug_mode_logs_the_resolving(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    with caplog.at_level(logging.DEBUG, logger="asyncio"):
        loop.run_until_complete(loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM))
    messages = [record.getMessage() for record in caplog.records]
    assert any(text.startswith("Get address info localhost:80, type=") for text in messages)
    assert any(text.startswith("Getting address info localhost:80, type=") for text in messages)


def test_getnameinfo(same_as_asyncio: Compare) -> None:
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    for address, how in (((HOST, 80), flags), ((HOST, 80), 0), (("::1", 80, 0, 0), flags)):
        same_as_asyncio(
            lambda loop, address=address, how=how: loop.run_until_complete(  # type: ignore[misc]
                loop.getnameinfo(address, how)
            )
        )
    same_as_asyncio(lambda loop: loop.run_until_complete(loop.getnameinfo(("no address", 80))))
    same_as_asyncio(
        lambda loop: loop.run_until_complete(loop.getnameinfo("nonsense"))  # type: ignore[arg-type]
    )
