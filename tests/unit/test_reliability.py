"""docs/reliability.md: every row is there, and every test that it names."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TEXT = (TESTS.parent / "docs" / "reliability.md").read_text()
ROWS = {*range(1, 20), *range(24, 27), 30, 31, *range(33, 37), 38, 40}
"""Faults for which neither a request gateway nor an autoscaler is needed. Their numbers stay, so that they can be spoken of."""
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`(?: \((not seen to pass yet)\))?")


@dataclass(frozen=True)
class Row:
    number: int
    promise: str
    tests: str


def rows(text: str) -> list[Row]:
    """The tables' rows."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
    return [Row(int(number), promise, tests) for number, _, promise, tests in cells if number.isdecimal()]


@cache
def functions_of(file: str) -> dict[str, bool]:
    """The tests in a file, by name, and whether each carries the marker `unproven`, by itself or by its file."""
    path = TESTS / file
    if not path.exists():
        return {}
    tree = ast.parse(path.read_text())
    marks = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"]
    functions = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    return {
        node.name: any("pytest.mark.unproven" in ast.unparse(mark) for mark in [*marks, *node.decorator_list])
        for node in functions
    }


def wrong(row: Row) -> list[str]:
    """What is wrong with the tests that a row names."""
    named = NAMED.findall(row.tests)
    problems = [] if named or "none yet" in row.tests else ["names no test, and does not say `none yet`"]
    for file, name, doubt in named:
        unproven = functions_of(file).get(name)
        if unproven is None:
            problems.append(f"there is no test {file}::{name}")
        elif unproven and not doubt:
            problems.append(f"{name} carries the marker `unproven`: write (not seen to pass yet) behind it")
        elif doubt and not unproven:
            problems.append(f"{name} has been seen to pass: take (not seen to pass yet) away")
    return problems


def test_every_row_is_there_once() -> None:
    assert sorted(row.number for row in rows(TEXT)) == sorted(ROWS)


@pytest.mark.parametrize("row", rows(TEXT), ids=lambda row: str(row.number))
def test_the_tests_that_it_names_exist(row: Row) -> None:
    assert row.promise
    assert wrong(row) == []


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ("", "names no test"),
        ("`unit/test_nowhere.py::test_x`", "there is no test"),
        ("`unit/test_reliability.py::test_nothing_of_that_name`", "there is no test"),
        ("`unit/test_reliability.py::rows`", "there is no test"),
        ("`unit/test_reliability.py::test_every_row_is_there_once` (not seen to pass yet)", "has been seen to pass"),
    ],
)
def test_what_is_wrong_is_seen(tests: str, words: str) -> None:
    (problem,) = wrong(Row(1, "a promise", tests))
    assert words in problem


@pytest.mark.parametrize(
    "mark", ["pytestmark = [pytest.mark.unproven]\ndef test_a(): ...", "@pytest.mark.unproven\ndef test_a(): ..."]
)
def test_a_test_that_is_unproven_is_seen(tmp_path: Path, mark: str) -> None:
    (tmp_path / "test_it.py").write_text(f"import pytest\n{mark}\n")
    assert functions_of(str(tmp_path / "test_it.py")) == {"test_a": True}


def test_a_row_of_a_table() -> None:
    assert rows("| Row | x | y | z |\n| --- | --- | --- | --- |\n| 7 | a | b | c |\n") == [Row(7, "b", "c")]
