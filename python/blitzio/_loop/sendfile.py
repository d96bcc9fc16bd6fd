"""Sending files: read on the blocking pool, written through the socket or the transport.

`fallback=False` asks for the system call itself, which raises SendfileNotAvailableError for now.
"""

from __future__ import annotations

import asyncio
from asyncio import constants, exceptions
from socket import SOCK_STREAM
from typing import IO, TYPE_CHECKING, Any

from blitzio._loop.tls import check_not_ssl_socket
from blitzio._native import LoopBase

if TYPE_CHECKING:
    import socket

_TRANSPORT_BLOCK_BYTES = 256 * 1024


class SendfileMixin(LoopBase):
    async def sock_sendfile(
        self,
        sock: socket.socket,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool | None = True,
    ) -> int:
        """Sends `count` bytes (None: all) of `file` from `offset` on; returns how many were sent.

        Raises:
            ValueError, TypeError: a file in text mode, no stream socket, bad offset or count.
            SendfileNotAvailableError: `fallback` is false.
        """
        if self.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        check_not_ssl_socket(sock)
        _check_parameters(sock, file, offset, count)
        if not fallback:
            raise exceptions.SendfileNotAvailableError(
                f"syscall sendfile is not available for socket {sock!r} "
                f"and file {file!r} combination"
            )

        async def send(block: memoryview) -> None:
            await self.sock_sendall(sock, block)

        block_bytes = constants.SENDFILE_FALLBACK_READBUFFER_SIZE
        return await self._send_blocks(file, offset, count, block_bytes, send)

    async def sendfile(
        self,
        transport: asyncio.WriteTransport,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool = True,
    ) -> int:
        """Sends a file through a transport; returns how many bytes were sent.

        The transport's reading is paused and its protocol replaced until the file is out.

        Raises:
            RuntimeError: the transport is closing or cannot send files, or `fallback` is false and
                the transport is not a plain socket's.
            SendfileNotAvailableError: `fallback` is false.
        """
        if transport.is_closing():
            raise RuntimeError("Transport is closing")
        modes: Any = constants._SendfileMode
        mode = getattr(transport, "_sendfile_compatible", modes.UNSUPPORTED)
        if mode is modes.UNSUPPORTED:
            raise RuntimeError(f"sendfile is not supported for transport {transport!r}")
        if not fallback:
            if mode is modes.TRY_NATIVE:
                raise exceptions.SendfileNotAvailableError("sendfile syscall is not supported")
            raise RuntimeError(
                f"fallback is disabled and native sendfile is not "
                f"supported for transport {transport!r}"
            )

        guard = _SendfileProtocol(self, transport)

        async def send(block: memoryview) -> None:
            await guard.drain()
            transport.write(bytes(block))

        try:
            return await self._send_blocks(file, offset, count, _TRANSPORT_BLOCK_BYTES, send)
        finally:
            guard.restore()

    async def _send_blocks(
        self, file: IO[bytes], offset: int, count: int | None, block_bytes: int, send: Any
    ) -> int:
        """Reads and sends until end of file or `count`; the file ends up behind what was sent."""
        if offset:
            file.seek(offset)
        if count:
            block_bytes = min(count, block_bytes)
        buffer = memoryview(bytearray(block_bytes))
        readinto: Any = file.readinto  # type: ignore[attr-defined]
        sent = 0
        try:
            while not count or sent < count:
                wanted = min(count - sent, block_bytes) if count else block_bytes
                read = await self.run_in_executor(None, readinto, buffer[:wanted])
                if not read:
                    break
                await send(buffer[:read])
                sent += read
            return sent
        finally:
            if sent > 0 and hasattr(file, "seek"):
                file.seek(offset + sent)


class _SendfileProtocol(asyncio.Protocol):
    """Stands in for a transport's protocol while a file goes out, to hear of flow control."""

    def __init__(self, loop: LoopBase, transport: Any) -> None:
        self._loop = loop
        self._transport = transport
        self._protocol: asyncio.BaseProtocol = transport.get_protocol()
        self._was_reading: bool = transport.is_reading()
        self._was_paused: bool = transport._protocol_paused
        transport.pause_reading()
        transport.set_protocol(self)
        self._writable: asyncio.Future[None] | None = None
        if self._was_paused:
            self._writable = loop.create_future()

    async def drain(self) -> None:
        if self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        if self._writable is not None:
            await self._writable

    def restore(self) -> None:
        self._transport.set_protocol(self._protocol)
        if self._was_reading:
            self._transport.resume_reading()
        if self._writable is not None:
            # Nobody waits for it any more; the real protocol hears of what follows.
            self._writable.cancel()
        if self._was_paused:
            self._protocol.resume_writing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raise RuntimeError("Invalid state: connection should have been established already.")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(
                exc if exc is not None else ConnectionError("Connection is closed by peer")
            )
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    def data_received(self, data: bytes) -> None:
        raise RuntimeError("Invalid state: reading should be paused")

    def eof_received(self) -> None:
        raise RuntimeError("Invalid state: reading should be paused")


def _check_parameters(sock: socket.socket, file: Any, offset: Any, count: Any) -> None:
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if sock.type != SOCK_STREAM:
        raise ValueError("only SOCK_STREAM type sockets are supported")
    if count is not None:
        message = f"count must be a positive integer (got {count!r})"
        if not isinstance(count, int):
            raise TypeError(message)
        if count <= 0:
            raise ValueError(message)
    message = f"offset must be a non-negative integer (got {offset!r})"
    if not isinstance(offset, int):
        raise TypeError(message)
    if offset < 0:
        raise ValueError(message)
