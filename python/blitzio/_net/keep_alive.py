"""`KeepAlive`: when the system asks a silent peer whether it is still there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blitzio._duration import Duration

if TYPE_CHECKING:
    from blitzio._duration import Seconds

#: What Linux takes, in seconds and in number.
_SECONDS_MAX = 32_767
_PROBES_MAX = 127


@dataclass(frozen=True, init=False)
class KeepAlive:
    """For `TcpStream.set_keepalive()`.

    >>> from blitzio import net
    >>> listener = net.TcpListener.bind("127.0.0.1:0")
    >>> stream = net.TcpStream.blocking_connect(listener.local_address)
    >>> stream.set_keepalive(KeepAlive(idle=60, interval=10, probes=3))
    >>> stream.keepalive()
    KeepAlive(idle=Duration(60s), interval=Duration(10s), probes=3)
    >>> stream.close(); listener.close()
    """

    idle: Duration
    """Silence before the first question."""
    interval: Duration
    """Between questions."""
    probes: int
    """Unanswered ones until the peer counts as gone."""

    @classmethod
    def _read(cls, idle: Duration, interval: Duration, probes: int) -> KeepAlive:
        """Of what the system reports: its own defaults may be longer than what it takes."""
        made = cls.__new__(cls)
        object.__setattr__(made, "idle", idle)
        object.__setattr__(made, "interval", interval)
        object.__setattr__(made, "probes", probes)
        return made

    def __init__(self, idle: Seconds = 7200, interval: Seconds = 75, probes: int = 9) -> None:
        """Times are in seconds, or Durations; the system has whole seconds and rounds up.

        Raises:
            ValueError: a time that is not above 0 and at most 32,767 seconds; probes that are not 1
                to 127.
            TypeError: of another type.
        """
        given: object = probes
        if not isinstance(given, int) or isinstance(given, bool):
            raise TypeError(f"probes must be an int, not {type(probes).__name__}")
        if not 1 <= probes <= _PROBES_MAX:
            raise ValueError(f"probes must be from 1 to {_PROBES_MAX}, not {probes}")
        object.__setattr__(self, "idle", _time("idle", idle))
        object.__setattr__(self, "interval", _time("interval", interval))
        object.__setattr__(self, "probes", probes)


def _time(name: str, value: Seconds) -> Duration:
    duration = Duration.of(value)
    if not Duration.ZERO < duration <= Duration.from_secs(_SECONDS_MAX):
        raise ValueError(
            f"{name} must be above 0 and at most {_SECONDS_MAX} seconds, not {value!r}"
        )
    return duration
