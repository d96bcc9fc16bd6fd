#!/usr/bin/env python3
"""The one entry to building, testing and measuring blitzio; `./dev.py --help` lists what it can do.

Needs nothing but Python 3.10 or newer: what else is missing, `./dev.py setup` brings, and every
other command runs the part of the set-up that it needs. The work is done in `devtools/`, which
uses the standard library only.
"""

from __future__ import annotations

import sys

# The one place that an older Python still gets to read.
if sys.version_info < (3, 10):  # noqa: UP036
    sys.exit("dev.py needs Python 3.10 or newer; this is " + sys.version.split()[0])

from devtools.cli import main

if __name__ == "__main__":
    sys.exit(main())
