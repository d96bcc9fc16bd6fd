"""Settings of the documentation; `./dev.py docs` builds it, and a warning is an error."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_CMAKE = (_ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
_VERSION = re.search(r"project\(blitzio VERSION ([0-9.]+)", _CMAKE)

project = "blitzio"
author = "the blitzio authors"
project_copyright = "the blitzio authors"
release = version = _VERSION.group(1) if _VERSION else ""

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = "blitzio"
html_show_sphinx = False
