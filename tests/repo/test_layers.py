"""The layer order: which folder may include which. The table is the one of docs/internals."""

from __future__ import annotations

import re
from pathlib import Path

from tests.repo.tree import ROOT, cpp_files, read

_LOW = ("base", "task")
_ALL_ABOVE_IO = ("base", "task", "driver", "time", "sync", "channel", "executor", "stream")

#: A folder of src/blitzio and what it may include besides itself.
CORE = {
    "base": (),
    "task": ("base",),
    "driver": ("base",),
    "time": _LOW,
    "sync": _LOW,
    "channel": (*_LOW, "sync"),
    "executor": (*_LOW, "driver", "time", "sync"),
    "stream": _LOW,
    "dns": _ALL_ABOVE_IO,
    "signal": _ALL_ABOVE_IO,
    "fs": _ALL_ABOVE_IO,
    "process": _ALL_ABOVE_IO,
    "net": (*_ALL_ABOVE_IO, "dns"),
    "io": (*_ALL_ABOVE_IO, "dns", "signal", "fs", "process", "net"),
}
#: A folder of src/python and which of its siblings it may include; each may include the core.
EXTENSION = {
    "support": (),
    "loop": ("support",),
    "bridge": ("support", "loop"),
    "runtime": ("support", "loop", "bridge"),
    "bindings": ("support", "loop", "bridge"),
}
#: Headers of the driver's folder that only the driver may include.
_BACKENDS = ("epoll", "io_uring", "poll", "kqueue", "iocp", "readiness")

_INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


def _includes(path: Path) -> list[tuple[int, str, str]]:
    """Returns (line, bracket, header) of each include."""
    text = read(path)
    return [
        (text.count("\n", 0, match.start(1)) + 1, match.group(1), match.group(2))
        for match in _INCLUDE.finditer(text)
    ]


def test_the_core_includes_by_full_path_in_angle_brackets() -> None:
    wrong = [
        f'{path}:{line}: "{header}"'
        for path in cpp_files("src/")
        for line, bracket, header in _includes(path)
        if bracket == '"'
    ]
    assert not wrong, "\n".join(wrong)


def test_every_folder_of_the_core_is_in_the_table() -> None:
    folders = {path.parts[2] for path in cpp_files("src/blitzio/") if len(path.parts) > 3}
    assert folders <= set(CORE), f"folders without a row in CORE: {folders - set(CORE)}"


def test_the_architecture_page_shows_this_table() -> None:
    page = read(Path("docs/internals/architecture.md"))
    shown = {
        match.group(1): tuple(re.findall(r"`(\w+)`", match.group(2)))
        for match in re.finditer(r"^\| `([a-z_]+)` \| ((?:–|[`\w, ])+) \|$", page, re.MULTILINE)
    }
    present = {path.parts[2] for path in cpp_files("src/blitzio/") if len(path.parts) > 3}
    assert shown == {name: CORE[name] for name in CORE if name in present}


def test_folders_include_only_what_is_below_them() -> None:
    wrong = []
    for path in cpp_files("src/blitzio/"):
        own = path.parts[2]
        for line, _, header in _includes(path):
            parts = header.split("/")
            if parts[0] == "python" or header == "Python.h":
                wrong.append(f"{path}:{line}: the core knows no Python: {header}")
            if parts[0] != "blitzio" or len(parts) < 3:
                continue
            if parts[1] != own and parts[1] not in CORE[own]:
                wrong.append(f"{path}:{line}: {own} may not include {parts[1]} ({header})")
    assert not wrong, "\n".join(wrong)


def test_the_extensions_folders_include_only_what_is_below_them() -> None:
    wrong = []
    for path in cpp_files("src/python/"):
        if len(path.parts) == 3:
            continue  # module.cpp stands on everything.
        own = path.parts[2]
        for line, _, header in _includes(path):
            parts = header.split("/")
            if parts[0] == "python" and parts[1] != own and parts[1] not in EXTENSION[own]:
                wrong.append(f"{path}:{line}: {own} may not include {parts[1]} ({header})")
    assert not wrong, "\n".join(wrong)


def test_backends_and_details_are_private() -> None:
    wrong = []
    for path in cpp_files("src/", "examples/"):
        for line, _, header in _includes(path):
            parts = header.split("/")
            if parts[0] != "blitzio" or len(parts) < 3:
                continue
            owner = Path("src", *parts[:2])
            private = (parts[1] == "driver" and parts[2] in _BACKENDS) or "detail" in parts
            if private and not path.is_relative_to(owner):
                wrong.append(f"{path}:{line}: {header} is private to {owner}")
    assert not wrong, "\n".join(wrong)


def test_headers_are_included_once_and_say_what_they_are() -> None:
    wrong = []
    for path in cpp_files("src/"):
        text = read(path)
        if path.suffix == ".hpp" and len(re.findall("^#pragma once$", text, re.MULTILINE)) != 1:
            wrong.append(f"{path}: needs one #pragma once")
        # A body whose header stands beside it is introduced there.
        is_body = path.suffix == ".cpp" and (ROOT / path).with_suffix(".hpp").is_file()
        if not is_body and not text.startswith("//"):
            wrong.append(f"{path}: must open with a comment that says what it is")
    assert not wrong, "\n".join(wrong)


def test_includes_name_files_that_exist() -> None:
    wrong = [
        f"{path}:{line}: {header}"
        for path in cpp_files("src/", "tests/", "benchmarks/", "examples/")
        for line, _, header in _includes(path)
        if header.startswith("blitzio/") and not (ROOT / "src" / header).is_file()
    ]
    assert not wrong, "\n".join(wrong)
