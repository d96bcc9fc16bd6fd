"""Patterns of the C-API that cost sub-interpreters, free threading or correctness."""

from __future__ import annotations

import re

from tests.repo.tree import cpp_files, read, without_comments

#: (what is wrong, pattern), for src/python.
_FORBIDDEN = [
    ("types are made from specs, per module", r"\bPyTypeObject\s+\w+\s*=|\bPyType_Ready\s*\("),
    ("modules are initialised in phases", r"\bPyModule_Create2?\s*\("),
    ("new references stay visible to their owner", r"\bPyModule_AddObject\s*\("),
    ("borrowed items race without the GIL", r"\bPyList_GET_ITEM\s*\(|\bPyDict_GetItem\s*\("),
    ("a static object outlives its interpreter", r"^\s*static\s+PyObject\s*\*\s*\w+\s*(?:=|;)"),
    ("errors are not dropped", r"\bPyErr_Clear\s*\(\s*\)\s*;(?!.*//)"),
]


def test_no_forbidden_pattern() -> None:
    wrong = []
    for path in cpp_files("src/python/"):
        text = read(path)
        lines = text.splitlines()
        for number, code in enumerate(without_comments(text).splitlines()):
            for what, pattern in _FORBIDDEN:
                explained = any("//" in line for line in lines[max(0, number - 2) : number + 1])
                if re.search(pattern, code) and not explained:
                    wrong.append(f"{path}:{number + 1}: {what}: {lines[number].strip()}")
    assert not wrong, "\n".join(wrong)


def test_the_module_declares_that_it_runs_without_the_gil() -> None:
    module = [path for path in cpp_files("src/python/") if path.name == "module.cpp"]
    text = "".join(read(path) for path in module)
    assert not module or "Py_MOD_GIL_NOT_USED" in text
