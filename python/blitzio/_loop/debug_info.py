"""`print_debug_info`: the loop's state as text."""

from __future__ import annotations

import asyncio
import threading

from blitzio._native import LoopBase

#: What metrics() counts, as it is printed: a heading, then names and what they are called.
_METRICS = {
    "callbacks": {"ready": "ready", "timers": "timers"},
    "I/O": {
        "io_submitted": "submitted",
        "io_completed": "completed",
        "io_syscalls": "system calls",
        "waits": "waits",
        "wakes": "wake-ups by threads",
        "buffers_exhausted": "buffers exhausted",
    },
    "blocking threads": {
        "blocking_threads": "threads",
        "blocking_idle": "idle",
        "blocking_queued": "queued",
    },
}


class DebugInfoMixin(LoopBase):
    def print_debug_info(self) -> None:
        """Prints the loop's state to the standard output: its backend, its tasks, callbacks and
        timers, the transports by their type, and the counters of metrics(). For people; programs
        have metrics().

        >>> import blitzio
        >>> loop = blitzio.new_event_loop(blitzio.Config(backend="poll"))
        >>> loop.print_debug_info()  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
        loop
          backend...poll
          state...stopped
        ...
        >>> loop.close()

        Raises:
            RuntimeError: the loop is closed, or another thread runs it.
        """
        self._check_closed()
        thread = self._thread_id
        if thread is not None and thread != threading.get_ident():
            raise RuntimeError(
                "Non-thread-safe operation invoked on an event loop other than the current one"
            )
        metrics = self.metrics()
        sections: dict[str, dict[str, object]] = {
            "loop": {
                "backend": self.backend,
                "state": "stopped" if thread is None else f"running in thread {thread}",
                "debug": "on" if self.get_debug() else "off",
                "tasks": len(asyncio.all_tasks(self)),  # type: ignore[arg-type]
            },
            **{
                heading: {label: metrics[name] for name, label in names.items()}
                for heading, names in _METRICS.items()
            },
            "transports": {"open": metrics["transports"], **self._transport_kinds()},
        }
        lines = []
        for heading, rows in sections.items():
            lines.append(heading)
            lines += [f"  {label:<20} {value:>12}" for label, value in rows.items()]
        print("\n".join(lines))
