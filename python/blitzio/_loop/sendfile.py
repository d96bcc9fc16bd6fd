"""Sending files: `sock_sendfile`, `sendfile`.

sendfile(2) ─▶ the socket is full ─▶ wait natively until it takes more ─▶ sendfile(2) …
     │ not a regular file, the first call fails, TLS
     ▼
read a block on the blocking pool ─▶ send it ─▶ read …

The system call is made by the loop's thread, as asyncio's is, and may wait for the disk: a call
moves one piece, and others get their turn after each.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import stat
from asyncio import constants, exceptions
from socket import SOCK_STREAM

from blitzio._loop.tls import check_not_ssl_socket
from blitzio._native import LoopBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from typing import IO, Any

_PIECE_BYTES = 256 * 1024
_TRANSPORT_BLOCK_BYTES = 256 * 1024

# Tools that find blocking calls, such as blockbuster, replace functions of `os` and excuse
# asyncio's loop by name, not ours: what is taken before they do is not blamed on the program.
_sendfile = os.sendfile


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

        The file's position ends up behind what was sent, also if this fails or is cancelled.

        Raises:
            ValueError, TypeError: a file in text mode, no stream socket, bad offset or count.
            SendfileNotAvailableError: `fallback` is false and sendfile(2) cannot send `file`.
            OSError: sending failed half-way.

        Cancellation: what was sent stays sent.
        """
        if self.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        check_not_ssl_socket(sock)
        _check_parameters(sock, file, offset, count)
        try:
            if sock.gettimeout() != 0:
                raise exceptions.SendfileNotAvailableError("the socket may block")
            return await self._send_pieces(
                sock.fileno, lambda: self._sock_wait_writable(sock), file, offset, count
            )
        except exceptions.SendfileNotAvailableError:
            if not fallback:
                raise

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

        Meanwhile the transport's reading is paused, and write() raises RuntimeError. Where the
        system call does not serve (TLS), the transport's protocol is replaced instead.
        The file's position ends up behind what was sent, also if this fails or is cancelled.

        Raises:
            RuntimeError: the transport is closing or cannot send files, or `fallback` is false and
                the transport is not a plain socket's.
            SendfileNotAvailableError: `fallback` is false and sendfile(2) cannot send `file`.
            ConnectionError: the connection was closed half-way, by either side.

        Cancellation: what was sent stays sent; the transport stays open.
        """
        if transport.is_closing():
            raise RuntimeError("Transport is closing")
        modes: Any = constants._SendfileMode
        mode = getattr(transport, "_sendfile_compatible", modes.UNSUPPORTED)
        if mode is modes.UNSUPPORTED:
            raise RuntimeError(f"sendfile is not supported for transport {transport!r}")
        if mode is modes.TRY_NATIVE:
            try:
                return await self._sendfile_native(transport, file, offset, count)
            except exceptions.SendfileNotAvailableError:
                if not fallback:
                    raise
        if not fallback:
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

    async def _sendfile_native(
        self, transport: Any, file: IO[bytes], offset: int, count: int | None
    ) -> int:
        _check_parameters(transport.get_extra_info("socket"), file, offset, count)

        def descriptor() -> int:
            # From connection_lost() on, which is_closing() precedes, the number may be another's.
            if transport.is_closing():
                raise ConnectionError("Connection is closed by peer")
            fd: int = transport._sock_fd
            return fd

        emptied = transport._make_empty_waiter()  # Raises if a file is being sent already.
        was_reading = transport.is_reading()
        transport.pause_reading()
        try:
            await emptied
            return await self._send_pieces(
                descriptor, transport._make_writable_waiter, file, offset, count
            )
        finally:
            transport._reset_empty_waiter()
            if was_reading:
                transport.resume_reading()

    async def _send_pieces(
        self,
        descriptor: Callable[[], int],
        wait_writable: Callable[[], Awaitable[object]],
        file: IO[bytes],
        offset: int,
        count: int | None,
    ) -> int:
        """Sends by sendfile(2). `descriptor` is asked anew after each wait, and may raise."""
        file_fd = _regular_file(file)
        sent = 0
        has_waited = False
        try:
            while count is None or sent < count:
                wanted = _PIECE_BYTES if count is None else min(count - sent, _PIECE_BYTES)
                fd = descriptor()
                try:
                    moved = _sendfile(fd, file_fd, offset + sent, wanted)
                except BlockingIOError:
                    has_waited = True
                    await wait_writable()
                    continue
                except OSError as exc:
                    if sent == 0:
                        # A file or a socket that sendfile(2) does not know; if it is anything
                        # else, the other way fails as well and says what it is.
                        raise exceptions.SendfileNotAvailableError(
                            "os.sendfile call failed"
                        ) from exc
                    if has_waited and exc.errno == errno.ENOTCONN:
                        raise ConnectionError("socket is not connected", errno.ENOTCONN) from exc
                    raise
                if moved == 0:
                    break
                sent += moved
                if moved == wanted:
                    await asyncio.sleep(0)
                else:
                    has_waited = True
                    await wait_writable()
            return sent
        finally:
            if sent > 0:
                _set_position(file, offset + sent)

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
            if sent > 0:
                _set_position(file, offset + sent)


class _SendfileProtocol(asyncio.Protocol):
    """Stands in for a transport's protocol while a file goes out, to hear of flow control."""

    def __init__(self, loop: LoopBase, transport: Any) -> None:
        self._loop = loop
        self._transport = transport
        self._protocol: asyncio.BaseProtocol = transport.get_protocol()
        self._was_reading: bool = transport.is_reading()
        # What the real protocol believes about writing.
        self._knows_paused: bool = transport._protocol_paused
        self._writable: asyncio.Future[None] | None = None
        if self._knows_paused:
            self._writable = loop.create_future()
        transport.pause_reading()
        transport.set_protocol(self)

    async def drain(self) -> None:
        if self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        if self._writable is not None:
            await self._writable

    def restore(self) -> None:
        if self._writable is not None:
            # Nobody waits for it any more; the real protocol hears of what follows.
            if self._writable.done() and not self._writable.cancelled():
                self._writable.exception()
            self._writable.cancel()
        if self._transport.get_protocol() is not self:
            return  # Somebody has changed it meanwhile, or the connection is lost.
        self._transport.set_protocol(self._protocol)
        if self._was_reading:
            self._transport.resume_reading()
        # asyncio tells it of resuming alone, even of what it never heard to be paused.
        is_paused: bool = self._transport._protocol_paused
        if self._knows_paused and not is_paused:
            self._protocol.resume_writing()
        elif is_paused and not self._knows_paused:
            self._protocol.pause_writing()

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


def _regular_file(file: Any) -> int:
    """The descriptor of `file`, if sendfile(2) can be expected to know its kind."""
    try:
        fd: int = file.fileno()
        mode = os.fstat(fd).st_mode
    except (AttributeError, io.UnsupportedOperation, OSError):
        raise exceptions.SendfileNotAvailableError("not a regular file") from None
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        # asyncio takes their size, which is 0, and sends nothing.
        raise exceptions.SendfileNotAvailableError("not a regular file")
    return fd


def _set_position(file: Any, position: int) -> None:
    if hasattr(file, "seek"):
        file.seek(position)


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
