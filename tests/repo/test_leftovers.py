"""Nothing half done stays behind: notes without a topic, silenced checks without a reason."""

from __future__ import annotations

import re
from pathlib import Path

from tests.repo.tree import read, tracked

_TEXT = {".cpp", ".hpp", ".py", ".pyi", ".md", ".toml", ".yaml", ".json", ".cmake", ".txt", ".in"}
_HERE = Path("tests/repo")

#: (what is wrong, pattern). Each line of each text file of ours is held against all of them.
_FORBIDDEN = [
    ("a note needs a topic: perf, port or test", r"\bTODO\b(?!\((?:perf|port|test)\):)"),
    ("a note of unfinished work", r"\b(?:FIXME|XXX|HACK)\b"),
    ("a conflict marker", r"^(?:<{7}|>{7}|\|{7})(?: |$)"),
    ("trailing space", r"[ \t]+$"),
    ("a test that is switched off", r"\bDISABLED_\w"),
    ("code that is switched off", r"^\s*#\s*if\s+0\b"),
    ("a check silenced as a whole", r"\bNOLINT(?:NEXTLINE|BEGIN)?\b(?!\()"),
    ("an ignored type error without its code", r"type: ignore(?!\[)"),
    ("a silenced style rule without its code", r"\bnoqa\b(?!: )"),
    ("an error swallowed whole", r"except Exception:\s*pass\b"),
    ("a breakpoint", r"\bbreakpoint\(\)|\bpdb\.set_trace\b"),
    ("a path of one machine", r"(?<![\w$}~./])/(?:root|home/\w+|work|Users)/"),
    ("a private address", r"\b(?:10|192\.168)\.\d{1,3}\.\d{1,3}\.(?!0/)\d{1,3}\b"),
]


def _texts() -> list[Path]:
    return [
        path
        for path in tracked()
        if (path.suffix in _TEXT or path.name in ("CMakeLists.txt", "run"))
        and not path.is_relative_to(_HERE)
    ]


def test_no_leftovers() -> None:
    patterns = [(what, re.compile(pattern)) for what, pattern in _FORBIDDEN]
    # Addresses are data in tests; two spaces at the end of a line of Markdown are a line break.
    allowed = {("a private address", ".py"), ("trailing space", ".md")}
    wrong = []
    for path in _texts():
        for number, line in enumerate(read(path).splitlines(), 1):
            wrong += [
                f"{path}:{number}: {what}: {line.strip()}"
                for what, pattern in patterns
                if pattern.search(line) and (what, path.suffix) not in allowed
            ]
    assert not wrong, "\n".join(wrong)


def test_files_end_with_one_newline() -> None:
    wrong = [
        str(path)
        for path in _texts()
        if (text := read(path)) and (not text.endswith("\n") or text.endswith("\n\n"))
    ]
    assert not wrong, "\n".join(wrong)


def test_skipped_tests_say_why() -> None:
    wrong = []
    for path in _texts():
        if path.suffix not in (".py", ".cpp", ".hpp"):
            continue
        text = read(path)
        bare = [
            *re.finditer(r"GTEST_SKIP\(\)\s*;", text),
            *re.finditer(r"pytest\.skip\(\s*\)", text),
            *re.finditer(r"pytest\.mark\.(?:skip|xfail)(?!if)\b(?!\(\s*(?:reason=|[\"f]))", text),
        ]
        wrong += [f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {m.group(0)}" for m in bare]
    assert not wrong, "\n".join(wrong)
