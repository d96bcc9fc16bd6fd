"""What the checks of the tree share: where files are, and how C++ comments are told from code."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.DOTALL,
)


@cache
def tracked() -> list[Path]:
    """Returns the files git knows or would add, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sorted(Path(line) for line in set(listing.splitlines()) if (ROOT / line).is_file())


def cpp_files(*folders: str) -> list[Path]:
    """Returns the C++ sources and headers below `folders`, relative to the root."""
    return [
        path
        for path in tracked()
        if path.suffix in (".cpp", ".hpp") and str(path).startswith(tuple(folders))
    ]


def read(path: Path) -> str:
    """Returns the text of a file given relative to the root."""
    return (ROOT / path).read_text(encoding="utf-8")


def without_comments(text: str) -> str:
    """Returns C++ `text` with comments and string contents blanked, line numbers kept."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group(0))

    return _TOKEN.sub(blank, text)
