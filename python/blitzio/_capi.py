"""Where the header of the C API is: `blitzio_capi.h`, for extensions written in C or C++."""

from __future__ import annotations

import os


def get_include() -> str:
    """The folder of `blitzio_capi.h`, for the include path of a compiler.

    >>> import os, blitzio
    >>> os.listdir(blitzio.get_include())
    ['blitzio_capi.h']
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")
