"""`Duration` and `Instant`: spans and points of time, in whole nanoseconds.

The same values as in C++: signed 64-bit nanoseconds that saturate at both ends, so "for ever" is an
ordinary value (`Duration.MAX` plus anything stays for ever) and no caller checks for overflow.
"""

from __future__ import annotations

import math
import sys
import time as _time
from typing import TYPE_CHECKING, ClassVar, Union, final, overload

if TYPE_CHECKING:
    from datetime import timedelta

#: The clock of Instant; that of a simulation in threads that run one (see _io/world.py).
_clock = _time.monotonic_ns

_LEAST = -(2**63)
_MOST = 2**63 - 1

#: What functions of this package take for a span of time: a number is in seconds.
Seconds = Union["Duration", "timedelta", float, int]


def _saturate(nanos: int) -> int:
    return _LEAST if nanos < _LEAST else _MOST if nanos > _MOST else nanos


def _count(units: int) -> int:
    if not isinstance(units, int) or isinstance(units, bool):
        raise TypeError(f"a count of units must be an int, not {type(units).__name__}")
    return units


@final
class Duration:
    """A span of time in nanoseconds, immutable and ordered.

    >>> Duration.from_millis(1500).as_secs_f64()
    1.5
    >>> Duration.from_secs(2) + Duration.from_millis(1) > Duration.from_secs(2)
    True

    Of two spans `//` is how often the second fits into the first and `%` what is left, `/` their
    ratio. Whole numbers are rounded towards zero, as in C++.

    >>> span, second = Duration.from_millis(2500), Duration.from_secs(1)
    >>> span // second, span % second, span / second
    (2, Duration(500ms), 2.5)
    """

    __slots__ = ("_nanos",)
    _nanos: int

    ZERO: ClassVar[Duration]
    #: For ever.
    MAX: ClassVar[Duration]
    MIN: ClassVar[Duration]

    def __init__(self, nanos: int = 0) -> None:
        if not isinstance(nanos, int) or isinstance(nanos, bool):
            raise TypeError(f"nanos must be an int, not {type(nanos).__name__}")
        object.__setattr__(self, "_nanos", _saturate(nanos))

    @classmethod
    def from_nanos(cls, nanos: int) -> Duration:
        return cls(nanos)

    @classmethod
    def from_micros(cls, micros: int) -> Duration:
        return cls(_count(micros) * 1_000)

    @classmethod
    def from_millis(cls, millis: int) -> Duration:
        return cls(_count(millis) * 1_000_000)

    @classmethod
    def from_secs(cls, secs: int) -> Duration:
        return cls(_count(secs) * 1_000_000_000)

    @classmethod
    def from_mins(cls, mins: int) -> Duration:
        return cls(_count(mins) * 60_000_000_000)

    @classmethod
    def from_hours(cls, hours: int) -> Duration:
        return cls(_count(hours) * 3_600_000_000_000)

    @classmethod
    def from_secs_f64(cls, seconds: float) -> Duration:
        """Rounds up to the next nanosecond, so that a wait is never shorter than asked.

        Raises:
            ValueError: `seconds` is not a number.
        """
        if math.isnan(seconds):
            raise ValueError("Invalid delay: NaN (not a number)")
        nanos = seconds * 1e9  # which may be infinite where `seconds` are not
        if math.isinf(nanos):
            return cls(_MOST if nanos > 0 else _LEAST)
        return cls(math.ceil(nanos))

    @classmethod
    def of(cls, value: Seconds) -> Duration:
        """`value` as a Duration: seconds as a number, a `timedelta`, or a Duration itself.

        Raises:
            TypeError: it is none of these.
            ValueError: it is not a number.
        """
        if isinstance(value, Duration):
            return value
        # Whoever has a timedelta has imported its module. We do not: up to 3.13 it crashes several
        # interpreters with a GIL of their own.
        datetime = sys.modules.get("datetime")
        if datetime is not None and isinstance(value, datetime.timedelta):
            return cls((value.days * 86_400 + value.seconds) * 10**9 + value.microseconds * 1_000)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if isinstance(value, int):
                return cls(value * 10**9)
            return cls.from_secs_f64(value)
        raise TypeError(
            f"a duration must be seconds as a number, a timedelta or a Duration, "
            f"not {type(value).__name__}"
        )

    def as_nanos(self) -> int:
        return self._nanos

    def as_micros(self) -> int:
        return _toward_zero(self._nanos, 1_000)

    def as_millis(self) -> int:
        return _toward_zero(self._nanos, 1_000_000)

    def as_secs(self) -> int:
        return _toward_zero(self._nanos, 1_000_000_000)

    def as_mins(self) -> int:
        return _toward_zero(self._nanos, 60_000_000_000)

    def as_hours(self) -> int:
        return _toward_zero(self._nanos, 3_600_000_000_000)

    def as_secs_f64(self) -> float:
        return self._nanos / 1e9

    def is_zero(self) -> bool:
        return self._nanos == 0

    def is_negative(self) -> bool:
        return self._nanos < 0

    def is_forever(self) -> bool:
        return self._nanos == _MOST

    def __add__(self, other: Duration) -> Duration:
        if not isinstance(other, Duration):
            return NotImplemented
        return Duration(self._nanos + other._nanos)

    def __sub__(self, other: Duration) -> Duration:
        if not isinstance(other, Duration):
            return NotImplemented
        return Duration(self._nanos - other._nanos)

    def __mul__(self, factor: int) -> Duration:
        if not isinstance(factor, int):
            return NotImplemented
        return Duration(self._nanos * factor)

    __rmul__ = __mul__

    @overload
    def __truediv__(self, divisor: int) -> Duration: ...
    @overload
    def __truediv__(self, divisor: Duration) -> float: ...
    def __truediv__(self, divisor: int | Duration) -> Duration | float:
        if isinstance(divisor, Duration):
            return self._nanos / divisor._nanos
        if not isinstance(divisor, int):
            return NotImplemented
        return Duration(_toward_zero(self._nanos, divisor))

    @overload
    def __floordiv__(self, divisor: int) -> Duration: ...
    @overload
    def __floordiv__(self, divisor: Duration) -> int: ...
    def __floordiv__(self, divisor: int | Duration) -> Duration | int:
        if isinstance(divisor, Duration):
            return _toward_zero(self._nanos, divisor._nanos)
        if not isinstance(divisor, int):
            return NotImplemented
        return Duration(_toward_zero(self._nanos, divisor))

    def __mod__(self, divisor: Duration) -> Duration:
        if not isinstance(divisor, Duration):
            return NotImplemented
        return self - divisor * (self // divisor)

    def __abs__(self) -> Duration:
        return Duration(abs(self._nanos))

    def __neg__(self) -> Duration:
        return Duration(-self._nanos)

    def __bool__(self) -> bool:
        return self._nanos != 0

    def __eq__(self, other: object) -> bool:
        return self._nanos == other._nanos if isinstance(other, Duration) else NotImplemented

    def __lt__(self, other: Duration) -> bool:
        return self._nanos < other._nanos if isinstance(other, Duration) else NotImplemented

    def __le__(self, other: Duration) -> bool:
        return self._nanos <= other._nanos if isinstance(other, Duration) else NotImplemented

    def __gt__(self, other: Duration) -> bool:
        return self._nanos > other._nanos if isinstance(other, Duration) else NotImplemented

    def __ge__(self, other: Duration) -> bool:
        return self._nanos >= other._nanos if isinstance(other, Duration) else NotImplemented

    def __hash__(self) -> int:
        return hash((Duration, self._nanos))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Duration is immutable; cannot set {name!r}")

    def __reduce__(self) -> tuple[type[Duration], tuple[int]]:
        return Duration, (self._nanos,)

    def __repr__(self) -> str:
        if self._nanos in (_MOST, _LEAST):
            return f"Duration.{'MAX' if self._nanos == _MOST else 'MIN'}"
        return f"Duration({self._nanos}ns)" if self._nanos % 1_000 else f"Duration({self!s})"

    def __str__(self) -> str:
        for unit, name in ((10**9, "s"), (10**6, "ms"), (10**3, "us")):
            if self._nanos and self._nanos % unit == 0:
                return f"{self._nanos // unit}{name}"
        return f"{self._nanos}ns"


Duration.ZERO = Duration(0)
Duration.MAX = Duration(_MOST)
Duration.MIN = Duration(_LEAST)


@final
class Instant:
    """A point on the monotonic clock: the one of `time.monotonic()` and of the loops.

    >>> start = Instant.now()
    >>> start + Duration.from_secs(1) > start
    True
    """

    __slots__ = ("_nanos",)
    _nanos: int

    #: Never reached.
    MAX: ClassVar[Instant]

    def __init__(self, nanos: int) -> None:
        if not isinstance(nanos, int) or isinstance(nanos, bool):
            raise TypeError(f"nanos must be an int, not {type(nanos).__name__}")
        object.__setattr__(self, "_nanos", _saturate(nanos))

    @classmethod
    def now(cls) -> Instant:
        return cls(_clock())

    @classmethod
    def from_nanos(cls, nanos: int) -> Instant:
        return cls(nanos)

    def as_nanos(self) -> int:
        """Nanoseconds since the clock's beginning, which is the machine's start on Linux."""
        return self._nanos

    def as_secs_f64(self) -> float:
        """Comparable with `time.monotonic()`."""
        return self._nanos / 1e9

    def elapsed(self) -> Duration:
        """How long ago this was; negative if it is to come."""
        return Duration(_clock() - self._nanos)

    def __add__(self, by: Duration) -> Instant:
        if not isinstance(by, Duration):
            return NotImplemented
        return Instant(self._nanos + by.as_nanos())

    @overload
    def __sub__(self, other: Duration) -> Instant: ...
    @overload
    def __sub__(self, other: Instant) -> Duration: ...
    def __sub__(self, other: Duration | Instant) -> Instant | Duration:
        if isinstance(other, Duration):
            return Instant(self._nanos - other.as_nanos())
        if isinstance(other, Instant):
            return Duration(self._nanos - other._nanos)
        return NotImplemented

    def __eq__(self, other: object) -> bool:
        return self._nanos == other._nanos if isinstance(other, Instant) else NotImplemented

    def __lt__(self, other: Instant) -> bool:
        return self._nanos < other._nanos if isinstance(other, Instant) else NotImplemented

    def __le__(self, other: Instant) -> bool:
        return self._nanos <= other._nanos if isinstance(other, Instant) else NotImplemented

    def __gt__(self, other: Instant) -> bool:
        return self._nanos > other._nanos if isinstance(other, Instant) else NotImplemented

    def __ge__(self, other: Instant) -> bool:
        return self._nanos >= other._nanos if isinstance(other, Instant) else NotImplemented

    def __hash__(self) -> int:
        return hash((Instant, self._nanos))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Instant is immutable; cannot set {name!r}")

    def __reduce__(self) -> tuple[type[Instant], tuple[int]]:
        return Instant, (self._nanos,)

    def __repr__(self) -> str:
        return f"Instant({self._nanos})"


Instant.MAX = Instant(_MOST)


def _toward_zero(nanos: int, divisor: int) -> int:
    """Division as in C++: Python's own rounds down."""
    quotient = abs(nanos) // abs(divisor)
    return quotient if (nanos < 0) == (divisor < 0) else -quotient
