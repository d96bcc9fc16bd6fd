"""Where in a piece of bytes a number of decoded characters ends: for `TextFile.tell()`."""

from __future__ import annotations

import bisect
import codecs
import io
from typing import Any


def position_in(
    data: bytes, flags: int, chars: int, encoding: str, errors: str, newlines: int
) -> tuple[int, int]:
    """The offset behind the first `chars` characters of `data`, and the decoder's state there.

    Args:
        data: what was decoded.
        flags: the decoder's state before it.
        chars: how many characters; at least one, fewer than `data` has.
        encoding: of `data`.
        errors: how the decoder deals with errors.
        newlines: 1 if line ends are translated, 0 if they are only kept together, else -1.

    Raises:
        OSError: no offset is exactly there.
    """
    decoder: Any = codecs.getincrementaldecoder(encoding)(errors)
    if newlines >= 0:
        decoder = io.IncrementalNewlineDecoder(decoder, translate=newlines == 1)

    def decoded(size: int) -> tuple[int, bytes, int]:
        """The characters of so many bytes, and the decoder's state behind them."""
        decoder.setstate((b"", flags))
        count = len(decoder.decode(data[:size]))
        kept, state = decoder.getstate()
        # A "\r" is held back until it is known what follows: bit 0 of the state.
        return count + (state & 1 if newlines >= 0 else 0), kept, state

    size = bisect.bisect_left(range(len(data)), chars, key=lambda size: decoded(size)[0])
    count, kept, state = decoded(size)
    if newlines >= 0 and state & 1:
        # If "\n" follows, in one byte or as many as the encoding takes, it belongs to it.
        for more in range(size + 1, min(size + 4, len(data)) + 1):
            if decoded(more) == (chars, b"", state & ~1):
                return more, state & ~1
        state &= ~1
    if count == chars and not kept:
        return size, state
    raise OSError("the position cannot be told in this encoding here")
