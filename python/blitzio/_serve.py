"""`serve` and `Server`: one address, served by every worker of a runtime.

Each worker has a listening socket of its own on the address (SO_REUSEPORT), and the kernel spreads
new connections over them. Where that gives one worker more than another, `Balance` passes them on;
from then on a connection is read and written by one worker. An ASGI application is served by
uvicorn, which runs on the workers' loops as on any other.

    created ──▶ serving ──shutdown()──▶ closing: no new connections, open ones end ──▶ closed
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import inspect
import operator
import socket
import ssl as ssl_module
from typing import TYPE_CHECKING, Any

from blitzio._balance import Balance
from blitzio._duration import Duration
from blitzio._net.tls import address_of
from blitzio._shutdown import Shutdown
from blitzio._task.cancel_token import CancelToken
from blitzio._unique import refuse_copy
from blitzio.runtime import Runtime
from blitzio.time import timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import TypedDict

    from typing_extensions import Unpack

    from blitzio._config import Config
    from blitzio._duration import Seconds

    class _ServerOptions(TypedDict, total=False):
        workers: int
        config: Config | None
        ssl: ssl_module.SSLContext | None
        backlog: int
        grace: Seconds

    _ProtocolFactory = Callable[[], asyncio.BaseProtocol]
    _AsgiApp = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]
    _Application = _ProtocolFactory | _AsgiApp
    #: Serves a listening socket until the token is cancelled; sets the future when it has begun.
    _ServeSocket = Callable[
        [socket.socket, CancelToken, "asyncio.Future[None]"], Coroutine[Any, Any, None]
    ]


class Server:
    """Serves an address on all workers of a runtime of its own, until it is shut down.

    >>> with Server(asyncio.Protocol, "127.0.0.1", 0) as server:
    ...     host, port = server.address[:2]
    >>> host
    '127.0.0.1'

    Args:
        app: a protocol factory, called without arguments for each connection; or an ASGI
            application: uvicorn must be installed then, and each worker runs its lifespan.
        host: an address or name of this machine.
        port: 0: any free one; `address` says which.
        workers: how many; 0: as Config says.
        config: of the runtime and its loops.
        ssl: for TLS; of protocol factories only.
        backlog: connections that may wait to be accepted, for each worker.
        grace: how long that may take which shutdown() waits for; then it is aborted.

    Raises:
        TypeError: `app` is neither; `ssl` is no SSLContext, or with an ASGI application.
        OSError: the address is not to be had.
        ImportError: uvicorn is missing.

    Thread: any but a loop's.
    """

    __reduce__ = refuse_copy

    def __init__(
        self,
        app: _Application,
        host: str = "127.0.0.1",
        port: int = 8000,
        *,
        workers: int = 0,
        config: Config | None = None,
        ssl: ssl_module.SSLContext | None = None,
        backlog: int = 2048,
        grace: Seconds = 5.0,
    ) -> None:
        balance = Balance()
        grace = Duration.of(grace)  # What is wrong is to show here, not at the end.
        if _is_asgi(app):
            if ssl is not None:
                raise TypeError("ssl is for protocol factories; an ASGI application takes none")
            serve_socket = _asgi(app, backlog, grace, balance)
        else:
            if ssl is not None and not isinstance(ssl, ssl_module.SSLContext):
                raise TypeError("ssl argument must be an SSLContext or None")
            serve_socket = _protocols(app, ssl, backlog, grace, balance)
        self._stop = CancelToken()
        self._running: list[concurrent.futures.Future[None]] = []
        self._runtime = Runtime(config, workers=workers) if workers else Runtime(config)
        try:
            self.address = self._start(host, port, serve_socket)
        except BaseException:
            self._stop.cancel()
            self._runtime.shutdown()
            raise

    @property
    def runtime(self) -> Runtime:
        return self._runtime

    def shutdown(self) -> None:
        """Takes no more connections, closes those that are open once what they have written is
        sent, or has the ASGI application finish its requests, and ends the workers. Again: nothing.

        Raises:
            RuntimeError: called from a worker.
            Exception: what ended a worker's serving before its time.
        """
        scheduler = self._runtime._scheduler
        failures = []
        # Neither a worker nor a forked child can wait for the workers.
        if not scheduler.is_own_thread() and not scheduler.native.is_parents:
            self._stop.cancel()
            running, self._running = self._running, []
            failures = [failure for each in running if (failure := each.exception()) is not None]
        self._runtime.shutdown()
        if failures:
            raise failures[0]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        if self._runtime._is_shut_down:
            state = "closed"
        else:
            state = "closing" if self._stop.cancel_requested else "serving"
        return f"<Server {address_of(self.address)} workers={self._runtime.config.workers} {state}>"

    def _start(self, host: str, port: int, serve_socket: _ServeSocket) -> tuple[Any, ...]:
        address: tuple[Any, ...] = ()
        for worker in self._runtime._scheduler.workers:
            listening = _listen(host, port)
            address = listening.getsockname()
            port = address[1]
            begun: concurrent.futures.Future[None] = concurrent.futures.Future()
            self._running.append(
                asyncio.run_coroutine_threadsafe(
                    _run(serve_socket, listening, self._stop, begun),
                    worker.loop,
                )
            )
            begun.result()
        return address


def serve(
    app: _Application,
    host: str = "127.0.0.1",
    port: int = 8000,
    **options: Unpack[_ServerOptions],
) -> None:
    """Serves until SIGINT or SIGTERM, then ends well. Blocks; in the main thread.

        def main():
            blitzio.serve(app, "0.0.0.0", 8000, workers=4)

    What ends it here is a thread, as soon as the signal is waited for:

    >>> import os, signal, threading, time
    >>> def end():
    ...     while signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
    ...         time.sleep(0.01)
    ...     os.kill(os.getpid(), signal.SIGTERM)
    >>> threading.Thread(target=end).start()
    >>> serve(asyncio.Protocol, port=0, workers=1)

    Args:
        app, host, port, options: as Server.

    Raises:
        RuntimeError: a loop runs in this thread.
        ValueError: this is not the main thread.
        TypeError, OSError, ImportError: as Server.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("serve() would block the event loop of this thread; use Server")
    with Shutdown() as shutdown, Server(app, host, port, **options):
        shutdown.blocking_wait()


