"""Names and addresses: numeric hosts at once, everything else on the blocking pool."""

from __future__ import annotations

import logging
import socket

from blitzio._native import LoopBase, numeric_address, numeric_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # (family, type, proto, canonname, sockaddr); the sockaddr is what bind() and connect() take.
    AddressInfo: TypeAlias = tuple[int, int, int, str, Any]

logger = logging.getLogger("asyncio")


class NamesMixin(LoopBase):
    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """`socket.getaddrinfo` without blocking the loop; a numeric host needs no thread.

        Raises:
            socket.gaierror: the name cannot be resolved.
        """
        self._check_closed()
        if self.get_debug():
            return await self.run_in_executor(
                None, self._getaddrinfo_debug, host, port, family, type, proto, flags
            )
        infos = numeric_address(host, port, family, type, proto, flags)
        if infos is not None:
            return infos
        resolve: Any = socket.getaddrinfo
        found: list[Any] = await self.run_in_executor(
            None, resolve, host, port, family, type, proto, flags
        )
        return found

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int = 0
    ) -> tuple[str, str]:
        """`socket.getnameinfo` without blocking the loop."""
        self._check_closed()
        return await self.run_in_executor(None, socket.getnameinfo, sockaddr, flags)

    def _getaddrinfo_debug(
        self, host: Any, port: Any, family: int, type: int, proto: int, flags: int
    ) -> list[AddressInfo]:
        parts = [f"{host}:{port!r}"]
        if family:
            parts.append(f"{family=!r}")
        if type:
            parts.append(f"{type=!r}")
        if proto:
            parts.append(f"{proto=!r}")
        if flags:
            parts.append(f"{flags=!r}")
        what = ", ".join(parts)
        logger.debug("Get address info %s", what)

        started = self.time()
        infos: list[Any] = socket.getaddrinfo(host, port, family, type, proto, flags)
        took = self.time() - started

        message = f"Getting address info {what} took {took * 1e3:.3f}ms: {infos!r}"
        if took >= self.slow_callback_duration:
            logger.info(message)
        else:
            logger.debug(message)
        return infos

    async def _ensure_resolved(
        self,
        address: Any,
        *,
        family: int = 0,
        type: int = socket.SOCK_STREAM,
        proto: int = 0,
        flags: int = 0,
        loop: Any = None,
    ) -> list[AddressInfo]:
        """The addresses of a (host, port, …) tuple; one that is numeric is not resolved again.

        `loop` is accepted because asyncio's own method of that name takes it.
        """
        host, port = address[:2]
        info = numeric_info(host, port, family, type, proto, *address[2:])
        if info is not None:
            return [info]
        return await self.getaddrinfo(
            host, port, family=family, type=type, proto=proto, flags=flags
        )

    async def _sock_connect_unresolved(self, sock: socket.socket, address: Any) -> None:
        """`sock_connect` to an address whose host is a name (or is otherwise not plain)."""
        infos = await self._ensure_resolved(
            address, family=sock.family, type=sock.type, proto=sock.proto
        )
        await self._sock_connect_resolved(sock, infos[0][4])
