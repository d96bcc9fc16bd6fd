"""The network of the machine, with the names that `io.net` has in every implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from blitzio import net

if TYPE_CHECKING:
    from collections.abc import Coroutine


class NativeNetwork:
    """`io.net` of `Threaded` and `Evented`, on `blitzio.net`."""

    @overload
    def connect(
        self, where: net.Address | str, port: None = None, /
    ) -> Coroutine[Any, Any, net.TcpStream]: ...
    @overload
    def connect(self, where: str, port: int, /) -> Coroutine[Any, Any, net.TcpStream]: ...
    def connect(self, where: Any, port: int | None = None, /) -> Any:
        """Connects to an address, or to the first of a host's that answers."""
        return net.TcpStream.connect(where) if port is None else net.connect(where, port)

    def listen(self, address: net.Address | str, /, **options: Any) -> net.TcpListener:
        """Listens at an address; port 0 takes a free one. Options as `TcpListener.bind`."""
        return net.TcpListener.bind(address, **options)

    def bind_udp(self, address: net.Address | str, /, **options: Any) -> net.UdpSocket:
        """A socket for datagrams."""
        return net.UdpSocket.bind(address, **options)

    def connect_unix(self, address: net.Address | str, /) -> Coroutine[Any, Any, net.UnixStream]:
        """Connects to a path or abstract name."""
        return net.UnixStream.connect(address)

    def listen_unix(
        self, address: net.Address | str, /, *, backlog: int = 1024
    ) -> net.UnixListener:
        """Listens at a path or abstract name. The path stays when the listener is closed."""
        return net.UnixListener.bind(address, backlog=backlog)

    def bind_unix(self, address: net.Address | str | None = None, /) -> net.UnixDatagram:
        """A socket for datagrams; without an address nobody can answer."""
        return net.UnixDatagram.bind() if address is None else net.UnixDatagram.bind(address)

    def resolve(self, host: str, port: int) -> Coroutine[Any, Any, list[net.Address]]:
        """The addresses of a host."""
        return net.resolve(host, port)


NATIVE = NativeNetwork()
