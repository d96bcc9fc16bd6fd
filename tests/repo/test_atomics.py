"""Each atomic operation that is weaker than seq_cst has a comment at it that names its partner."""

from __future__ import annotations

import re

from tests.repo.tree import cpp_files, read, without_comments

#: How far above the operation its comment may begin: a comment may serve the few lines below it.
_LINES_ABOVE = 6
_WEAK = re.compile(r"memory_order(?:_|::)(relaxed|acquire|release|acq_rel|consume)\b")
_ALIAS = re.compile(r"using\s|constexpr\s.*=\s*std::memory_order")
_COMMENT = re.compile(r"//|^\s*\*|/\*")


def test_weak_orderings_are_explained() -> None:
    wrong = []
    for path in cpp_files("src/"):
        if path.name == "atomic.hpp":
            continue  # The doorway hands on what its callers name.
        text = read(path)
        lines = text.splitlines()
        for number, code in enumerate(without_comments(text).splitlines()):
            if not _WEAK.search(code) or _ALIAS.search(code):
                continue
            nearby = lines[max(0, number - _LINES_ABOVE) : number + 1]
            if not any(_COMMENT.search(line) for line in nearby):
                wrong.append(f"{path}:{number + 1}: {lines[number].strip()}")
    assert not wrong, "weak atomics without a comment:\n" + "\n".join(wrong)


def test_the_core_takes_atomics_through_the_doorway() -> None:
    wrong = [
        f"{path}:{number}: {line.strip()}"
        for path in cpp_files("src/blitzio/")
        if path.name != "atomic.hpp"
        for number, line in enumerate(without_comments(read(path)).splitlines(), 1)
        if re.search(r"std::atomic(_ref|_flag|_bool|_int)?\b\s*[<;\s]", line)
    ]
    assert not wrong, "use base::Atomic, so that the explorer can stand in:\n" + "\n".join(wrong)
