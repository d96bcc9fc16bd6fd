"""Network: TCP, UDP and Unix sockets, TLS, names, and a pool of connections.

Everything here can be awaited from a task of any asyncio loop: blitzio's, asyncio's own, uvloop's.
A call is tried at once and waits only if it would block. Cancelling loses no byte: what a cancelled
read had gathered is there for the next one.

    from blitzio import net

    async def echo(stream: net.TcpStream) -> None:
        async with stream:
            while data := await stream.read():
                await stream.write_all(data)

    async def main() -> None:
        async with net.TcpListener.bind("127.0.0.1:8080") as listener:
            async for stream in listener:
                asyncio.create_task(echo(stream))

`try_x` answers now, `blocking_x(..., timeout=None)` waits in a thread without an event loop. The
socket may be one for which tasks wait, too: who comes first gets what comes.

    def fetch(address: str) -> bytes:
        stream = net.TcpStream.blocking_connect(address, timeout=5)
        stream.blocking_write_all(b"hello\n")
        return stream.blocking_read_line(timeout=5)

Errors of the system are `OSError` with its `errno`; a socket that is closed says EBADF. A stream
that ends too early is `asyncio.IncompleteReadError`, a line that is too long
`asyncio.LimitOverrunError`.
"""

from __future__ import annotations

from blitzio._native import (
    Address,
    TcpListener,
    TcpStream,
    UdpSocket,
    UnixDatagram,
    UnixListener,
    UnixStream,
)
from blitzio._net.connect import blocking_connect, blocking_resolve, connect, resolve
from blitzio._net.copy import (
    ReadStream,
    WriteStream,
    blocking_copy,
    blocking_copy_bidirectional,
    copy,
    copy_bidirectional,
)
from blitzio._net.keep_alive import KeepAlive
from blitzio._net.pool import Pool
from blitzio._net.split import ReadHalf, WriteHalf
from blitzio._net.tls import TlsStream, start_tls

__all__ = (
    "Address",
    "KeepAlive",
    "Pool",
    "ReadHalf",
    "ReadStream",
    "TcpListener",
    "TcpStream",
    "TlsStream",
    "UdpSocket",
    "UnixDatagram",
    "UnixListener",
    "UnixStream",
    "WriteHalf",
    "WriteStream",
    "blocking_connect",
    "blocking_copy",
    "blocking_copy_bidirectional",
    "blocking_resolve",
    "connect",
    "copy",
    "copy_bidirectional",
    "resolve",
    "start_tls",
)
