"""The transports, and what speaks TLS between them and a protocol."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any, final

from typing_extensions import Buffer, disjoint_base

from blitzio._native._loop import LoopBase

@disjoint_base
class StreamTransport(asyncio.Transport):
    """Transport of one connected stream socket, which it owns."""

    def __init__(
        self,
        loop: LoopBase,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        *,
        extra: dict[str, Any] | None,
        server: Any,
        waiter: asyncio.Future[Any] | None,
        call_connection_made: bool = True,
    ) -> None: ...
    _loop: LoopBase | None
    _sock: socket.socket | None
    _protocol: asyncio.BaseProtocol | None
    _extra: dict[str, Any]
    _server: Any
    _start_tls_compatible: bool
    _sendfile_compatible: Any
    @property
    def _protocol_paused(self) -> bool:
        """Whether the protocol was told to pause writing."""

    def write(self, data: Buffer) -> None:
        """Send data, now or when there is room. A mutable buffer is copied if it must wait."""

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Send several buffers, gathered."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Make `protocol` the one that hears of what follows."""

    def _force_close(self, exc: BaseException | None, /) -> None:
        """Close at once and tell the protocol `exc`."""

@disjoint_base
class DatagramTransport(asyncio.Transport, asyncio.DatagramTransport):
    """Transport of one datagram socket, which it owns. As asyncio's own it is a Transport, too."""

    def __init__(
        self,
        loop: LoopBase,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...
    _loop: LoopBase | None
    _sock: socket.socket | None
    _protocol: asyncio.BaseProtocol | None
    _extra: dict[str, Any]
    _address: Any
    @property
    def _protocol_paused(self) -> bool:
        """Whether the protocol was told to pause writing."""

    def sendto(self, data: Buffer, addr: Any = None) -> None:
        """Send data as one datagram, now or when there is room.

        Raises:
            ValueError: the endpoint was made with a remote address, and addr is another.
        """

    def pause_reading(self) -> None:
        """No datagram_received() until resume_reading(); the kernel keeps what fits."""

    def resume_reading(self) -> None:
        """Undo pause_reading()."""

    def is_reading(self) -> bool:
        """Whether datagrams are received: neither paused nor closing."""

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high) in bytes."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When to call pause_writing() and resume_writing(), in bytes."""

    def _force_close(self, exc: BaseException | None, /) -> None:
        """Close at once and tell the protocol `exc`."""

@final
class ReadPipeTransport(asyncio.ReadTransport):
    """Transport of the reading end of a pipe, which it owns."""

    def __init__(
        self,
        loop: LoopBase,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...
    def _set_exclusive(self) -> None:
        """Nobody else reads the pipe, so it may be read ahead of resume_reading()."""

    _loop: LoopBase | None
    _protocol: asyncio.BaseProtocol | None
    _pipe: Any
    _fileno: int

@final
class WritePipeTransport(asyncio.Transport):
    """Transport of the writing end of a pipe, which it owns."""

    def __init__(
        self,
        loop: LoopBase,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...
    _loop: LoopBase | None
    _protocol: asyncio.BaseProtocol | None
    _pipe: Any
    _fileno: int

@disjoint_base
class TlsProtocolBase(asyncio.BufferedProtocol):
    """The record layer of one TLS connection; `SSLProtocol` in blitzio._loop is the rest."""

    def __init__(
        self,
        loop: LoopBase,
        app_protocol: asyncio.BaseProtocol,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        ssl_object: ssl.SSLObject,
        record_object: Any,
        is_made: bool,
    ) -> None:
        """`record_object` has the read() and write() of _ssl itself; None: use `ssl_object`'s."""

    _app_transport: Any
    _eof_received: bool
    _app_reading_paused: bool
    _app_reading_over: bool
    _incoming_high_water: int
    _incoming_low_water: int
    _outgoing_high_water: int
    _outgoing_low_water: int
    @property
    def _loop(self) -> Any: ...
    @property
    def _transport(self) -> Any:
        """The transport below, while there is one."""

    @property
    def _app_protocol(self) -> Any: ...
    @property
    def _sslobj(self) -> ssl.SSLObject: ...
    @property
    def _incoming(self) -> ssl.MemoryBIO: ...
    @property
    def _outgoing(self) -> ssl.MemoryBIO: ...
    @property
    def _state(self) -> str:
        """'UNWRAPPED', 'DO_HANDSHAKE', 'WRAPPED', 'FLUSHING' or 'SHUTDOWN'."""

    @property
    def _conn_lost(self) -> int: ...
    @property
    def _reading_held(self) -> bool:
        """Whether who awaits the handshake has not run yet."""

    @property
    def _app_writing_paused(self) -> bool: ...
    @property
    def _ssl_reading_paused(self) -> bool: ...
    @property
    def _ssl_writing_paused(self) -> bool: ...
    def data_received(self, data: Buffer, /) -> None:
        """For transports that know no buffers."""

    def _begin_handshake(self, transport: Any, /) -> None: ...
    def _become_wrapped(self) -> None: ...
    def _start_reading(self) -> None: ...
    def _begin_flushing(self) -> None: ...
    def _end(self) -> None: ...
    def _tell_made(self) -> bool:
        """Whether connection_made() is to be called, which is noted."""

    def _tell_eof(self) -> bool:
        """Whether eof_received() is to be called, which is noted."""

    def _release(self) -> bool:
        """Drop both neighbours; whether connection_lost() is to be called."""

    def _do_handshake(self) -> None: ...
    def _do_read(self) -> None: ...
    def _do_flush(self) -> None: ...
    def _go_on(self) -> None: ...
    def _control_app_writing(self) -> None: ...
    def _control_ssl_reading(self) -> None: ...
    def _set_app_protocol(self, protocol: asyncio.BaseProtocol, /) -> None: ...

@disjoint_base
class TlsTransportBase(asyncio.Transport):
    """What an application writes to; `_SSLProtocolTransport` in blitzio._loop is the rest."""

    def __init__(self, ssl_protocol: TlsProtocolBase) -> None: ...
    _closed: bool
    @property
    def _ssl_protocol(self) -> Any: ...
    @property
    def _protocol_paused(self) -> bool:
        """Whether the protocol was told to pause writing."""

    def write(self, data: Buffer, /) -> None:
        """Encrypt and send `data`. Does not block."""

    def writelines(self, list_of_data: Iterable[Buffer], /) -> None:
        """As write() of all, joined."""

    def set_protocol(self, protocol: asyncio.BaseProtocol, /) -> None:
        """Make `protocol` the one that hears of what follows."""

    def get_read_buffer_size(self) -> int:
        """Encrypted bytes not read yet."""

    def _test__append_write_backlog(self, data: Buffer, /) -> None: ...
