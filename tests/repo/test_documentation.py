"""What the documentation says of the tree: links, names, programs, tests."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from devtools.native import example_sources
from tests.python.test_examples import EXAMPLES
from tests.repo.tree import ROOT, read, tracked

MAP = Path("docs/guide/reference-map.md")
NAMES = Path("docs/guide/names.md")
#: Pages whose C++ is taken from programs that are run.
CPP_PAGES = ("fs-cpp", "net-cpp", "process-cpp", "signal-cpp", "stream")

_CELLS = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"`([^`]+)`")
_WORD = re.compile(r"[A-Za-z_]\w*")
_CPP_TEST = re.compile(r"^(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", re.MULTILINE)
_PYTHON_TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


def tables(page: Path) -> list[dict[str, str]]:
    """The rows of a page's tables, each as cell by heading."""
    rows: list[dict[str, str]] = []
    headings: list[str] = []
    for line in read(page).splitlines():
        if not line.startswith("|"):
            headings = []
            continue
        cells = [cell.strip() for cell in _CELLS.split(line.strip("|"))]
        if not headings:
            headings = cells
        elif not line.startswith("|---"):
            assert len(cells) == len(headings), f"{page}: {line}"
            rows.append(dict(zip(headings, cells, strict=True)))
    return rows


@cache
def names_of_tests(path: str) -> frozenset[str]:
    """The tests of a file below tests/: suite and name in C++, the function in Python."""
    file = Path("tests") / path
    if not (ROOT / file).is_file():
        return frozenset()
    if file.suffix == ".cpp":
        return frozenset(f"{suite}.{name}" for suite, name in _CPP_TEST.findall(read(file)))
    return frozenset(_PYTHON_TEST.findall(read(file)))


def words_in(folder: str, *suffixes: str) -> set[str]:
    files = (path for path in tracked() if path.is_relative_to(folder) and path.suffix in suffixes)
    return {word for path in files for word in _WORD.findall(read(path))}


def test_links_between_documents_lead_somewhere() -> None:
    wrong = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        targets = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", read(path))
        wrong += [f"{path}: {t}" for t in targets if not (ROOT / path.parent / t).exists()]
    assert not wrong, "\n".join(wrong)


def test_the_map_of_the_specification_names_what_is_run() -> None:
    rows = [row for row in tables(MAP) if "tests" in row]
    assert len(rows) > 150
    # What the stage "examples" and tests/python run.
    programs = {path.name for path in (*example_sources(), *EXAMPLES)}
    wrong = []
    for row in rows:
        shown = _CODE.findall(row["C++"] + row["Python"])
        held = _CODE.findall(row["tests"])
        wrong += [f"{row['section']}: {name} is not run" for name in shown if name not in programs]
        if not shown or not held:
            wrong.append(f"{row['section']}: no program, or no test")
        for test in held:
            path, _, name = test.partition("::")
            if name not in names_of_tests(path):
                wrong.append(f"{row['section']}: no {test}")
    assert not wrong, "\n".join(wrong)


def test_the_names_beside_others_are_ours() -> None:
    ours = {
        "C++": words_in("src/blitzio", ".hpp"),
        "Python": words_in("python/blitzio", ".py", ".pyi"),
    }
    columns = [
        (known, cell)
        for row in tables(NAMES)
        for heading, cell in row.items()
        for language, known in ours.items()
        if heading.startswith(language)
    ]
    assert len(columns) > 200
    wrong = []
    for known, cell in columns:
        for code in _CODE.findall(cell):
            words = _WORD.findall(re.sub(r'"[^"]*"', "", code))
            wrong += [f"{code}: no {word}" for word in words if word not in known]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("header", "struct"),
    [
        ("executor/runtime.hpp", "RuntimeMetrics"),
        ("executor/worker.hpp", "WorkerMetrics"),
        ("executor/blocking_pool.hpp", "Metrics"),
        ("driver/driver.hpp", "Metrics"),
    ],
)
def test_each_metric_in_cpp_has_its_row(header: str, struct: str) -> None:
    text = read(Path("src/blitzio") / header)
    body = re.search(rf"struct {struct} {{\n(.*?)\n\s*}};", text, re.DOTALL)
    assert body is not None
    fields = re.findall(r"^\s*[\w:<>]+ (\w+)(?: = \w+)?;", body.group(1), re.MULTILINE)
    assert len(fields) > 2
    page = read(Path("docs/reference/runtime.md"))
    assert [field for field in fields if f"`{field}`" not in page] == []


@pytest.mark.parametrize("page", CPP_PAGES)
def test_what_a_page_shows_in_cpp_is_part_of_a_program_that_is_run(page: str) -> None:
    def without_indent(text: str) -> str:
        return "\n".join(line.strip() for line in text.splitlines())

    shown = re.findall(r"^```cpp\n(.*?)^```$", read(Path(f"docs/reference/{page}.md")), re.M | re.S)
    assert shown
    programs = [without_indent(path.read_text(encoding="utf-8")) for path in example_sources()]
    for snippet in shown:
        assert any(without_indent(snippet) in program for program in programs), snippet
