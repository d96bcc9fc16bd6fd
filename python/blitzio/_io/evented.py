"""`Evented`: an Io whose tasks share the workers of a Runtime, so that waiting costs no thread.

Threads: any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blitzio import process, signal
from blitzio._io.handle import Io
from blitzio._io.native_net import NATIVE
from blitzio._task.concurrent import ConcurrencyUnavailable
from blitzio._unique import refuse_copy
from blitzio.runtime import Runtime
from blitzio.time import now

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from blitzio._config import Config
    from blitzio._duration import Instant
    from blitzio._io.outside import Files, Network, Processes, Signals
    from blitzio._native import JoinHandle
    from blitzio._options import Options


class Native:
    """What implementations on the real machine have in common."""

    __reduce__ = refuse_copy

    _net: Network = NATIVE
    _process: Processes = process
    _signal: Signals = signal

    @property
    def _fs(self) -> Files:
        from blitzio import fs

        return fs

    def _now(self) -> Instant:
        return now()

    def _order(self, count: int) -> list[int]:
        return list(range(count))

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Evented(Native):
    """Tasks on the workers of a Runtime: io_uring, epoll or poll, as its Config says.

    `async_` is the runtime's `spawn`. With a single worker, the default where Python has its GIL,
    nothing is concurrent.

    >>> from blitzio.io import Evented
    >>> async def main(io):
    ...     return await io.concurrent(len, "four")
    >>> with Evented(workers=2) as evented:
    ...     evented.io().run(main, evented.io())
    4

    Args:
        runtime: the caller's; None for one of its own.
        config: for its own; see `Config`.
        options: fields of Config, by name.

    Raises:
        TypeError, ValueError, RuntimeError, OSError: as Runtime.
    """

    def __init__(
        self,
        runtime: Runtime | None = None,
        *,
        config: Config | None = None,
        **options: Unpack[Options],
    ) -> None:
        if runtime is not None and (config is not None or options):
            raise TypeError("a runtime of the caller's has its options already")
        if runtime is not None and not isinstance(runtime, Runtime):
            raise TypeError(f"runtime must be a blitzio.Runtime or None, not {runtime!r}")
        self._is_own = runtime is None
        self._runtime = Runtime(config, **options) if runtime is None else runtime

    def io(self) -> Io:
        """The handle that programs take."""
        return Io(self)

    @property
    def runtime(self) -> Runtime:
        return self._runtime

    def close(self) -> None:
        """Shuts its own runtime down: what still runs is cancelled. Again: nothing.

        Raises:
            RuntimeError: called from one of its threads.
        """
        if self._is_own:
            self._runtime.shutdown()

    def __repr__(self) -> str:
        return f"<Evented on {self._runtime!r}>"

    # ---- what Io calls -----------------------------------------------------------------------

    def _start(self, handle: JoinHandle[Any], *, must_overlap: bool) -> None:
        scheduler = self._runtime._scheduler
        if not must_overlap:
            scheduler.native.schedule(handle)
            return
        if len(scheduler.workers) == 1:
            raise ConcurrencyUnavailable(
                "nothing runs at the same time as this task; use several workers"
            )
        scheduler.native.schedule_on_another(handle)

    def _block_on(self, handle: JoinHandle[Any]) -> Any:
        self._runtime._scheduler.native.schedule(handle)
        try:
            return handle.blocking_join()
        except KeyboardInterrupt:
            handle.cancel()
            handle._block(None)
            handle.detach()
            raise