def _is_asgi(app: Any) -> bool:
    """Whether `app` takes (scope, receive, send); a protocol factory takes nothing.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(app, type) and issubclass(app, asyncio.BaseProtocol):
        return False
    if callable(app):
        try:
            signature = inspect.signature(app)
        except ValueError:
            return False  # A function of an extension that does not tell.
        for arguments, answer in (((), False), ((None, None, None), True)):
            try:
                signature.bind(*arguments)
            except TypeError:
                continue
            return answer
    raise TypeError(f"a protocol factory or an ASGI application was expected, got {app!r}")


def _listen(host: str, port: int) -> socket.socket:
    port = operator.index(port)
    if not 0 <= port <= 65_535:
        raise OverflowError("port must be 0-65535.")  # getaddrinfo() takes it for another.
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.setblocking(False)
        listening.bind(address)
    except BaseException:
        listening.close()
        raise
    return listening


async def _run(
    serve_socket: _ServeSocket,
    listening: socket.socket,
    stop: CancelToken,
    begun: concurrent.futures.Future[None],
) -> None:
    """On a worker: serves; `begun` learns that it has begun, or why it could not."""
    here = asyncio.get_running_loop().create_future()
    here.add_done_callback(lambda _: begun.set_result(None))
    try:
        await serve_socket(listening, stop, here)
    except BaseException as error:
        if begun.done():
            raise
        begun.set_exception(error)
    finally:
        listening.close()


def _protocols(
    factory: Any,
    ssl: ssl_module.SSLContext | None,
    backlog: int,
    grace: Seconds,
    balance: Balance,
) -> _ServeSocket:
    async def serve_socket(
        listening: socket.socket, stop: CancelToken, begun: asyncio.Future[None]
    ) -> None:
        loop: Any = asyncio.get_running_loop()
        server = await loop.create_server(factory, sock=listening, ssl=ssl, backlog=backlog)
        balance.join(loop, server)
        begun.set_result(None)
        try:
            await stop.cancelled()
        finally:
            server.close()
            server.close_clients()
            try:
                async with timeout(grace):
                    await server._wait_for_clients()
            except TimeoutError:
                server.abort_clients()
                await server._wait_for_clients()

    return serve_socket


def _asgi(app: Any, backlog: int, grace: Seconds, balance: Balance) -> _ServeSocket:
    try:
        uvicorn: Any = importlib.import_module("uvicorn")
    except ImportError as error:
        raise ImportError(
            "uvicorn serves ASGI applications: pip install uvicorn", name="uvicorn"
        ) from error

    async def serve_socket(
        listening: socket.socket, stop: CancelToken, begun: asyncio.Future[None]
    ) -> None:
        config = uvicorn.Config(app, backlog=backlog, log_config=None, access_log=False)

        server = uvicorn.Server(config)
        start_up = server.startup

        async def startup(sockets: Any = None) -> None:
            await start_up(sockets)
            if server.started:
                loop: Any = asyncio.get_running_loop()
                for listener in server.servers:
                    balance.join(loop, listener)
                begun.set_result(None)

        server.startup = startup
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        stopping = asyncio.ensure_future(stop.cancelled())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        try:
            async with timeout(grace):
                await asyncio.shield(serving)
        except TimeoutError:
            server.force_exit = True
            await serving
        stopping.cancel()
        if not begun.done():
            raise RuntimeError("the application did not start; its log says why")

    return serve_socket
