"""`connect_read_pipe`, `connect_write_pipe`: native transports of one end of a pipe.

Pipes, FIFOs, sockets, terminals and other character devices; not regular files, which are always
ready and would block the loop.
"""

from __future__ import annotations

import logging

from blitzio._native import LoopBase, ReadPipeTransport, WritePipeTransport

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any, TypeVar

    _ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)
    _TransportT = TypeVar("_TransportT", asyncio.ReadTransport, asyncio.WriteTransport)

logger = logging.getLogger("asyncio")


class PipesMixin(LoopBase):
    async def connect_read_pipe(
        self, protocol_factory: Callable[[], _ProtocolT], pipe: Any
    ) -> tuple[asyncio.ReadTransport, _ProtocolT]:
        """Makes a transport that reads from `pipe` and closes it in the end.

        Args:
            pipe: a file-like object; its descriptor becomes non-blocking.

        Raises:
            ValueError: `pipe` is no pipe, socket or character device.

        Cancellation: the transport is closed.
        """
        make = self._make_read_pipe_transport
        return await self._connect_pipe("Read", make, protocol_factory, pipe)

    async def connect_write_pipe(
        self, protocol_factory: Callable[[], _ProtocolT], pipe: Any
    ) -> tuple[asyncio.WriteTransport, _ProtocolT]:
        """Makes a transport that writes to `pipe` and closes it in the end.

        The protocol loses the connection as soon as nobody reads the pipe any more.

        Args:
            pipe: a file-like object; its descriptor becomes non-blocking.

        Raises:
            ValueError: `pipe` is no pipe, socket or character device.

        Cancellation: the transport is closed.
        """
        make = self._make_write_pipe_transport
        return await self._connect_pipe("Write", make, protocol_factory, pipe)

    async def _connect_pipe(
        self,
        direction: str,
        make: Callable[[Any, _ProtocolT, asyncio.Future[None]], _TransportT],
        protocol_factory: Callable[[], _ProtocolT],
        pipe: Any,
    ) -> tuple[_TransportT, _ProtocolT]:
        protocol = protocol_factory()
        waiter: asyncio.Future[None] = self.create_future()
        transport = make(pipe, protocol, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        if self.get_debug():
            logger.debug(
                "%s pipe %r connected: (%r, %r)", direction, pipe.fileno(), transport, protocol
            )
        return transport, protocol

    def _make_read_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.ReadTransport:
        return ReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.WriteTransport:
        return WritePipeTransport(self, pipe, protocol, waiter, extra)
