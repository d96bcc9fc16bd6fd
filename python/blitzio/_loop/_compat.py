"""What CPython changed within a minor version, found by looking at the asyncio that runs.

The wording of two errors and one decision of `create_server` were changed and back-ported between
patch releases; asking for a version number would be wrong on half of them. The names that asyncio's
own functions use say which form they have.
"""

from __future__ import annotations

import sys
from asyncio import base_events, format_helpers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _names_used_by(function: Any) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    return () if code is None else tuple(code.co_names)


_loop_class: Any = base_events.BaseEventLoop

# "error while attempting to bind …: [errno 98] address already in use" against
# "… : address already in use".
BIND_ERRORS_NAME_ERRNO = "strerror" not in _names_used_by(_loop_class.create_server)
LOCAL_BIND_ERRORS_NAME_ERRNO = "strerror" not in _names_used_by(
    getattr(_loop_class, "_connect_sock", None)
)

# An address that this host does not have is skipped while others can be bound.
SKIPS_UNAVAILABLE_ADDRESSES = "EADDRNOTAVAIL" in _names_used_by(_loop_class.create_server)

# create_datagram_endpoint takes any socket but a stream's, not only SOCK_DGRAM.
TAKES_ANY_DATAGRAM_SOCKET = sys.version_info >= (3, 13) or any(
    isinstance(text, str) and text.startswith("A datagram socket was expected")
    for text in _loop_class.create_datagram_endpoint.__code__.co_consts
)

# `Server.wait_closed` waits for an open server, and for the connections of a closed one.
WAIT_CLOSED_WAITS = sys.version_info >= (3, 12)

# `create_unix_server` removes its socket file unless told not to.
CLEANS_UP_UNIX_SOCKETS = sys.version_info >= (3, 13)


def os_error_text(exc: OSError, *, with_errno: bool) -> str:
    """`exc` as asyncio puts it into its own messages."""
    return (str(exc) if with_errno else str(exc.strerror)).lower()


def callback_source(callback: Any, args: tuple[Any, ...], *, debug: bool) -> str:
    """A call in asyncio's words. From 3.13 on only debug mode shows what the arguments are."""
    source: Any = format_helpers._format_callback_source
    if sys.version_info >= (3, 13):
        return str(source(callback, args, debug=debug))
    return str(source(callback, args))
