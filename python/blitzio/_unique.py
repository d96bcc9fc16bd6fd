"""For classes whose objects are what they are by identity: a lock, a task, a connection.

A copy of one would share half of it with the original: copy.copy() and pickle refuse, as they do
with Python's own locks and sockets.
"""

from __future__ import annotations

from typing import NoReturn


def refuse_copy(self: object) -> NoReturn:
    """As `__reduce__` of such a class.

    Raises:
        TypeError: always.
    """
    raise TypeError(f"cannot pickle {type(self).__name__!r} object")
